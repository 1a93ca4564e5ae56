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
        }
        let line_hash = hash_of(line)?.1;
        let line: Line = serde_json::from_slice(line).ok()?;
        Some(Self {
            seq: line.seq,
            hash: line_hash,
        })
    }
}

/// The part of a line that its hash is over, and that hash as the line has it; `None` where the line
/// does not end as [`Link::append`] ends one. Nothing may stand behind the hash, which does not cover it.
fn hash_of(line: &[u8]) -> Option<(&[u8], [u8; 32])> {
    let at = memchr::memmem::rfind(line, MEMBER)?;
    let digits = line[at + MEMBER.len()..].strip_suffix(b"\"}")?;
    if digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut hash = [0; 32];
    hex::decode_to_slice(digits, &mut hash).ok()?;
    Some((&line[..at], hash))
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

/// How a line is no next line of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// It is no record of this program.
    Foreign,
    /// It is one, of another place.
    Place(Link),
    /// It has the right place, and its hash is not that of its content and the line before it.
    Hash(Link),
}

/// Reads a line, without its line break, as the next one after `previous`, as whoever reads the log can.
pub(super) fn follows(previous: Link, line: &[u8]) -> Result<Link, Broken> {
    let found = Link::of_line(line).ok_or(Broken::Foreign)?;
    if previous.seq.checked_add(1) != Some(found.seq) {
        return Err(Broken::Place(found));
    }
    match hash_of(line) {
        Some((covered, _)) if after(&previous.hash, covered) == found.hash => Ok(found),
        _ => Err(Broken::Hash(found)),
    }
}
