//! How botocore reads a line: Python's `configparser.RawConfigParser` with its defaults, and
//! botocore's nested settings on top (`botocore/configloader.py`).

/// Settings of this section are inherited by all others, and it is no profile itself
/// (`configparser.DEFAULTSECT`).
pub(super) const DEFAULT_SECTION: &str = "DEFAULT";

/// `str.isspace`, which knows four separators that are not Unicode `White_Space`.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// `str.strip`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// A comment may be indented; behind a value it is part of the value.
pub(super) fn is_comment(text: &str) -> bool {
    strip(text).starts_with(['#', ';'])
}

/// The name in a section header: all up to the *last* bracket, spaces included; what follows the
/// bracket is ignored.
pub(super) fn header(text: &str) -> Option<&str> {
    let inner = strip(text).strip_prefix('[')?;
    let end = inner.rfind(']')?;
    (end > 0).then(|| &inner[..end])
}

/// Name (in lower case) and value of a setting; the first `=` or `:` divides them. The name may be
/// empty, which botocore refuses.
pub(super) fn setting(text: &str) -> Option<(String, &str)> {
    let text = strip(text);
    let (name, value) = text.split_once(['=', ':'])?;
    Some((name.trim_end_matches(is_space).to_lowercase(), strip(value)))
}

/// Whether a line may stand in a nested block (`s3 =` with indented settings below): each of its
/// pieces, as `str.splitlines` cuts them, must be `name=value`.
pub(super) fn is_nested_setting(text: &str) -> bool {
    let ends_line = |c| {
        matches!(
            c,
            '\u{0b}' | '\u{0c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    text.split(ends_line)
        .all(|piece| strip(piece).is_empty() || piece.contains('='))
}

/// The profile that a section of the config file is (`build_profile_map`): `default`, or the
/// second of two words as a shell would split them, the first beginning with `profile`.
pub(super) fn config_profile(header: &str) -> Option<String> {
    if header == "default" {
        return Some(header.to_owned());
    }
    if !header.starts_with("profile") {
        return None;
    }
    match shell_words(header)?.as_slice() {
        [_, name] => Some(name.clone()),
        _ => None,
    }
}

/// `shlex.split`; `None` where a quotation or an escape is not finished.
fn shell_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => loop {
                match chars.next()? {
                    '\'' => {
                        word.get_or_insert_default();
                        break;
                    }
                    quoted => word.get_or_insert_default().push(quoted),
                }
            },
            '"' => loop {
                match chars.next()? {
                    '"' => {
                        word.get_or_insert_default();
                        break;
                    }
                    '\\' => match chars.next()? {
                        escaped @ ('"' | '\\') => word.get_or_insert_default().push(escaped),
                        plain => word.get_or_insert_default().extend(['\\', plain]),
                    },
                    quoted => word.get_or_insert_default().push(quoted),
                }
            },
            '\\' => word.get_or_insert_default().push(chars.next()?),
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_permissive() {
        assert_eq!(header("[a]"), Some("a"));
        assert_eq!(header("[ a ] trailing"), Some(" a "));
        assert_eq!(header("[a] # x]"), Some("a] # x"));
        assert_eq!(header("[]"), None);
        assert_eq!(header("[a"), None);
        assert_eq!(header("a]"), None);
    }

    #[test]
    fn settings_divide_at_the_first_delimiter_and_keep_inline_comments() {
        assert_eq!(setting("A = b # c"), Some(("a".into(), "b # c")));
        assert_eq!(setting("a: b=c"), Some(("a".into(), "b=c")));
        assert_eq!(setting("a"), None);
        assert_eq!(setting("= b"), Some((String::new(), "b")));
        assert_eq!(
            setting("\u{212A}ey\u{a0}=\u{a0}v"),
            Some(("key".into(), "v"))
        );
    }

    #[test]
    fn nested_pieces_need_an_equals_sign() {
        assert!(is_nested_setting("a = b"));
        assert!(is_nested_setting("a=b\u{2028}"));
        assert!(!is_nested_setting("a: b"));
        assert!(!is_nested_setting("a = b\u{0c}c"));
    }

    #[test]
    fn config_profiles_are_split_as_a_shell_does() {
        for header in [
            "profile a",
            "profile   a",
            "profile\t'a'",
            "profile \"a\"",
            "profiles \\a",
        ] {
            assert_eq!(config_profile(header).as_deref(), Some("a"), "{header}");
        }
        assert_eq!(config_profile("default").as_deref(), Some("default"));
        assert_eq!(config_profile("profile a b"), None);
        assert_eq!(config_profile("profile 'a"), None);
        assert_eq!(config_profile("sso-session a"), None);
        assert_eq!(
            config_profile("profile \"a\\\"\\b\" "),
            Some("a\"\\b".to_owned())
        );
        assert_eq!(config_profile("profile ''"), Some(String::new()));
    }
}
