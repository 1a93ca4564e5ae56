//! Moving an installation from SQLite to PostgreSQL.
//!
//! All rows go over in one transaction of the target, out of one snapshot of the source. Whoever
//! interrupts it leaves an empty target, and nobody serves from it before the copy is verified.

use std::{collections::BTreeMap, path::Path};

use futures_util::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, Connection as _, Decode, PgConnection, Row as _, Sqlite, SqliteConnection,
    TypeInfo as _, ValueRef as _, query, query_as, query_scalar,
    sqlite::{SqliteRow, SqliteValueRef},
};

use super::{
    PostgresOpenError,
    audit::{chain_name, first_broken},
    error::store_error,
    rows::AuditRow,
};
use crate::{
    domain::{Clock, DatabaseUrl},
    ports::{AuditRecord, StoreError},
};

/// Tables that say something of a database and not of the installation in it.
const OWN_TABLES: [&str; 4] = ["_sqlx_migrations", "schema_info", "leases", "clock"];

/// How much is sent to PostgreSQL at a time.
const CHUNK: usize = 64 * 1024;

/// How many rows there are between two reports.
const REPORT: u64 = 10_000;

/// How many audit records are verified at a time.
const VERIFY: usize = 1_000;

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
/// the copy and keeps it. `progress` is told how far it is every few thousand rows.
///
/// The source is read as it was when the copy began; stop its server before.
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
    let mut source = super::sqlite::open_snapshot(path)
        .await
        .map_err(|error| unreadable(path, &error))?;
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
    copy.commit().await?;
    // Both have nothing to lose.
    drop(source.close().await);
    drop(target.close().await);
    Ok(copied)
}

fn unreadable(path: &Path, error: &sqlx::Error) -> CopyError {
    CopyError::Source {
        path: path.display().to_string(),
        reason: error.to_string(),
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

/// The target's tables, each after those that it refers to.
async fn tables(target: &mut PgConnection) -> Result<Vec<String>, CopyError> {
    let names: Vec<String> = query_scalar(
        "SELECT table_name::text FROM information_schema.tables \
         WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY table_name",
    )
    .fetch_all(&mut *target)
    .await?;
    let references: Vec<(String, String)> = query_as(
        "SELECT c.relname::text, r.relname::text FROM pg_constraint f \
         JOIN pg_class c ON c.oid = f.conrelid JOIN pg_class r ON r.oid = f.confrelid \
         WHERE f.contype = 'f' AND f.connamespace = current_schema()::regnamespace AND c <> r",
    )
    .fetch_all(target)
    .await?;
    let mut waiting: Vec<String> = names
        .into_iter()
        .filter(|name| !OWN_TABLES.contains(&name.as_str()))
        .collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.iter().cloned().partition(|table| {
            !references
                .iter()
                .any(|(child, parent)| child == table && waiting.contains(parent))
        });
        if ready.is_empty() {
            return Err(CopyError::Schema {
                table: rest.join(", "),
                difference: "they refer to each other".to_owned(),
            });
        }
        ordered.extend(ready);
        waiting = rest;
    }
    Ok(ordered)
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

/// The columns of a table, which have to be the same on both sides.
async fn columns(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    table: &str,
) -> Result<Vec<String>, CopyError> {
    let here: Vec<String> = query_scalar("SELECT name FROM pragma_table_info($1) ORDER BY name")
        .bind(table)
        .fetch_all(source)
        .await?;
    let there: Vec<String> = query_scalar(
        "SELECT column_name::text FROM information_schema.columns \
         WHERE table_schema = current_schema() AND table_name = $1 \
         ORDER BY column_name COLLATE \"C\"",
    )
    .bind(table)
    .fetch_all(target)
    .await?;
    if here == there {
        Ok(here)
    } else {
        Err(CopyError::Schema {
            table: table.to_owned(),
            difference: format!("{here:?} here, {there:?} there"),
        })
    }
}

async fn copy_table(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    table: &str,
    progress: &mut (dyn FnMut(CopyProgress) + Send),
) -> Result<u64, CopyError> {
    let columns = columns(source, target, table).await?.join(", ");
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
        .copy_in_raw(&format!("COPY {table} ({columns}) FROM STDIN"))
        .await?;
    let mut rows =
        query(AssertSqlSafe(format!("SELECT {columns} FROM {table}"))).fetch(&mut *source);
    let mut chunk = Vec::with_capacity(CHUNK + 4096);
    let mut done = 0;
    while let Some(row) = rows.try_next().await? {
        write_row(&row, &mut chunk)?;
        if chunk.len() >= CHUNK {
            sink.send(chunk.as_slice()).await?;
            chunk.clear();
        }
        done += 1;
        if done % REPORT == 0 {
            report(done);
        }
    }
    sink.send(chunk.as_slice()).await?;
    let written = sink.finish().await?;
    let there: i64 = query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
        .fetch_one(target)
        .await?;
    let (total, there) = (total.unsigned_abs(), there.unsigned_abs());
    if total != done || written != done || there != done {
        return Err(CopyError::Unverified(format!(
            "table {table} has {total} rows, of which {there} arrived"
        )));
    }
    report(done);
    Ok(done)
}

/// A row in the text format of COPY
/// (<https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2>).
fn write_row(row: &SqliteRow, out: &mut Vec<u8>) -> Result<(), CopyError> {
    for column in 0..row.len() {
        if column > 0 {
            out.push(b'\t');
        }
        write_value(row.try_get_raw(column)?, out)?;
    }
    out.push(b'\n');
    Ok(())
}

fn write_value(value: SqliteValueRef<'_>, out: &mut Vec<u8>) -> Result<(), CopyError> {
    let unreadable =
        |error: sqlx::error::BoxDynError| CopyError::Failed(StoreError::Corrupt(error.to_string()));
    if value.is_null() {
        out.extend_from_slice(b"\\N");
        return Ok(());
    }
    let info = value.type_info().into_owned();
    match info.name() {
        "INTEGER" | "BOOLEAN" => {
            let number = <i64 as Decode<'_, Sqlite>>::decode(value).map_err(unreadable)?;
            out.extend_from_slice(number.to_string().as_bytes());
        }
        "BLOB" => {
            let bytes = <&[u8] as Decode<'_, Sqlite>>::decode(value).map_err(unreadable)?;
            out.extend_from_slice(b"\\\\x");
            out.extend_from_slice(hex::encode(bytes).as_bytes());
        }
        _ => {
            let text = <&str as Decode<'_, Sqlite>>::decode(value).map_err(unreadable)?;
            write_text(text, out);
        }
    }
    Ok(())
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte => out.push(byte),
        }
    }
}

