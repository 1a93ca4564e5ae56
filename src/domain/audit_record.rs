//! An audit record as it is stored, and the hash that chains it to the one before it.

use aws_lc_rs::digest::{SHA256, digest};

use super::{AuditId, OrganizationId, Timestamp};

/// A stored audit record with its place in its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// The record's id.
    pub id: AuditId,
    /// The organisation whose chain it is in; the system's if `None`.
    pub organization_id: Option<OrganizationId>,
    /// Its place in that chain, from 1, without gaps.
    pub seq: i64,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it, as [`super::Actor::to_text`] writes it.
    pub actor: String,
    /// What.
    pub action: String,
    /// On what.
    pub target: String,
    /// `success` or `refused`.
    pub outcome: String,
    /// The request that caused it.
    pub request_id: Option<String>,
    /// Where it came from.
    pub source: Option<String>,
    /// A JSON object.
    pub details: String,
    /// SHA-256 of the record before it in the chain; zeros for the first.
    pub previous: [u8; 32],
    /// SHA-256 of this one.
    pub hash: [u8; 32],
}

/// What the hash begins with, so that no other hash of this program can be taken for it, and a
/// change of the encoding cannot be taken for the old one.
const FORMAT: &[u8] = b"idp audit record 1";

/// The SHA-256 that a record must carry: over the hash of its predecessor and all its fields.
///
/// The encoding can be read in one way only. In this order: `idp audit record 1`, the previous hash
/// (32 bytes), organisation, seq, id, at, actor, action, target, outcome, request id, source,
/// details. Numbers are 8 bytes, big-endian; texts their length in bytes as a number, then UTF-8; an
/// optional text is one byte 0, or one byte 1 and the text.
#[must_use]
pub fn audit_hash(record: &AuditRecord) -> [u8; 32] {
    hash_after(&record.previous, record)
}

/// The same, after a predecessor with that hash.
pub(super) fn hash_after(previous: &[u8; 32], record: &AuditRecord) -> [u8; 32] {
    let mut hash = Encoder(Vec::with_capacity(768));
    hash.0.extend_from_slice(FORMAT);
    hash.0.extend_from_slice(previous);
    hash.optional(record.organization_id.map(|id| id.to_string()).as_deref());
    hash.number(record.seq);
    hash.text(&record.id.to_string());
    hash.number(record.at.ms());
    hash.text(&record.actor);
    hash.text(&record.action);
    hash.text(&record.target);
    hash.text(&record.outcome);
    hash.optional(record.request_id.as_deref());
    hash.optional(record.source.as_deref());
    hash.text(&record.details);
    sha256(&hash.0)
}

struct Encoder(Vec<u8>);

impl Encoder {
    fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u64).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        self.0.push(u8::from(text.is_some()));
        if let Some(text) = text {
            self.text(text);
        }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> AuditRecord {
        AuditRecord {
            id: "0191e223-1c3c-7607-badf-303c98b52d2f".parse().unwrap(),
            organization_id: None,
            seq: 1,
            at: Timestamp::from_ms(2),
            actor: "system".to_owned(),
            action: "a".to_owned(),
            target: "é".to_owned(),
            outcome: "success".to_owned(),
            request_id: Some("r".to_owned()),
            source: None,
            details: "{}".to_owned(),
            previous: [7; 32],
            hash: [0; 32],
        }
    }

    /// Pins the encoding: a database written by this version must verify under every later one.
    #[test]
    fn has_a_fixed_encoding() {
        let mut expected = b"idp audit record 1".to_vec();
        expected.extend_from_slice(&[7; 32]);
        expected.extend_from_slice(b"\0");
        expected.extend_from_slice(b"\0\0\0\0\0\0\0\x01");
        expected.extend_from_slice(b"\0\0\0\0\0\0\0\x240191e223-1c3c-7607-badf-303c98b52d2f");
        expected.extend_from_slice(b"\0\0\0\0\0\0\0\x02");
        expected.extend_from_slice(b"\0\0\0\0\0\0\0\x06system");
        expected.extend_from_slice(b"\0\0\0\0\0\0\0\x01a");
        expected.extend_from_slice(b"\0\0\0\0\0\0\0\x02\xc3\xa9");
        expected.extend_from_slice(b"\0\0\0\0\0\0\0\x07success");
        expected.extend_from_slice(b"\x01\0\0\0\0\0\0\0\x01r");
        expected.extend_from_slice(b"\0");
        expected.extend_from_slice(b"\0\0\0\0\0\0\0\x02{}");
        assert_eq!(audit_hash(&record()), sha256(&expected));
    }

    #[test]
    fn every_field_counts() {
        let edits: [fn(&mut AuditRecord); 13] = [
            |r| r.id = "019527e4-75d5-704d-a5a4-a2b52cf56196".parse().unwrap(),
            |r| r.organization_id = "0191e223-1c3c-7607-badf-303c98b52d2f".parse().ok(),
            |r| r.seq = 2,
            |r| r.at = Timestamp::from_ms(1),
            |r| r.actor = "anonymous".to_owned(),
            |r| r.action = "a2".to_owned(),
            |r| r.target.clear(),
            |r| r.outcome = "refused".to_owned(),
            |r| r.request_id = Some(String::new()),
            |r| r.source = Some("::1".to_owned()),
            |r| r.details = "[]".to_owned(),
            |r| r.previous = [1; 32],
            // A character that moves from one field to its neighbour.
            |r| {
                r.action.clear();
                r.target.insert(0, 'a');
            },
        ];
        let mut hashes = vec![audit_hash(&record())];
        for edit in edits {
            let mut record = record();
            edit(&mut record);
            hashes.push(audit_hash(&record));
        }
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }
}
