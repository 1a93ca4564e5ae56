//! Reading a chain of audit records with suspicion.

use serde::Serialize;

use super::{AuditId, AuditRecord, OrganizationId, Timestamp, audit_record::hash_after};

/// The last record of a chain, as the log or a checkpoint names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// Whose chain; the system's if `None`.
    pub organization_id: Option<OrganizationId>,
    /// The record's place.
    pub seq: i64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// Where retention has cut a chain: records up to this place are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditCut {
    /// The place of the last record that was removed.
    pub seq: i64,
    /// Its hash, which the first record that is left follows.
    pub hash: [u8; 32],
    /// The number of the checkpoint that vouches for that hash.
    pub checkpoint: i64,
    /// When it was removed.
    pub at: Timestamp,
}

/// A chain as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditChain {
    /// Its last record.
    pub head: ChainHead,
    /// Where it was cut, if it was.
    pub cut: Option<AuditCut>,
}

/// What a checkpoint says about one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// A place.
    pub seq: i64,
    /// The hash of the record at that place.
    pub hash: [u8; 32],
    /// The checkpoint's number.
    pub checkpoint: i64,
}

/// What is wrong with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A record is not as it was written.
    Edited,
    /// Records are missing before this one.
    Removed,
    /// A record stands in another's place.
    Reordered,
    /// The end of the chain is missing.
    Truncated,
    /// The chain agrees with itself but not with a checkpoint.
    Rewritten,
    /// What the log says of the chain's end or its cut is not so.
    Misstated,
    /// A checkpoint is not what it should be.
    Checkpoint,
}

/// One thing that is wrong, at one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whose chain; the system's if `None`.
    pub organization_id: Option<OrganizationId>,
    /// The place of the record in question.
    pub seq: i64,
    /// Its id, where there is such a record.
    pub id: Option<AuditId>,
    /// What kind of wrong.
    pub kind: FindingKind,
    /// The same in words.
    pub problem: String,
}

/// As many findings of one chain are told one by one. Past them, a chain is rubbish, and the list
/// should not be as long as the log.
const TOLD: usize = 50;

/// A place and the hash there.
#[derive(Clone, Copy)]
struct Place {
    seq: i64,
    hash: [u8; 32],
}

/// A record that did not hash, kept for the next one, to tell a swap from two edits.
#[derive(Clone, Copy)]
struct Mismatch {
    before: Place,
    hash: [u8; 32],
    /// Its place among the findings.
    finding: usize,
}

impl Mismatch {
    /// Whether `next`, the record after it, is the one that belongs in its place.
    fn changed_places_with(&self, next: &AuditRecord) -> bool {
        let mut original = next.clone();
        original.seq = self.before.seq + 1;
        hash_after(&self.before.hash, &original) == next.hash
    }
}

/// Checks the records of one chain in their order. After a finding it goes on with what is there, so
/// that one edit is one finding.
pub struct ChainVerifier {
    organization_id: Option<OrganizationId>,
    /// The record that comes next follows this one; unknown before the first of a part of a chain.
    last: Option<Place>,
    last_id: Option<AuditId>,
    /// The record before, if it did not hash.
    before_mismatch: Option<Mismatch>,
    /// The record before had changed places with the one before that.
    swapped: bool,
    vouched: std::iter::Peekable<std::vec::IntoIter<Vouched>>,
    findings: Vec<Finding>,
    records: u64,
    untold: u64,
}

impl ChainVerifier {
    /// For a whole chain, or one that was cut. `vouched` is what checkpoints say of it, by place.
    #[must_use]
    pub fn new(
        organization_id: Option<OrganizationId>,
        cut: Option<AuditCut>,
        vouched: Vec<Vouched>,
    ) -> Self {
        let first = cut.map_or(
            Place {
                seq: 0,
                hash: [0; 32],
            },
            |cut| Place {
                seq: cut.seq,
                hash: cut.hash,
            },
        );
        let mut verifier = Self::part(organization_id, vouched);
        verifier.last = Some(first);
        verifier.check_vouched(first, None);
        verifier
    }

