//! PostgreSQL: the conformance cases, and what is its own.

use std::{fs, path::Path, sync::Arc};

use async_trait::async_trait;
use idp::{
    domain::{Clock, DatabaseUrl, SimulatedClock, Timestamp},
    ports::Store,
    store::{PostgresOpenError, PostgresStore},
};

use super::Database;
use crate::support::Postgres;

super::conformance!(Postgres);

fn clock() -> Arc<dyn Clock> {
    Arc::new(SimulatedClock::new(Timestamp::from_secs(1_740_514_245)))
}

#[async_trait]
impl Database for Postgres {
    async fn create() -> Option<Self> {
        Self::start().await
    }

    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn Store> {
        Arc::new(PostgresStore::open(&self.url(), clock).await.unwrap())
    }

    async fn tamper(&self, sql: &'static str) {
        self.execute(sql).await;
    }
}

async fn try_open(url: &DatabaseUrl) -> Result<PostgresStore, PostgresOpenError> {
    PostgresStore::open(url, clock()).await
}

async fn refusal(url: &DatabaseUrl) -> String {
    match try_open(url).await {
        Ok(_) => panic!("opened"),
        Err(error) => error.to_string(),
    }
}

/// The names of the migrations of one database.
fn migrations(database: &str) -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("migrations")
        .join(database);
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = migrations("postgres");
    assert!(!names.is_empty());
    assert_eq!(names, migrations("sqlite"));
}

#[tokio::test]
async fn a_newer_schema_is_refused_only_where_it_says_so() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    try_open(&postgres.url()).await.unwrap().close().await;
    postgres
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (1000, 'from the future', TRUE, '', 0)",
        )
        .await;
    try_open(&postgres.url())
        .await
        .expect("a newer but compatible schema is served")
        .close()
        .await;
    postgres
        .execute("UPDATE schema_info SET min_compatible = 1000")
        .await;
    let message = refusal(&postgres.url()).await;
    assert!(
        message.contains("/idp?host=") && message.contains("needs a newer idp"),
        "{message}"
    );
    assert!(message.contains("from version 1000 on"), "{message}");
}

#[tokio::test]
async fn programs_that_start_at_once_share_one_migration() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let url = postgres.url();
    let starts = (0..8).map(|_| try_open(&url));
    for started in futures_util::future::join_all(starts).await {
        started.unwrap().close().await;
    }
}

#[tokio::test]
async fn a_migration_that_cannot_run_leaves_the_database_as_it_was() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    // In the way of a statement in the middle of the first one.
    postgres.execute("CREATE TABLE used_jtis (x TEXT)").await;
    let message = refusal(&postgres.url()).await;
    assert!(
        message.contains("could not be brought up to date, and is as it was"),
        "{message}"
    );
    assert!(message.contains("used_jtis"), "{message}");
    postgres.execute("DROP TABLE used_jtis").await;
    postgres
        .execute("CREATE TABLE schema_info (left_over BOOLEAN); DROP TABLE schema_info")
        .await;
    try_open(&postgres.url()).await.unwrap().close().await;
}

#[tokio::test]
async fn a_server_that_loses_commits_is_refused() {
    let Some(postgres) = Postgres::with(&["fsync=off"]).await else {
        return;
    };
    let message = refusal(&postgres.url()).await;
    assert!(
        message.contains("fsync=off where on is needed"),
        "{message}"
    );
}

#[tokio::test]
async fn a_database_that_commits_asynchronously_does_not_for_us() {
    let Some(postgres) = Postgres::with(&["synchronous_commit=off"]).await else {
        return;
    };
    try_open(&postgres.url()).await.unwrap().close().await;
}

#[tokio::test]
async fn refusals_name_the_database_and_no_password() {
    let Some(mut postgres) = Postgres::start().await else {
        return;
    };
    let host = postgres.path().display().to_string();
    for (url, says) in [
        (
            format!("postgres:///absent?user=idp&password=hunter2&host={host}"),
            "database \"absent\" does not exist",
        ),
        (
            format!("postgres:///idp?user=nobody&password=hunter2&host={host}"),
            "role \"nobody\" does not exist",
        ),
    ] {
        let message = refusal(&url.parse().unwrap()).await;
        assert!(message.contains(says), "{message}");
        assert!(message.contains("pg_hba.conf"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    postgres.stop();
    let message = refusal(&postgres.url()).await;
    assert!(
        message.contains("postgres:///idp?host=") && message.contains("cannot be reached"),
        "{message}"
    );
}
