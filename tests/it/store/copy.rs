//! Moving an installation from SQLite to PostgreSQL.

use std::sync::Arc;

use idp::{
    domain::DatabaseUrl,
    ports::{AuditRecord, MintOutcome, Store},
    store::{
        Copied, CopyError, PostgresStore, SqliteStore, copy_database, first_broken, reopen_database,
    },
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

use super::fixture::{Enrolled, World, issuer};
use crate::support::Postgres;

/// An SQLite installation with something in every table.
struct Source {
    dir: TempDir,
    world: World,
    environment: Enrolled,
}

impl Source {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = World::on(|clock| open(&dir, clock)).await;
        world.stored_signing_key().await;
        let organization = world.stored_organization().await.id;
        world.stored_project(organization).await;
        let environment = world.enrolled(organization).await;
        for n in 0..2_500 {
            let mut mint = world.mint(&environment, &format!("jti-{n}"));
            "tab\t newline\n back\\slash \\N \\. é \u{1F600}".clone_into(&mut mint.event.target);
            assert_eq!(
                world.store.record_mint(mint).await.unwrap(),
                MintOutcome::Recorded
            );
        }
        Self {
            dir,
            world,
            environment,
        }
    }

    fn url(&self) -> DatabaseUrl {
        DatabaseUrl::sqlite(&self.dir.path().join("idp.db"))
    }

    async fn tamper(&self, sql: &str) {
        let mut connection = SqliteConnection::connect(self.url().expose())
            .await
            .unwrap();
        let sql = AssertSqlSafe(sql.to_owned());
        connection.execute(sql).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Stops its server.
    async fn stop(&self) {
        self.world.store.close().await;
    }

    /// Its store again, as a server that is started opens it.
    async fn reopened(&self) -> Arc<dyn Store> {
        open(&self.dir, self.world.clock.clone()).await
    }

    async fn copy_to(&self, postgres: &Postgres) -> Result<Copied, CopyError> {
        copy_database(
            &self.url(),
            &postgres.url(),
            &*self.world.clock,
            &mut |_| (),
        )
        .await
    }

    async fn chain(&self, store: &dyn Store) -> Vec<AuditRecord> {
        let organization = Some(self.environment.organization);
        let chain = store.audit_records(organization, 0, 100_000).await;
        chain.unwrap()
    }
}

async fn open(dir: &TempDir, clock: Arc<dyn idp::domain::Clock>) -> Arc<dyn Store> {
    let url = DatabaseUrl::sqlite(&dir.path().join("idp.db"));
    Arc::new(SqliteStore::open(url.expose(), clock).await.unwrap())
}

#[tokio::test]
async fn everything_goes_over_and_the_installation_goes_on() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let source = Source::new().await;
    let before = source.chain(&*source.world.store).await;
    let keys = source.world.store.issuer_keys(&issuer()).await.unwrap();
    source.stop().await;
    let mut reports = Vec::new();
    let copied = copy_database(
        &source.url(),
        &postgres.url(),
        &*source.world.clock,
        &mut |progress| reports.push(progress),
    )
    .await
    .unwrap();
    assert_eq!(copied.tables["environments"], 1);
    assert_eq!(copied.tables["used_jtis"], 2_500);
    assert!(copied.tables["audit"] > 2_500);
    assert_eq!(copied.chains, 2);
    assert!(reports.iter().any(|report| report.done == 2_500));

    let target = PostgresStore::open(&postgres.url(), source.world.clock.clone()).await;
    let target: Arc<dyn Store> = Arc::new(target.unwrap());
    assert_eq!(source.chain(&*target).await, before);
    assert_eq!(target.issuer_keys(&issuer()).await.unwrap(), keys);
    let replayed = source.world.mint(&source.environment, "jti-7");
    assert_eq!(
        target.record_mint(replayed).await.unwrap(),
        MintOutcome::Replayed
    );
    let fresh = source.world.mint(&source.environment, "fresh");
    assert_eq!(
        target.record_mint(fresh).await.unwrap(),
        MintOutcome::Recorded
    );
    let chain = source.chain(&*target).await;
    assert_eq!(chain.len(), before.len() + 1);
    assert_eq!(first_broken(&chain), None);
    target.close().await;

    let again = source.copy_to(&postgres).await.unwrap_err().to_string();
    assert!(again.contains("the target is not empty"), "{again}");
}

#[tokio::test]
async fn a_chain_that_does_not_verify_is_named_and_nothing_is_kept() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let source = Source::new().await;
    source.stop().await;
    let chain = source.environment.organization;
    for (damage, says) in [
        (
            format!("UPDATE audit SET actor = 'x' WHERE chain = '{chain}' AND seq = 1700"),
            "does not verify from record 1700 on",
        ),
        (
            format!("DELETE FROM audit WHERE chain = '{chain}' AND seq > 1600"),
            "ends with record 1600, and its head says otherwise",
        ),
        (
            format!("DELETE FROM audit WHERE chain = '{chain}'"),
            "has lost its records",
        ),
    ] {
        source.tamper(&damage).await;
        let message = source.copy_to(&postgres).await.unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
        assert!(message.contains(&chain.to_string()), "{message}");
        let mut connection = PgConnection::connect(postgres.url().expose())
            .await
            .unwrap();
        let rows: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM audit) + (SELECT count(*) FROM organizations)",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        assert_eq!(rows, 0);
    }
}

