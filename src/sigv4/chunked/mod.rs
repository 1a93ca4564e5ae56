//! `aws-chunked`: a body in chunks of its own inside of the HTTP body, with a trailer behind them.
//! ([Signature calculations for chunked uploads](https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html),
//! [for trailing headers](https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html))

mod decode;
mod encode;
mod error;

pub use decode::ChunkedDecoder;
pub use encode::ChunkedEncoder;
pub use error::ChunkError;

/// The length of a checksum's value in base64, by its trailer; `None` for a trailer that is none that
/// Amazon S3 knows.
/// ([Checking object integrity](https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html))
fn checksum_length(trailer: &str) -> Option<u64> {
    Some(match trailer.strip_prefix("x-amz-checksum-")? {
        "crc32" | "crc32c" => 8,
        "crc64nvme" | "xxhash64" | "xxhash3" => 12,
        "md5" | "xxhash128" => 24,
        "sha1" => 28,
        "sha256" => 44,
        "sha512" => 88,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "chunked_test.rs"]
mod tests;
