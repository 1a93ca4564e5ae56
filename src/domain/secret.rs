//! Values that must not be printed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
pub use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::Random;

/// Makes a bearer secret: `prefix` and 256 random bits in base64url, 43 characters.
///
/// The prefix lets secret scanners find a leaked one and error messages name what kind it is.
#[must_use]
pub fn bearer_secret(prefix: &str, random: &dyn Random) -> SecretString {
    let mut bits = Zeroizing::new([0_u8; 32]);
    random.fill(bits.as_mut());
    let mut text = String::with_capacity(prefix.len() + 43);
    text.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(bits.as_ref(), &mut text);
    SecretString::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemRandom;

    #[test]
    fn is_prefix_and_256_bits_and_hides_from_debug() {
        let secret = bearer_secret("idp_join_", &SystemRandom);
        assert!(secret.expose_secret().starts_with("idp_join_"));
        assert_eq!(secret.expose_secret().len(), 9 + 43);
        assert!(!format!("{secret:?}").contains(secret.expose_secret()));
        assert_ne!(
            secret.expose_secret(),
            bearer_secret("idp_join_", &SystemRandom).expose_secret()
        );
    }
}
