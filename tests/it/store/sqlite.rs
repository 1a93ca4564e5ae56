//! SQLite: the conformance cases, and what is its own.

use std::sync::Arc;

use async_trait::async_trait;
use idp::{
    domain::{Clock, SimulatedClock, Timestamp},
    ports::Store,
    store::{OpenError, SqliteStore},
};
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tempfile::TempDir;

use super::Database;

super::conformance!(File);

/// A file in a directory of its own.
pub(super) struct File(TempDir);

impl File {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.path().display())
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("idp.db")
    }

    async fn try_open(&self) -> Result<SqliteStore, OpenError> {
        SqliteStore::open(&self.url(), clock()).await
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SimulatedClock::new(Timestamp::from_secs(1_740_514_245)))
}

#[async_trait]
impl Database for File {
    async fn create() -> Option<Self> {
        Some(Self::new())
    }

    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.url(), clock).await.unwrap())
    }

    async fn tamper(&self, sql: &'static str) {
        let mut connection = SqliteConnection::connect(&self.url()).await.unwrap();
        connection.execute(sql).await.unwrap();
        connection.close().await.unwrap();
    }
}

async fn refusal(file: &File) -> String {
    match file.try_open().await {
        Ok(_) => panic!("opened"),
        Err(error) => error.to_string(),
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_and_its_log_are_the_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let file = File::new();
    let store = file.try_open().await.unwrap();
    for name in ["idp.db", "idp.db-wal", "idp.db-shm"] {
        let mode = std::fs::metadata(file.0.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    store.close().await;
    let left: Vec<_> = std::fs::read_dir(file.0.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "one tidy file is left: {left:?}");
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_left_alone() {
    let file = File::new();
    let content = "a shopping list ".repeat(100);
    std::fs::write(file.path(), &content).unwrap();
    let message = refusal(&file).await;
    assert!(
        message.contains("idp.db is not an SQLite database"),
        "{message}"
    );
    assert!(message.contains("move this one away"), "{message}");
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), content);
}

#[tokio::test]
async fn a_directory_is_not_a_file() {
    let file = File::new();
    std::fs::create_dir(file.path()).unwrap();
    let message = refusal(&file).await;
    assert!(message.contains("idp.db is not a file"), "{message}");
}

#[tokio::test]
async fn a_missing_directory_is_named_and_not_made() {
    let file = File::new();
    let url = format!("sqlite:{}/absent/idp.db", file.0.path().display());
    let message = SqliteStore::open(&url, clock())
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        message.contains("/absent does not exist; make it"),
        "{message}"
    );
    assert!(!file.0.path().join("absent").exists());
}

#[tokio::test]
async fn addresses_that_are_no_file_are_refused() {
    for url in [
        "idp.db",
        "postgres://localhost/idp",
        "sqlite:",
        "sqlite:idp.db?mode=memory",
        "sqlite::memory:",
        "sqlite://:memory:",
    ] {
        let message = SqliteStore::open(url, clock())
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(message.contains(&format!("{url:?}")), "{message}");
        assert!(message.contains("like sqlite:"), "{message}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_only_where_it_says_so() {
    let file = File::new();
    file.try_open().await.unwrap().close().await;
    file.tamper(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (1000, 'from the future', TRUE, x'00', 0)",
    )
    .await;
    file.try_open()
        .await
        .expect("a newer but compatible schema is served")
        .close()
        .await;
    file.tamper("UPDATE schema_info SET min_compatible = 1000")
        .await;
    let message = refusal(&file).await;
    assert!(message.contains("idp.db needs a newer idp"), "{message}");
    assert!(message.contains("from version 1000 on"), "{message}");
    assert!(message.contains("upgrade idp"), "{message}");
}

#[tokio::test]
async fn a_locked_file_is_named() {
    let file = File::new();
    file.try_open().await.unwrap().close().await;
    let mut other = SqliteConnection::connect(&file.url()).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let message = refusal(&file).await;
    assert!(
        message.contains("idp.db is locked by another program; stop it"),
        "{message}"
    );
    other.close().await.unwrap();
}

#[tokio::test]
async fn programs_that_start_at_once_share_one_migration() {
    let file = File::new();
    let starts = (0..8).map(|_| file.try_open());
    for started in futures_util::future::join_all(starts).await {
        started.unwrap().close().await;
    }
}