    /// For a part of a chain that may begin anywhere: its first record is taken to follow what it
    /// says that it follows.
    #[must_use]
    pub fn part(organization_id: Option<OrganizationId>, vouched: Vec<Vouched>) -> Self {
        Self {
            organization_id,
            last: None,
            last_id: None,
            before_mismatch: None,
            swapped: false,
            vouched: vouched.into_iter().peekable(),
            findings: Vec::new(),
            records: 0,
            untold: 0,
        }
    }

    /// How many records were checked.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Checks the next record.
    pub fn check(&mut self, record: &AuditRecord) {
        self.records += 1;
        let before = self.last.unwrap_or(Place {
            seq: record.seq - 1,
            hash: record.previous,
        });
        let mismatch = self.before_mismatch.take();
        let mut hash = record.hash;
        if record.seq <= before.seq {
            let problem = format!("record {} stands after record {}", record.seq, before.seq);
            self.found(record.seq, Some(record.id), FindingKind::Reordered, problem);
        } else if record.seq > before.seq + 1 {
            let problem = match record.seq - before.seq - 1 {
                1 => format!("record {}, which it follows, is missing", before.seq + 1),
                n => format!(
                    "the {n} records before it, from {} on, are missing",
                    before.seq + 1
                ),
            };
            self.found(record.seq, Some(record.id), FindingKind::Removed, problem);
            self.check_hash(record, record.previous);
        } else if hash_after(&before.hash, record) != record.hash {
            if let Some(mismatch) = mismatch.filter(|mismatch| mismatch.changed_places_with(record))
            {
                self.reordered(mismatch, record);
                hash = mismatch.hash;
            } else {
                self.mismatch(record, before);
            }
        } else if record.previous != before.hash && !self.swapped {
            // Only an export says what a record follows; the database knows its neighbour.
            let problem = format!("it names another predecessor than record {}", before.seq);
            self.found(record.seq, Some(record.id), FindingKind::Edited, problem);
        }
        self.swapped = hash != record.hash;
        let here = Place {
            seq: record.seq,
            hash,
        };
        self.check_vouched(here, Some(record.id));
        self.last = Some(here);
        self.last_id = Some(record.id);
    }

    /// What is wrong, once the chain has ended. `head` is what the log says its end is.
    #[must_use]
    pub fn finish(mut self, head: Option<ChainHead>) -> Vec<Finding> {
        let last = self.last.unwrap_or(Place {
            seq: 0,
            hash: [0; 32],
        });
        let id = self.last_id;
        if let Some(head) = head {
            if head.seq > last.seq {
                let problem = format!("it is the last one, but the chain had {}", head.seq);
                self.found(last.seq, id, FindingKind::Truncated, problem);
            } else if head.seq == last.seq && head.hash != last.hash {
                let problem = "the chain's head names another hash for it".to_owned();
                self.found(last.seq, id, FindingKind::Misstated, problem);
            }
        }
        if let Some(beyond) = self.vouched.next_back() {
            let problem = format!(
                "it is the last one, but checkpoint {} saw record {}",
                beyond.checkpoint, beyond.seq
            );
            self.found(last.seq, id, FindingKind::Truncated, problem);
        }
        if self.untold > 0 {
            let problem = format!("{} more findings are not told one by one", self.untold);
            self.findings.push(Finding {
                organization_id: self.organization_id,
                seq: last.seq,
                id,
                kind: FindingKind::Edited,
                problem,
            });
        }
        self.findings
    }

    /// After a gap nothing is known of the record before, unless the record says it.
    fn check_hash(&mut self, record: &AuditRecord, previous: [u8; 32]) {
        if previous != [0; 32] && hash_after(&previous, record) != record.hash {
            let problem = "it is not as it was written".to_owned();
            self.found(record.seq, Some(record.id), FindingKind::Edited, problem);
        }
    }

    fn reordered(&mut self, first: Mismatch, second: &AuditRecord) {
        let problem = |other: i64| format!("it and record {other} have changed places");
        let here = first.before.seq + 1;
        if let Some(finding) = self.findings.get_mut(first.finding) {
            finding.kind = FindingKind::Reordered;
            finding.problem = problem(second.seq);
        }
        let problem = problem(here);
        self.found(second.seq, Some(second.id), FindingKind::Reordered, problem);
    }

