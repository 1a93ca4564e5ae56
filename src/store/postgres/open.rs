//! Opening a database: reached, found safe to use, and its schema brought up to date.

use std::{sync::Arc, time::Duration};

use sqlx::{
    Connection as _, PgConnection,
    migrate::{MigrateError, Migrator},
    postgres::PgPoolOptions,
    query, query_scalar,
};

use super::{
    PostgresStore, address,
    error::{PostgresOpenError, explain},
    journal::{Committer, Journal},
    lookup::Lookup,
    replicas::Listener,
    session::{CONNECT, Link, connect, prepare},
};
use crate::domain::{Clock, DatabaseUrl};

/// Connections for everything that mints do not need.
const POOL: u32 = 6;

/// The lock that migrations are run under: "idp-schm" as a number.
const MIGRATION_LOCK: i64 = i64::from_be_bytes(*b"idp-schm");

impl PostgresStore {
    /// Connects to the database that `url` names and brings its schema up to date. Needs a Tokio
    /// runtime, which runs the store's tasks until it is closed or dropped.
    ///
    /// # Errors
    /// The database cannot be reached, is not safe to use, or needs a newer program. A migration that
    /// fails leaves it as it was.
    pub async fn open(url: &DatabaseUrl, clock: Arc<dyn Clock>) -> Result<Self, PostgresOpenError> {
        let options = address::options(url)?;
        let name = url.to_string();
        let mut first = connect(&name, &options).await?;
        migrate(&name, &mut first, clock.as_ref(), &known_migrations()).await?;
        let mut journal = Link::new(name.clone(), options.clone());
        journal.give_back(first);
        let pool = PgPoolOptions::new()
            .max_connections(POOL)
            .acquire_timeout(CONNECT)
            .idle_timeout(Duration::from_mins(1))
            .after_connect({
                let name = name.clone();
                move |connection, _| {
                    let name = name.clone();
                    Box::pin(async move { prepare(&name, connection).await })
                }
            })
            .connect_lazy_with(options.clone());
        Ok(Self {
            pool,
            journal: Journal::start(Committer(journal)),
            lookup: Lookup::start(Link::new(name, options.clone())),
            listener: Listener::new(options),
        })
    }
}

/// A connection to a database with the schema of this program, on which one statement may take as long
/// as it needs.
pub(in crate::store) async fn open_for_copy(
    url: &DatabaseUrl,
    clock: &dyn Clock,
) -> Result<PgConnection, PostgresOpenError> {
    let name = url.to_string();
    let mut connection = connect(&name, &address::options(url)?).await?;
    migrate(&name, &mut connection, clock, &known_migrations()).await?;
    query(
        "SELECT set_config('statement_timeout', '0', false), \
         set_config('idle_in_transaction_session_timeout', '0', false)",
    )
    .execute(&mut connection)
    .await
    .map_err(|error| explain(&name, &error))?;
    Ok(connection)
}

fn known_migrations() -> Migrator {
    let mut migrator = sqlx::migrate!("migrations/postgres");
    // A newer program may have added what this one does not know; `min_compatible` says whether that
    // matters.
    migrator.set_ignore_missing(true);
    // They run in a transaction that holds a lock of its own.
    migrator.set_locking(false);
    migrator
}

/// Brings the schema up to date, in one transaction and under a lock: of several programs that start
/// at once one does it and the others find it done.
async fn migrate(
    name: &str,
    connection: &mut PgConnection,
    clock: &dyn Clock,
    migrator: &Migrator,
) -> Result<(), PostgresOpenError> {
    let failed = |error: sqlx::Error| PostgresOpenError::Migration {
        database: name.to_owned(),
        reason: error.to_string(),
    };
    let mut transaction = connection.begin().await.map_err(|e| explain(name, &e))?;
    // Whoever comes second waits as long as the first needs. A migration itself gives up soon where it
    // would have to wait for a lock: everybody else would queue up behind it.
    query(
        "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)",
    )
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    query("SELECT pg_advisory_xact_lock($1), set_config('lock_timeout', '5000', true)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    refuse_newer(name, &mut transaction, migrator).await?;
    migrator
        .run_direct(None, &mut *transaction, false)
        .await
        .map_err(|error| match error {
            MigrateError::Execute(error) => failed(error),
            other => PostgresOpenError::Migration {
                database: name.to_owned(),
                reason: other.to_string(),
            },
        })?;
    query("UPDATE schema_info SET created_at = $1 WHERE created_at IS NULL")
        .bind(clock.now().ms())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

async fn refuse_newer(
    name: &str,
    connection: &mut PgConnection,
    migrator: &Migrator,
) -> Result<(), PostgresOpenError> {
    let explain = |error| explain(name, &error);
    let made: bool = query_scalar("SELECT to_regclass('schema_info') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(explain)?;
    if !made {
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
        return Err(PostgresOpenError::Newer {
            database: name.to_owned(),
            min_compatible,
            known,
        });
    }
    Ok(())
}
