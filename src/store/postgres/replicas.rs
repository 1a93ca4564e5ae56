//! What replicas tell each other, and what only one of them does at a time.

use async_trait::async_trait;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
    query,
};
use tokio::sync::Mutex;

use super::{PostgresStore, session::CONNECT};
use crate::{
    domain::Timestamp,
    ports::{Notice, ReplicaStore, StoreError},
    store::{error::store_error, sql},
};

/// What the triggers of the schema notify.
const CHANNEL: &str = "idp_changes";

/// The connection that is told of changes.
pub(super) struct Listener {
    pool: PgPool,
    listening: Mutex<Option<PgListener>>,
}

impl Listener {
    /// Nothing is connected yet.
    pub(super) fn new(options: PgConnectOptions) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options);
        Self {
            pool,
            listening: Mutex::new(None),
        }
    }

    async fn next(&self) -> Result<Notice, sqlx::Error> {
        let mut listening = self.listening.lock().await;
        let Some(listener) = listening.as_mut() else {
            let mut listener = PgListener::connect_with(&self.pool).await?;
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            *listening = Some(listener);
            // What was told before this went unheard.
            return Ok(Notice::Unknown);
        };
        match listener.try_recv().await {
            Ok(Some(told)) => Ok(read(told.payload())),
            Ok(None) => {
                *listening = None;
                Err(sqlx::Error::Io(
                    std::io::ErrorKind::ConnectionAborted.into(),
                ))
            }
            Err(error) => {
                *listening = None;
                Err(error)
            }
        }
    }

    pub(super) async fn close(&self) {
        // The pool waits for its connection, which a listener holds that nobody asks any more.
        tokio::join!(self.pool.close(), async {
            *self.listening.lock().await = None;
        });
    }
}

/// What a notification means. A newer program's may mean anything.
fn read(payload: &str) -> Notice {
    match payload.split_once(':') {
        Some(("environments", id)) => id.parse().map_or(Notice::Unknown, Notice::Environment),
        None if payload == "issuer_keys" => Notice::Keys,
        None if payload == "organizations" => Notice::Organizations,
        _ => Notice::Unknown,
    }
}

#[async_trait]
impl ReplicaStore for PostgresStore {
    async fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let acquired = query(sql::ACQUIRE_LEASE)
            .bind(name)
            .bind(holder)
            .bind(now.ms())
            .bind(until.ms())
            .execute(&self.pool)
            .await
            .map_err(store_error)?;
        Ok(acquired.rows_affected() == 1)
    }

    async fn next_notice(&self) -> Result<Notice, StoreError> {
        self.listener.next().await.map_err(store_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_may_mean_anything() {
        let id = "019527e4-75d5-704d-a5a4-a2b52cf56196";
        for (payload, expected) in [
            ("issuer_keys", Notice::Keys),
            ("organizations", Notice::Organizations),
            (
                &*format!("environments:{id}"),
                Notice::Environment(id.parse().unwrap()),
            ),
            ("environments:x", Notice::Unknown),
            ("environments", Notice::Unknown),
            ("rules:1", Notice::Unknown),
            ("", Notice::Unknown),
        ] {
            assert_eq!(read(payload), expected, "{payload}");
        }
    }
}
