//! What a signature says of a request's body.

use aws_lc_rs::digest;
use http::HeaderValue;

/// What the signature that goes on says of the body (`X-Amz-Content-Sha256`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadHash {
    /// The body's SHA-256. AWS compares.
    Sha256([u8; 32]),
    /// `UNSIGNED-PAYLOAD`: only TLS protects the body.
    Unsigned,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: chunks, and a checksum behind them.
    UnsignedTrailer,
}

impl PayloadHash {
    /// The hash of no body.
    pub const EMPTY: Self = Self::Sha256([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);

    /// The hash of a body.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, body).as_ref());
        Self::Sha256(hash)
    }

    /// The value of `X-Amz-Content-Sha256`, which is also the last line of the canonical request.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        match *self {
            Self::Unsigned => HeaderValue::from_static(UNSIGNED),
            Self::UnsignedTrailer => HeaderValue::from_static(UNSIGNED_TRAILER),
            Self::EMPTY => HeaderValue::from_static(
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            Self::Sha256(hash) => {
                let mut text = [0; 64];
                // 32 bytes are 64 digits, which a header's value may hold.
                let _ = hex::encode_to_slice(hash, &mut text);
                HeaderValue::from_bytes(&text)
                    .unwrap_or_else(|_| HeaderValue::from_static(UNSIGNED))
            }
        }
    }
}

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// What a client's own signature said of the body.
/// ([Authenticating Requests](https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html))
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresentedPayload {
    /// No `X-Amz-Content-Sha256`.
    None,
    /// The body's SHA-256, which nobody has compared yet.
    Sha256([u8; 32]),
    /// `UNSIGNED-PAYLOAD`.
    Unsigned,
    /// Chunks without signatures and a trailer.
    UnsignedTrailer,
    /// Chunks with signatures of their own, HMAC or ECDSA.
    SignedChunks {
        /// Whether a trailer follows.
        trailer: bool,
    },
    /// An event stream, whose messages are signed one by one.
    EventStream,
}

impl PresentedPayload {
    /// Reads `X-Amz-Content-Sha256`; `None` where it is nothing that AWS knows.
    pub(in crate::sigv4) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            UNSIGNED => Self::Unsigned,
            UNSIGNED_TRAILER => Self::UnsignedTrailer,
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" => {
                Self::SignedChunks { trailer: false }
            }
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
            | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => {
                Self::SignedChunks { trailer: true }
            }
            "STREAMING-AWS4-HMAC-SHA256-EVENTS" | "STREAMING-AWS4-ECDSA-P256-SHA256-EVENTS" => {
                Self::EventStream
            }
            digits => {
                let mut hash = [0; 32];
                hex::decode_to_slice(digits, &mut hash).ok()?;
                Self::Sha256(hash)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_written_as_they_are_read() {
        for payload in [
            PayloadHash::EMPTY,
            PayloadHash::of(b"a"),
            PayloadHash::Unsigned,
            PayloadHash::UnsignedTrailer,
        ] {
            let header = payload.header();
            let read = PresentedPayload::parse(header.to_str().unwrap()).unwrap();
            let same = match (payload, read) {
                (PayloadHash::Sha256(one), PresentedPayload::Sha256(other)) => one == other,
                (PayloadHash::Unsigned, PresentedPayload::Unsigned)
                | (PayloadHash::UnsignedTrailer, PresentedPayload::UnsignedTrailer) => true,
                _ => false,
            };
            assert!(same, "{payload:?} {read:?}");
        }
        assert_eq!(PayloadHash::of(b""), PayloadHash::EMPTY);
    }

    #[test]
    fn reads_every_kind_and_nothing_else() {
        use PresentedPayload::{EventStream, SignedChunks};
        for (text, kind) in [
            (
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                SignedChunks { trailer: false },
            ),
            (
                "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
                SignedChunks { trailer: false },
            ),
            (
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
                SignedChunks { trailer: true },
            ),
            (
                "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
                SignedChunks { trailer: true },
            ),
            ("STREAMING-AWS4-HMAC-SHA256-EVENTS", EventStream),
        ] {
            assert_eq!(PresentedPayload::parse(text), Some(kind), "{text}");
        }
        for text in ["", "required", "unsigned-payload", "e3b0", "STREAMING-AWS4"] {
            assert_eq!(PresentedPayload::parse(text), None, "{text}");
        }
    }
}
