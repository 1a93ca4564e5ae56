//! Why what a client presented is refused.

/// Why a request is refused for what it presents to prove who it is. No variant holds any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresentedError {
    /// A header that may be there once is there again.
    #[error("the request has the header {0} more than once; send it once")]
    Twice(&'static str),
    /// A signature in the header and one in the query.
    #[error(
        "the request is signed both in its Authorization header and in its query; AWS takes one, so \
         send one"
    )]
    BothPlaces,
    /// Signature Version 2 or older.
    #[error(
        "the request is signed with AWS Signature Version 2, which cannot be checked here; set the \
         client to Signature Version 4 (AWS4-HMAC-SHA256), or send the request without a signature"
    )]
    OldVersion,
    /// An `Authorization` header of no known scheme.
    #[error(
        "the Authorization header has a scheme that is not known here; AWS4-HMAC-SHA256, \
         AWS4-ECDSA-P256-SHA256, Basic and Bearer are"
    )]
    Scheme,
    /// A signature that has not the form.
    #[error("the request's signature is malformed: {0}")]
    Malformed(&'static str),
    /// `X-Amz-Content-Sha256` holds nothing that AWS knows.
    #[error(
        "x-amz-content-sha256 is neither 64 hexadecimal digits nor UNSIGNED-PAYLOAD nor one of AWS's \
         STREAMING- values"
    )]
    PayloadHash,
    /// `Connection` names a header that says how long the body is, or for whom the request is.
    #[error("the Connection header names {0}, which no proxy may take out; leave it out there")]
    Connection(&'static str),
    /// Header and query disagree, where S3 reads both.
    #[error(
        "the query parameter {0} is a header for Amazon S3, and the request has that header too; \
         send one of them"
    )]
    Ambiguous(String),
    /// A query parameter that S3 takes for a header, and that no header can hold.
    #[error("the query parameter {0} is a header for Amazon S3, and no header can hold its value")]
    NoHeader(String),
}

impl PresentedError {
    /// The error code that AWS has for it
    /// ([S3](https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList)). Its
    /// status is 400 throughout.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OldVersion => "InvalidRequest",
            Self::Malformed(_) | Self::Scheme => "IncompleteSignature",
            Self::Twice(_)
            | Self::BothPlaces
            | Self::PayloadHash
            | Self::Connection(_)
            | Self::Ambiguous(_)
            | Self::NoHeader(_) => "InvalidArgument",
        }
    }
}
