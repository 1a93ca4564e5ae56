//! One value of a policy: literal text, with `*` and `?` where the operator reads them as wildcards
//! and `${…}` where the request's keys take its place.

use std::{borrow::Cow, collections::BTreeSet};

use super::Context;

/// A value as a policy writes it.
///
/// `${*}`, `${?}` and `${$}` are the characters themselves and never wildcards; `${key}` and
/// `${key, 'default'}` stand for the request's value of that key ([IAM policy elements:
/// variables]). Whether wildcards count is the operator's affair.
///
/// [IAM policy elements: variables]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    written: String,
    /// The same with the escapes resolved; of a value with variables nothing that counts.
    literal: String,
    /// `None` where there is neither wildcard nor variable, so that both readings are the same.
    pattern: Option<Vec<Glyph>>,
    variables: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Glyph {
    Char(char),
    One,
    Many,
    Variable(Box<Variable>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Variable {
    key: String,
    default: Option<String>,
}

/// A `${…}` that is neither an escape nor a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnknownVariable(pub(super) String);

impl Variable {
    /// Reads what stands between `${` and `}`: a key, or a key, a comma and a default in single
    /// quotes.
    fn parse(inside: &str) -> Option<Self> {
        let (key, default) = match inside.split_once(',') {
            None => (inside.trim(), None),
            Some((key, default)) => {
                let default = default.trim().strip_prefix('\'')?.strip_suffix('\'')?;
                (key.trim(), Some(default.to_owned()))
            }
        };
        let well_formed = key.contains(':')
            && !key
                .contains(|c: char| c.is_whitespace() || matches!(c, '\'' | '$' | '{' | '*' | '?'));
        well_formed.then(|| Self {
            key: key.to_owned(),
            default,
        })
    }

    /// The request's one value of the key, else the default. A key that can hold several values
    /// has no one value.
    fn resolve<'a>(&'a self, context: &'a Context) -> Option<&'a str> {
        match context.get(&self.key) {
            Some([one]) if !Context::is_multi_valued(&self.key) => Some(one),
            Some(_) => None,
            None => self.default.as_deref(),
        }
    }
}

impl Value {
    /// Reads a value. `variables`: whether `${…}` has a meaning, which it has from policy version
    /// 2012-10-17 on.
    pub(super) fn parse(written: &str, variables: bool) -> Result<Self, UnknownVariable> {
        let mut literal = String::with_capacity(written.len());
        let mut pattern = Vec::new();
        let mut wild = false;
        let mut has_variables = false;
        let mut rest = written;
        while let Some(next) = rest.chars().next() {
            if variables && rest.starts_with("${") {
                let Some(end) = rest.find('}') else {
                    return Err(UnknownVariable(rest.to_owned()));
                };
                let inside = &rest[2..end];
                let escaped = match inside {
                    "*" => Some('*'),
                    "?" => Some('?'),
                    "$" => Some('$'),
                    _ => None,
                };
                if let Some(escaped) = escaped {
                    literal.push(escaped);
                    pattern.push(Glyph::Char(escaped));
                } else {
                    let variable = Variable::parse(inside)
                        .ok_or_else(|| UnknownVariable(rest[..=end].to_owned()))?;
                    pattern.push(Glyph::Variable(Box::new(variable)));
                    has_variables = true;
                }
                rest = &rest[end + 1..];
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
            pattern: (wild || has_variables).then_some(pattern),
            variables: has_variables,
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
            variables: false,
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

    /// Whether `*` or `?` stand in it, outside of escapes.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.pattern
            .iter()
            .flatten()
            .any(|glyph| matches!(glyph, Glyph::One | Glyph::Many))
    }

    /// Whether it depends on the request.
    #[must_use]
    pub const fn has_variables(&self) -> bool {
        self.variables
    }

    /// The value as plain text, wildcards read as characters.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.literal
    }

    /// The value with the request's values in place of its variables; `None` where the request
    /// lacks one that has no default, and then it fits nothing. What is put in counts literally.
    #[must_use]
    pub fn resolve(&self, context: &Context) -> Option<Cow<'_, Self>> {
        if !self.variables {
            return Some(Cow::Borrowed(self));
        }
        let mut literal = String::new();
        let mut pattern = Vec::new();
        for glyph in self.pattern.iter().flatten() {
            match glyph {
                Glyph::Variable(variable) => {
                    let text = variable.resolve(context)?;
                    literal.push_str(text);
                    pattern.extend(text.chars().map(Glyph::Char));
                }
                other => {
                    literal.push(match other {
                        Glyph::Char(c) => *c,
                        Glyph::One => '?',
                        _ => '*',
                    });
                    pattern.push(other.clone());
                }
            }
        }
        Some(Cow::Owned(Self {
            written: self.written.clone(),
            literal,
            pattern: Some(pattern),
            variables: false,
        }))
    }

    /// How far the value is from `text`, for finding the nearest of several: 0 where it fits as a
    /// pattern, else the number of characters that differ.
    #[must_use]
    pub fn miss(&self, text: &str) -> usize {
        if self.matches_ignore_case(text) {
            0
        } else {
            super::operator::distance(&self.literal, text)
        }
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

    /// Whether some text that begins with `prefix` fits the value as a pattern. A variable counts as
    /// any text.
    #[must_use]
    pub fn fits_beginning(&self, prefix: &str) -> bool {
        let Some(pattern) = &self.pattern else {
            return self.literal.starts_with(prefix);
        };
        let any = |glyph: Option<&Glyph>| matches!(glyph, Some(Glyph::Many | Glyph::Variable(_)));
        // How many glyphs are used up, in every way there is. The rest always fits something.
        let mut used = BTreeSet::from([0]);
        let skip = |used: &mut BTreeSet<usize>| {
            for at in 0..pattern.len() {
                if used.contains(&at) && any(pattern.get(at)) {
                    used.insert(at + 1);
                }
            }
        };
        skip(&mut used);
        for c in prefix.chars() {
            used = used
                .into_iter()
                .filter_map(|at| match pattern.get(at)? {
                    Glyph::Many | Glyph::Variable(_) => Some(at),
                    Glyph::One => Some(at + 1),
                    Glyph::Char(own) => (*own == c).then_some(at + 1),
                })
                .collect();
            skip(&mut used);
        }
        !used.is_empty()
    }

    /// Whether `text`, an ARN, fits the value as an ARN pattern: each of the six fields by itself,
    /// so that a wildcard reaches no further than its field; in the last it crosses colons too.
    #[must_use]
    pub fn matches_arn(&self, text: &str) -> bool {
        let glyphs: Vec<Glyph> = match &self.pattern {
            None => self.literal.chars().map(Glyph::Char).collect(),
            Some(pattern) => pattern.clone(),
        };
        let wanted: Vec<_> = glyphs
            .splitn(6, |glyph| *glyph == Glyph::Char(':'))
            .collect();
        let got: Vec<_> = text.splitn(6, ':').collect();
        wanted.len() == 6
            && got.len() == 6
            && wanted
                .iter()
                .zip(got)
                .all(|(pattern, field)| glob(pattern, field, |a, b| a == b))
    }
}

fn same_folded(a: &str, b: &str) -> bool {
    // The same, faster: of two characters that are not both ASCII, one may still fold into ASCII.
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(b);
    }
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
    fn variables_take_the_requests_value_literally() {
        let mut context = Context::new();
        context.set("aws:userid", "a*b");
        context.set_all("aws:TagKeys", vec!["one".to_owned()]);
        let fits = |text: &str, got: &str| {
            value(text)
                .resolve(&context)
                .is_some_and(|value| value.matches(got))
        };
        assert!(fits("x/${aws:userid}/*", "x/a*b/y"));
        assert!(!fits("x/${aws:userid}", "x/aab"));
        assert!(fits("${AWS:UserId}", "a*b"));
        assert!(fits("${aws:none, 'd*'}", "d*") && !fits("${aws:none, 'd*'}", "dd"));
        assert!(fits("${aws:none, ''}x", "x"));
        assert!(!fits("${aws:none}", "") && !fits("*${aws:none}", "a"));
        assert!(!fits("${aws:TagKeys}", "one"), "a key with several values");
    }

    #[test]
    fn malformed_variables_are_refused_and_old_versions_have_none() {
        for text in [
            "${username}",
            "a${",
            "${aws:x, y}",
            "${}",
            "${aws:x y}",
            "${a:${b:c}}",
        ] {
            assert!(Value::parse(text, true).is_err(), "{text}");
        }
        assert!(
            Value::parse("${aws:username}", false)
                .unwrap()
                .equals("${aws:username}")
        );
    }

    #[test]
    fn an_arns_wildcards_stay_in_their_field() {
        let arn = "arn:aws:iam::123456789012:role/a:b/c";
        for (pattern, fits) in [
            ("arn:aws:iam::123456789012:role/*", true),
            ("arn:*:*:*:*:*", true),
            ("arn:aws:iam::1234567890??:role/a:b/c", true),
            ("arn:aws:*:role/a:b/c", false),
            ("*", false),
            ("arn:aws:iam::123456789012:ROLE/*", false),
        ] {
            assert_eq!(value(pattern).matches_arn(arn), fits, "{pattern}");
        }
        assert!(!value("arn:*:*:*:*:*").matches_arn("x"));
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
