//! The hot path.

use async_trait::async_trait;
use sqlx::{query, query_scalar};

use super::{PostgresStore, batch::Entry};
use crate::{
    domain::Timestamp,
    ports::{MintOutcome, MintRequest, MintStore, StoreError},
    store::{error::store_error, jti::JtiKey, sql},
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
