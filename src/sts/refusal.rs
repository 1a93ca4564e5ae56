//! Refusals: what the client is told, and why.

use crate::{jose::WebIdentityError, sigv4::SignatureError};

const GENERAL: &str = "The web identity token provided could not be validated. See the AssumeRoleWithWebIdentity documentation for requirements.";
// AWS writes two spaces.
const NO_KEY: &str = "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements";
const NOT_A_JWT: &str = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)";

/// A refusal in AWS's words, and the reason in plain ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {reason}")]
pub struct Refusal {
    /// The code on the wire, such as `InvalidIdentityToken`.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The message that AWS gives.
    pub message: String,
    /// What was wrong and where, for whoever runs this STS. Holds claims, never a token.
    pub reason: String,
}

impl Refusal {
    pub(super) fn new(
        code: &'static str,
        status: u16,
        message: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            code,
            status,
            message: message.into(),
            reason: reason.into(),
        }
    }

    /// `InvalidIdentityToken` with a message of its own.
    pub(super) fn token(message: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new("InvalidIdentityToken", 400, message, reason)
    }

    /// `InvalidIdentityToken` with the message that says nothing.
    pub(super) fn general(reason: impl Into<String>) -> Self {
        Self::token(GENERAL, reason)
    }

    /// No key for the token.
    pub(super) fn no_key(reason: impl Into<String>) -> Self {
        Self::token(NO_KEY, reason)
    }

    /// Not a JWT at all.
    pub(super) fn not_a_jwt(reason: impl Into<String>) -> Self {
        Self::token(NOT_A_JWT, reason)
    }

    /// A required claim that is not there.
    pub(super) fn missing(claim: &str) -> Self {
        let message = format!("Missing a required claim: {claim}");
        Self::token(message.clone(), message)
    }

    /// The trust policy, or the lack of a role. AWS does not tell them apart.
    pub(super) fn not_authorised(reason: impl Into<String>) -> Self {
        Self::new(
            "AccessDenied",
            403,
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
            reason,
        )
    }

    /// A parameter; the message is reason enough.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new("ValidationError", 400, message.clone(), message)
    }

    /// A query that cannot be read; the message is reason enough.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new("MalformedQueryString", 400, message.clone(), message)
    }

    /// Whose fault it is, in AWS's `Type`.
    pub(super) const fn fault(&self) -> &'static str {
        if self.status < 500 {
            "Sender"
        } else {
            "Receiver"
        }
    }
}

impl From<SignatureError> for Refusal {
    fn from(error: SignatureError) -> Self {
        let message = error.to_string();
        Self::new(error.code(), error.status(), message.clone(), message)
    }
}

impl From<WebIdentityError> for Refusal {
    fn from(error: WebIdentityError) -> Self {
        match error {
            WebIdentityError::NotAJwt(why) => Self::not_a_jwt(why),
            WebIdentityError::NoKey(why) => Self::no_key(why),
            WebIdentityError::Algorithm(why) | WebIdentityError::Signature(why) => {
                Self::general(why)
            }
        }
    }
}
