//! Databases behind the store ports; the only room that names sqlx.
//!
//! What both databases share lies here: the hash chain of the audit log, the mapping of rows, and
//! the SQL that both understand. What differs lies in a module of its own for each.

mod audit;
mod copy;
mod error;
mod jti;
mod keys;
mod postgres;
mod principals;
mod queue;
mod rotation;
mod rows;
mod sql;
mod sqlite;

use crate::ports::StoreError;

pub use audit::{audit_hash, first_broken};
pub use copy::{Copied, CopyError, CopyProgress, Reopened, copy_database, reopen_database};
pub use postgres::{PostgresOpenError, PostgresStore};
pub use sqlite::{OpenError, SqliteStore};

/// A value as TEXT JSON.
fn json_text<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}
