//! The plan for a body, made from the head alone.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{BodyRefusal, PayloadHash, PresentedPayload, Reframe};

/// What the operation says of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRules {
    /// Whether it is one of Amazon S3, which takes unsigned bodies and no others without a length.
    pub s3: bool,
    /// Whether the service's model allows an unsigned body.
    pub unsigned_allowed: bool,
    /// Whether it sends an event stream.
    pub event_stream: bool,
}

/// How a body goes on, and what the signature says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyPlan {
    /// There is none.
    Empty,
    /// The bytes go on as they come.
    Stream {
        /// What the signature says of them. A hash is the client's own: AWS compares it.
        payload: PayloadHash,
        /// The length, where the client told it; else they go on in HTTP chunks.
        length: Option<u64>,
    },
    /// Chunks are taken apart, and what they hold goes on without their signatures, which are by the
    /// client's key.
    Reframe(Reframe),
    /// The whole body is read first, because the signature has its hash.
    Hash {
        /// What the client says the hash is. It is signed in place of the computed one, so that AWS
        /// refuses a body that is another, as it would without a proxy.
        claimed: Option<[u8; 32]>,
        /// The length, where the client told it.
        length: Option<u64>,
    },
}

impl BodyPlan {
    /// What the signature says of the body, where that is known before the body is read.
    #[must_use]
    pub const fn payload(&self) -> Option<PayloadHash> {
        match self {
            Self::Empty => Some(PayloadHash::EMPTY),
            Self::Stream { payload, .. } => Some(*payload),
            Self::Reframe(reframe) => Some(reframe.payload()),
            Self::Hash { .. } => None,
        }
    }

    /// The length of what goes on, where it is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Stream { length, .. } | Self::Hash { length, .. } => *length,
            Self::Reframe(reframe) => reframe.length(),
        }
    }

    /// Makes the headers say what goes on: `Content-Length`, and for chunks `Content-Encoding`,
    /// `X-Amz-Decoded-Content-Length` and `X-Amz-Trailer`. `Transfer-Encoding` goes, because whoever
    /// writes the body knows better. Comes before the signature.
    pub fn prepare(&self, headers: &mut HeaderMap) {
        headers.remove(header::TRANSFER_ENCODING);
        if let Self::Reframe(reframe) = self {
            reframe.prepare(headers);
        }
        match (self, self.length()) {
            (Self::Empty, _) => {}
            (_, Some(length)) => {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
            (_, None) => drop(headers.remove(header::CONTENT_LENGTH)),
        }
    }
}

/// Says how the body goes on, from what the client presented (before [`strip`](crate::sigv4::strip) took
/// it out) and the headers that are left.
///
/// # Errors
/// [`BodyRefusal`], for a body that could only be sent on wrongly.
pub fn body_plan(
    presented: PresentedPayload,
    rules: BodyRules,
    headers: &HeaderMap,
) -> Result<BodyPlan, BodyRefusal> {
    let framing = Framing::read(headers)?;
    if rules.event_stream || presented == PresentedPayload::EventStream {
        return Err(BodyRefusal::EventStream);
    }
    let unsigned = rules.s3 || rules.unsigned_allowed;
    match presented {
        PresentedPayload::UnsignedTrailer => {
            if !unsigned {
                return Err(BodyRefusal::Unsigned);
            }
            chunks(headers, true)?;
            Ok(BodyPlan::Stream {
                payload: PayloadHash::UnsignedTrailer,
                length: framing.length(),
            })
        }
        PresentedPayload::SignedChunks { trailer } => {
            if !unsigned {
                return Err(BodyRefusal::Unsigned);
            }
            chunks(headers, trailer).map(BodyPlan::Reframe)
        }
        PresentedPayload::Sha256(hash) => whole(framing, rules, PayloadHash::Sha256(hash)),
        PresentedPayload::None | PresentedPayload::Unsigned | PresentedPayload::EventStream
            if framing == Framing::None =>
        {
            Ok(BodyPlan::Empty)
        }
        _ if unsigned => whole(framing, rules, PayloadHash::Unsigned),
        _ => Ok(BodyPlan::Hash {
            claimed: None,
            length: framing.length(),
        }),
    }
}

/// A body that is not in chunks of its own.
fn whole(
    framing: Framing,
    rules: BodyRules,
    payload: PayloadHash,
) -> Result<BodyPlan, BodyRefusal> {
    let length = match framing {
        Framing::None if payload == PayloadHash::EMPTY => return Ok(BodyPlan::Empty),
        Framing::None => Some(0),
        Framing::Length(length) => Some(length),
        Framing::Chunked if rules.s3 => return Err(BodyRefusal::NoLength),
        // Not every service takes HTTP chunks, and the length is known when the body was read.
        Framing::Chunked => match payload {
            PayloadHash::Sha256(claimed) => {
                return Ok(BodyPlan::Hash {
                    claimed: Some(claimed),
                    length: None,
                });
            }
            _ => None,
        },
    };
    Ok(BodyPlan::Stream { payload, length })
}

/// What the headers say of an `aws-chunked` body.
fn chunks(headers: &HeaderMap, trailer: bool) -> Result<Reframe, BodyRefusal> {
    let length = number(headers, "x-amz-decoded-content-length")?.ok_or(BodyRefusal::NoLength)?;
    let mut names = Vec::new();
    for value in headers.get_all("x-amz-trailer") {
        for name in value.as_bytes().split(|byte| *byte == b',') {
            let name =
                HeaderName::from_bytes(name.trim_ascii()).map_err(|_| BodyRefusal::Trailers)?;
            if names.contains(&name) || names.len() == MOST_TRAILERS {
                return Err(BodyRefusal::Trailers);
            }
            names.push(name);
        }
    }
    if names.is_empty() == trailer {
        return Err(BodyRefusal::Trailers);
    }
    Ok(Reframe::new(length, names))
}

/// SDKs send one checksum.
const MOST_TRAILERS: usize = 8;

/// How HTTP says where the body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    Length(u64),
    Chunked,
}

impl Framing {
    fn read(headers: &HeaderMap) -> Result<Self, BodyRefusal> {
        let length = number(headers, "content-length")?;
        let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
        let Some(encoding) = encodings.next() else {
            return Ok(length.map_or(Self::None, Self::Length));
        };
        if length.is_some() {
            return Err(BodyRefusal::TwoFramings);
        }
        let chunked = encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !chunked || encodings.next().is_some() {
            return Err(BodyRefusal::TransferEncoding);
        }
        Ok(Self::Chunked)
    }

    const fn length(self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Length(length) => Some(length),
            Self::Chunked => None,
        }
    }
}

fn number(headers: &HeaderMap, name: &'static str) -> Result<Option<u64>, BodyRefusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // `u64`'s own reading takes a plus sign.
    let digits = value
        .to_str()
        .ok()
        .filter(|text| values.next().is_none() && text.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .map(Some)
        .ok_or(BodyRefusal::Length(name))
}

#[cfg(test)]
#[path = "plan_test.rs"]
mod tests;
