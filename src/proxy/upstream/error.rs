//! Why AWS gave no answer.

use std::{error::Error as StdError, time::Duration};

use crate::domain::ForbiddenAddress;

/// Why AWS gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Its name leads to an address that is not dialled. Nothing was sent.
    #[error("{0}; for an endpoint in a private network start the proxy with --upstream")]
    Forbidden(#[from] ForbiddenAddress),
    /// No connection came about. Nothing was sent.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// The host.
        host: String,
        /// What happened.
        reason: String,
    },
    /// All connections to it were in use for too long. Nothing was sent.
    #[error("all {most} connections to {host} are in use")]
    Busy {
        /// The host.
        host: String,
        /// How many there are.
        most: usize,
    },
    /// It did not answer.
    #[error("{host} did not answer within {}s", waited.as_secs())]
    Silent {
        /// The host.
        host: String,
        /// How long nothing had moved.
        waited: Duration,
    },
    /// The connection broke, or what came was not HTTP. The request may have had its effect.
    #[error("the connection to {host} broke off: {reason}")]
    Broken {
        /// The host.
        host: String,
        /// What happened.
        reason: String,
    },
    /// The request's own body broke off.
    #[error("the request's body broke off: {0}")]
    Body(Box<dyn StdError + Send + Sync>),
}

impl UpstreamError {
    /// A connection that did not come about.
    pub(super) fn unreachable(host: &str, error: &(dyn StdError + 'static)) -> Self {
        Self::Unreachable {
            host: host.to_owned(),
            reason: innermost(error),
        }
    }

    /// A connection that broke.
    pub(super) fn broken(host: &str, error: hyper::Error) -> Self {
        if error.is_user() && error.source().is_some() {
            return Self::Body(Box::new(error));
        }
        Self::Broken {
            host: host.to_owned(),
            reason: innermost(&error),
        }
    }
}

/// What it all comes down to: the outer errors say only "connection error".
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
