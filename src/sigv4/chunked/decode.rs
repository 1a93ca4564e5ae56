//! Chunks to bytes.

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::ChunkError;

/// The longest line. A chunk's size and signature take 180 bytes, a checksum 120.
const LINE: usize = 1024;

/// Takes an `aws-chunked` body apart: data as slices of what came in, the trailer at the end. Signatures
/// of chunks and of the trailer are read over; nothing verifies them. It keeps one line and the trailer
/// in memory, whatever the size of chunks and of the pieces in which they come.
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    at: u64,
    announced: u64,
    found: u64,
    expected: Vec<HeaderName>,
    trailers: HeaderMap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    Break,
    Trailer,
    Done,
}

impl ChunkedDecoder {
    /// A decoder of a body that holds `decoded_length` bytes, and behind them `trailers`.
    #[must_use]
    pub fn new(decoded_length: u64, trailers: &[HeaderName]) -> Self {
        Self {
            state: State::Size,
            line: Vec::new(),
            at: 0,
            announced: decoded_length,
            found: 0,
            expected: trailers.to_vec(),
            trailers: HeaderMap::new(),
        }
    }

    /// Takes the next piece of data from the front of `input`. `None`: `input` is used up.
    ///
    /// # Errors
    /// [`ChunkError`]; the body is of no more use then.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, ChunkError> {
        while !input.is_empty() {
            match self.state {
                State::Data(left) => return Ok(Some(self.data(left, input))),
                State::Done => {
                    if !matches!(input[0], b'\r' | b'\n') {
                        return Err(ChunkError::Behind { at: self.at });
                    }
                    self.skip(input, 1);
                }
                State::Size | State::Break | State::Trailer => self.read_line(input)?,
            }
        }
        Ok(None)
    }

    /// The trailer, when the body has ended: what `x-amz-trailer` announced, without its signature.
    ///
    /// # Errors
    /// [`ChunkError`], where something is missing.
    pub fn finish(mut self) -> Result<HeaderMap, ChunkError> {
        // The documentation's own example has no line break behind the last trailer.
        if self.state == State::Trailer && !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.at = self.at.saturating_sub(line.len() as u64);
            self.take_trailer(&line)?;
        }
        if !matches!(self.state, State::Trailer | State::Done) {
            return Err(ChunkError::Truncated { at: self.at });
        }
        self.check_length(false)?;
        let missing = self
            .expected
            .into_iter()
            .find(|name| !self.trailers.contains_key(name));
        missing.map_or(Ok(self.trailers), |name| Err(ChunkError::Missing(name)))
    }

    fn data(&mut self, left: u64, input: &mut Bytes) -> Bytes {
        let size = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let rest = left - size as u64;
        self.state = if rest == 0 {
            State::Break
        } else {
            State::Data(rest)
        };
        self.at += size as u64;
        input.split_to(size)
    }

    fn skip(&mut self, input: &mut Bytes, count: usize) {
        input.advance(count);
        self.at += count as u64;
    }

    /// Takes a line, or what there is of it.
    fn read_line(&mut self, input: &mut Bytes) -> Result<(), ChunkError> {
        let end = memchr::memchr(b'\n', input);
        let size = end.map_or(input.len(), |end| end + 1);
        let begins = self.at - self.line.len() as u64;
        if self.line.len() + size > LINE {
            return Err(if self.state == State::Break {
                ChunkError::NoBreak { at: begins }
            } else {
                ChunkError::LongLine {
                    at: begins,
                    limit: LINE,
                }
            });
        }
        if end.is_none() {
            self.line.extend_from_slice(input);
            self.skip(input, size);
            return Ok(());
        }
        let mut kept = std::mem::take(&mut self.line);
        let piece = input.split_to(size);
        let line = if kept.is_empty() {
            &piece[..]
        } else {
            kept.extend_from_slice(&piece);
            &kept[..]
        };
        let line = &line[..line.len() - 1];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.at = begins;
        match self.state {
            State::Break if line.is_empty() => self.state = State::Size,
            State::Break => return Err(ChunkError::NoBreak { at: begins }),
            State::Trailer => self.take_trailer(line)?,
            _ => self.take_size(line)?,
        }
        let kept_before = kept.len().saturating_sub(size);
        self.at = begins + (kept_before + size) as u64;
        kept.clear();
        self.line = kept;
        Ok(())
    }

    fn take_size(&mut self, line: &[u8]) -> Result<(), ChunkError> {
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let digits = digits.trim_ascii_end();
        let size = Some(digits)
            .filter(|digits| (1..=16).contains(&digits.len()))
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
            .ok_or(ChunkError::Size { at: self.at })?;
        self.found = self.found.saturating_add(size);
        self.state = if size == 0 {
            State::Trailer
        } else {
            State::Data(size)
        };
        // Told before a byte too many goes on.
        if self.found > self.announced || size == 0 {
            self.check_length(size != 0)?;
        }
        Ok(())
    }

    fn check_length(&self, more: bool) -> Result<(), ChunkError> {
        if self.found == self.announced {
            return Ok(());
        }
        Err(ChunkError::Length {
            announced: self.announced,
            found: self.found,
            more,
        })
    }

    fn take_trailer(&mut self, line: &[u8]) -> Result<(), ChunkError> {
        let at = self.at;
        if line.is_empty() {
            self.state = State::Done;
            return Ok(());
        }
        let colon = memchr::memchr(b':', line).ok_or(ChunkError::Trailer { at })?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let malformed = |_| ChunkError::Trailer { at };
        let name =
            HeaderName::from_bytes(name.trim_ascii()).map_err(|_| ChunkError::Trailer { at })?;
        if name == "x-amz-trailer-signature" {
            return Ok(());
        }
        if !self.expected.contains(&name) || self.trailers.contains_key(&name) {
            return Err(ChunkError::Unannounced { at });
        }
        let value = HeaderValue::from_bytes(value).map_err(malformed)?;
        self.trailers.insert(name, value);
        Ok(())
    }
}
