//! Getting the keys of an issuer as a relying party does.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::Issuer;

/// An issuer's discovery document and key set, as they were served.
#[derive(Clone, Debug)]
pub struct FetchedKeys {
    /// The body of `/.well-known/openid-configuration`.
    pub discovery: serde_json::Value,
    /// The body of the `jwks_uri` it names.
    pub jwks: serde_json::Value,
    /// How long the JWKS answer allows itself to be cached (`Cache-Control: max-age`); zero where it
    /// forbids caching or says nothing.
    pub max_age: Duration,
}

/// Why an issuer's keys could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is one that must not be fetched from here (SSRF guard).
    #[error("{url} must not be fetched: {reason}")]
    Forbidden {
        /// What was to be fetched.
        url: String,
        /// Why not.
        reason: String,
    },
    /// No connection, no answer in time, a broken answer, a status other than 200.
    #[error("{url} could not be fetched: {reason}")]
    Unreachable {
        /// What was fetched.
        url: String,
        /// What happened.
        reason: String,
    },
    /// An answer, but not the document that belongs there.
    #[error("{url} did not answer as an issuer does: {reason}")]
    Invalid {
        /// What was fetched.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Fetches an issuer's published keys over HTTP.
#[async_trait]
pub trait KeyFetch: Send + Sync {
    /// Discovery, then the JWKS that it names. No redirects are followed; bodies are bounded.
    async fn fetch(&self, issuer: &Issuer) -> Result<FetchedKeys, FetchError>;
}
