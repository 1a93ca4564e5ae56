//! Opening a database file: made if missing, migrated, and refused where it is not safe to use.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _, Row as _, SqliteConnection,
    migrate::{MigrateError, Migrator},
    query, query_as, query_scalar,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePoolOptions,
        SqliteSynchronous,
    },
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use super::{
    SqliteStore,
    error::{OpenError, explain},
    journal::{Committer, Journal},
    lookup::Lookup,
};
use crate::domain::{Clock, Timestamp};

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it is waited for others to close a file that has to be nobody else's: a command that is about to
/// end, not a server.
const ALONE_TIMEOUT: Duration = Duration::from_secs(1);

/// What the writer must run with, as SQLite reads the settings back: every commit is on the disk
/// before it returns, and a crash loses none (<https://www.sqlite.org/pragma.html#pragma_synchronous>).
const ASSERTED: [(&str, &str, &str); 4] = [
    ("journal_mode", "PRAGMA journal_mode", "wal"),
    ("synchronous", "PRAGMA synchronous", "2"),
    ("foreign_keys", "PRAGMA foreign_keys", "1"),
    ("busy_timeout", "PRAGMA busy_timeout", "5000"),
];

/// Readers for everything that mints do not need.
const READERS: u32 = 3;

impl SqliteStore {
    /// Opens the file that `url` names (`sqlite:PATH`, also `sqlite://PATH`; the path is taken as it
    /// is), makes it, readable by its owner only, where it is missing, and brings its schema up to
    /// date. Needs a Tokio runtime, which runs the store's tasks until it is closed or dropped.
    pub async fn open(url: &str, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let path = file(url)?;
        create(&path)?;
        let writer = open_writer(&path, clock.as_ref()).await?;
        let lookup = Lookup::start(connect(&path, reader_options(&path)).await?);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY_TIMEOUT)
            // A connection to a file does not go stale.
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(reader_options(&path));
        let writer = Arc::new(Mutex::new(Some(writer)));
        Ok(Self {
            journal: Journal::start(Committer(Arc::clone(&writer))),
            writer,
            readers,
            lookup,
        })
    }
}

/// The one connection that writes, with the schema up to date.
///
/// The change of a new file to WAL is refused at once where another program is at it too, whatever
/// the busy timeout says; so it is tried again until that has passed.
async fn open_writer(path: &Path, clock: &dyn Clock) -> Result<SqliteConnection, OpenError> {
    let start = Instant::now();
    loop {
        match try_open_writer(path, clock).await {
            Err(OpenError::Locked(_)) if start.elapsed() < BUSY_TIMEOUT => {
                sleep(Duration::from_millis(20)).await;
            }
            result => return result,
        }
    }
}

async fn try_open_writer(path: &Path, clock: &dyn Clock) -> Result<SqliteConnection, OpenError> {
    let mut writer = connect(path, writer_options(path)).await?;
    assert_settings(path, &mut writer).await?;
    migrate(path, &mut writer, clock).await?;
    Ok(writer)
}

/// The file that an address names, as an absolute path: one that begins with `file:` would be read
/// as an URI by SQLite.
fn file(url: &str) -> Result<PathBuf, OpenError> {
    let path = url
        .strip_prefix("sqlite:")
        .ok_or_else(|| OpenError::Url(url.to_owned()))?;
    let path = path.strip_prefix("//").unwrap_or(path);
    if path == ":memory:" {
        return Err(OpenError::Memory(url.to_owned()));
    }
    if path.is_empty() || path.contains(['?', '\0']) {
        return Err(OpenError::Url(url.to_owned()));
    }
    std::path::absolute(path).map_err(|cause| OpenError::Access {
        path: path.into(),
        cause,
    })
}

/// Makes the file where it is missing, with its mode from the first moment on; SQLite gives the
/// same mode to the files that it puts beside it.
///
/// A file that exists is not even opened: closing it again would drop the locks that another store
/// of this process holds on it (<https://www.sqlite.org/howtocorrupt.html>, §2.2).
fn create(path: &Path) -> Result<(), OpenError> {
    let access = |cause| OpenError::Access {
        path: path.to_owned(),
        cause,
    };
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => return Ok(()),
        Ok(_) => return Err(OpenError::NotAFile(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(access(error)),
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) {
        return Err(OpenError::NoDirectory {
            path: path.to_owned(),
            parent: parent.to_owned(),
        });
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(access(error)),
    }
}

/// Of the writer. The log is copied into the database every 4,000 pages (16 MiB), so that pages
/// that many batches touch are copied once, and never stays larger than twice that.
fn writer_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("cache_size", "-8192")
        .pragma("temp_store", "MEMORY")
        .pragma("wal_autocheckpoint", "4000")
        .pragma("journal_size_limit", "33554432")
        .disable_statement_logging()
}

/// Of the connections that only read.
fn reader_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", "-2048")
        .disable_statement_logging()
}

async fn connect(
    path: &Path,
    options: SqliteConnectOptions,
) -> Result<SqliteConnection, OpenError> {
    options
        .connect()
        .await
        .map_err(|error| explain(path, &error))
}