/// Hashes every audit chain again, from what PostgreSQL gives back, to its head.
async fn verify_chains(
    target: &mut PgConnection,
    copied: &Copied,
    progress: &mut (dyn FnMut(CopyProgress) + Send),
) -> Result<u64, CopyError> {
    let total = copied.tables.get("audit").copied().unwrap_or_default();
    let mut heads: BTreeMap<String, (i64, Vec<u8>)> = query_as::<_, (String, i64, Vec<u8>)>(
        "SELECT chain, seq, hash FROM audit_heads WHERE seq > 0",
    )
    .fetch_all(&mut *target)
    .await?
    .into_iter()
    .map(|(chain, seq, hash)| (chain, (seq, hash)))
    .collect();
    let chains = heads.len() as u64;
    let cuts: BTreeMap<String, (i64, Vec<u8>)> =
        query_as::<_, (String, i64, Vec<u8>)>("SELECT chain, seq, hash FROM audit_cuts")
            .fetch_all(&mut *target)
            .await?
            .into_iter()
            .map(|(chain, seq, hash)| (chain, (seq, hash)))
            .collect();
    let mut rows = query_as::<_, AuditRow>(
        "SELECT chain, seq, id, at, actor, action, target, outcome, request_id, source, details, \
         hash, NULL::bytea AS previous FROM audit ORDER BY chain, seq",
    )
    .fetch(target);
    let mut window: Vec<AuditRecord> = Vec::with_capacity(VERIFY);
    let mut done = 0;
    while let Some(row) = rows.try_next().await? {
        let mut record = AuditRecord::try_from(row)?;
        // What retention has cut off, and not removed yet, has no beginning.
        let cut = cuts.get(&chain_name(record.organization_id));
        if cut.is_some_and(|(seq, _)| record.seq <= *seq) {
            continue;
        }
        let follows = window
            .last()
            .filter(|last| last.organization_id == record.organization_id)
            .map(|last| last.hash);
        if let Some(hash) = follows {
            record.previous = hash;
        } else {
            check(&window)?;
            end_chain(&mut heads, window.last())?;
            window.clear();
            if let Some((_, hash)) = cut {
                record.previous = hash.as_slice().try_into().map_err(|_| {
                    CopyError::Unverified("a cut of the audit log has no hash".to_owned())
                })?;
            }
        }
        window.push(record);
        if window.len() == VERIFY {
            check(&window)?;
            window.drain(..VERIFY - 1);
        }
        done += 1;
        if done % REPORT == 0 {
            progress(CopyProgress {
                table: None,
                done,
                total,
            });
        }
    }
    check(&window)?;
    end_chain(&mut heads, window.last())?;
    match heads.keys().next() {
        None => Ok(chains),
        Some(chain) => Err(CopyError::Unverified(format!(
            "the audit chain {chain} has lost its records"
        ))),
    }
}

fn check(window: &[AuditRecord]) -> Result<(), CopyError> {
    match (first_broken(window), window.first()) {
        (Some(seq), Some(record)) => Err(CopyError::Unverified(format!(
            "the audit chain {} does not verify from record {seq} on; look at that record in the source",
            chain_name(record.organization_id)
        ))),
        _ => Ok(()),
    }
}

/// Compares the last record of a chain with the chain's head.
fn end_chain(
    heads: &mut BTreeMap<String, (i64, Vec<u8>)>,
    last: Option<&AuditRecord>,
) -> Result<(), CopyError> {
    let Some(last) = last else { return Ok(()) };
    let chain = chain_name(last.organization_id);
    match heads.remove(&chain) {
        Some((seq, hash)) if seq == last.seq && hash == last.hash => Ok(()),
        _ => Err(CopyError::Unverified(format!(
            "the audit chain {chain} ends with record {}, and its head says otherwise; look at the \
             end of that chain in the source",
            last.seq
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_as_copy_reads_it() {
        let mut out = Vec::new();
        write_text("a\\N\tb\r\n\\. é", &mut out);
        assert_eq!(out, "a\\\\N\\tb\\r\\n\\\\. é".as_bytes());
    }
}
