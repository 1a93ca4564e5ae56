//! Two texts that should have been the same: what sets them apart.

use crate::iam::{Context, Test, Value, operator::distance};

/// How a value of the policy misses the request's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Miss {
    pub(super) code: &'static str,
    pub(super) problem: String,
    /// Whether the policy's value was meant to be this one, so that it is to be replaced.
    pub(super) near: bool,
    /// How far off, for finding the nearest.
    pub(super) rank: usize,
}

impl Miss {
    fn near(code: &'static str, rank: usize, problem: impl Into<String>) -> Self {
        Self {
            code,
            problem: problem.into(),
            near: true,
            rank,
        }
    }
}

/// Judges one pair under a test of texts that it does not pass. `other`: the claim that it could
/// have been mistaken for, the audience where the key is the subject and the other way round.
pub(super) fn judge(
    test: Test,
    value: &Value,
    got: &str,
    context: &Context,
    other: Option<&str>,
) -> Miss {
    let written = value.as_written();
    if value.has_variables() && value.resolve(context).is_none() {
        return Miss::near(
            "variable-without-value",
            1,
            "a policy variable in it has no value in this request, so that it fits nothing",
        );
    }
    if !test.has_wildcards() && value.has_wildcard() && value.matches(got) {
        return Miss::near(
            "wildcard-under-equals",
            0,
            format!("{} reads * and ? as plain characters", test.name()),
        );
    }
    let folded = if test.has_wildcards() || value.has_wildcard() {
        value.matches_ignore_case(got)
    } else {
        value.equals_ignore_case(got)
    };
    if folded {
        return Miss::near("case", 1, "upper and lower case differ, and they count");
    }
    if let Some(miss) = by_text(written, got) {
        return miss;
    }
    if other.is_some_and(|other| value.matches(other)) {
        return Miss::near(
            "claims-swapped",
            3,
            "it is the value of the other claim: aud and sub are swapped",
        );
    }
    by_shape(written, got)
}

fn by_text(written: &str, got: &str) -> Option<Miss> {
    if written.trim() == got.trim() {
        return Some(Miss::near(
            "white-space",
            1,
            "one of them begins or ends with white space",
        ));
    }
    if written.trim_end_matches('/') == got.trim_end_matches('/') {
        return Some(Miss::near(
            "trailing-slash",
            1,
            "only one of them ends with a slash",
        ));
    }
    let host = |text: &str| {
        let text = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        text.map(|text| text.trim_end_matches('/').to_owned())
    };
    let (bare, other) = (host(written), host(got));
    if bare.as_deref() == Some(got.trim_end_matches('/'))
        || other.as_deref() == Some(written.trim_end_matches('/'))
    {
        return Some(Miss::near(
            "scheme",
            2,
            "only one of them begins with https://",
        ));
    }
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    if decode(written) == decode(got) {
        return Some(Miss::near(
            "encoding",
            2,
            "only one of them is percent-encoded",
        ));
    }
    if written.contains(".*") || written.starts_with('^') || written.ends_with('$') {
        return Some(Miss::near(
            "regular-expression",
            4,
            "it looks like a regular expression; IAM knows only * and ?",
        ));
    }
    if written.contains('<') || written.contains("YOUR") || written.contains("_ID/") {
        return Some(Miss::near("placeholder", 4, "it still holds a placeholder"));
    }
    None
}

/// By segments, as subjects have them between `/` and `:`.
fn by_shape(written: &str, got: &str) -> Miss {
    if got
        .strip_prefix(written)
        .is_some_and(|rest| rest.starts_with(['/', ':']))
    {
        return Miss::near("subject-goes-on", 3, "the request's value goes on after it");
    }
    let split = |text: &str| -> Vec<String> { text.split(['/', ':']).map(str::to_owned).collect() };
    let (wanted, has) = (split(written), split(got));
    let differing: Vec<_> = wanted.iter().zip(&has).filter(|(a, b)| a != b).collect();
    if wanted.len() == has.len()
        && let [(wanted, has)] = differing.as_slice()
    {
        return Miss {
            code: "one-segment",
            problem: format!("they differ in one segment: {wanted:?} and {has:?}"),
            near: distance(wanted, has) <= 2,
            rank: 4 + distance(wanted, has).min(20),
        };
    }
    let far = distance(written, got);
    Miss {
        code: "mismatch",
        problem: format!(
            "they differ from character {} on",
            first_difference(written, got)
        ),
        near: far <= 2,
        rank: 10 + far,
    }
}

