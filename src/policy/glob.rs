//! Patterns with `*` and `?`.

use memchr::memmem::Finder;

/// A pattern that was taken apart once: `*` is any text, `?` any one character, and everything else
/// is itself. It always concerns the whole text.
///
/// What it is compared with may hold `*` as well, where a part is not known, or `?` for an unknown
/// character: only wildcards of the pattern cover those, so that [`Glob::covers`] is true where the pattern
/// fits whatever the part may be, and [`Glob::touches`] where it fits for some.
///
/// Both look at the text once: what a request names can be long, and there may be many rules.
#[derive(Clone, Debug)]
pub(super) struct Glob {
    written: Box<str>,
    /// How many bytes there are before the first wildcard.
    literal: usize,
    kind: Kind,
    /// What stands between the stars of a general pattern.
    parts: Box<[Part]>,
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Glob {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `*`.
    Everything,
    /// No wildcard.
    Literal,
    /// One `*`, at the end.
    Prefix,
    /// Any other.
    General,
}

/// A part of a pattern, without stars.
#[derive(Clone, Debug)]
enum Part {
    Literal(Box<Finder<'static>>),
    /// It has a `?`.
    Wild(Box<str>),
}

impl Part {
    fn new(text: &str) -> Self {
        if text.contains('?') {
            Self::Wild(text.into())
        } else {
            Self::Literal(Box::new(Finder::new(text).into_owned()))
        }
    }

    /// How many bytes of the text it is, from its beginning.
    fn at_start(&self, text: &str) -> Option<usize> {
        match self {
            Self::Literal(finder) => text
                .as_bytes()
                .starts_with(finder.needle())
                .then_some(finder.needle().len()),
            Self::Wild(part) => {
                let mut left = text.chars();
                let fits = part.chars().all(|wanted| {
                    left.next()
                        .is_some_and(|c| if wanted == '?' { c != '*' } else { c == wanted })
                });
                fits.then(|| text.len() - left.as_str().len())
            }
        }
    }

    /// Whether the text ends with it.
    fn is_at_end(&self, text: &str) -> bool {
        match self {
            Self::Literal(finder) => text.as_bytes().ends_with(finder.needle()),
            Self::Wild(part) => {
                let mut left = text.chars().rev();
                part.chars().rev().all(|wanted| {
                    left.next()
                        .is_some_and(|c| if wanted == '?' { c != '*' } else { c == wanted })
                })
            }
        }
    }

    /// How many bytes there are up to its end, where it stands first.
    fn find(&self, text: &str) -> Option<usize> {
        match self {
            Self::Literal(finder) => finder
                .find(text.as_bytes())
                .map(|at| at + finder.needle().len()),
            Self::Wild(_) => text
                .char_indices()
                .map(|(at, _)| at)
                .chain([text.len()])
                .find_map(|at| self.at_start(&text[at..]).map(|length| at + length)),
        }
    }

    /// The fewest bytes that it is.
    fn least(&self) -> usize {
        match self {
            Self::Literal(finder) => finder.needle().len(),
            Self::Wild(part) => part.len(),
        }
    }
}

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        let literal = pattern.find(['*', '?']).unwrap_or(pattern.len());
        let kind = match &pattern[literal..] {
            "" => Kind::Literal,
            "*" if literal == 0 => Kind::Everything,
            "*" => Kind::Prefix,
            _ => Kind::General,
        };
        let parts = match kind {
            Kind::General => pattern.split('*').map(Part::new).collect(),
            _ => Box::default(),
        };
        Self {
            written: pattern.into(),
            literal,
            kind,
            parts,
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.written
    }

    /// What every text that fits begins with.
    pub(super) fn literal_prefix(&self) -> &str {
        &self.written[..self.literal]
    }

    pub(super) fn is_literal(&self) -> bool {
        self.kind == Kind::Literal
    }

    /// Whether the pattern fits, whatever stands where the text has a `*`.
    pub(super) fn covers(&self, text: &str) -> bool {
        match self.kind {
            Kind::Everything => true,
            Kind::Literal => *self.written == *text,
            Kind::Prefix => text.starts_with(self.literal_prefix()),
            Kind::General => covers(&self.parts, text),
        }
    }

