//! How a line hangs on the one before it.

use aws_lc_rs::digest::{Context, SHA256};
use serde::Deserialize;

use crate::ports::{LogError, RequestRecord};

/// What every hash begins with, so that no other hash of this program can be taken for it.
const FORMAT: &[u8] = b"idp request record 1";

/// What stands between a record and its hash: `…,"chain":"HEX"}`.
const MEMBER: &[u8] = b",\"chain\":\"";

/// The end of a chain: what its next line hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The number of the last line; 0 where there is none.
    pub(super) seq: u64,
    /// Its hash; zeros where there is none.
    pub(super) hash: [u8; 32],
}

impl Link {
    /// Before the first line.
    pub(super) const START: Self = Self {
        seq: 0,
        hash: [0; 32],
    };

    /// Writes the next line, with its line break, behind `buffer` and gives the new end. The line's
    /// hash is over the hash before it and the line up to `,"chain"`.
    ///
    /// # Errors
    /// The record has no JSON form. `buffer` is as it was.
    pub(super) fn append(
        self,
        buffer: &mut Vec<u8>,
        record: &RequestRecord,
    ) -> Result<Self, LogError> {
        let start = buffer.len();
        if let Err(error) = serde_json::to_writer(&mut *buffer, record) {
            buffer.truncate(start);
            return Err(LogError(error.to_string()));
        }
        // The closing brace gives way to two more members.
        buffer.pop();
        let seq = self.seq + 1;
        buffer.extend_from_slice(b",\"seq\":");
        buffer.extend_from_slice(seq.to_string().as_bytes());
        let hash = after(&self.hash, &buffer[start..]);
        buffer.extend_from_slice(MEMBER);
        let digits = buffer.len();
        buffer.resize(digits + 64, 0);
        // 64 bytes hold 32 bytes' digits.
        let _ = hex::encode_to_slice(hash, &mut buffer[digits..]);
        buffer.extend_from_slice(b"\"}\n");
        Ok(Self { seq, hash })
    }

    /// Reads the end of a chain from its last line, without a line break; `None` where that is none.
    pub(super) fn of_line(line: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Line {
            seq: u64,
            chain: String,
        }
        let line: Line = serde_json::from_slice(line).ok()?;
        let mut hash = [0; 32];
        hex::decode_to_slice(line.chain, &mut hash).ok()?;
        Some(Self {
            seq: line.seq,
            hash,
        })
    }
}

fn after(previous: &[u8; 32], line: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(FORMAT);
    context.update(previous);
    context.update(line);
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Checks a line against the one before it, as whoever reads the log can.
#[cfg(test)]
pub(super) fn follows(previous: Link, line: &[u8]) -> Option<Link> {
    let found = Link::of_line(line)?;
    let at = memchr::memmem::rfind(line, MEMBER)?;
    (found.seq == previous.seq + 1 && after(&previous.hash, &line[..at]) == found.hash)
        .then_some(found)
}
