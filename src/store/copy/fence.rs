//! What keeps an installation from being served where it was copied from.

use std::path::Path;

use sqlx::{Connection as _, SqliteConnection, query, query_as, query_scalar};

use super::{CopyError, unreadable};
use crate::{
    domain::{DatabaseUrl, Timestamp},
    store::sqlite::open_alone,
};

/// An installation that can be served again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reopened {
    /// Where it had been moved to, without a password, and when; `None` where it had not been moved.
    pub moved: Option<(String, Timestamp)>,
}

/// Where the installation was moved to, and when.
pub(super) async fn moved(
    source: &mut SqliteConnection,
) -> Result<Option<(String, Timestamp)>, CopyError> {
    let knows: Option<i64> =
        query_scalar("SELECT 1 FROM pragma_table_info('schema_info') WHERE name = 'moved_to'")
            .fetch_optional(&mut *source)
            .await?;
    if knows.is_none() {
        // Last served by a version that copied nothing so.
        return Ok(None);
    }
    let row: Option<(String, i64)> =
        query_as("SELECT moved_to, moved_at FROM schema_info WHERE moved_to IS NOT NULL")
            .fetch_optional(source)
            .await?;
    Ok(row.map(|(to, at)| (to, Timestamp::from_ms(at))))
}

/// Ends the transaction of the source with a note that stops every start on it.
pub(super) async fn fence(
    source: &mut SqliteConnection,
    to: &DatabaseUrl,
    now: Timestamp,
) -> Result<(), CopyError> {
    // Its `Display` leaves a password out.
    query("UPDATE schema_info SET moved_to = $1, moved_at = $2")
        .bind(to.to_string())
        .bind(now.ms())
        .execute(&mut *source)
        .await?;
    query("COMMIT").execute(source).await?;
    Ok(())
}

/// Takes the note away that [`super::copy_database`] left in the SQLite file `from`. Whoever calls this sees
/// to it that the copy is not served any more.
///
/// # Errors
/// No SQLite file of this version, or one in use.
pub async fn reopen_database(from: &DatabaseUrl) -> Result<Reopened, CopyError> {
    let path: &Path = from
        .sqlite_path()
        .ok_or_else(|| CopyError::Direction(from.to_string()))?;
    let failed = |error: sqlx::Error| unreadable(path, &error);
    let mut source = open_alone(path).await.map_err(failed)?;
    let moved = moved(&mut source).await?;
    if moved.is_some() {
        query("UPDATE schema_info SET moved_to = NULL, moved_at = NULL")
            .execute(&mut source)
            .await
            .map_err(failed)?;
    }
    query("COMMIT").execute(&mut source).await.map_err(failed)?;
    drop(source.close().await);
    Ok(Reopened { moved })
}
