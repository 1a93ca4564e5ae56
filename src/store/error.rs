//! What an error of the database means to a caller.

use crate::ports::StoreError;

/// SQLite's primary result codes for a file that is damaged and one that is no database
/// (<https://www.sqlite.org/rescode.html>). SQLSTATEs have five characters, so the two cannot be
/// confused.
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;

/// A value that cannot be read is the database's fault for good; anything else may pass.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that `map_err` hands errors over in"
)]
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::TypeNotFound { .. } => StoreError::Corrupt(error.to_string()),
        _ if matches!(sqlite_code(&error), Some(SQLITE_CORRUPT | SQLITE_NOTADB)) => {
            StoreError::Corrupt(error.to_string())
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// The primary result code where the error is SQLite's.
pub(super) fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    if code.len() >= 5 {
        return None;
    }
    // The low byte; the others refine it.
    code.parse::<i32>().ok().map(|code| code & 0xff)
}
