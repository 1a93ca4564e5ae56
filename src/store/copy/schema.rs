//! What both databases are made of: tables in the order in which they can be filled, and their columns.

use sqlx::{PgConnection, SqliteConnection, query_as, query_scalar};

use super::CopyError;

/// Tables that say something of a database and not of the installation in it.
const OWN_TABLES: [&str; 4] = ["_sqlx_migrations", "schema_info", "leases", "clock"];

/// The target's tables, each after those that it refers to.
pub(super) async fn tables(target: &mut PgConnection) -> Result<Vec<String>, CopyError> {
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

/// A column of the target.
pub(super) struct Column {
    pub(super) name: String,
    kind: String,
}

impl Column {
    /// The value as SQLite has it, which knows no truth values.
    pub(super) fn as_copied(&self) -> String {
        match self.kind.as_str() {
            "boolean" => format!("{}::integer", self.name),
            _ => self.name.clone(),
        }
    }
}

/// The columns of a table, which have to be the same on both sides.
pub(super) async fn columns(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    table: &str,
) -> Result<Vec<Column>, CopyError> {
    let here: Vec<String> = query_scalar("SELECT name FROM pragma_table_info($1) ORDER BY name")
        .bind(table)
        .fetch_all(source)
        .await?;
    let columns: Vec<(String, String)> = query_as(
        "SELECT column_name::text, data_type::text FROM information_schema.columns \
         WHERE table_schema = current_schema() AND table_name = $1 \
         ORDER BY column_name COLLATE \"C\"",
    )
    .bind(table)
    .fetch_all(target)
    .await?;
    let there: Vec<&String> = columns.iter().map(|(name, _)| name).collect();
    if here.iter().eq(there.iter().copied()) {
        Ok(columns
            .into_iter()
            .map(|(name, kind)| Column { name, kind })
            .collect())
    } else {
        Err(CopyError::Schema {
            table: table.to_owned(),
            difference: format!("{here:?} here, {there:?} there"),
        })
    }
}
