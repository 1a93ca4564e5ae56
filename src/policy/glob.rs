//! Patterns with `*` and `?`.

/// A pattern that was taken apart once: `*` is any text, `?` any one character, and everything else
/// is itself. It always concerns the whole text.
///
/// What it is compared with may hold `*` as well, where a part is not known: only a `*` of the pattern
/// covers that, so that [`Glob::covers`] is true where the pattern fits whatever the part may be, and
/// [`Glob::touches`] where it fits for some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob {
    written: Box<str>,
    /// How many bytes there are before the first wildcard.
    literal: usize,
    kind: Kind,
}

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

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        let literal = pattern.find(['*', '?']).unwrap_or(pattern.len());
        let kind = match &pattern[literal..] {
            "" => Kind::Literal,
            "*" if literal == 0 => Kind::Everything,
            "*" => Kind::Prefix,
            _ => Kind::General,
        };
        Self {
            written: pattern.into(),
            literal,
            kind,
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
            Kind::Literal => *self.written == *text && !text.contains('*'),
            Kind::Prefix => text
                .strip_prefix(self.literal_prefix())
                .is_some_and(|_| !self.literal_prefix().contains('*')),
            Kind::General => walk(self.written.as_bytes(), text.as_bytes()),
        }
    }

    /// Whether the pattern fits for something that may stand where the text has a `*`.
    pub(super) fn touches(&self, text: &str) -> bool {
        if self.covers(text) {
            return true;
        }
        match text.find('*') {
            None => false,
            Some(known) => {
                let (mine, theirs) = (self.literal_prefix(), &text[..known]);
                (mine.starts_with(theirs) || theirs.starts_with(mine)) && meet(&self.written, text)
            }
        }
    }
}

/// Walks both texts, going back to the last star where they part; quadratic at worst.
fn walk(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(b'?') if text[t] != b'*' => {
                p += 1;
                t = next_character(text, t);
                continue;
            }
            Some(byte) if *byte != b'?' && *byte == text[t] => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        let Some((after, from)) = star else {
            return false;
        };
        let next = next_character(text, from);
        star = Some((after, next));
        (p, t) = (after, next);
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

fn next_character(text: &[u8], at: usize) -> usize {
    let mut next = at + 1;
    while text.get(next).is_some_and(|byte| byte & 0xC0 == 0x80) {
        next += 1;
    }
    next
}

/// Whether there is a text that fits both, where both may have stars.
fn meet(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // `fits[t]`: what is left of the pattern meets `text[t..]`.
    let mut fits: Vec<bool> = vec![false; text.len() + 1];
    fits[text.len()] = true;
    for t in (0..text.len()).rev() {
        fits[t] = text[t] == '*' && fits[t + 1];
    }
    for p in pattern.chars().rev() {
        let after = fits.clone();
        for t in (0..=text.len()).rev() {
            let here = text.get(t);
            let theirs = here == Some(&'*') && (fits_at(&fits, t + 1) || after[t]);
            fits[t] = theirs
                || match p {
                    '*' => after[t] || (here.is_some() && fits_at(&fits, t + 1)),
                    '?' => here.is_some() && fits_at(&after, t + 1),
                    literal => here == Some(&literal) && fits_at(&after, t + 1),
                };
        }
    }
    fits[0]
}

fn fits_at(fits: &[bool], at: usize) -> bool {
    fits.get(at).copied().unwrap_or(false)
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
