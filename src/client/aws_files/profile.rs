//! Profile names.

use std::{fmt, str::FromStr};

use super::{botocore, sdk};

/// The name of a profile in the AWS files: one or more of `A-Z a-z 0-9 _ - / . % @ : +`.
///
/// That is the SDKs' rule: they skip a section of any other name with a warning, while botocore
/// takes nearly everything. `DEFAULT` is refused because botocore reads it as settings that all
/// profiles inherit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileName(String);

/// Why a text is not a [`ProfileName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileNameError {
    /// Nothing at all.
    #[error("a profile name must not be empty")]
    Empty,
    /// A character that would break the file, or that the SDKs do not take in a name.
    #[error(
        "a profile name must not contain {0:?}: the AWS SDKs skip a profile with other characters \
         than letters and digits of ASCII and _ - / . % @ : +"
    )]
    Character(char),
    /// The section that botocore merges into all others.
    #[error(
        "a profile must not be named DEFAULT: the AWS CLI and boto3 would give its keys to every \
         profile; the default profile is `default`"
    )]
    Inherited,
}

impl ProfileName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ProfileName {
    /// `default`, the profile that the tools use where none is named.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for ProfileName {
    type Err = ProfileNameError;

    fn from_str(text: &str) -> Result<Self, ProfileNameError> {
        if text.is_empty() {
            return Err(ProfileNameError::Empty);
        }
        if text == botocore::DEFAULT_SECTION {
            return Err(ProfileNameError::Inherited);
        }
        match text.chars().find(|c| sdk::forbidden_in_name(*c)) {
            Some(c) => Err(ProfileNameError::Character(c)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_both_readers_take() {
        for good in [
            "default",
            "prod",
            "a-b_c.d/e@f:g+h%i",
            "profile",
            "Default",
            "-x",
            "1",
        ] {
            assert_eq!(good.parse::<ProfileName>().unwrap().as_str(), good);
        }
        assert_eq!(ProfileName::default().as_str(), "default");
    }

    #[test]
    fn refuses_what_would_break_the_file_or_be_skipped() {
        assert_eq!("".parse::<ProfileName>(), Err(ProfileNameError::Empty));
        assert_eq!(
            "DEFAULT".parse::<ProfileName>(),
            Err(ProfileNameError::Inherited)
        );
        for (bad, c) in [
            ("a]", ']'),
            ("a\nb", '\n'),
            ("a\r", '\r'),
            (" a", ' '),
            ("a ", ' '),
            ("a b", ' '),
            ("[a", '['),
            ("a#b", '#'),
            ("a;b", ';'),
            ("\"a\"", '"'),
            ("a=b", '='),
            ("a\0", '\0'),
            ("ä", 'ä'),
            ("a\u{202e}", '\u{202e}'),
        ] {
            assert_eq!(
                bad.parse::<ProfileName>(),
                Err(ProfileNameError::Character(c))
            );
        }
    }

    #[test]
    fn the_message_shows_control_characters_escaped() {
        let error = "a\nb".parse::<ProfileName>().unwrap_err().to_string();
        assert!(error.contains(r"'\n'") && !error.contains('\n'), "{error}");
    }
}
