//! Display names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A display name of an organisation, project or environment: 1–128 characters, no control or
/// format characters (which could reorder or hide text in a terminal), no space at either end.
///
/// Names never enter a `sub`; ids do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is not a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or only white space.
    #[error("a name must not be empty")]
    Empty,
    /// Over 128 characters; holds how many there were.
    #[error("a name may have at most 128 characters, this one has {0}")]
    TooLong(usize),
    /// White space at the beginning or the end.
    #[error("a name must not begin or end with white space")]
    Padded,
    /// A control or invisible formatting character.
    #[error("a name must not contain the character U+{:04X}", *.0 as u32)]
    Character(char),
}

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters that change how their neighbours are shown: bidirectional controls, zero-width
/// characters, the byte-order mark.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}'
            | '\u{061C}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}'
    )
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.trim().is_empty() {
            return Err(NameError::Empty);
        }
        if text.trim().len() != text.len() {
            return Err(NameError::Padded);
        }
        let count = text.chars().count();
        if count > 128 {
            return Err(NameError::TooLong(count));
        }
        match text.chars().find(|c| c.is_control() || is_invisible(*c)) {
            Some(c) => Err(NameError::Character(c)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_people_write() {
        for good in ["acme", "Müller & Söhne", "チーム", "a", &"x".repeat(128)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn refuses_what_hides() {
        assert_eq!("  ".parse::<Name>(), Err(NameError::Empty));
        assert_eq!(" a".parse::<Name>(), Err(NameError::Padded));
        assert_eq!("a\nb".parse::<Name>(), Err(NameError::Character('\n')));
        assert_eq!(
            "a\u{202E}b".parse::<Name>(),
            Err(NameError::Character('\u{202E}'))
        );
        assert_eq!(
            "x".repeat(129).parse::<Name>(),
            Err(NameError::TooLong(129))
        );
    }
}
