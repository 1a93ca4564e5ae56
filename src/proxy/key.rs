//! The proxy's own key: who shows it may send requests. On loopback every local user could.

use std::fmt;

use subtle::ConstantTimeEq as _;

use crate::domain::{ExposeSecret as _, Random, SecretString, bearer_secret};

/// What the text of a key begins with.
const PREFIX: &str = "idp_proxy_";
/// The length of a key: the prefix and 256 bits in base64url.
const LENGTH: usize = PREFIX.len() + 43;

/// A text that is not a proxy's key. It does not say which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a proxy's key: {PREFIX} and 43 characters of base64url")]
pub struct KeyError;

/// The key: `idp_proxy_` and 43 characters of base64url. It goes into the proxy's URL as a password, and
/// into a dummy access key id, where `/` and `=` could not stand.
#[derive(Clone)]
pub struct ProxyKey(SecretString);

impl ProxyKey {
    /// Makes one.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        Self(bearer_secret(PREFIX, random))
    }

    /// Reads one; white space around it is ignored.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let rest = text.strip_prefix(PREFIX).ok_or(KeyError)?;
        let base64url = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if text.len() == LENGTH && rest.bytes().all(base64url) {
            Ok(Self(SecretString::from(text)))
        } else {
            Err(KeyError)
        }
    }

    /// Whether `shown` is this key. The time that it takes does not depend on how much of it is right.
    #[must_use]
    pub fn matches(&self, shown: &[u8]) -> bool {
        self.0.expose_secret().as_bytes().ct_eq(shown).into()
    }

    /// The key itself, for the environment of who may use the proxy.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for ProxyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemRandom;

    #[test]
    fn matches_itself_alone() {
        let key = ProxyKey::generate(&SystemRandom);
        assert!(key.matches(key.expose().as_bytes()));
        for other in ["", "idp_proxy_", &key.expose()[..LENGTH - 1]] {
            assert!(!key.matches(other.as_bytes()), "{other}");
        }
        let mut longer = key.expose().to_owned();
        longer.push('A');
        assert!(!key.matches(longer.as_bytes()));
        let another = ProxyKey::generate(&SystemRandom);
        assert!(!key.matches(another.expose().as_bytes()));
    }

    #[test]
    fn is_read_as_it_is_written_and_not_shown() {
        let key = ProxyKey::generate(&SystemRandom);
        let read = ProxyKey::from_text(&format!("{}\n", key.expose())).unwrap();
        assert!(key.matches(read.expose().as_bytes()));
        assert!(!format!("{key:?}").contains(&key.expose()[PREFIX.len()..]));
        for bad in ["", "idp_proxy_AA", "AKIAIOSFODNN7EXAMPLE"] {
            assert!(ProxyKey::from_text(bad).is_err(), "{bad}");
        }
        let slash = format!("{PREFIX}{}", "/".repeat(43));
        assert!(ProxyKey::from_text(&slash).is_err());
    }
}
