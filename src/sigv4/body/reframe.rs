//! Chunks that a client signed, sent on without its signatures.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::PayloadHash;
use crate::sigv4::{ChunkError, ChunkedDecoder, ChunkedEncoder};

/// How the chunks of a body are sent on: with their trailer as
/// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`, without one as the bare bytes and `UNSIGNED-PAYLOAD`, since there
/// is no unsigned form of chunks without a trailer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reframe {
    decoded_length: u64,
    trailers: Vec<HeaderName>,
}

impl Reframe {
    pub(super) const fn new(decoded_length: u64, trailers: Vec<HeaderName>) -> Self {
        Self {
            decoded_length,
            trailers,
        }
    }

    /// How many bytes the chunks hold.
    #[must_use]
    pub const fn decoded_length(&self) -> u64 {
        self.decoded_length
    }

    /// What the signature says of the body.
    #[must_use]
    pub const fn payload(&self) -> PayloadHash {
        if self.trailers.is_empty() {
            PayloadHash::Unsigned
        } else {
            PayloadHash::UnsignedTrailer
        }
    }

    /// The length of what goes on; `None` for a trailer whose length nobody knows beforehand.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        if self.trailers.is_empty() {
            return Some(self.decoded_length);
        }
        self.encoder().encoded_length()
    }

    /// What does it, for one body.
    #[must_use]
    pub fn start(&self) -> Reframer {
        Reframer {
            decoder: ChunkedDecoder::new(self.decoded_length, &self.trailers),
            encoder: (!self.trailers.is_empty()).then(|| self.encoder()),
            data: Bytes::new(),
        }
    }

    fn encoder(&self) -> ChunkedEncoder {
        ChunkedEncoder::new(self.decoded_length, &self.trailers)
    }

    pub(super) fn prepare(&self, headers: &mut HeaderMap) {
        let (chunked, others): (Vec<&str>, Vec<&str>) = headers
            .get_all(header::CONTENT_ENCODING)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|encoding| !encoding.is_empty())
            .partition(|encoding| encoding.eq_ignore_ascii_case("aws-chunked"));
        if !self.trailers.is_empty() {
            if chunked.is_empty() {
                headers.append(
                    header::CONTENT_ENCODING,
                    HeaderValue::from_static("aws-chunked"),
                );
            }
            return;
        }
        let others = HeaderValue::from_str(&others.join(","));
        headers.remove("x-amz-decoded-content-length");
        headers.remove(header::CONTENT_ENCODING);
        if let Ok(others) = others
            && !others.is_empty()
        {
            headers.insert(header::CONTENT_ENCODING, others);
        }
    }
}

/// A body on its way from signed chunks to what goes on. It keeps no data.
#[derive(Debug)]
pub struct Reframer {
    decoder: ChunkedDecoder,
    encoder: Option<ChunkedEncoder>,
    /// Decoded, and not yet encoded.
    data: Bytes,
}

impl Reframer {
    /// The next piece to send, from the front of `input`. `None`: `input` is used up.
    ///
    /// # Errors
    /// [`ChunkError`]. What was sent on is to be broken off, so that AWS never takes it for whole.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, ChunkError> {
        let Some(encoder) = &mut self.encoder else {
            return self.decoder.decode(input);
        };
        loop {
            if let Some(piece) = encoder.encode(&mut self.data)? {
                return Ok(Some(piece));
            }
            match self.decoder.decode(input)? {
                Some(data) => self.data = data,
                None => return Ok(None),
            }
        }
    }

    /// The last piece, which may be empty, when the body has ended.
    ///
    /// # Errors
    /// [`ChunkError`], where the body is not whole.
    pub fn finish(self) -> Result<Bytes, ChunkError> {
        let trailers = self.decoder.finish()?;
        self.encoder
            .map_or(Ok(Bytes::new()), |encoder| encoder.finish(&trailers))
    }
}
