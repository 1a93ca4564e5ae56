//! The audit log: appending, which shares commits with mints, reading, searching and cutting.

use async_trait::async_trait;
use sqlx::{query, query_as, query_scalar};

use super::{PostgresStore, after, batch::Entry, commit, record::record};
use crate::{
    domain::{
        AuditChain, AuditCut, AuditEvent, AuditFilter, AuditRecord, OrganizationId, Timestamp,
    },
    ports::{AuditStore, Change, FoundRecords, Page, StoreError},
    store::{
        audit::{DISORDER, Search, action_of, can_cut, chain_name, link},
        error::store_error,
        rows::{AuditRow, ChainRow},
        sql,
    },
};

/// How many records are deleted in one transaction: a few milliseconds' worth.
const PURGE_SLICE: i64 = 1_000;

const LOCK_HEAD: &str = "SELECT 1 FROM audit_heads WHERE chain = $1 FOR UPDATE";

#[async_trait]
impl AuditStore for PostgresStore {
    async fn append(&self, event: AuditEvent) -> Result<(), StoreError> {
        self.journal.ask(Entry::Event(event)).await?;
        Ok(())
    }

    async fn audit_records(
        &self,
        organization: Option<OrganizationId>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        loop {
            let mut records = self
                .records_from(organization, after, i64::from(limit) + 1)
                .await?;
            let before = match records.first() {
                Some(first) if first.seq == after => records.remove(0).hash,
                Some(first) if first.seq > 1 => {
                    match self.audit_chain(organization).await?.and_then(|c| c.cut) {
                        // A cut was made in between: what was read is no longer there.
                        Some(cut) if cut.seq >= first.seq => continue,
                        Some(cut) if cut.seq + 1 == first.seq => cut.hash,
                        _ => [0; 32],
                    }
                }
                _ => [0; 32],
            };
            records.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            link(&mut records, before);
            return Ok(records);
        }
    }

    async fn find_audit_records(
        &self,
        organization: Option<OrganizationId>,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<FoundRecords, StoreError> {
        let Some(chain) = self.audit_chain(organization).await? else {
            return Ok(FoundRecords {
                records: Vec::new(),
                next: None,
            });
        };
        let name = chain_name(organization);
        let search = Search::new(&chain, before);
        let (action, action_group) = action_of(filter);
        let rows = query_as::<_, AuditRow>(sql::FIND_AUDIT)
            .bind(&name)
            .bind(search.from)
            .bind(search.before)
            .bind(i64::from(limit))
            .bind(&filter.actor)
            .bind(action)
            .bind(action_group)
            .bind(&filter.target)
            .bind(&filter.outcome)
            .bind(&filter.request_id)
            .bind(filter.since.map(Timestamp::ms))
            .bind(filter.until.map(Timestamp::ms))
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?;
        let records: Vec<AuditRecord> = rows
            .into_iter()
            .map(TryInto::try_into)
            .collect::<Result<_, _>>()?;
        let mut next = search.next(&records, limit);
        if let (Some(since), Some(seq)) = (filter.since, next)
            && self.is_older(&name, seq, since.minus(DISORDER)).await?
        {
            next = None;
        }
        Ok(FoundRecords { records, next })
    }

    async fn audit_chains(
        &self,
        page: Page<OrganizationId>,
    ) -> Result<Vec<AuditChain>, StoreError> {
        query_as::<_, ChainRow>(sql::SELECT_AUDIT_CHAINS)
            .bind(after(page.after))
            .bind(i64::from(page.limit))
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(TryInto::try_into)
            .collect()
    }

    async fn audit_chain(
        &self,
        organization: Option<OrganizationId>,
    ) -> Result<Option<AuditChain>, StoreError> {
        query_as::<_, ChainRow>(sql::SELECT_AUDIT_CHAIN)
            .bind(chain_name(organization))
            .fetch_optional(&self.pool)
            .await
            .map_err(store_error)?
            .map(TryInto::try_into)
            .transpose()
    }

    async fn cut_audit_chain(
        &self,
        organization: Option<OrganizationId>,
        cut: AuditCut,
        event: AuditEvent,
    ) -> Result<Change, StoreError> {
        let name = chain_name(organization);
        let mut change = self.change().await?;
        // Of replicas that cut at once, the second finds the first one's cut.
        query(LOCK_HEAD)
            .bind(&name)
            .execute(&mut *change)
            .await
            .map_err(store_error)?;
        let chain: Option<AuditChain> = query_as::<_, ChainRow>(sql::SELECT_AUDIT_CHAIN)
            .bind(&name)
            .fetch_optional(&mut *change)
            .await
            .map_err(store_error)?
            .map(TryInto::try_into)
            .transpose()?;
        let hash: Option<Vec<u8>> = query_scalar(sql::SELECT_AUDIT_HASH)
            .bind(&name)
            .bind(cut.seq)
            .fetch_optional(&mut *change)
            .await
            .map_err(store_error)?;
        if !can_cut(chain.as_ref(), hash.as_deref(), &cut) {
            return Ok(Change::Missing);
        }
        query(sql::UPSERT_CUT)
            .bind(&name)
            .bind(cut.seq)
            .bind(cut.hash.as_slice())
            .bind(cut.checkpoint)
            .bind(cut.at.ms())
            .execute(&mut *change)
            .await
            .map_err(store_error)?;
        record(&mut change, event).await?;
        commit(change).await?;
        Ok(Change::Done)
    }

    async fn purge_audit_records(&self) -> Result<u64, StoreError> {
        let cuts: Vec<(String, i64)> = query_as(sql::SELECT_CUTS)
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?;
        let mut purged = 0;
        for (chain, cut) in cuts {
            loop {
                let first: Option<i64> = query_scalar(sql::FIRST_AUDIT)
                    .bind(&chain)
                    .fetch_one(&self.pool)
                    .await
                    .map_err(store_error)?;
                let Some(first) = first.filter(|first| *first <= cut) else {
                    break;
                };
                let done = query(sql::PURGE_AUDIT_SLICE)
                    .bind(&chain)
                    .bind(first)
                    .bind(cut.min(first + PURGE_SLICE - 1))
                    .execute(&self.pool)
                    .await
                    .map_err(store_error)?;
                purged += done.rows_affected();
            }
        }
        Ok(purged)
    }
}

impl PostgresStore {
    /// Records from a place on, not linked yet.
    async fn records_from(
        &self,
        organization: Option<OrganizationId>,
        from: i64,
        limit: i64,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        query_as::<_, AuditRow>(sql::SELECT_AUDIT)
            .bind(chain_name(organization))
            .bind(from)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(TryInto::try_into)
            .collect()
    }

    async fn is_older(&self, chain: &str, seq: i64, than: Timestamp) -> Result<bool, StoreError> {
        let at: Option<i64> = query_scalar(sql::SELECT_AUDIT_TIME)
            .bind(chain)
            .bind(seq)
            .fetch_optional(&self.pool)
            .await
            .map_err(store_error)?;
        Ok(at.is_some_and(|at| at < than.ms()))
    }
}
