//! SQLite: the embedded default.
//!
//! One connection writes. Mints and audit appends, which come in crowds, wait in the
//! [`journal::Journal`], whose task commits all that wait together; every other write is a
//! transaction of its own on the same connection. Reads have connections of their own, which never
//! wait for a writer (WAL); the read that every mint makes shares its query with others that wait
//! ([`lookup::Lookup`]).

mod administrators;
mod audit_log;
mod batch;
mod change;
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

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Connection as _, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;

use self::{change::Change, journal::Journal, lookup::Lookup};
use super::error::store_error;
use crate::ports::{Store, StoreError, StoreUsage};

pub use error::OpenError;
pub(super) use error::explain;
pub(super) use open::open_alone;

/// The connection that writes, until the store is closed. Its lock is handed on in the order in
/// which it was asked for.
type Writer = Arc<Mutex<Option<SqliteConnection>>>;

/// A store in one SQLite file.
///
/// Made by [`SqliteStore::open`]. Dropping it without [`Store::close`] loses nothing that was
/// acknowledged; closing it also leaves one tidy file behind.
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    journal: Journal,
    lookup: Lookup,
}

impl SqliteStore {
    /// Begins a transaction that writes, when it is this caller's turn.
    async fn change(&self) -> Result<Change, StoreError> {
        Change::begin(&self.writer).await
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store was closed".to_owned())
}

/// A page's first parameter: the id to go on after.
fn after<Id: ToString>(id: Option<Id>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

#[async_trait]
impl Store for SqliteStore {
    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1 FROM schema_info")
            .execute(&self.readers)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    fn usage(&self) -> StoreUsage {
        StoreUsage {
            connections: self.readers.size() as usize,
            idle: self.readers.num_idle(),
            waiting: self.journal.waiting(),
        }
    }

    async fn close(&self) {
        self.journal.close().await;
        self.lookup.close().await;
        self.readers.close().await;
        let Some(mut writer) = self.writer.lock().await.take() else {
            return;
        };
        // Both only tidy up: what was acknowledged is in the log, and the next start reads that.
        let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut writer)
            .await;
        let _ = writer.close().await;
    }
}

#[cfg(test)]
mod tests {
    //! What becomes of waiting work when the database fails under it.

    use sqlx::{AssertSqlSafe, Executor as _};

    use super::*;
    use crate::{
        domain::{AuditEvent, AwsClaims, Organization, OrganizationId, SystemClock, SystemRandom},
        ports::{AuditStore as _, OrganizationStore as _},
    };

    async fn store() -> (tempfile::TempDir, SqliteStore) {
        let directory = tempfile::TempDir::new().unwrap();
        let url = format!("sqlite:{}/idp.db", directory.path().display());
        let store = SqliteStore::open(&url, Arc::new(SystemClock))
            .await
            .unwrap();
        (directory, store)
    }

    async fn run(store: &SqliteStore, sql: &'static str) {
        let mut writer = change::connection(&store.writer).await.unwrap();
        writer.execute(sql).await.unwrap();
    }

    fn event() -> AuditEvent {
        let mut event = AuditEvent::new(&SystemClock, &SystemRandom, "test", "target");
        event.details = serde_json::json!({ "padding": "x".repeat(100_000) });
        event
    }

    async fn chain_length(store: &SqliteStore) -> usize {
        store.audit_records(None, 0, 1000).await.unwrap().len()
    }

