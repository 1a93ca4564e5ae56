//! Exports, made of records that hash.

use super::*;
use crate::domain::{Timestamp, audit_hash};

const ID: &str = "0191e223-1c3c-7607-badf-303c98b52d2f";

/// A chain of `count` records, of which the last tells of a cut through record 3.
fn chain(count: i64) -> Vec<AuditRecord> {
    let mut records: Vec<AuditRecord> = Vec::new();
    for seq in 1..=count {
        let previous = records.last().map_or([0; 32], |record| record.hash);
        let (action, details) = if seq == count {
            let hash = hex::encode(records[2].hash);
            (
                "audit.remove",
                format!(r#"{{"through":3,"hash":"{hash}","checkpoint":1}}"#),
            )
        } else {
            ("org.create", "{}".to_owned())
        };
        let mut record = AuditRecord {
            id: ID.parse().unwrap(),
            organization_id: None,
            seq,
            at: Timestamp::from_secs(seq),
            actor: "system".to_owned(),
            action: action.to_owned(),
            target: "a".to_owned(),
            outcome: "success".to_owned(),
            request_id: None,
            source: None,
            details,
            previous,
            hash: [0; 32],
        };
        record.hash = audit_hash(&record);
        records.push(record);
    }
    records
}

fn check(records: &[AuditRecord], extent: Extent) -> Option<Vec<(i64, FindingKind)>> {
    let mut verifier = ExportVerifier::new(Scope::All, extent, None);
    for record in records {
        let line = serde_json::to_string(&AuditLine::from(record.clone())).unwrap();
        verifier.check(&line).unwrap();
    }
    let found = verifier.finish()?;
    let findings = found.into_iter().flat_map(|chain| chain.findings);
    Some(findings.map(|found| (found.seq, found.kind)).collect())
}

#[test]
fn a_beginning_is_missed_unless_the_chain_tells_of_its_cut() {
    let records = chain(8);
    assert_eq!(check(&records, Extent::Whole), Some(vec![]));
    assert_eq!(
        check(&records[3..], Extent::Whole),
        Some(vec![]),
        "the cut is told"
    );
    assert_eq!(
        check(&records[4..], Extent::Whole),
        Some(vec![(5, FindingKind::Removed)])
    );
    assert_eq!(
        check(&records[3..7], Extent::Whole),
        Some(vec![(4, FindingKind::Removed)])
    );
    assert_eq!(check(&records[4..], Extent::Part), Some(vec![]));
    assert_eq!(check(&[], Extent::Whole), None);
    assert_eq!(check(&[], Extent::Part), None);
}