/// A connection besides which nobody has the file open while it lives: a server holds a lock on it from its
/// start to its end (<https://www.sqlite.org/pragma.html#pragma_locking_mode>). The file is neither made nor
/// migrated.
pub(in crate::store) async fn open_alone(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let path = std::path::absolute(path)?;
    let mut connection = SqliteConnectOptions::new()
        .filename(&path)
        .busy_timeout(ALONE_TIMEOUT)
        .locking_mode(SqliteLockingMode::Exclusive)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging()
        .connect()
        .await?;
    query("BEGIN EXCLUSIVE").execute(&mut connection).await?;
    query("SELECT 1 FROM schema_info")
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

async fn assert_settings(path: &Path, connection: &mut SqliteConnection) -> Result<(), OpenError> {
    for (pragma, read, wanted) in ASSERTED {
        let row = query(read)
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| explain(path, &error))?;
        // Unchecked, because some of these are numbers; SQLite writes those as text when asked to.
        let actual: String = row
            .try_get_unchecked(0)
            .map_err(|error| explain(path, &error))?;
        if actual != wanted {
            return Err(OpenError::Setting {
                path: path.to_owned(),
                pragma,
                actual,
                wanted,
            });
        }
    }
    Ok(())
}

/// Brings the schema up to date, in one transaction, so that of several programs that start at once
/// one does it and the others find it done.
async fn migrate(
    path: &Path,
    connection: &mut SqliteConnection,
    clock: &dyn Clock,
) -> Result<(), OpenError> {
    let explain = |error| explain(path, &error);
    let mut migrator = sqlx::migrate!("migrations/sqlite");
    // A newer program may have added what this one does not know; `min_compatible` says whether
    // that matters.
    migrator.set_ignore_missing(true);

    let mut transaction = connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(explain)?;
    refuse_newer(path, &mut transaction, &migrator).await?;
    // Not `run`: its future is not `Send` (https://github.com/launchbadge/sqlx/issues/2016).
    migrator
        .run_direct(None, &mut *transaction, false)
        .await
        .map_err(|error| match error {
            MigrateError::Execute(error) => explain(error),
            other => OpenError::Migration {
                path: path.to_owned(),
                reason: other.to_string(),
            },
        })?;
    refuse_moved(path, &mut transaction).await?;
    query("UPDATE schema_info SET created_at = $1 WHERE created_at IS NULL")
        .bind(clock.now().ms())
        .execute(&mut *transaction)
        .await
        .map_err(explain)?;
    transaction.commit().await.map_err(explain)
}

async fn refuse_newer(
    path: &Path,
    connection: &mut SqliteConnection,
    migrator: &Migrator,
) -> Result<(), OpenError> {
    let explain = |error| explain(path, &error);
    let made: Option<i64> =
        query_scalar("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_info'")
            .fetch_optional(&mut *connection)
            .await
            .map_err(explain)?;
    if made.is_none() {
        return Ok(());
    }
    let min_compatible: i64 = query_scalar("SELECT min_compatible FROM schema_info")
        .fetch_one(&mut *connection)
        .await
        .map_err(explain)?;
    let known = migrator
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0);
    if min_compatible > known {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            min_compatible,
            known,
        });
    }
    Ok(())
}

/// Refuses what an installation has left behind that was copied elsewhere.
async fn refuse_moved(path: &Path, connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let moved: Option<(String, i64)> =
        query_as("SELECT moved_to, moved_at FROM schema_info WHERE moved_to IS NOT NULL")
            .fetch_optional(connection)
            .await
            .map_err(|error| explain(path, &error))?;
    match moved {
        None => Ok(()),
        Some((to, at)) => Err(OpenError::Moved {
            path: path.to_owned(),
            to,
            at: Timestamp::from_ms(at),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_file() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("idp.db");
        create(&path).unwrap();
        (directory, path)
    }

    #[tokio::test]
    async fn the_writer_is_durable_and_says_so() {
        let (_directory, path) = new_file();
        let mut writer = connect(&path, writer_options(&path)).await.unwrap();
        assert_settings(&path, &mut writer).await.unwrap();
    }

    #[tokio::test]
    async fn a_setting_that_does_not_hold_stops_the_start() {
        let (_directory, path) = new_file();
        for (options, expected) in [
            (
                writer_options(&path).journal_mode(SqliteJournalMode::Delete),
                "journal_mode=delete where wal",
            ),
            (
                writer_options(&path).synchronous(SqliteSynchronous::Normal),
                "synchronous=1 where 2",
            ),
            (
                writer_options(&path).foreign_keys(false),
                "foreign_keys=0 where 1",
            ),
            (
                writer_options(&path).busy_timeout(Duration::ZERO),
                "busy_timeout=0 where 5000",
            ),
        ] {
            let mut writer = connect(&path, options).await.unwrap();
            let message = assert_settings(&path, &mut writer)
                .await
                .unwrap_err()
                .to_string();
            assert!(message.contains(expected), "{message}");
            assert!(
                message.contains("idp.db cannot be used safely"),
                "{message}"
            );
            writer.close().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_refused() {
        let (_directory, path) = new_file();
        let mut connection = connect(&path, writer_options(&path)).await.unwrap();
        connection.close().await.unwrap();
        connection = connect(&path, reader_options(&path)).await.unwrap();
        let message = migrate(&path, &mut connection, &crate::domain::SystemClock)
            .await
            .unwrap_err()
            .to_string();
        assert!(message.contains("idp.db cannot be written"), "{message}");
        assert!(message.contains("write permission"), "{message}");
    }

    #[test]
    fn paths_are_taken_as_they_are() {
        for (url, expected) in [
            ("sqlite:/var/lib/idp.db", "/var/lib/idp.db"),
            ("sqlite:///var/lib/idp.db", "/var/lib/idp.db"),
            ("sqlite:/a%20b/file:c.db", "/a%20b/file:c.db"),
        ] {
            assert_eq!(file(url).unwrap(), Path::new(expected));
        }
        let relative = file("sqlite://data/idp.db").unwrap();
        assert!(relative.is_absolute() && relative.ends_with("data/idp.db"));
        assert!(file("sqlite:file:x.db").unwrap().is_absolute());
    }
}
