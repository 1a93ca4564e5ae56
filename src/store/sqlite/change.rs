//! A transaction that writes.

use std::ops::{Deref, DerefMut};

use sqlx::{Executor as _, SqliteConnection};
use tokio::{runtime::Handle, sync::OwnedMutexGuard};

use super::{Writer, closed};
use crate::{ports::StoreError, store::error::store_error};

type Connection = tokio::sync::OwnedMappedMutexGuard<Option<SqliteConnection>, SqliteConnection>;

/// The connection that writes, when it is this caller's turn.
pub(super) async fn connection(writer: &Writer) -> Result<Connection, StoreError> {
    let writer = writer.clone().lock_owned().await;
    OwnedMutexGuard::try_map(writer, Option::as_mut).map_err(|_| closed())
}

/// A transaction that writes. It holds SQLite's write lock from its beginning, so that what it reads
/// stays true until it commits. Dropped before that, whether because there was nothing to do, because
/// of an error or because nobody waits for it any more, it is rolled back before the connection goes
/// to the next.
///
/// Not sqlx's own: that one loses count where SQLite rolls back by itself, as it does when the disk
/// is full, and its connection can never begin a transaction again.
pub(super) struct Change(Option<Connection>);

impl Change {
    pub(super) async fn begin(writer: &Writer) -> Result<Self, StoreError> {
        // Made before the transaction is begun: whoever leaves in between leaves one that may begin.
        let mut change = Self(Some(connection(writer).await?));
        change
            .execute("BEGIN IMMEDIATE")
            .await
            .map_err(store_error)?;
        Ok(change)
    }

    /// Makes it durable.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        self.execute("COMMIT").await.map_err(store_error)?;
        self.0 = None;
        Ok(())
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        let (Some(mut connection), Ok(runtime)) = (self.0.take(), Handle::try_current()) else {
            // Committed; or the runtime is gone, and the connection with it.
            return;
        };
        runtime.spawn(async move {
            // Fails where SQLite has rolled back already.
            let _ = connection.execute("ROLLBACK").await;
        });
    }
}

const HELD: &str = "a change holds its connection until it is committed, which consumes it";

impl Deref for Change {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.0.as_deref().expect(HELD)
    }
}

impl DerefMut for Change {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.0.as_deref_mut().expect(HELD)
    }
}
