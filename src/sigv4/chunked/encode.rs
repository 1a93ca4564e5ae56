//! Bytes to chunks.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName};

use super::{ChunkError, checksum_length};

/// The size of all chunks but the last. S3 takes none below 8 KiB but the last one; the AWS CLI sends
/// this size.
const CHUNK: u64 = 1024 * 1024;

/// The line before a whole chunk that is not the first.
const NEXT: &[u8] = b"\r\n100000\r\n";

/// Writes `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: chunks without signatures, and a trailer. It copies no
/// data and keeps none.
#[derive(Debug)]
pub struct ChunkedEncoder {
    announced: u64,
    /// What is to come in chunks whose line was not written.
    left: u64,
    /// What is to come of the chunk whose line was written.
    chunk: u64,
    trailers: Vec<HeaderName>,
}

impl ChunkedEncoder {
    /// An encoder for `decoded_length` bytes, and `trailers` behind them.
    #[must_use]
    pub fn new(decoded_length: u64, trailers: &[HeaderName]) -> Self {
        Self {
            announced: decoded_length,
            left: decoded_length,
            chunk: 0,
            trailers: trailers.to_vec(),
        }
    }

    /// The length of the whole encoded body, where the trailers are checksums that Amazon S3 knows.
    #[must_use]
    pub fn encoded_length(&self) -> Option<u64> {
        let whole = self.announced / CHUNK;
        let rest = self.announced % CHUNK;
        let frame = |size: u64| hex_digits(size) + 4;
        let mut length = self
            .announced
            .checked_add(whole.checked_mul(frame(CHUNK))?)?;
        if rest > 0 {
            length = length.checked_add(frame(rest))?;
        }
        // The last chunk's line, the trailer, and an empty line.
        length = length.checked_add(3 + 2)?;
        for trailer in &self.trailers {
            let value = checksum_length(trailer.as_str())?;
            length = length.checked_add(trailer.as_str().len() as u64 + 1 + value + 2)?;
        }
        Some(length)
    }

    /// The next piece of the encoded body from the front of `data`. `None`: `data` is used up.
    ///
    /// # Errors
    /// [`ChunkError::Length`], where there is more than was announced.
    pub fn encode(&mut self, data: &mut Bytes) -> Result<Option<Bytes>, ChunkError> {
        if data.is_empty() {
            return Ok(None);
        }
        if self.chunk == 0 {
            if self.left == 0 {
                return Err(ChunkError::Length {
                    announced: self.announced,
                    found: self.announced.saturating_add(data.len() as u64),
                    more: true,
                });
            }
            return Ok(Some(self.next_chunk()));
        }
        let size = usize::try_from(self.chunk).map_or(data.len(), |chunk| chunk.min(data.len()));
        self.chunk -= size as u64;
        Ok(Some(data.split_to(size)))
    }

    /// The end of the encoded body.
    ///
    /// # Errors
    /// Fewer bytes than announced, a trailer too few, or a checksum of another length than its algorithm
    /// gives.
    pub fn finish(self, trailers: &HeaderMap) -> Result<Bytes, ChunkError> {
        if self.left + self.chunk > 0 {
            return Err(ChunkError::Length {
                announced: self.announced,
                found: self.announced - self.left - self.chunk,
                more: false,
            });
        }
        let mut end = BytesMut::with_capacity(128);
        if self.announced > 0 {
            end.put_slice(b"\r\n");
        }
        end.put_slice(b"0\r\n");
        for name in self.trailers {
            let Some(value) = trailers.get(&name) else {
                return Err(ChunkError::Missing(name));
            };
            if checksum_length(name.as_str()).is_some_and(|length| length != value.len() as u64) {
                return Err(ChunkError::Checksum(name));
            }
            end.put_slice(name.as_str().as_bytes());
            end.put_u8(b':');
            end.put_slice(value.as_bytes());
            end.put_slice(b"\r\n");
        }
        end.put_slice(b"\r\n");
        Ok(end.freeze())
    }

    /// The line before the next chunk.
    fn next_chunk(&mut self) -> Bytes {
        let first = self.left == self.announced;
        self.chunk = self.left.min(CHUNK);
        self.left -= self.chunk;
        if self.chunk == CHUNK {
            return Bytes::from_static(if first { &NEXT[2..] } else { NEXT });
        }
        let before = if first { "" } else { "\r\n" };
        Bytes::from(format!("{before}{:x}\r\n", self.chunk))
    }
}

/// How many hexadecimal digits a size has.
fn hex_digits(size: u64) -> u64 {
    u64::from(size.checked_ilog2().unwrap_or(0) / 4 + 1)
}