#[tokio::test]
async fn a_copy_that_is_interrupted_leaves_nothing() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let source = Source::new().await;
    source.stop().await;
    let (sender, began) = tokio::sync::oneshot::channel();
    let copy = tokio::spawn({
        let (from, to, clock) = (source.url(), postgres.url(), source.world.clock.clone());
        async move {
            let mut sender = Some(sender);
            copy_database(&from, &to, &*clock, &mut |progress| {
                if progress.table.as_deref() == Some("environments")
                    && let Some(sender) = sender.take()
                {
                    sender.send(()).unwrap();
                }
            })
            .await
        }
    });
    began.await.unwrap();
    copy.abort();
    drop(copy.await);
    source.reopened().await.close().await;
    source
        .copy_to(&postgres)
        .await
        .expect("the target is as empty as before");
}

#[tokio::test]
async fn a_source_in_use_is_not_copied() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let source = Source::new().await;
    let error = source.copy_to(&postgres).await.unwrap_err();
    assert!(matches!(error, CopyError::InUse { .. }), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("idp.db is in use: stop the server"),
        "{message}"
    );
    // It goes on as if nothing had been.
    let mint = source.world.mint(&source.environment, "still");
    assert_eq!(
        source.world.store.record_mint(mint).await.unwrap(),
        MintOutcome::Recorded
    );
    let error = reopen_database(&source.url()).await.unwrap_err();
    assert!(matches!(error, CopyError::InUse { .. }), "{error}");
}

#[tokio::test]
async fn a_server_does_not_start_on_what_is_being_copied_or_was() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let source = Source::new().await;
    source.stop().await;
    let served = || async {
        let opened = SqliteStore::open(source.url().expose(), source.world.clock.clone()).await;
        opened.map(|_| ()).map_err(|error| error.to_string())
    };
    let mut during = None;
    copy_database(
        &source.url(),
        &postgres.url(),
        &*source.world.clock,
        &mut |progress| {
            if during.is_none() && progress.table.as_deref() == Some("environments") {
                let start = || {
                    let mut runtime = tokio::runtime::Builder::new_current_thread();
                    let runtime = runtime.enable_all().build().unwrap();
                    runtime.block_on(served())
                };
                during = Some(std::thread::scope(|scope| {
                    scope.spawn(start).join().unwrap()
                }));
            }
        },
    )
    .await
    .unwrap();
    let during = during.unwrap().unwrap_err();
    assert!(
        during.contains("idp.db is locked by another program"),
        "{during}"
    );

    let address = postgres.url().to_string();
    let refused = served().await.unwrap_err();
    for says in [
        &*address,
        "was moved to",
        "serve from there",
        "admin database reopen",
    ] {
        assert!(refused.contains(says), "{says} in {refused}");
    }
    // Nor is it copied to another place.
    let Some(other) = Postgres::start().await else {
        return;
    };
    let error = source.copy_to(&other).await.unwrap_err();
    assert!(
        matches!(&error, CopyError::Moved { to, .. } if *to == address),
        "{error}"
    );
    let again = source.copy_to(&postgres).await.unwrap_err();
    assert!(matches!(again, CopyError::NotEmpty { .. }), "{again}");

    // Until the copy is given up.
    let reopened = reopen_database(&source.url()).await.unwrap();
    assert_eq!(reopened.moved.unwrap().0, address);
    served().await.unwrap();
    let reopened = reopen_database(&source.url()).await.unwrap();
    assert_eq!(reopened.moved, None);
    source.copy_to(&other).await.unwrap();
    assert!(served().await.is_err());
}

#[tokio::test]
async fn a_target_that_changes_what_it_is_given_does_not_keep_it() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let source = Source::new().await;
    source.stop().await;
    let target = PostgresStore::open(&postgres.url(), source.world.clock.clone()).await;
    target.unwrap().close().await;
    let mut connection = PgConnection::connect(postgres.url().expose())
        .await
        .unwrap();
    for (table, change) in [
        ("organizations", "NEW.name := NEW.name || ' '"),
        ("organizations", "NEW.session_tags := NOT NEW.session_tags"),
        ("environments", "NEW.enrolled_at := NULL"),
        ("issuer_keys", "NEW.created_at := NEW.created_at + 1"),
        ("used_jtis", "NEW.key := NEW.key || '\\x00'"),
    ] {
        let trigger = format!(
            "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN {}; RETURN NEW; END'; \
             CREATE TRIGGER meddle BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION meddle()",
            change.replace('\'', "''")
        );
        connection.execute(AssertSqlSafe(trigger)).await.unwrap();
        let message = source.copy_to(&postgres).await.unwrap_err().to_string();
        let says =
            format!("the rows of table {table} are not in the target as they are in the source");
        assert!(message.contains(&says), "{message}");
        connection
            .execute("DROP FUNCTION meddle() CASCADE")
            .await
            .unwrap();
        source.reopened().await.close().await;
    }
    source.copy_to(&postgres).await.unwrap();
}

#[tokio::test]
async fn only_a_served_sqlite_installation_is_copied() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let source = Source::new().await;
    source.stop().await;
    let clock = &*source.world.clock;
    let (from, to) = (source.url(), postgres.url());
    for (from, to) in [(&to, &from), (&from, &from), (&to, &to)] {
        let error = copy_database(from, to, clock, &mut |_| ()).await;
        assert!(matches!(error, Err(CopyError::Direction(_))));
    }
    let absent = source.dir.path().join("absent.db");
    let error = copy_database(&DatabaseUrl::sqlite(&absent), &to, clock, &mut |_| ()).await;
    let message = error.unwrap_err().to_string();
    assert!(message.contains("absent.db cannot be read"), "{message}");
    assert!(!absent.exists());
    source
        .tamper("DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .await;
    let message = source.copy_to(&postgres).await.unwrap_err().to_string();
    assert!(message.contains("start and stop `idp serve`"), "{message}");
}
