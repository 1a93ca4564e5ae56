//! Lines of an answer as they arrive.

use bytes::{Bytes, BytesMut};

use crate::{client::server::ServerError, upstream::http::HttpStream};

/// A record is a kilobyte; what has no end within this is no line of one.
const LONGEST: usize = 1024 * 1024;

/// Splits an answer into lines.
pub struct Lines {
    stream: HttpStream,
    buffer: BytesMut,
}

impl Lines {
    /// The lines of that answer.
    #[must_use]
    pub fn new(stream: HttpStream) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    /// The next line without its end; `None` after the last. What follows the last line end is none:
    /// an answer that breaks off has no half line.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ServerError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|b| *b == b'\n') {
                let mut line = self.buffer.split_to(searched + end + 1);
                line.truncate(line.len() - 1);
                return Ok(Some(line.freeze()));
            }
            searched = self.buffer.len();
            if searched > LONGEST {
                return Err(self.stream.too_long(LONGEST).into());
            }
            match self.stream.chunk().await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}