    fn mismatch(&mut self, record: &AuditRecord, before: Place) {
        self.before_mismatch = Some(Mismatch {
            before,
            hash: record.hash,
            finding: self.findings.len(),
        });
        let problem = if before.seq == 0 {
            "it is not as it was written".to_owned()
        } else {
            format!(
                "it is not as it was written, or does not follow record {}",
                before.seq
            )
        };
        self.found(record.seq, Some(record.id), FindingKind::Edited, problem);
    }

    fn check_vouched(&mut self, here: Place, id: Option<AuditId>) {
        while let Some(vouched) = self.vouched.next_if(|vouched| vouched.seq <= here.seq) {
            if vouched.seq == here.seq && vouched.hash != here.hash {
                let problem = format!(
                    "it is not the one that checkpoint {} vouches for: the chain was written anew",
                    vouched.checkpoint
                );
                self.found(here.seq, id, FindingKind::Rewritten, problem);
            }
        }
    }

    fn found(&mut self, seq: i64, id: Option<AuditId>, kind: FindingKind, problem: String) {
        if self.findings.len() >= TOLD {
            self.untold += 1;
            return;
        }
        self.findings.push(Finding {
            organization_id: self.organization_id,
            seq,
            id,
            kind,
            problem,
        });
    }
}

/// The place (`seq`) of the first record that is not as it was written or does not follow the one
/// before it; `None` where all is well.
///
/// `records` are consecutive records of one chain. The first is taken to follow what its own
/// `previous` says, unless it is the chain's first, which follows zeros.
#[must_use]
pub fn first_broken(records: &[AuditRecord]) -> Option<i64> {
    let first = records.first()?;
    let owner = first.organization_id;
    let mut verifier = if first.seq == 1 || first.previous == [0; 32] {
        ChainVerifier::new(owner, None, Vec::new())
    } else {
        ChainVerifier::part(owner, Vec::new())
    };
    for record in records {
        verifier.check(record);
    }
    verifier.finish(None).first().map(|finding| finding.seq)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AuditEvent, SimulatedClock, SystemRandom, audit_hash};

    /// As the store makes it.
    fn chain(length: i64) -> Vec<AuditRecord> {
        let clock = SimulatedClock::new(Timestamp::from_secs(1_740_514_245));
        let mut previous = [0; 32];
        (1..=length)
            .map(|seq| {
                let event = AuditEvent::new(&clock, &SystemRandom, "token.mint", "target");
                let mut record = AuditRecord {
                    id: event.id,
                    organization_id: None,
                    seq,
                    at: event.at,
                    actor: event.actor.to_text(),
                    action: event.action.to_owned(),
                    target: event.target,
                    outcome: "success".to_owned(),
                    request_id: None,
                    source: None,
                    details: "{}".to_owned(),
                    previous,
                    hash: [0; 32],
                };
                record.hash = audit_hash(&record);
                previous = record.hash;
                record
            })
            .collect()
    }

    /// What a database returns: each record's `previous` is its neighbour's hash.
    fn relink(records: &mut [AuditRecord]) {
        let mut last = (0, [0; 32]);
        for record in records {
            record.previous = if record.seq == last.0 + 1 {
                last.1
            } else {
                [0; 32]
            };
            last = (record.seq, record.hash);
        }
    }

    fn findings(records: &[AuditRecord], vouched: Vec<Vouched>) -> Vec<(FindingKind, i64)> {
        let mut verifier = ChainVerifier::new(None, None, vouched);
        for record in records {
            verifier.check(record);
        }
        verifier
            .finish(None)
            .into_iter()
            .map(|finding| (finding.kind, finding.seq))
            .collect()
    }

    fn vouch(record: &AuditRecord) -> Vouched {
        Vouched {
            seq: record.seq,
            hash: record.hash,
            checkpoint: 1,
        }
    }

    #[test]
    fn one_edit_is_one_finding() {
        let mut records = chain(5);
        assert_eq!(findings(&records, vec![vouch(&records[4])]), []);
        records[2].target.push('!');
        assert_eq!(findings(&records, vec![]), [(FindingKind::Edited, 3)]);
        records[2].hash = audit_hash(&records[2]);
        assert_eq!(findings(&records, vec![]), [(FindingKind::Edited, 4)]);
        relink(&mut records);
        assert_eq!(findings(&records, vec![]), [(FindingKind::Edited, 4)]);
    }

    #[test]
    fn a_removed_record_is_missed_by_the_next() {
        let mut records = chain(5);
        records.remove(1);
        relink(&mut records);
        assert_eq!(findings(&records, vec![]), [(FindingKind::Removed, 3)]);
        assert_eq!(
            findings(&records[1..], vec![]),
            [(FindingKind::Removed, 3)],
            "a whole chain begins with its first record"
        );
    }

    #[test]
    fn records_that_changed_places_are_named() {
        let mut records = chain(5);
        records.swap(1, 2);
        assert_eq!(findings(&records, vec![])[0].1, 3);
        records[1].seq = 2;
        records[2].seq = 3;
        relink(&mut records);
        assert_eq!(
            findings(&records, vec![]),
            [(FindingKind::Reordered, 2), (FindingKind::Reordered, 3)]
        );
    }

    #[test]
    fn only_checkpoints_know_of_a_truncated_or_rewritten_chain() {
        let whole = chain(5);
        assert_eq!(findings(&whole[..3], vec![]), []);
        assert_eq!(
            findings(&whole[..3], vec![vouch(&whole[1]), vouch(&whole[4])]),
            [(FindingKind::Truncated, 3)]
        );
        assert_eq!(
            findings(&chain(5), vec![vouch(&whole[1]), vouch(&whole[4])]),
            [(FindingKind::Rewritten, 2), (FindingKind::Rewritten, 5)]
        );
    }

    #[test]
    fn a_cut_chain_follows_its_cut() {
        let whole = chain(5);
        let cut = AuditCut {
            seq: 3,
            hash: whole[2].hash,
            checkpoint: 1,
            at: Timestamp::from_ms(0),
        };
        let run = |cut: AuditCut, records: &[AuditRecord]| {
            let mut verifier = ChainVerifier::new(None, Some(cut), vec![vouch(&whole[2])]);
            for record in records {
                verifier.check(record);
            }
            verifier.finish(None)
        };
        assert_eq!(run(cut, &whole[3..]), []);
        let mut forged = cut;
        forged.hash = [9; 32];
        let kinds: Vec<_> = run(forged, &whole[3..])
            .into_iter()
            .map(|finding| finding.kind)
            .collect();
        assert_eq!(kinds, [FindingKind::Rewritten, FindingKind::Edited]);
    }

    #[test]
    fn the_head_betrays_a_missing_end() {
        let whole = chain(3);
        let run = |records: &[AuditRecord], seq, hash| {
            let mut verifier = ChainVerifier::new(None, None, Vec::new());
            for record in records {
                verifier.check(record);
            }
            verifier.finish(Some(ChainHead {
                organization_id: None,
                seq,
                hash,
            }))
        };
        assert_eq!(run(&whole, 3, whole[2].hash), []);
        assert_eq!(run(&whole, 2, whole[1].hash), [], "appended meanwhile");
        let found = run(&whole[..2], 3, whole[2].hash);
        assert_eq!(found[0].kind, FindingKind::Truncated);
        assert_eq!(found[0].id, Some(whole[1].id));
        assert_eq!(run(&whole, 3, [0; 32])[0].kind, FindingKind::Misstated);
    }

    #[test]
    fn the_first_broken_is_found_in_a_part_too() {
        let whole = chain(5);
        assert_eq!(first_broken(&whole), None);
        assert_eq!(first_broken(&whole[2..]), None);
        assert_eq!(first_broken(&[]), None);
        let mut restarted = whole;
        restarted[0].previous = [1; 32];
        restarted[0].hash = audit_hash(&restarted[0]);
        assert_eq!(first_broken(&restarted), Some(1));
    }

    #[test]
    fn rubbish_is_not_told_record_by_record() {
        let mut records = chain(200);
        for record in &mut records {
            record.target.push('!');
        }
        assert_eq!(findings(&records, vec![]).len(), TOLD + 1);
    }
}
