//! Why a request's signature does not count.

/// Why a request's signature does not count, as AWS says it ([common errors]).
///
/// No variant holds a signature or a secret.
///
/// [common errors]: https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No `Authorization` header.
    #[error("Request is missing Authentication Token")]
    MissingAuthenticationToken,
    /// An `Authorization` header or date that has not the form.
    #[error("{0}")]
    IncompleteSignature(String),
    /// Nobody here issued that access key or session token.
    #[error("The security token included in the request is invalid")]
    InvalidClientTokenId,
    /// The credentials have expired.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    /// Signed too long ago. AWS STS was seen to answer this as `SignatureDoesNotMatch` too,
    /// although its documentation lists `RequestExpired`.
    #[error("Signature expired: {signed} is now earlier than {earliest} ({now} - 15 min.)")]
    RequestExpired {
        /// The date that was signed.
        signed: String,
        /// The earliest that would do.
        earliest: String,
        /// The time here.
        now: String,
    },
    /// Signed by a clock that is too far ahead.
    #[error("Signature not yet current: {signed} is still later than {latest} ({now} + 15 min.)")]
    NotYetCurrent {
        /// The date that was signed.
        signed: String,
        /// The latest that would do.
        latest: String,
        /// The time here.
        now: String,
    },
    /// Signed for something else: another service, another day.
    #[error("{0}")]
    Scope(String),
    /// A header that must be signed is not.
    #[error("'{0}' must be a 'SignedHeader' in the AWS Authorization.")]
    UnsignedHeader(String),
    /// Signed with another secret, or changed since.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
    )]
    SignatureDoesNotMatch,
}

impl SignatureError {
    /// The code on the wire.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MissingAuthenticationToken => "MissingAuthenticationToken",
            Self::IncompleteSignature(_) => "IncompleteSignature",
            Self::InvalidClientTokenId => "InvalidClientTokenId",
            Self::ExpiredToken => "ExpiredToken",
            Self::RequestExpired { .. }
            | Self::NotYetCurrent { .. }
            | Self::Scope(_)
            | Self::UnsignedHeader(_)
            | Self::SignatureDoesNotMatch => "SignatureDoesNotMatch",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::IncompleteSignature(_) => 400,
            _ => 403,
        }
    }
}
