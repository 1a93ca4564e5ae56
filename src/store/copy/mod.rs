//! Moving an installation from SQLite to PostgreSQL.
//!
//! All rows go over in one transaction of the target, while nobody else can use the source. Whoever
//! interrupts it leaves an empty target, and nobody serves from it before the copy is verified. Of source and
//! target one at most can be served at any moment: the source is fenced just before the target is kept.

mod chains;
mod fence;
mod rows;
mod schema;

use std::{collections::BTreeMap, path::Path};

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection, query, query_scalar};

use self::{
    chains::verify_chains,
    fence::{fence, moved},
    rows::{Content, write_row},
    schema::{Column, columns, tables},
};
use super::{OpenError, PostgresOpenError, error::store_error, sqlite::explain as explain_sqlite};
use crate::{
    domain::{Clock, DatabaseUrl, Timestamp},
    ports::StoreError,
};

pub use fence::{Reopened, reopen_database};

/// How much is sent to PostgreSQL at a time.
const CHUNK: usize = 64 * 1024;

/// How many rows there are between two reports.
const REPORT: u64 = 10_000;

/// Why nothing was copied. The target is as it was, but for its empty tables.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Not two databases that this copies between.
    #[error("a copy goes from sqlite:PATH to postgres://…; {0} is not that")]
    Direction(String),
    /// The source does not open.
    #[error(
        "{path} cannot be read: {reason}; name the file of an installation that was served before"
    )]
    Source {
        /// The file.
        path: String,
        /// What happened.
        reason: String,
    },
    /// A server, or another command, has the source open.
    #[error(
        "{path} is in use: stop the server, and whatever would start it again, then copy (`fuser {path}` \
         names the process)"
    )]
    InUse {
        /// The file.
        path: String,
    },
    /// The source was copied before.
    #[error(
        "{path} was moved to {to} on {at}: serve from there. If that copy is given up and nobody serves \
         from it, run: idp admin database reopen --from sqlite:{path}"
    )]
    Moved {
        /// The file.
        path: String,
        /// The address of the copy, without a password.
        to: String,
        /// When it was moved.
        at: Timestamp,
    },
    /// The source was last served by another version.
    #[error(
        "the schema of {path} is at version {found}, and this program's at {known}; start and stop \
         `idp serve` of this version on it once, then copy"
    )]
    Version {
        /// The file.
        path: String,
        /// Its last migration.
        found: i64,
        /// The target's last migration.
        known: i64,
    },
    /// The target does not open.
    #[error(transparent)]
    Target(#[from] PostgresOpenError),
    /// Somebody uses the target already.
    #[error(
        "the target is not empty: table {table} has rows; name a database of its own, or empty this one"
    )]
    NotEmpty {
        /// The first such table.
        table: String,
    },
    /// A table or a column that only one side has.
    #[error("table {table} is not the same in both databases: {difference}")]
    Schema {
        /// The table.
        table: String,
        /// What differs.
        difference: String,
    },
    /// The copy is not what the source holds.
    #[error("the copy was not kept: {0}")]
    Unverified(String),
    /// The target did not say whether it has kept the copy.
    #[error(
        "the connection to the target was lost just as the copy was kept ({0}), and the source is not \
         served any more. Run this again: it copies once more where the target is empty, and where it \
         is not, the copy is there to be served"
    )]
    Uncertain(StoreError),
    /// A database failed half-way.
    #[error("the copy was not kept: {0}")]
    Failed(#[from] StoreError),
}

impl From<sqlx::Error> for CopyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(store_error(error))
    }
}

/// How far a copy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyProgress {
    /// The table; `None` while audit chains are verified.
    pub table: Option<String>,
    /// Rows done.
    pub done: u64,
    /// Rows that there are.
    pub total: u64,
}

/// What was copied: rows by table, and how many audit chains were verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Rows by table.
    pub tables: BTreeMap<String, u64>,
    /// Audit chains that were hashed again from the copy.
    pub chains: u64,
}

/// Copies the installation in the SQLite file `from` into the empty PostgreSQL database `to`, verifies
/// the copy, keeps it and fences the source. `progress` is told how far it is every few thousand rows.
///
/// Nobody else can use the source meanwhile. One that was copied is copied again only to the same address,
/// and only where nothing is there.
///
/// # Errors
/// See [`CopyError`]. Nothing of the copy is left then.
pub async fn copy_database(
    from: &DatabaseUrl,
    to: &DatabaseUrl,
    clock: &dyn Clock,
    progress: &mut (dyn FnMut(CopyProgress) + Send),
) -> Result<Copied, CopyError> {
    let Some(path) = from.sqlite_path() else {
        return Err(CopyError::Direction(from.to_string()));
    };
    if to.sqlite_path().is_some() {
        return Err(CopyError::Direction(to.to_string()));
    }
    let mut source = super::sqlite::open_alone(path)
        .await
        .map_err(|error| unreadable(path, &error))?;
    if let Some((address, at)) = moved(&mut source).await?
        && address != to.to_string()
    {
        return Err(CopyError::Moved {
            path: path.display().to_string(),
            to: address,
            at,
        });
    }
    let mut target = super::postgres::open_for_copy(to, clock).await?;
    let mut copy = target.begin().await?;
    same_version(path, &mut source, &mut copy).await?;
    let tables = tables(&mut copy).await?;
    claim(&mut copy, &tables).await?;
    let mut copied = Copied::default();
    for table in tables {
        let rows = copy_table(&mut source, &mut copy, &table, progress).await?;
        copied.tables.insert(table, rows);
    }
    copied.chains = verify_chains(&mut copy, &copied, progress).await?;
    for table in copied.tables.keys() {
        run(&mut copy, format!("ANALYZE {table}")).await?;
    }
    fence(&mut source, to, clock.now()).await?;
    copy.commit()
        .await
        .map_err(|error| CopyError::Uncertain(store_error(error)))?;
    // Both have nothing to lose.
    drop(source.close().await);
    drop(target.close().await);
    Ok(copied)
}

