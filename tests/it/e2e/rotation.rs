//! An environment's key that is replaced, with the real server: by many at once, and by commands that
//! are killed in the midst of it.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use idp::{
    client::identity::Identity,
    domain::{Clock as _, SystemClock},
};
use sqlx::Connection as _;

use super::{attackers::block_on, installation::Installation};

impl Installation {
    fn identity_file(&self) -> PathBuf {
        self.path().join("home/identity.json")
    }

    fn identity(&self) -> Identity {
        Identity::load(&self.identity_file()).unwrap()
    }

    /// Makes the key a day older, and forgets when its replacement was tried.
    fn age(&self) {
        let mut identity = self.identity();
        identity.key_created_at = identity.key_created_at.minus(Duration::from_hours(24));
        identity.save(&self.identity_file()).unwrap();
        let text = fs::read_to_string(self.identity_file()).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        if let Some(next) = json.get_mut("next_key") {
            next["asked_at"] = 0.into();
            fs::write(self.identity_file(), json.to_string()).unwrap();
        }
    }

    /// What the database answers to a question of one number, or one text.
    pub(crate) fn sql<T>(&self, sql: &'static str) -> Option<T>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + Unpin,
    {
        let url = format!("sqlite:{}", self.path().join("idp.db").display());
        block_on(async {
            let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
            sqlx::query_scalar(sql)
                .fetch_optional(&mut database)
                .await
                .unwrap()
        })
    }

    fn rotations(&self) -> i64 {
        self.sql("SELECT count(*) FROM audit WHERE action = 'environment.rotate_key'")
            .unwrap()
    }
}

#[test]
fn ten_at_once_replace_a_day_old_key_once() {
    let installation = Installation::running("ES256");
    installation.enrolled();
    let before = installation.identity().kid;
    installation.age();
    let commands: Vec<_> = (0..10)
        .map(|_| {
            installation
                .idp("token")
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for command in commands {
        let output = command.wait_with_output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
    }
    assert_eq!(installation.rotations(), 1);
    let after = installation.identity();
    assert_ne!(after.kid, before);
    let stored: String = installation.sql("SELECT kid FROM environments").unwrap();
    assert_eq!(stored, after.kid);
}

#[test]
fn a_crash_between_the_servers_commit_and_the_write_locks_nobody_out() {
    let installation = Installation::running("ES256");
    installation.enrolled();
    // As `idp` writes it before it asks the server.
    let file = installation.identity_file();
    let mut identity = installation.identity();
    identity.next_key(&file, SystemClock.now()).unwrap();
    identity.save(&file).unwrap();
    let asking = fs::read(&file).unwrap();
    installation.run("enroll --rotate").ok();
    let rotated = installation.identity().kid;
    // The server has the new key, and the answer never arrived.
    fs::write(&file, &asking).unwrap();
    installation.run("token").ok();
    installation.run("enroll --rotate").ok();
    assert_eq!(installation.identity().kid, rotated, "the same key again");
    installation.run("token").ok();
    assert_eq!(installation.rotations(), 1);
}

#[test]
fn commands_that_are_killed_at_any_moment_leave_an_identity_that_works() {
    let installation = Installation::running("ES256");
    installation.enrolled();
    for round in 0..40 {
        installation.age();
        let mut killed: Command = installation.idp("token");
        let mut killed = killed
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_micros(700) * round);
        killed.kill().unwrap();
        killed.wait().unwrap();
        let ran = installation.run("token").ok();
        assert_eq!(ran.stderr, "", "{ran:?}");
    }
    assert!(installation.rotations() > 0);
    let kid: String = installation.sql("SELECT kid FROM environments").unwrap();
    installation.run("enroll --rotate").ok();
    assert_ne!(installation.identity().kid, kid);
}

#[test]
fn a_quarantine_is_told_and_released() {
    let installation = Installation::running("ES256");
    let world = installation.enrolled();
    let id = &world.environment;
    installation
        .run(&format!("admin environment release {id}"))
        .exits(4)
        .says(&["is not quarantined but enrolled"]);
    let _: Option<i64> = installation
        .sql("UPDATE environments SET state = 'quarantined', quarantined_at = 1740514245000");

    let told = installation.run("token").exits(4);
    told.says(&[
        "is quarantined",
        "idp admin environment release",
        "help:",
        "snapshot",
    ]);
    let shown = installation.run(&format!("--json admin environment show {id}"));
    let shown = shown.ok().json();
    assert_eq!(shown["state"], "quarantined");
    assert_eq!(shown["quarantined_at"], "2025-02-25T20:10:45Z");
    let released = installation.run(&format!("admin environment release {id}"));
    let kid = installation.identity().kid;
    released
        .ok()
        .says(&[&kid, "gets tokens again", "join token"]);
    installation.run("token").ok();

    let _: Option<i64> = installation.sql("UPDATE environments SET state = 'quarantined'");
    // Enrolling again needs no force: the identity is worth nothing.
    let ticket = installation.run(&format!("admin join-token create {id}"));
    fs::write(&world.join_token, ticket.ok().stdout).unwrap();
    let enroll = format!(
        "enroll --url {} --token-file join-token",
        installation.url()
    );
    installation.run(&enroll).ok();
    installation.run("token").ok();
    let state: String = installation.sql("SELECT state FROM environments").unwrap();
    assert_eq!(state, "enrolled");
}
