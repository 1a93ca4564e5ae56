//! Why a body is refused before a byte of it is read.

/// Why a body is refused before a byte of it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyRefusal {
    /// An upload to Amazon S3 whose length is not told. S3 refuses it as well.
    #[error(
        "Amazon S3 takes no upload whose length it is not told; send Content-Length, or for an \
         aws-chunked body x-amz-decoded-content-length"
    )]
    NoLength,
    /// `Content-Length`, `x-amz-decoded-content-length`: no number, or several.
    #[error("the header {0} is not one decimal number")]
    Length(&'static str),
    /// Both ways to tell where a body ends.
    #[error("the request has both Content-Length and Transfer-Encoding; send one of them")]
    TwoFramings,
    /// A `Transfer-Encoding` other than `chunked`.
    #[error("the request has a Transfer-Encoding other than chunked")]
    TransferEncoding,
    /// An event stream.
    #[error(
        "the operation sends an event stream, whose messages are signed one by one with the secret \
         key; the proxy cannot sign them, so call it with credentials of your own"
    )]
    EventStream,
    /// A body without a hash to a service that takes none.
    #[error(
        "the service takes no body in chunks without a signature; set the client to send the body's \
         SHA-256, or no x-amz-content-sha256 at all"
    )]
    Unsigned,
    /// `x-amz-trailer` is missing, is there without a payload that has a trailer, or is not a list of
    /// names.
    #[error(
        "x-amz-trailer has to list the trailers where x-amz-content-sha256 ends in -TRAILER, and has to \
         be left out elsewhere"
    )]
    Trailers,
}

impl BodyRefusal {
    /// The error code that AWS has for it
    /// ([S3](https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList)).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoLength => "MissingContentLength",
            Self::EventStream | Self::TransferEncoding => "NotImplemented",
            Self::Length(_) | Self::TwoFramings => "InvalidRequest",
            Self::Unsigned => "InvalidArgument",
            Self::Trailers => "MalformedTrailerError",
        }
    }

    /// The HTTP status. Where AWS would say 501, which SDKs try again, it is 400.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::NoLength => 411,
            _ => 400,
        }
    }
}