fn unreadable(path: &Path, error: &sqlx::Error) -> CopyError {
    let shown = path.display().to_string();
    match explain_sqlite(path, error) {
        OpenError::Locked(_) => CopyError::InUse { path: shown },
        _ => CopyError::Source {
            path: shown,
            reason: error.to_string(),
        },
    }
}

async fn same_version(
    path: &Path,
    source: &mut SqliteConnection,
    target: &mut PgConnection,
) -> Result<(), CopyError> {
    const LAST: &str = "SELECT max(version) FROM _sqlx_migrations WHERE success";
    let found: Option<i64> = query_scalar(LAST)
        .fetch_one(source)
        .await
        .map_err(|error| unreadable(path, &error))?;
    let known: Option<i64> = query_scalar(LAST).fetch_one(target).await?;
    let (found, known) = (found.unwrap_or(0), known.unwrap_or(0));
    if found == known {
        Ok(())
    } else {
        Err(CopyError::Version {
            path: path.display().to_string(),
            found,
            known,
        })
    }
}

/// Locks the target's tables, so that nobody uses them before the copy is whole, and makes sure that
/// nobody has.
async fn claim(target: &mut PgConnection, tables: &[String]) -> Result<(), CopyError> {
    for table in tables {
        run(
            target,
            format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"),
        )
        .await?;
        let rows: bool = query_scalar(AssertSqlSafe(format!(
            "SELECT EXISTS (SELECT 1 FROM {table})"
        )))
        .fetch_one(&mut *target)
        .await?;
        if rows {
            return Err(CopyError::NotEmpty {
                table: table.clone(),
            });
        }
    }
    Ok(())
}

async fn run(target: &mut PgConnection, sql: String) -> Result<(), CopyError> {
    query(AssertSqlSafe(sql)).execute(target).await?;
    Ok(())
}

async fn copy_table(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    table: &str,
    progress: &mut (dyn FnMut(CopyProgress) + Send),
) -> Result<u64, CopyError> {
    let columns = columns(source, target, table).await?;
    let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
    let names = names.join(", ");
    let total: i64 = query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
        .fetch_one(&mut *source)
        .await?;
    let mut report = |done| {
        progress(CopyProgress {
            table: Some(table.to_owned()),
            done,
            total: total.unsigned_abs(),
        });
    };
    report(0);
    let mut sink = target
        .copy_in_raw(&format!("COPY {table} ({names}) FROM STDIN"))
        .await?;
    let mut rows = query(AssertSqlSafe(format!("SELECT {names} FROM {table}"))).fetch(&mut *source);
    let mut chunk = Vec::with_capacity(CHUNK + 4096);
    let mut here = Content::default();
    while let Some(row) = rows.try_next().await? {
        let start = chunk.len();
        write_row(&row, &mut chunk)?;
        here.add(&chunk[start..chunk.len() - 1]);
        if chunk.len() >= CHUNK {
            sink.send(chunk.as_slice()).await?;
            chunk.clear();
        }
        if here.rows % REPORT == 0 {
            report(here.rows);
        }
    }
    sink.send(chunk.as_slice()).await?;
    sink.finish().await?;
    let there = content(target, table, &columns).await?;
    let total = total.unsigned_abs();
    if total != here.rows || there.rows != here.rows {
        return Err(CopyError::Unverified(format!(
            "table {table} has {total} rows, of which {} arrived",
            there.rows
        )));
    }
    if there != here {
        return Err(CopyError::Unverified(format!(
            "the rows of table {table} are not in the target as they are in the source; look for triggers \
             and rules there that change them"
        )));
    }
    report(here.rows);
    Ok(here.rows)
}

/// What is in a table of the target, as the target gives it back.
async fn content(
    target: &mut PgConnection,
    table: &str,
    columns: &[Column],
) -> Result<Content, CopyError> {
    let values: Vec<String> = columns.iter().map(Column::as_copied).collect();
    let values = values.join(", ");
    run(target, "SET LOCAL bytea_output = 'hex'".to_owned()).await?;
    let mut sent = target
        .copy_out_raw(&format!("COPY (SELECT {values} FROM {table}) TO STDOUT"))
        .await?;
    let (mut content, mut pending) = (Content::default(), Vec::new());
    while let Some(bytes) = sent.try_next().await? {
        pending.extend_from_slice(&bytes);
        content.add_lines(&mut pending);
    }
    Ok(content)
}
