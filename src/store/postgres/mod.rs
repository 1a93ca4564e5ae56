//! PostgreSQL: several stateless replicas on one database, which arbitrates between them.
//!
//! Mints and audit appends wait in the [`journal::Journal`], whose task commits all that wait together
//! on a connection of its own; the read that every mint makes shares its query in the same way
//! ([`lookup::Lookup`]). Everything else is a transaction on a connection of the pool.
//!
//! Locks are taken in one order everywhere, so that replicas do not wait for each other in a circle:
//! environments, join tokens, issuer keys, used `jti`s, heads of audit chains; and within each by key.

mod address;
mod administrators;
mod audit_log;
mod batch;
mod enrolment;
mod environment_keys;
mod environments;
mod error;
mod journal;
mod keys;
mod lookup;
mod mints;
mod open;
mod organizations;
mod principals;
mod projects;
mod record;
mod replicas;
mod session;

use async_trait::async_trait;
use sqlx::{PgPool, PgTransaction};

use self::{journal::Journal, lookup::Lookup, replicas::Listener};
use super::error::store_error;
use crate::ports::{Store, StoreError, StoreUsage};

pub use error::PostgresOpenError;
pub(super) use open::open_for_copy;

/// A store in one PostgreSQL database, which other replicas may share.
///
/// Made by [`PostgresStore::open`]. It outlives the loss of its connections: while the database is away
/// every call ends [`StoreError::Unavailable`] within seconds, and the first call after it is back finds
/// it.
pub struct PostgresStore {
    pool: PgPool,
    journal: Journal,
    lookup: Lookup,
    listener: Listener,
}

impl PostgresStore {
    /// Begins a transaction; dropped without a commit, it is rolled back.
    async fn change(&self) -> Result<PgTransaction<'static>, StoreError> {
        self.pool.begin().await.map_err(store_error)
    }
}

/// Makes a transaction durable.
async fn commit(change: PgTransaction<'static>) -> Result<(), StoreError> {
    change.commit().await.map_err(store_error)
}

/// A page's first parameter: the id to go on after.
fn after<Id: ToString>(id: Option<Id>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

#[async_trait]
impl Store for PostgresStore {
    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1 FROM schema_info")
            .execute(&self.pool)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    fn usage(&self) -> StoreUsage {
        StoreUsage {
            connections: self.pool.size() as usize,
            idle: self.pool.num_idle(),
            waiting: self.journal.waiting(),
        }
    }

    async fn close(&self) {
        self.journal.close().await;
        self.lookup.close().await;
        self.listener.close().await;
        self.pool.close().await;
    }
}
