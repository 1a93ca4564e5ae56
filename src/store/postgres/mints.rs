//! The hot path, and the audit log that it shares commits with.

use async_trait::async_trait;
use sqlx::{query, query_as, query_scalar};

use super::{PostgresStore, batch::Entry};
use crate::{
    domain::{AuditEvent, OrganizationId, Timestamp},
    ports::{AuditRecord, AuditStore, MintOutcome, MintRequest, MintStore, StoreError},
    store::{audit::chain_name, error::store_error, jti::JtiKey, rows::AuditRow, sql},
};

/// How many rows a purge goes through in one transaction: a few milliseconds' worth.
const PURGE_SLICE: i64 = 4_000;

/// After every key: longer than any.
const LAST_KEY: [u8; size_of::<JtiKey>() + 1] = [0xff; size_of::<JtiKey>() + 1];

/// Replicas purge at the same time. A row that is locked is being deleted by another one.
const PURGE: &str = "DELETE FROM used_jtis WHERE key IN (SELECT key FROM used_jtis \
     WHERE key > $1 AND key <= $2 AND expires_at < $3 ORDER BY key FOR UPDATE SKIP LOCKED)";

#[async_trait]
impl MintStore for PostgresStore {
    async fn record_mint(&self, mint: MintRequest) -> Result<MintOutcome, StoreError> {
        self.journal.ask(Entry::Mint(mint)).await
    }

    async fn purge_jtis(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut purged = 0;
        let mut from = Vec::new();
        loop {
            let end: Option<Vec<u8>> = query_scalar(sql::SELECT_JTI_SLICE_END)
                .bind(&from)
                .bind(PURGE_SLICE)
                .fetch_optional(&self.pool)
                .await
                .map_err(store_error)?;
            let done = query(PURGE)
                .bind(&from)
                .bind(end.as_deref().unwrap_or(&LAST_KEY))
                .bind(now.ms())
                .execute(&self.pool)
                .await
                .map_err(store_error)?;
            purged += done.rows_affected();
            match end {
                Some(end) => from = end,
                None => return Ok(purged),
            }
        }
    }
}

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
        query_as::<_, AuditRow>(sql::SELECT_AUDIT)
            .bind(chain_name(organization))
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(TryInto::try_into)
            .collect()
    }
}
