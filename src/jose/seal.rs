//! Sealing secrets at rest: JWE with `dir` and `A256GCM` (RFC 7516, RFC 7518 §4.5, §5.3).

use aws_lc_rs::hkdf;
use josekit::jwe::{self, Dir, JweHeader};
use zeroize::Zeroizing;

use super::{base64url_decode, base64url_encode};
use crate::domain::Random;

/// What the text of a key-encryption key begins with.
const PREFIX: &str = "idp_kek_";

/// What comes after it in the text of a key under which every record of a key was vouched for from the
/// beginning.
const VOUCHING: &str = "v2_";

/// The length of 256 bits in base64url.
const ENCODED: usize = 43;

/// Why something was not sealed or opened. The reasons hold nothing of the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key-encryption key's text is not one.
    #[error("it is not a key-encryption key: {PREFIX}{VOUCHING} and 43 characters of base64url")]
    Key,
    /// Sealed under another key-encryption key, or altered.
    #[error("it was sealed under another key-encryption key, or altered since")]
    Open,
    /// Whole, but the seal of another record: rows were swapped.
    #[error("it belongs to another record: {0} is sealed in it")]
    Record(String),
    /// The library could not seal.
    #[error("it could not be sealed: {0}")]
    Seal(String),
}

/// A key-encryption key: 256 bits, kept outside the database, wiped when dropped.
pub struct SealingKey {
    secret: Zeroizing<[u8; 32]>,
    vouching: bool,
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

impl SealingKey {
    /// Makes one.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        random.fill(key.as_mut());
        Self {
            secret: key,
            vouching: true,
        }
    }

    /// Whether this key is from a time when records of keys had no MAC: only then may one be without.
    /// The key's text says it, as nothing in the database could be believed.
    #[must_use]
    pub const fn predates_vouching(&self) -> bool {
        !self.vouching
    }

    /// Reads the text that [`SealingKey::to_text`] writes; white space around it is ignored.
    ///
    /// # Errors
    /// [`SealError::Key`].
    pub fn from_text(text: &str) -> Result<Self, SealError> {
        let rest = text.trim().strip_prefix(PREFIX).ok_or(SealError::Key)?;
        let (encoded, vouching) = match rest.strip_prefix(VOUCHING) {
            Some(encoded) if encoded.len() == ENCODED => (encoded, true),
            _ => (rest, false),
        };
        let bytes = Zeroizing::new(base64url_decode(encoded).ok_or(SealError::Key)?);
        let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| SealError::Key)?;
        Ok(Self {
            secret: Zeroizing::new(key),
            vouching,
        })
    }

    /// The key as text for its file: `idp_kek_v2_` and base64url, without `v2_` for an old key.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let version = if self.vouching { VOUCHING } else { "" };
        let encoded = Zeroizing::new(base64url_encode(self.secret.as_ref()));
        Zeroizing::new(format!("{PREFIX}{version}{}", *encoded))
    }

    /// A key for another purpose, the same for everyone who holds this one (HKDF with SHA-256,
    /// RFC 5869). `purpose` keeps the keys of two purposes apart.
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn derive(&self, purpose: &str) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let mut derived = Zeroizing::new([0; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"idp")
            .extract(self.secret.as_ref())
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|key| key.fill(derived.as_mut()))
            .map_err(|_| SealError::Seal("the key cannot be derived".to_owned()))?;
        Ok(derived)
    }

    /// Seals `secret` as a compact JWE. `kid` and `record` go into the protected header, which
    /// opening checks, so that rows cannot be swapped.
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn seal(&self, kid: &str, record: &str, secret: &[u8]) -> Result<String, SealError> {
        let failed = |error: josekit::JoseError| SealError::Seal(error.to_string());
        let mut header = JweHeader::new();
        header.set_content_encryption("A256GCM");
        header.set_key_id(kid);
        header
            .set_claim("record", Some(record.into()))
            .map_err(failed)?;
        let encrypter = Dir
            .encrypter_from_bytes(self.secret.as_ref())
            .map_err(failed)?;
        jwe::serialize_compact(secret, &header, &encrypter).map_err(failed)
    }

    /// Opens what [`SealingKey::seal`] sealed for this `kid` and `record`.
    ///
    /// # Errors
    /// [`SealError::Open`] and [`SealError::Record`].
    pub fn open(
        &self,
        kid: &str,
        record: &str,
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let decrypter = Dir
            .decrypter_from_bytes(self.secret.as_ref())
            .map_err(|_| SealError::Open)?;
        let (secret, header) =
            jwe::deserialize_compact(sealed, &decrypter).map_err(|_| SealError::Open)?;
        let secret = Zeroizing::new(secret);
        let found = header.claim("record").and_then(|record| record.as_str());
        if header.content_encryption() != Some("A256GCM") || header.algorithm() != Some("dir") {
            return Err(SealError::Open);
        }
        if header.key_id() != Some(kid) || found != Some(record) {
            return Err(SealError::Record(found.unwrap_or("nothing").to_owned()));
        }
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemRandom;

    #[test]
    fn opens_what_it_sealed() {
        let key = SealingKey::generate(&SystemRandom);
        let sealed = key.seal("kid", "record", b"secret").unwrap();
        assert_eq!(sealed.split('.').count(), 5);
        let again = SealingKey::from_text(&format!("{}\n", key.to_text().as_str())).unwrap();
        assert_eq!(*again.open("kid", "record", &sealed).unwrap(), b"secret");
    }

    #[test]
    fn refuses_another_key_an_altered_text_and_swapped_rows() {
        let key = SealingKey::generate(&SystemRandom);
        let sealed = key.seal("kid", "record", b"secret").unwrap();
        let other = SealingKey::generate(&SystemRandom);
        assert_eq!(other.open("kid", "record", &sealed), Err(SealError::Open));
        let altered = sealed.replacen('.', ".A", 4);
        assert_eq!(key.open("kid", "record", &altered), Err(SealError::Open));
        assert_eq!(
            key.open("kid", "another", &sealed),
            Err(SealError::Record("record".to_owned()))
        );
        assert!(matches!(
            key.open("another", "record", &sealed),
            Err(SealError::Record(_))
        ));
    }

    #[test]
    fn derives_a_key_for_each_purpose() {
        let key = SealingKey::generate(&SystemRandom);
        assert_eq!(key.derive("a").unwrap(), key.derive("a").unwrap());
        assert_ne!(key.derive("a").unwrap(), key.derive("b").unwrap());
        let other = SealingKey::generate(&SystemRandom);
        assert_ne!(key.derive("a").unwrap(), other.derive("a").unwrap());
    }

    #[test]
    fn the_text_says_whether_a_key_is_from_before_there_were_macs() {
        let key = SealingKey::generate(&SystemRandom);
        assert!(!key.predates_vouching());
        let text = key.to_text();
        let same = SealingKey::from_text(&text).unwrap();
        assert!(!same.predates_vouching());
        let old = text.replace("v2_", "");
        let old = SealingKey::from_text(&old).unwrap();
        assert!(old.predates_vouching());
        assert_eq!(*old.to_text(), text.replace("v2_", ""));
        // An old key may happen to begin like a new one.
        let old = format!("idp_kek_v2_{}", "A".repeat(40));
        assert!(SealingKey::from_text(&old).unwrap().predates_vouching());
    }

    #[test]
    fn says_what_a_key_looks_like() {
        for bad in ["", "idp_kek_", "idp_kek_AA", "hunter2"] {
            let error = SealingKey::from_text(bad).unwrap_err();
            assert!(error.to_string().contains("idp_kek_"), "{error}");
        }
    }
}
