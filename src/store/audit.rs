//! The hash chains of the audit log.
//!
//! Every organisation has a chain and the system has one. A record's hash covers the hash of the
//! record before it, so that whoever edits, removes or reorders one has to rewrite all that follow.

use aws_lc_rs::digest::{Context, SHA256};

use crate::{
    domain::{AuditEvent, OrganizationId},
    ports::{AuditRecord, StoreError},
};

/// What the hash begins with, so that no other hash of this program can be taken for it, and a
/// change of the encoding cannot be taken for the old one.
const FORMAT: &[u8] = b"idp audit record 1";

/// The name of the system's chain. No organisation's id, which is a UUID.
const SYSTEM: &str = "system";

/// The name in the database of an organisation's chain, or of the system's.
pub(super) fn chain_name(organization: Option<OrganizationId>) -> String {
    organization.map_or_else(|| SYSTEM.to_owned(), |id| id.to_string())
}

/// Whose chain has that name.
pub(super) fn chain_owner(name: &str) -> Result<Option<OrganizationId>, StoreError> {
    if name == SYSTEM {
        return Ok(None);
    }
    name.parse()
        .map(Some)
        .map_err(|error| StoreError::Corrupt(format!("audit chain: {error}")))
}

/// The last record of a chain; of an empty chain 0 and zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Its place.
    pub(super) seq: i64,
    /// Its hash.
    pub(super) hash: [u8; 32],
}

impl Head {
    /// Makes the record of `event` that comes after this one, and moves on to it.
    pub(super) fn append(&mut self, event: AuditEvent) -> AuditRecord {
        let mut record = AuditRecord {
            id: event.id,
            organization_id: event.organization_id,
            seq: self.seq + 1,
            at: event.at,
            actor: event.actor.to_text(),
            action: event.action.to_owned(),
            target: without_nul(event.target),
            outcome: event.outcome.as_str().to_owned(),
            request_id: event.request_id.map(|id| id.to_string()),
            source: event.source.map(|source| source.to_string()),
            details: event.details.to_string(),
            previous: self.hash,
            hash: [0; 32],
        };
        record.hash = audit_hash(&record);
        self.seq = record.seq;
        self.hash = record.hash;
        record
    }
}

/// U+0000 is the one character that PostgreSQL's text cannot hold and SQLite's JSON functions end a
/// text at; what is hashed has to be what is stored.
pub(super) fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{FFFD}")
    } else {
        text
    }
}

/// The SHA-256 that a record must carry: over the hash of its predecessor and all its fields.
///
/// The encoding can be read in one way only. In this order: `idp audit record 1`, the previous hash
/// (32 bytes), organisation, seq, id, at, actor, action, target, outcome, request id, source,
/// details. Numbers are 8 bytes, big-endian; texts their length in bytes as a number, then UTF-8; an
/// optional text is one byte 0, or one byte 1 and the text.
#[must_use]
pub fn audit_hash(record: &AuditRecord) -> [u8; 32] {
    let mut hash = Encoder(Vec::with_capacity(768));
    hash.0.extend_from_slice(FORMAT);
    hash.0.extend_from_slice(&record.previous);
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
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The place (`seq`) of the first record that is not as it was written or does not follow the one
/// before it; `None` where all is well.
///
/// `records` are consecutive records of one chain, as [`crate::ports::AuditStore::audit_records`]
/// returns them. The first is taken to follow what its own `previous` says; a whole chain begins
/// with place 1 and zeros, which is checked too.
#[must_use]
pub fn first_broken(records: &[AuditRecord]) -> Option<i64> {
    let mut head: Option<Head> = None;
    for record in records {
        let follows = match head {
            Some(head) => record.seq == head.seq + 1 && record.previous == head.hash,
            None => record.seq != 1 || record.previous == [0; 32],
        };
        if !follows || audit_hash(record) != record.hash {
            return Some(record.seq);
        }
        head = Some(Head {
            seq: record.seq,
            hash: record.hash,
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SimulatedClock, SystemRandom, Timestamp};

    fn chain(length: usize) -> Vec<AuditRecord> {
        let clock = SimulatedClock::new(Timestamp::from_secs(1_740_514_245));
        let mut head = Head::default();
        (0..length)
            .map(|n| {
                head.append(AuditEvent::new(
                    &clock,
                    &SystemRandom,
                    "token.mint",
                    format!("target {n}"),
                ))
            })
            .collect()
    }

    /// Pins the encoding: a database written by this version must verify under every later one.
    #[test]
    fn has_a_fixed_encoding() {
        let record = AuditRecord {
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
        };
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
        assert_eq!(audit_hash(&record), sha256(&expected));
    }

    #[test]
    fn every_field_counts() {
        let [original] = &chain(1)[..] else {
            panic!("one record")
        };
        let edits: [fn(&mut AuditRecord); 13] = [
            |r| r.id = "0191e223-1c3c-7607-badf-303c98b52d2f".parse().unwrap(),
            |r| r.organization_id = "0191e223-1c3c-7607-badf-303c98b52d2f".parse().ok(),
            |r| r.seq = 2,
            |r| r.at = Timestamp::from_ms(1),
            |r| r.actor = "anonymous".to_owned(),
            |r| r.action = "token.mint2".to_owned(),
            |r| r.target.clear(),
            |r| r.outcome = "refused".to_owned(),
            |r| r.request_id = Some(String::new()),
            |r| r.source = Some("::1".to_owned()),
            |r| r.details = "[]".to_owned(),
            |r| r.previous = [1; 32],
            // A character that moves from one field to its neighbour.
            |r| {
                r.action = "token.min".to_owned();
                r.target.insert(0, 't');
            },
        ];
        let mut hashes = vec![original.hash];
        for edit in edits {
            let mut record = original.clone();
            edit(&mut record);
            hashes.push(audit_hash(&record));
        }
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }

    #[test]
    fn finds_edits_gaps_and_swaps() {
        let whole = chain(5);
        assert_eq!(first_broken(&whole), None);
        assert_eq!(first_broken(&whole[2..]), None);
        assert_eq!(first_broken(&[]), None);

        let mut edited = whole.clone();
        edited[2].target.push('!');
        assert_eq!(first_broken(&edited), Some(3));

        let mut rehashed = edited;
        rehashed[2].hash = audit_hash(&rehashed[2]);
        assert_eq!(first_broken(&rehashed), Some(4));

        let mut removed = whole.clone();
        removed.remove(1);
        assert_eq!(first_broken(&removed), Some(3));

        let mut swapped = whole.clone();
        swapped.swap(1, 2);
        assert_eq!(first_broken(&swapped), Some(3));

        let mut restarted = whole;
        restarted[0].previous = [1; 32];
        restarted[0].hash = audit_hash(&restarted[0]);
        assert_eq!(first_broken(&restarted), Some(1));
    }

    #[test]
    fn a_nul_does_not_reach_the_database() {
        assert_eq!(without_nul("a\0b".to_owned()), "a\u{FFFD}b");
    }
}
