//! Signing with an issuer's key, wherever its private half lives.

use async_trait::async_trait;

use crate::domain::SigningAlgorithm;

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

    /// Signs `input` (`BASE64URL(header) "." BASE64URL(payload)`); returns the signature as JWS has
    /// it: PKCS #1 v1.5 for RS256, `R || S` for ES256.
    async fn sign(&self, input: Vec<u8>) -> Result<Vec<u8>, SignError>;
}
