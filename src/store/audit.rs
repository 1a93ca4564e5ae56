//! The hash chains of the audit log.
//!
//! Every organisation has a chain and the system has one. A record's hash covers the hash of the
//! record before it, so that whoever edits, removes or reorders one has to rewrite all that follow.

use std::time::Duration;

use crate::{
    domain::{AuditChain, AuditCut, AuditEvent, AuditFilter, AuditRecord, OrganizationId},
    ports::StoreError,
};

pub use crate::domain::{audit_hash, first_broken};

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

/// Gives each of consecutive records the hash that it follows: its neighbour's, or zeros where that
/// is missing, with which its own hash will not agree. `before` is what the first one follows.
pub(super) fn link(records: &mut [AuditRecord], before: [u8; 32]) {
    let mut last: Option<(i64, [u8; 32])> = None;
    for record in records {
        record.previous = match last {
            None => before,
            Some((seq, hash)) if record.seq == seq + 1 => hash,
            Some(_) => [0; 32],
        };
        last = Some((record.seq, record.hash));
    }
}

/// How many records one search looks at: some tens of milliseconds' worth.
const SEARCHED: i64 = 20_000;

/// The places that one search looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Search {
    /// The chain's first place.
    first: i64,
    /// From this place on,
    pub(super) from: i64,
    /// and before this one.
    pub(super) before: i64,
}

impl Search {
    pub(super) fn new(chain: &AuditChain, before: Option<i64>) -> Self {
        let first = chain.cut.map_or(1, |cut| cut.seq + 1);
        let before = before.unwrap_or(i64::MAX).min(chain.head.seq + 1);
        Self {
            first,
            from: before.saturating_sub(SEARCHED).max(first),
            before,
        }
    }

    /// Where the next one goes on, where this one found `records` of at most `limit`.
    pub(super) fn next(&self, records: &[AuditRecord], limit: u32) -> Option<i64> {
        let full = u32::try_from(records.len()).is_ok_and(|found| found >= limit);
        let next = match records.last() {
            Some(last) if full => last.seq,
            _ => self.from,
        };
        (next > self.first).then_some(next)
    }
}

/// What an action has to be, and what it has to begin with, where a search asks for either: a name that
/// ends with a dot stands for all that begin with it.
pub(super) fn action_of(filter: &AuditFilter) -> (Option<&str>, Option<&str>) {
    match filter.action.as_deref() {
        Some(group) if group.ends_with('.') => (None, Some(group)),
        action => (action, None),
    }
}

/// Whether a chain can be cut there: behind the last cut, before its last record, and where the record at
/// that place has the hash that was vouched for.
pub(super) fn can_cut(chain: Option<&AuditChain>, hash: Option<&[u8]>, cut: &AuditCut) -> bool {
    hash == Some(&cut.hash)
        && chain.is_some_and(|chain| {
            cut.seq < chain.head.seq && chain.cut.is_none_or(|earlier| earlier.seq < cut.seq)
        })
}

/// Times in a chain are in order but for clocks that differ; past this much, nothing is newer.
pub(super) const DISORDER: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ChainHead, Timestamp};

    #[test]
    fn a_search_is_bounded_and_ends_at_the_first_record() {
        let hash = [0; 32];
        let mut chain = AuditChain {
            head: ChainHead {
                organization_id: None,
                seq: 50_000,
                hash,
            },
            cut: None,
        };
        let places = |chain, before| {
            let search = Search::new(&chain, before);
            (search.from, search.before, search.next(&[], 10))
        };
        assert_eq!(places(chain, None), (30_001, 50_001, Some(30_001)));
        assert_eq!(places(chain, Some(30_001)), (10_001, 30_001, Some(10_001)));
        assert_eq!(places(chain, Some(10_001)), (1, 10_001, None));
        assert_eq!(places(chain, Some(i64::MIN)).2, None);
        chain.cut = Some(AuditCut {
            seq: 20_000,
            hash,
            checkpoint: 1,
            at: Timestamp::from_ms(0),
        });
        assert_eq!(places(chain, Some(30_001)), (20_001, 30_001, None));
    }

    #[test]
    fn a_cut_lies_between_the_last_cut_and_the_end() {
        let cut = |seq| AuditCut {
            seq,
            hash: [7; 32],
            checkpoint: 1,
            at: Timestamp::from_ms(0),
        };
        let chain = AuditChain {
            head: ChainHead {
                organization_id: None,
                seq: 10,
                hash: [9; 32],
            },
            cut: Some(cut(3)),
        };
        let can = |seq, hash: &[u8]| can_cut(Some(&chain), Some(hash), &cut(seq));
        assert!(can(4, &[7; 32]) && can(9, &[7; 32]));
        for (seq, hash) in [(3, [7; 32]), (10, [7; 32]), (4, [8; 32])] {
            assert!(!can(seq, &hash), "{seq}");
        }
        assert!(!can_cut(None, Some(&[7; 32]), &cut(4)));
        assert!(!can_cut(Some(&chain), None, &cut(4)));
    }

    #[test]
    fn a_name_with_a_dot_at_its_end_is_a_group() {
        let action = |name: Option<&str>| {
            let filter = AuditFilter {
                action: name.map(str::to_owned),
                ..AuditFilter::default()
            };
            let (whole, group) = action_of(&filter);
            (whole.map(str::to_owned), group.map(str::to_owned))
        };
        assert_eq!(action(Some("key.")), (None, Some("key.".to_owned())));
        assert_eq!(
            action(Some("key.rotate")),
            (Some("key.rotate".to_owned()), None)
        );
        assert_eq!(action(None), (None, None));
    }

    #[test]
    fn a_nul_does_not_reach_the_database() {
        assert_eq!(without_nul("a\0b".to_owned()), "a\u{FFFD}b");
    }
}