/// The first character in which they differ, from 1.
pub(super) fn first_difference(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count() + 1
}

/// The pattern with the letters' case of `got`, where it fits it but for case.
pub(super) fn recased(value: &Value, got: &str) -> Option<Value> {
    let written = value.as_written();
    if written.contains("${") {
        return None;
    }
    let mut rest: Vec<char> = got.chars().collect();
    let mut out = String::new();
    let pieces: Vec<&str> = written.split('*').collect();
    for (index, piece) in pieces.iter().enumerate() {
        let length = piece.chars().count();
        let last = index + 1 == pieces.len();
        let at = if index == 0 {
            0
        } else if last {
            rest.len().checked_sub(length)?
        } else {
            (0..=rest.len().checked_sub(length)?)
                .find(|at| fits(piece, &rest[*at..*at + length]))?
        };
        let found = rest.get(at..at + length)?;
        if !fits(piece, found) {
            return None;
        }
        out.extend(
            piece
                .chars()
                .zip(found)
                .map(|(p, c)| if p == '?' { '?' } else { *c }),
        );
        if !last {
            out.push('*');
        }
        rest.drain(..at + length);
    }
    Value::pattern(&out).filter(|value| value.matches(got))
}

fn fits(piece: &str, text: &[char]) -> bool {
    piece
        .chars()
        .zip(text)
        .all(|(p, c)| p == '?' || p.to_lowercase().eq(c.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misses_have_names() {
        let got = "org:Acme/prj:web/env:ci";
        for (test, written, code) in [
            (Test::StringEquals, "org:Acme/*", "wildcard-under-equals"),
            (Test::StringEquals, "org:acme/prj:web/env:ci", "case"),
            (Test::StringLike, "org:acme/*", "case"),
            (Test::StringEquals, "org:acme/*", "case"),
            (
                Test::StringEquals,
                "org:Acme/prj:web/env:ci ",
                "white-space",
            ),
            (
                Test::StringEquals,
                "org:Acme/prj:web/env:ci/",
                "trailing-slash",
            ),
            (Test::StringEquals, "org%3AAcme/prj:web/env:ci", "encoding"),
            (Test::StringLike, "^org:Acme/.*$", "regular-expression"),
            (Test::StringEquals, "org:Acme/prj:web", "subject-goes-on"),
            (Test::StringEquals, "org:Acme/prj:web/env:cd", "one-segment"),
            (Test::StringEquals, "sts.amazonaws.com", "claims-swapped"),
            (
                Test::StringEquals,
                "org:<ORG>/prj:web/env:ci",
                "placeholder",
            ),
            (Test::StringEquals, "other", "mismatch"),
            (
                Test::StringEquals,
                "${sts:SourceIdentity}",
                "variable-without-value",
            ),
        ] {
            let value = Value::pattern(written).unwrap();
            let miss = judge(
                test,
                &value,
                got,
                &Context::new(),
                Some("sts.amazonaws.com"),
            );
            assert_eq!(miss.code, code, "{written}");
        }
    }

    #[test]
    fn case_is_mended_around_wildcards() {
        for (written, got, mended) in [
            ("org:acme/*", "org:Acme/prj:x", "org:Acme/*"),
            ("*/PRJ:web/*:CI", "org:a/prj:web/env:ci", "*/prj:web/*:ci"),
            ("ORG:?cme", "org:Acme", "org:?cme"),
        ] {
            let value = Value::pattern(written).unwrap();
            assert_eq!(recased(&value, got).unwrap().as_written(), mended);
        }
    }
}
