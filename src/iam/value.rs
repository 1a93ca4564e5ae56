//! One value of a policy: literal text, with `*` and `?` where the operator reads them as wildcards.

/// A value as a policy writes it.
///
/// `${*}`, `${?}` and `${$}` are the characters themselves and never wildcards ([IAM policy
/// elements: variables]). Which of the two readings counts, literal or pattern, is the operator's
/// affair.
///
/// [IAM policy elements: variables]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-specialchars
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    written: String,
    /// The same with the escapes resolved.
    literal: String,
    /// `None` where there is no wildcard, so that both readings are the same.
    pattern: Option<Vec<Glyph>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Glyph {
    Char(char),
    One,
    Many,
}

/// A `${…}` that is neither of the three escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnknownVariable(pub(super) String);

impl Value {
    /// Reads a value. `variables`: whether `${…}` has a meaning, which it has from policy version
    /// 2012-10-17 on.
    pub(super) fn parse(written: &str, variables: bool) -> Result<Self, UnknownVariable> {
        let mut literal = String::with_capacity(written.len());
        let mut pattern = Vec::new();
        let mut wild = false;
        let mut rest = written;
        while let Some(next) = rest.chars().next() {
            if variables && rest.starts_with("${") {
                let end = rest.find('}').map_or(rest.len(), |at| at + 1);
                let escaped = match &rest[..end] {
                    "${*}" => '*',
                    "${?}" => '?',
                    "${$}" => '$',
                    other => return Err(UnknownVariable(other.to_owned())),
                };
                literal.push(escaped);
                pattern.push(Glyph::Char(escaped));
                rest = &rest[end..];
                continue;
            }
            literal.push(next);
            pattern.push(match next {
                '*' => Glyph::Many,
                '?' => Glyph::One,
                other => Glyph::Char(other),
            });
            wild |= matches!(next, '*' | '?');
            rest = &rest[next.len_utf8()..];
        }
        Ok(Self {
            written: written.to_owned(),
            literal,
            pattern: wild.then_some(pattern),
        })
    }

    /// The value that is `text` and nothing else under every operator, in a policy of version
    /// 2012-10-17: what would be a wildcard or begin a variable is escaped.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        let mut written = String::with_capacity(text.len());
        for (at, c) in text.char_indices() {
            match c {
                '*' => written.push_str("${*}"),
                '?' => written.push_str("${?}"),
                '$' if text[at + 1..].starts_with('{') => written.push_str("${$}"),
                other => written.push(other),
            }
        }
        Self {
            written,
            literal: text.to_owned(),
            pattern: None,
        }
    }

    /// A value in a policy's own notation (version 2012-10-17), such as `org:1/env:*`; `None` where
    /// it holds a `${…}` that is not understood.
    #[must_use]
    pub fn pattern(written: &str) -> Option<Self> {
        Self::parse(written, true).ok()
    }

    /// The value as the policy writes it.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// Whether the value is `text`, wildcards read as plain characters.
    #[must_use]
    pub fn equals(&self, text: &str) -> bool {
        self.literal == text
    }

    /// The same without regard to case.
    #[must_use]
    pub fn equals_ignore_case(&self, text: &str) -> bool {
        same_folded(&self.literal, text)
    }

    /// Whether `text` fits the value as a pattern: `*` any run of characters (`/` and `:` too, and
    /// none at all), `?` exactly one.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match &self.pattern {
            None => self.literal == text,
            Some(pattern) => glob(pattern, text, |a, b| a == b),
        }
    }

    /// The same without regard to case.
    #[must_use]
    pub fn matches_ignore_case(&self, text: &str) -> bool {
        match &self.pattern {
            None => same_folded(&self.literal, text),
            Some(pattern) => glob(pattern, text, |a, b| a.to_lowercase().eq(b.to_lowercase())),
        }
    }
}

fn same_folded(a: &str, b: &str) -> bool {
    a.chars()
        .flat_map(char::to_lowercase)
        .eq(b.chars().flat_map(char::to_lowercase))
}

/// Matches by remembering only the last `*`: no recursion, at worst pattern × text steps, so that
/// no value makes the evaluator slow.
fn glob(pattern: &[Glyph], text: &str, same: impl Fn(char, char) -> bool) -> bool {
    let (mut at, mut rest) = (0, text);
    let mut retry: Option<(usize, &str)> = None;
    loop {
        let mut left = rest.chars();
        match (pattern.get(at), left.next()) {
            (Some(Glyph::Many), _) => {
                retry = Some((at + 1, rest));
                at += 1;
                continue;
            }
            (Some(Glyph::One), Some(_)) => {
                at += 1;
                rest = left.as_str();
                continue;
            }
            (Some(Glyph::Char(want)), Some(got)) if same(*want, got) => {
                at += 1;
                rest = left.as_str();
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        let Some((after, from)) = retry else {
            return false;
        };
        let mut left = from.chars();
        if left.next().is_none() {
            return false;
        }
        (at, rest) = (after, left.as_str());
        retry = Some((after, rest));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str) -> Value {
        Value::parse(text, true).unwrap()
    }

    #[test]
    fn wildcards_cross_separators() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "a/b:c", true),
            ("org:*/env:?", "org:1/prj:2/env:3", true),
            ("org:*/env:?", "org:1/env:", false),
            ("org:*/env:?", "org:1/env:33", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-", false),
            ("?", "é", true),
            ("a**", "a", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(value(pattern).matches(text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn escapes_are_characters_and_nothing_else() {
        let star = value("a${*}${?}${$}");
        assert!(star.matches("a*?$") && star.equals("a*?$"));
        assert!(!star.matches("axx$"));
        let mixed = value("${*}*");
        assert!(mixed.matches("*x") && !mixed.matches("xx"));
    }

    #[test]
    fn other_variables_are_refused_and_old_versions_have_none() {
        for text in ["${aws:username}", "a${", "${aws:x, 'y'}"] {
            assert!(Value::parse(text, true).is_err(), "{text}");
        }
        assert!(
            Value::parse("${aws:username}", false)
                .unwrap()
                .equals("${aws:username}")
        );
    }

    #[test]
    fn case_is_folded_only_where_asked() {
        assert!(value("sts:Assume*").matches_ignore_case("STS:assumeRole"));
        assert!(!value("sts:Assume*").matches("STS:assumeRole"));
        assert!(value("ÄB").equals_ignore_case("äb"));
    }

    /// The obvious recursive definition, as an oracle.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some('*'), _) => {
                naive(&pattern[1..], text) || (!text.is_empty() && naive(pattern, &text[1..]))
            }
            (Some('?'), Some(_)) => naive(&pattern[1..], &text[1..]),
            (Some(p), Some(t)) => p == t && naive(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let (p, t): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(value(&pattern).matches(&text), naive(&p, &t));
        }

        #[test]
        fn a_literal_is_its_text_and_reads_back(text in "[ab*?${}]{0,8}", other in "[ab*?${}]{0,8}") {
            let literal = Value::literal(&text);
            prop_assert_eq!(literal.matches(&other), text == other);
            prop_assert_eq!(literal.equals(&other), text == other);
            prop_assert_eq!(value(literal.as_written()), literal);
        }

        #[test]
        fn every_text_is_read_or_refused(text in ".{0,40}", other in ".{0,40}") {
            if let Ok(value) = Value::parse(&text, true) {
                // Ignoring case only ever admits more.
                prop_assert!(!value.matches(&other) || value.matches_ignore_case(&other));
            }
        }
    }
}
