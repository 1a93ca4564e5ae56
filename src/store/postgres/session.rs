//! Connections with the settings that the store relies on, and one that is made again when it is lost.

use std::{future::Future, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions, query_as,
};
use tokio::time::timeout;

use super::error::{PostgresOpenError, explain};
use crate::ports::StoreError;

/// How long a connection may take to make.
pub(super) const CONNECT: Duration = Duration::from_secs(3);

/// How long a unit of work may take, from its first statement to its commit. The server's own limits
/// below are shorter, so this one strikes where the server has fallen silent.
const WORK: Duration = Duration::from_secs(8);

/// Sets what a connection needs and reads back what it has. Every commit is on the disk before it
/// returns. A statement that waits too long, and a transaction whose program has fallen silent, end, so
/// that one replica's trouble does not become every replica's: they hold locks on audit chains.
const PREPARE: &str = "SELECT \
     set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
         WHEN 'off' THEN 'on' WHEN 'local' THEN 'on' ELSE current_setting('synchronous_commit') END, \
         false), \
     set_config('statement_timeout', '6000', false), \
     set_config('lock_timeout', '5000', false), \
     set_config('idle_in_transaction_session_timeout', '5000', false), \
     set_config('default_transaction_isolation', 'read committed', false), \
     current_setting('fsync'), current_setting('server_encoding'), \
     current_setting('transaction_read_only')";

/// What [`PREPARE`] answers.
type Prepared = (
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    String,
);

/// Prepares a fresh connection.
///
/// # Errors
/// A setting that does not hold is a [`sqlx::Error::Configuration`] with a [`PostgresOpenError`] in it,
/// so that a pool's hook can return it.
pub(super) async fn prepare(
    database: &str,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let settings: Prepared = query_as(PREPARE).fetch_one(connection).await?;
    for (setting, actual, wanted) in [
        ("synchronous_commit", settings.0, "on"),
        ("fsync", settings.5, "on"),
        ("server_encoding", settings.6, "UTF8"),
        ("transaction_read_only", settings.7, "off"),
    ] {
        let durable = setting == "synchronous_commit" && actual.starts_with("remote_");
        if actual != wanted && !durable {
            let error = PostgresOpenError::Setting {
                database: database.to_owned(),
                setting,
                actual,
                wanted,
            };
            return Err(sqlx::Error::Configuration(Box::new(error)));
        }
    }
    Ok(())
}

/// Connects and prepares.
pub(super) async fn connect(
    database: &str,
    options: &PgConnectOptions,
) -> Result<PgConnection, PostgresOpenError> {
    let connected = timeout(CONNECT, async {
        let mut connection = options.connect().await?;
        prepare(database, &mut connection).await?;
        Ok(connection)
    });
    match connected.await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(sqlx::Error::Configuration(error))) => {
            Err(match error.downcast::<PostgresOpenError>() {
                Ok(error) => *error,
                Err(error) => explain(database, &sqlx::Error::Configuration(error)),
            })
        }
        Ok(Err(error)) => Err(explain(database, &error)),
        Err(_) => Err(PostgresOpenError::Unreachable {
            database: database.to_owned(),
            reason: format!("no answer in {} s", CONNECT.as_secs()),
        }),
    }
}

/// A connection of one task's own, made again by the first work after it was lost.
pub(super) struct Link {
    database: String,
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

impl Link {
    /// Nothing is connected yet.
    pub(super) const fn new(database: String, options: PgConnectOptions) -> Self {
        Self {
            database,
            options,
            connection: None,
        }
    }

    /// The connection, made again where it was lost. Whoever takes it gives it back with
    /// [`Link::give_back`] once its work is done; a connection that is not given back is closed, and
    /// with it goes whatever it held. So an error needs no tidying up: nobody knows what state the
    /// connection is in then.
    pub(super) async fn take(&mut self) -> Result<PgConnection, StoreError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        connect(&self.database, &self.options)
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// See [`Link::take`].
    pub(super) fn give_back(&mut self, connection: PgConnection) {
        self.connection = Some(connection);
    }

    pub(super) async fn close(self) {
        if let Some(connection) = self.connection {
            // What was acknowledged is durable; this is a courtesy to the server.
            drop(timeout(CONNECT, connection.close()).await);
        }
    }
}

/// What comes of `work`, if it ends in time.
pub(super) async fn in_time<T>(
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(WORK, work).await.unwrap_or_else(|_| {
        Err(StoreError::Unavailable(format!(
            "PostgreSQL has not answered for {} s",
            WORK.as_secs()
        )))
    })
}