    /// A batch and a change of its own both end `Unavailable` with `reason`, leave nothing behind,
    /// and work again after `cure`.
    async fn fails_whole(store: &SqliteStore, reason: &str, cure: &'static str) {
        let before = chain_length(store).await;
        let batch = futures_util::future::join_all((0..8).map(|_| store.append(event()))).await;
        let organization = Organization {
            id: OrganizationId::new(&SystemClock, &SystemRandom),
            name: "x".parse().unwrap(),
            audiences: vec![],
            aws_claims: AwsClaims::default(),
            created_at: event().at,
        };
        let change = store.create_organization(&organization, event()).await;
        for result in batch.into_iter().chain([change.map(|_| ())]) {
            match result {
                Err(StoreError::Unavailable(message)) => {
                    assert!(message.contains(reason), "{message}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(chain_length(store).await, before);
        assert_eq!(store.organization(organization.id).await.unwrap(), None);
        run(store, cure).await;
        store.append(event()).await.unwrap();
        store
            .create_organization(&organization, event())
            .await
            .unwrap();
        let records = store.audit_records(None, 0, 1000).await.unwrap();
        assert_eq!(records.len(), before + 2);
        assert_eq!(crate::store::first_broken(&records), None);
    }

    #[tokio::test]
    async fn a_full_disk_changes_nothing() {
        let (_directory, store) = store().await;
        store.append(event()).await.unwrap();
        let pages: i64 = {
            let mut writer = change::connection(&store.writer).await.unwrap();
            sqlx::query_scalar("PRAGMA page_count")
                .fetch_one(&mut *writer)
                .await
                .unwrap()
        };
        {
            let mut writer = change::connection(&store.writer).await.unwrap();
            let limit = format!("PRAGMA max_page_count = {pages}");
            writer.execute(AssertSqlSafe(limit)).await.unwrap();
        }
        fails_whole(&store, "full", "PRAGMA max_page_count = 1000000").await;
    }

    #[tokio::test]
    async fn a_read_only_database_changes_nothing() {
        let (_directory, store) = store().await;
        run(&store, "PRAGMA query_only = ON").await;
        fails_whole(&store, "readonly", "PRAGMA query_only = OFF").await;
    }

    #[tokio::test]
    async fn a_transaction_that_was_left_open_ends() {
        let (_directory, store) = store().await;
        run(&store, "BEGIN IMMEDIATE").await;
        assert!(store.append(event()).await.is_err());
        store.append(event()).await.unwrap();
        assert_eq!(chain_length(&store).await, 1);
    }

    #[tokio::test]
    async fn an_unreadable_value_is_named_and_nothing_is_built_on_it() {
        let (_directory, store) = store().await;
        store.append(event()).await.unwrap();
        run(&store, "UPDATE audit_heads SET hash = x'00'").await;
        match store.append(event()).await {
            Err(StoreError::Corrupt(message)) => {
                assert!(message.contains("audit_heads.hash: 1 bytes"), "{message}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(chain_length(&store).await, 1);
    }

    #[tokio::test]
    async fn one_unreadable_credential_is_one_callers_misfortune() {
        use crate::ports::EnvironmentStore as _;

        let (_directory, store) = store().await;
        run(
            &store,
            "INSERT INTO organizations (id, name, audiences, created_at)
             VALUES ('0191e223-1c3c-7607-badf-303c98b52d2f', 'o', '[]', 0);
             INSERT INTO environments (id, organization_id, name, state, kid, public_key, created_at)
             VALUES ('019527e4-75d5-704d-a5a4-a2b52cf56196', '0191e223-1c3c-7607-badf-303c98b52d2f',
                     'good', 'enrolled', 'a', '{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"x\"}', 0),
                    ('019527e4-75d5-704d-a5a4-a2b52cf56197', '0191e223-1c3c-7607-badf-303c98b52d2f',
                     'bad', 'enrolled', 'b', 'garbage', 0);",
        )
        .await;
        let (good, bad, good_again) = tokio::join!(
            store.credential("019527e4-75d5-704d-a5a4-a2b52cf56196".parse().unwrap()),
            store.credential("019527e4-75d5-704d-a5a4-a2b52cf56197".parse().unwrap()),
            store.credential("019527e4-75d5-704d-a5a4-a2b52cf56196".parse().unwrap()),
        );
        assert_eq!(good.unwrap().unwrap().kid, "a");
        assert_eq!(good_again.unwrap().unwrap().kid, "a");
        assert!(matches!(
            bad,
            Err(StoreError::Corrupt(reason)) if reason.contains("environments.public_key")
        ));
    }
}
