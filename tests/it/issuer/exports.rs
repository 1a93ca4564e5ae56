//! Private keys that leave the database, and what the audit log says of it.

use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc};

use idp::{
    domain::SystemRandom,
    jose::{import_private_key, thumbprint},
    server::Vault,
    service::Operator,
};
use serde_json::{Value, json};

use super::World;

const PASSPHRASE: &str = "correct horse battery staple";

/// Somebody on the server's machine.
pub(super) fn operator() -> Operator {
    Operator {
        uid: 0,
        user: Some("root".to_owned()),
        sudo_user: Some("alice".to_owned()),
    }
}

async fn vault(world: &World) -> Vault {
    let (settings, clock) = (world.settings.clone(), world.clock.clone());
    let vault = Vault::open(settings, operator(), clock, Arc::new(SystemRandom));
    vault.await.unwrap()
}

/// Outcome and details of every export.
async fn recorded(world: &World) -> Vec<(String, Value)> {
    let mut records = world.audit(None).await;
    records.retain(|record| record.action == "key.export");
    let details = |text: &str| serde_json::from_str(text).unwrap();
    records
        .into_iter()
        .map(|record| (record.outcome, details(&record.details)))
        .collect()
}

#[tokio::test]
async fn an_export_succeeds_in_the_log_only_where_it_did() {
    let world = World::start().await;
    let vault = vault(&world).await;
    let kid = world.service.keys().kid();
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("taken");
    fs::write(&taken, "mine").unwrap();
    let (out, nowhere) = (dir.path().join("key.jwe"), dir.path().join("no/key.jwe"));
    for (kid, passphrase, file, says) in [
        (&*kid, "hunter2", &out, "12 characters"),
        (&*kid, PASSPHRASE, &nowhere, "create the directory first"),
        (&*kid, PASSPHRASE, &taken, "exists already"),
        ("absent", PASSPHRASE, &out, "has no key absent"),
    ] {
        let error = vault.export(kid, passphrase, file).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        let (outcome, details) = recorded(&world).await.pop().unwrap();
        assert_eq!(outcome, "refused");
        assert_eq!(details["reason"], error.to_string());
        assert_eq!(details["file"], file.to_str().unwrap());
    }
    assert_eq!(fs::read(&taken).unwrap(), b"mine");
    assert!(!out.exists());

    vault.export(&kid, PASSPHRASE, &out).await.unwrap();
    assert_eq!(
        fs::metadata(&out).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    let text = fs::read_to_string(&out).unwrap();
    let key = import_private_key(&text, Some(PASSPHRASE)).unwrap();
    assert_eq!(thumbprint(key.public()), kid);
    let records = recorded(&world).await;
    assert_eq!(records.len(), 5);
    let expected = json!({
        "state": "active", "file": out, "uid": 0, "user": "root", "sudo_user": "alice",
    });
    assert_eq!(records[4], ("success".to_owned(), expected));
}

/// What cannot be recorded does not happen.
#[tokio::test]
async fn an_export_that_cannot_be_recorded_leaves_no_file() {
    let world = World::start().await;
    let vault = vault(&world).await;
    let pool = world.sql().await;
    sqlx::query(
        "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("key.jwe");
    let kid = world.service.keys().kid();
    vault.export(&kid, PASSPHRASE, &out).await.unwrap_err();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
