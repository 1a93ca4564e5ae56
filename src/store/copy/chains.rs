//! The audit chains of the copy, hashed again.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use sqlx::{PgConnection, query_as};

use super::{Copied, CopyError, CopyProgress, REPORT};
use crate::{
    ports::AuditRecord,
    store::{
        audit::{chain_name, first_broken},
        rows::AuditRow,
    },
};

/// How many audit records are verified at a time.
const VERIFY: usize = 1_000;

/// Hashes every audit chain again, from what PostgreSQL gives back, to its head.
pub(super) async fn verify_chains(
    target: &mut PgConnection,
    copied: &Copied,
    progress: &mut (dyn FnMut(CopyProgress) + Send),
) -> Result<u64, CopyError> {
    let total = copied.tables.get("audit").copied().unwrap_or_default();
    let mut heads: BTreeMap<String, (i64, Vec<u8>)> = query_as::<_, (String, i64, Vec<u8>)>(
        "SELECT chain, seq, hash FROM audit_heads WHERE seq > 0",
    )
    .fetch_all(&mut *target)
    .await?
    .into_iter()
    .map(|(chain, seq, hash)| (chain, (seq, hash)))
    .collect();
    let chains = heads.len() as u64;
    let cuts: BTreeMap<String, (i64, Vec<u8>)> =
        query_as::<_, (String, i64, Vec<u8>)>("SELECT chain, seq, hash FROM audit_cuts")
            .fetch_all(&mut *target)
            .await?
            .into_iter()
            .map(|(chain, seq, hash)| (chain, (seq, hash)))
            .collect();
    let mut rows = query_as::<_, AuditRow>(
        "SELECT chain, seq, id, at, actor, action, target, outcome, request_id, source, details, \
         hash, NULL::bytea AS previous FROM audit ORDER BY chain, seq",
    )
    .fetch(target);
    let mut window: Vec<AuditRecord> = Vec::with_capacity(VERIFY);
    let mut done = 0;
    while let Some(row) = rows.try_next().await? {
        let mut record = AuditRecord::try_from(row)?;
        // What retention has cut off, and not removed yet, has no beginning.
        let cut = cuts.get(&chain_name(record.organization_id));
        if cut.is_some_and(|(seq, _)| record.seq <= *seq) {
            continue;
        }
        let follows = window
            .last()
            .filter(|last| last.organization_id == record.organization_id)
            .map(|last| last.hash);
        if let Some(hash) = follows {
            record.previous = hash;
        } else {
            check(&window)?;
            end_chain(&mut heads, window.last())?;
            window.clear();
            if let Some((_, hash)) = cut {
                record.previous = hash.as_slice().try_into().map_err(|_| {
                    CopyError::Unverified("a cut of the audit log has no hash".to_owned())
                })?;
            }
        }
        window.push(record);
        if window.len() == VERIFY {
            check(&window)?;
            window.drain(..VERIFY - 1);
        }
        done += 1;
        if done % REPORT == 0 {
            progress(CopyProgress {
                table: None,
                done,
                total,
            });
        }
    }
    check(&window)?;
    end_chain(&mut heads, window.last())?;
    match heads.keys().next() {
        None => Ok(chains),
        Some(chain) => Err(CopyError::Unverified(format!(
            "the audit chain {chain} has lost its records"
        ))),
    }
}

fn check(window: &[AuditRecord]) -> Result<(), CopyError> {
    match (first_broken(window), window.first()) {
        (Some(seq), Some(record)) => Err(CopyError::Unverified(format!(
            "the audit chain {} does not verify from record {seq} on; look at that record in the source",
            chain_name(record.organization_id)
        ))),
        _ => Ok(()),
    }
}

/// Compares the last record of a chain with the chain's head.
fn end_chain(
    heads: &mut BTreeMap<String, (i64, Vec<u8>)>,
    last: Option<&AuditRecord>,
) -> Result<(), CopyError> {
    let Some(last) = last else { return Ok(()) };
    let chain = chain_name(last.organization_id);
    match heads.remove(&chain) {
        Some((seq, hash)) if seq == last.seq && hash == last.hash => Ok(()),
        _ => Err(CopyError::Unverified(format!(
            "the audit chain {chain} ends with record {}, and its head says otherwise; look at the \
             end of that chain in the source",
            last.seq
        ))),
    }
}