    /// Whether the pattern fits for something that may stand where the text has a `*` or a `?`.
    pub(super) fn touches(&self, text: &str) -> bool {
        self.covers(text) || (text.contains(['*', '?']) && meet(&self.written, text))
    }
}

/// Each part of the pattern as early as can be, which leaves most for those behind it.
fn covers(parts: &[Part], text: &str) -> bool {
    let Some((first, rest)) = parts.split_first() else {
        return text.is_empty();
    };
    let Some(length) = first.at_start(text) else {
        return false;
    };
    let mut left = &text[length..];
    let Some((last, middle)) = rest.split_last() else {
        return left.is_empty();
    };
    for part in middle {
        let Some(behind) = part.find(left) else {
            return false;
        };
        left = &left[behind..];
    }
    left.len() >= last.least() && last.is_at_end(left)
}

/// Whether there is a text that fits both, where both may have wildcards.
fn meet(one: &str, other: &str) -> bool {
    match (one.contains('*'), other.contains('*')) {
        // Whatever stands between their first and last stars, one can be put behind the other. So only what
        // is before and behind the stars matters.
        (true, true) => {
            let before = |text: &str| text.find('*').unwrap_or(text.len());
            let behind = |text: &str| text.rfind('*').map_or(0, |at| at + 1);
            alike(one[..before(one)].chars(), other[..before(other)].chars())
                && alike(
                    one[behind(one)..].chars().rev(),
                    other[behind(other)..].chars().rev(),
                )
        }
        (false, false) => {
            one.chars().count() == other.chars().count() && alike(one.chars(), other.chars())
        }
        (true, false) => stretches(one, other),
        (false, true) => stretches(other, one),
    }
}

/// Whether two texts may be the same as far as the shorter one goes.
fn alike(one: impl Iterator<Item = char>, other: impl Iterator<Item = char>) -> bool {
    one.zip(other).all(|(a, b)| a == b || a == '?' || b == '?')
}

/// Whether a pattern with stars fits a text that has `?` alone.
fn stretches(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut parts = pattern
        .split('*')
        .map(|part| part.chars().collect::<Vec<char>>());
    let (Some(first), Some(last)) = (parts.next(), parts.next_back()) else {
        return false;
    };
    let at = |from: usize, part: &[char]| {
        text.get(from..from + part.len())
            .is_some_and(|here| alike(here.iter().copied(), part.iter().copied()))
    };
    let mut from = first.len();
    if !at(0, &first) {
        return false;
    }
    for part in parts {
        let Some(found) = (from..=text.len()).find(|place| at(*place, &part)) else {
            return false;
        };
        from = found + part.len();
    }
    text.len() >= from + last.len() && at(text.len() - last.len(), &last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fits_the_whole_text() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a|b", "a", false),
            ("a|b", "a|b", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ab", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a?c", "aéc", true),
            ("a?c", "ac", false),
            ("?", "é", true),
            ("a.c", "abc", false),
            ("**", "x", true),
            ("reports/*", "reports/2026/a.csv", true),
            ("reports/*", "reports", false),
        ] {
            assert_eq!(Glob::new(pattern).covers(text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_not_known_is_covered_only_by_a_star() {
        for (pattern, text, covers, touches) in [
            ("table/orders", "table/*", false, true),
            ("table/*", "table/*", true, true),
            ("table/?", "table/*", false, true),
            ("index/*", "table/*", false, false),
            ("*", "*", true, true),
            ("a*", "*", false, true),
            ("a*z", "*y", false, false),
            ("a*z", "b*z", false, false),
            ("a*z", "*z", false, true),
            ("orders", "*", false, true),
            ("a?", "a*", false, true),
            ("*b", "a*", false, true),
            ("s-??????", "s-??????", true, true),
            ("s-AbCdEf", "s-??????", false, true),
            ("s-AbC", "s-??????", false, false),
            ("s-*", "s-??????", true, true),
            ("*f", "s-??????", false, true),
            ("s-*-x*", "s-??????", false, true),
            ("s-*-longer-than-that*", "s-??????", false, false),
        ] {
            let glob = Glob::new(pattern);
            assert_eq!(glob.covers(text), covers, "{pattern} covers {text}");
            assert_eq!(glob.touches(text), touches, "{pattern} touches {text}");
        }
    }

    /// The definition, without any cleverness.
    fn plainly(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                plainly(rest, text) || (!text.is_empty() && plainly(pattern, &text[1..]))
            }
            (Some(('?', rest)), Some((_, left))) => plainly(rest, left),
            (Some((literal, rest)), Some((c, left))) => literal == c && plainly(rest, left),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?é]{0,8}", text in "[abé]{0,8}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            let expected = plainly(&p, &t);
            prop_assert_eq!(Glob::new(&pattern).covers(&text), expected);
            prop_assert_eq!(Glob::new(&pattern).touches(&text), expected);
        }

        /// Two patterns meet where some text fits both.
        #[test]
        fn patterns_meet_where_a_text_fits_both(one in "[ab*?]{0,5}", other in "[ab*?]{0,5}") {
            let (p, o): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
            let mut texts = vec![String::new()];
            let mut at = 0;
            // A text that fits both is no longer than both together.
            while at < texts.len() {
                if texts[at].len() < 8 {
                    for c in ['a', 'b'] {
                        let longer = format!("{}{c}", texts[at]);
                        texts.push(longer);
                    }
                }
                at += 1;
            }
            let expected = texts.iter().any(|text| {
                let text: Vec<char> = text.chars().collect();
                plainly(&p, &text) && plainly(&o, &text)
            });
            prop_assert_eq!(meet(&one, &other), expected);
        }

        /// What covers an unknown part fits every text that may stand there, and what fits one of
        /// them touches it.
        #[test]
        fn unknown_parts_are_bounds(
            pattern in "[ab*?]{0,6}", text in "[ab*]{0,5}", part in "[ab]{0,3}",
        ) {
            let glob = Glob::new(&pattern);
            let known = glob.covers(&text.replace('*', &part));
            prop_assert!(known || !glob.covers(&text));
            prop_assert!(!known || glob.touches(&text));
        }
    }
}
