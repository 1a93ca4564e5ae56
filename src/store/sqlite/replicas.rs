//! Leases. An SQLite file has one server, but a second one that is started by mistake keeps to them too.

use async_trait::async_trait;
use sqlx::query;

use super::{SqliteStore, change::connection};
use crate::{
    domain::Timestamp,
    ports::{Notice, ReplicaStore, StoreError},
    store::{error::store_error, sql},
};

#[async_trait]
impl ReplicaStore for SqliteStore {
    async fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut writer = connection(&self.writer).await?;
        let acquired = query(sql::ACQUIRE_LEASE)
            .bind(name)
            .bind(holder)
            .bind(now.ms())
            .bind(until.ms())
            .execute(&mut *writer)
            .await
            .map_err(store_error)?;
        Ok(acquired.rows_affected() == 1)
    }

    /// SQLite tells nobody of changes.
    async fn next_notice(&self) -> Result<Notice, StoreError> {
        std::future::pending().await
    }
}
