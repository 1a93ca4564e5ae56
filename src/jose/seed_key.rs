//! A signing key that is derived, and so stored nowhere.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

use super::{KeyError, base64url_encode, jws::signing_input, thumbprint};
use crate::domain::PublicJwk;

/// An Ed25519 key (RFC 8032 §5.1.5) whose private half is 32 bytes that come from elsewhere.
pub struct SeedKey {
    pair: Ed25519KeyPair,
    public: PublicJwk,
}

impl std::fmt::Debug for SeedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeedKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl SeedKey {
    /// The key of a seed.
    ///
    /// # Errors
    /// aws-lc could not.
    pub fn new(seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Generate)?;
        let public = PublicJwk::Okp {
            crv: "Ed25519".to_owned(),
            x: base64url_encode(pair.public_key().as_ref()),
        };
        Ok(Self { pair, public })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicJwk {
        &self.public
    }

    /// Signs claims (JSON) as a compact JWS (RFC 7515, RFC 8037 §3.1) with the key's thumbprint as
    /// `kid`.
    #[must_use]
    pub fn sign_compact(&self, typ: &str, claims: &[u8]) -> String {
        let mut text = signing_input("EdDSA", typ, &thumbprint(&self.public), claims);
        let signature = self.pair.sign(text.as_bytes());
        text.push('.');
        text.push_str(&base64url_encode(signature.as_ref()));
        text
    }
}
