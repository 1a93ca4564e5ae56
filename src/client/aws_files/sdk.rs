//! How the AWS SDKs read a line, after the Rust SDK's `aws_runtime::env_config`: only space and tab
//! are white space, only `=` divides, indentation always continues a setting.

const SPACE: [char; 2] = [' ', '\t'];
const COMMENT: [char; 2] = ['#', ';'];

/// Why a line is no setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No `=` before a comment or the end.
    NoEquals,
    /// Nothing before the `=`.
    NoName,
}

pub(super) fn is_blank(text: &str) -> bool {
    text.trim_matches(SPACE).is_empty()
}

/// Only at the very beginning of a line: an indented one continues the setting above.
pub(super) fn is_comment(text: &str) -> bool {
    text.starts_with(COMMENT)
}

pub(super) fn is_indented(text: &str) -> bool {
    text.starts_with(SPACE)
}

/// The name in a section header; a comment may follow, nothing else.
pub(super) fn header(text: &str) -> Option<&str> {
    without_comment(text, false)
        .strip_prefix('[')?
        .strip_suffix(']')
}

/// Name (ASCII in lower case) and value of a setting; a comment ends the value where white space
/// precedes its mark.
pub(super) fn setting(text: &str) -> Result<(String, &str), Fault> {
    let (name, value) = without_comment(text, true)
        .split_once('=')
        .ok_or(Fault::NoEquals)?;
    match name.trim_matches(SPACE) {
        "" => Err(Fault::NoName),
        name => Ok((name.to_ascii_lowercase(), value.trim_matches(SPACE))),
    }
}

fn without_comment(text: &str, mark_needs_space: bool) -> &str {
    let text = text.trim_matches(SPACE);
    let mut after_space = false;
    for (at, c) in text.char_indices() {
        if COMMENT.contains(&c) && (after_space || !mark_needs_space) {
            return text[..at].trim_matches(SPACE);
        }
        after_space = c.is_whitespace();
    }
    text
}

/// Prefix and name of a section: `[profile a]` has both, `[a]` a name only.
fn section(header: &str) -> (Option<&str>, &str) {
    let header = header.trim_matches(SPACE);
    match header.split_once(SPACE) {
        Some((prefix, name)) => (Some(prefix.trim()), name.trim()),
        None => (None, header.trim()),
    }
}

/// The profile that a section of the credentials file is; one with a prefix is ignored.
pub(super) fn credentials_profile(header: &str) -> Option<&str> {
    match section(header) {
        (None, name) => Some(name),
        (Some(_), _) => None,
    }
}

/// The profile that a section of the config file is: with the prefix `profile`, or `default`.
pub(super) fn config_profile(header: &str) -> Option<&str> {
    match section(header) {
        (Some("profile"), name) | (None, name @ "default") => Some(name),
        _ => None,
    }
}

/// Whether `name` is a profile name that the SDKs do not skip with a warning.
pub(super) fn forbidden_in_name(c: char) -> bool {
    !(c.is_ascii_alphanumeric() || "_-/.%@:+".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_in_a_bracket_or_a_comment() {
        assert_eq!(header("[a]"), Some("a"));
        assert_eq!(header("[a] # b"), Some("a"));
        assert_eq!(header("[ a ]"), Some(" a "));
        assert_eq!(header("[a]]"), Some("a]"));
        assert_eq!(header("[a] b"), None);
        assert_eq!(header("[a#b]"), None);
    }

    #[test]
    fn settings_end_before_a_comment() {
        assert_eq!(setting("A = b # c"), Ok(("a".into(), "b")));
        assert_eq!(setting("a = b#c"), Ok(("a".into(), "b#c")));
        assert_eq!(setting("a: b"), Err(Fault::NoEquals));
        assert_eq!(setting("a # = b"), Err(Fault::NoEquals));
        assert_eq!(setting("= b"), Err(Fault::NoName));
        assert_eq!(setting("# a"), Err(Fault::NoEquals));
    }

    #[test]
    fn sections_are_profiles_by_the_kind_of_file() {
        assert_eq!(credentials_profile(" a "), Some("a"));
        assert_eq!(credentials_profile("profile a"), None);
        assert_eq!(config_profile("profile \t a"), Some("a"));
        assert_eq!(config_profile("default"), Some("default"));
        assert_eq!(config_profile("a"), None);
        assert_eq!(config_profile("sso-session a"), None);
    }
}
