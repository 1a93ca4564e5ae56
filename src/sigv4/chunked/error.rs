//! What is wrong with a chunked body.

use http::HeaderName;

/// What is wrong with a chunked body, and where: bytes of the encoded body, from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The line before a chunk is not `SIZE` or `SIZE;name=value…`, its size in hexadecimal digits.
    #[error("the aws-chunked body is malformed: no chunk size in hexadecimal at byte {at}")]
    Size {
        /// Where the line begins.
        at: u64,
    },
    /// A chunk is not followed by a line break.
    #[error("the aws-chunked body is malformed: no line break behind the chunk at byte {at}")]
    NoBreak {
        /// Where the line break should be.
        at: u64,
    },
    /// A line is longer than any that a client sends.
    #[error("the aws-chunked body has a line of more than {limit} bytes at byte {at}")]
    LongLine {
        /// Where the line begins.
        at: u64,
        /// What is allowed.
        limit: usize,
    },
    /// A line of the trailer is not `name:value`.
    #[error("the trailer of the aws-chunked body is malformed at byte {at}: no \"name:value\"")]
    Trailer {
        /// Where the line begins.
        at: u64,
    },
    /// A trailer that `x-amz-trailer` does not announce, or a second one of its name.
    #[error(
        "the aws-chunked body has a trailer that x-amz-trailer does not announce once, at byte {at}"
    )]
    Unannounced {
        /// Where the line begins.
        at: u64,
    },
    /// A trailer that `x-amz-trailer` announces is missing.
    #[error("x-amz-trailer announces {0}, which does not follow the chunks")]
    Missing(HeaderName),
    /// A checksum's value has not the length that its algorithm gives.
    #[error("the trailer {0} has not the length of such a checksum in base64")]
    Checksum(HeaderName),
    /// More or fewer bytes than `x-amz-decoded-content-length` says.
    #[error("x-amz-decoded-content-length is {announced}, and the chunks hold {}{found} bytes", if *more { "at least " } else { "" })]
    Length {
        /// What the header says.
        announced: u64,
        /// What was counted.
        found: u64,
        /// Whether more would follow.
        more: bool,
    },
    /// The body ends inside of a chunk, or before the last one.
    #[error("the aws-chunked body ends early, at byte {at}")]
    Truncated {
        /// Where it ends.
        at: u64,
    },
    /// Something follows the trailer.
    #[error("something follows the last chunk of the aws-chunked body, at byte {at}")]
    Behind {
        /// Where it begins.
        at: u64,
    },
}
