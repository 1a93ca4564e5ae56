//! Signing with an issuer's key, wherever its private half lives.

use async_trait::async_trait;

use crate::domain::{PublicJwk, SigningAlgorithm};

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Too much work waits already; nothing was tried.
    #[error("the signing queue is full")]
    Overloaded,
    /// The signer answered with an error, or not at all.
    #[error("the signer failed: {0}")]
    Failed(String),
}

/// One private key that signs JWS signing inputs.
#[async_trait]
pub trait Signer: Send + Sync {
    /// The `kid` under which its public half is published.
    fn kid(&self) -> &str;

    /// The algorithm it signs with.
    fn algorithm(&self) -> SigningAlgorithm;

    /// Whether a signature would be tried now. Asked before a mint is recorded, so that one which
    /// cannot be signed leaves no record.
    fn available(&self) -> Result<(), SignError> {
        Ok(())
    }

    /// Signs `input` (`BASE64URL(header) "." BASE64URL(payload)`); returns the signature as JWS has
    /// it: PKCS #1 v1.5 for RS256, `R || S` for ES256.
    async fn sign(&self, input: Vec<u8>) -> Result<Vec<u8>, SignError>;
}

/// A key pair that was made outside the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalKey {
    /// The public half.
    pub public: PublicJwk,
    /// What the keystore knows the private half by; stored, and no secret.
    pub reference: String,
}

/// A keystore that makes keys and signs with them, so that no private half is ever in the process: a
/// key management service, a hardware module. Whoever implements it bounds how long a call may take.
#[async_trait]
pub trait ExternalKeys: Send + Sync {
    /// Whether new keys are made here. Where not, it signs with those that it has.
    fn makes_keys(&self) -> bool {
        true
    }

    /// Whether a signature with that key would be tried now.
    fn available(&self, _reference: &str) -> Result<(), SignError> {
        Ok(())
    }

    /// Makes a key pair. `label` is for the eyes of whoever looks into the keystore; it names the
    /// issuer and is not unique.
    async fn create(
        &self,
        algorithm: SigningAlgorithm,
        label: &str,
    ) -> Result<ExternalKey, SignError>;

    /// Signs `input` itself, not a digest of it; returns the signature as [`Signer::sign`] does.
    async fn sign(
        &self,
        reference: &str,
        algorithm: SigningAlgorithm,
        input: &[u8],
    ) -> Result<Vec<u8>, SignError>;

    /// Destroys the private half for good, or has it destroyed as soon as the keystore allows. A key
    /// that is not there any more is no error: a destruction is tried again until it succeeded.
    async fn destroy(&self, reference: &str) -> Result<(), SignError>;
}
