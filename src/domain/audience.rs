//! Audiences.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The audience that AWS STS expects, and an organisation's allow-list holds from the start.
pub const DEFAULT_AUDIENCE: &str = "sts.amazonaws.com";

/// What a token's `aud` may be: 1–255 visible ASCII characters (IAM's limit on client ids), without
/// `*` and `?`, which would read as wildcards in a policy made from it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Audience(String);

/// Why a text is not an [`Audience`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AudienceError {
    /// Nothing at all.
    #[error("an audience must not be empty")]
    Empty,
    /// Over 255 characters.
    #[error("an audience may have at most 255 characters, this one has {0}")]
    TooLong(usize),
    /// Not a visible ASCII character, or a wildcard.
    #[error("an audience must not contain {0:?}: visible ASCII without * ? \" and \\ only")]
    Character(char),
}

impl Audience {
    /// The audience as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// AWS STS.
    #[must_use]
    pub fn sts() -> Self {
        Self(DEFAULT_AUDIENCE.to_owned())
    }
}

impl FromStr for Audience {
    type Err = AudienceError;

    fn from_str(text: &str) -> Result<Self, AudienceError> {
        if text.is_empty() {
            return Err(AudienceError::Empty);
        }
        let count = text.chars().count();
        if count > 255 {
            return Err(AudienceError::TooLong(count));
        }
        match text
            .chars()
            .find(|c| !c.is_ascii_graphic() || matches!(c, '*' | '?' | '"' | '\\'))
        {
            Some(c) => Err(AudienceError::Character(c)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Audience {
    type Error = AudienceError;

    fn try_from(text: String) -> Result<Self, AudienceError> {
        text.parse()
    }
}

impl From<Audience> for String {
    fn from(audience: Audience) -> Self {
        audience.0
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_audiences_of_the_field() {
        for good in [
            "sts.amazonaws.com",
            "api://AzureADTokenExchange",
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
            "https://vault.example.com:8200",
        ] {
            assert_eq!(good.parse::<Audience>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn refuses_wildcards_and_what_cannot_be_seen() {
        for bad in ["", "*", "a?", "a b", "a\n", "é", &"a".repeat(256)] {
            assert!(bad.parse::<Audience>().is_err(), "{bad:?}");
        }
    }
}
