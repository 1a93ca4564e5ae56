//! Somebody who can write to the database, and does not have the key-encryption key, tries to have a
//! key of theirs published.

use std::{fs, sync::Arc};

use idp::{
    domain::{IssuerKey, KeyId, KeyState, Outcome, SigningAlgorithm, SystemRandom},
    jose::{PrivateKey, thumbprint},
    ports::InsertOutcome,
    server::{Server, StartError, Vault},
};
use serde_json::{Value, json};

use super::{ISSUER, World, exports::operator};

async fn stored(world: &World) -> Vec<IssuerKey> {
    let issuer = ISSUER.parse().unwrap();
    world.observer().issuer_keys(&issuer).await.unwrap()
}

/// A record of the attacker's own key, retiring, with the MAC of another record.
async fn plant(world: &World) -> IssuerKey {
    let private = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
    let mut key = stored(world).await.remove(0);
    key.id = KeyId::new(&*world.clock, &SystemRandom);
    key.public = private.public().clone();
    key.kid = thumbprint(&key.public);
    key.sealed = None;
    (key.activated_at, key.retiring_at) = (Some(key.created_at), Some(key.created_at));
    let event = idp::domain::AuditEvent::new(&*world.clock, &SystemRandom, "test", "");
    let keys = [key.clone()];
    let planted = world.observer().create_issuer_keys(&keys, event);
    assert_eq!(planted.await.unwrap(), InsertOutcome::Inserted);
    key
}

async fn tamper(world: &World, sql: &'static str) {
    let pool = world.sql().await;
    sqlx::query(sql).execute(&pool).await.unwrap();
    pool.close().await;
}

async fn published(world: &World) -> Vec<String> {
    let jwks = world.get("/.well-known/jwks.json").await.json();
    let keys = jwks["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

async fn list(world: &World) -> Value {
    let request = super::Request::get("/api/v1/keys");
    world.admin(request).await.json()
}

async fn keep(world: &World) {
    world.service.keep_keys().await.unwrap();
}

async fn compromise(world: &World, kid: &str) -> super::Answer {
    let target = format!("/api/v1/keys/{kid}/compromise");
    world.post(&target, &json!({})).await
}

#[tokio::test]
async fn a_key_that_somebody_plants_is_not_published_and_is_told_of() {
    let mut world = World::start().await;
    let before = published(&world).await;
    let planted = plant(&world).await;
    for _ in 0..2 {
        keep(&world).await;
        assert_eq!(published(&world).await, before);
    }
    assert_eq!(list(&world).await["refused_kids"], json!([planted.kid]));
    let told = |records: Vec<idp::ports::AuditRecord>| {
        let refusals = records
            .into_iter()
            .filter(|record| record.action == "key.refuse");
        refusals.collect::<Vec<_>>()
    };
    let records = told(world.audit(None).await);
    assert_eq!(records.len(), 1, "once");
    assert_eq!(records[0].target, planted.kid);
    assert_eq!(records[0].outcome, Outcome::Refused.as_str());
    world.restart().await;
    assert_eq!(published(&world).await, before, "nor after a start");

    let done = compromise(&world, &planted.kid).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(published(&world).await, before, "nothing takes its place");
    let after = list(&world).await;
    assert_eq!(after["refused_kids"], json!([]));
    assert_eq!(after["items"].as_array().unwrap().len(), 2);
}

/// There is room for one pending key, and somebody takes it.
#[tokio::test]
async fn a_planted_key_does_not_keep_the_keys_from_rotating() {
    let world = World::start().await;
    let first = published(&world).await;
    for emergency in [false, true] {
        tamper(&world, "DELETE FROM issuer_keys WHERE activated_at IS NULL").await;
        let planted = plant(&world).await;
        let usurp = "UPDATE issuer_keys SET activated_at = NULL, retiring_at = NULL WHERE id = $1";
        let pool = world.sql().await;
        let id = planted.id.to_string();
        sqlx::query(usurp).bind(id).execute(&pool).await.unwrap();
        pool.close().await;
        if emergency {
            let active = published(&world).await.remove(0);
            let answer = compromise(&world, &active).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        } else {
            keep(&world).await;
        }
        let kids = published(&world).await;
        assert_eq!(kids.len(), 2, "one active and one pending");
        assert!(!kids.contains(&planted.kid));
        assert_eq!(kids[0] == first[0], !emergency);
        assert_eq!(list(&world).await["refused_kids"], json!([]));
    }
    let audit = world.audit(None).await;
    assert!(audit.iter().any(|record| record.action == "key.refuse"));
}

#[tokio::test]
async fn a_key_that_was_withdrawn_does_not_come_back() {
    let mut world = World::start().await;
    let kept = stored(&world).await;
    let active = kept
        .iter()
        .find(|key| key.state() == KeyState::Active)
        .unwrap();
    assert_eq!(compromise(&world, &active.kid).await.status, 200);
    let after = published(&world).await;
    // As it is now, but not retired any more.
    let revive = "UPDATE issuer_keys SET retired_at = NULL, retiring_at = created_at \
                  WHERE retired_at IS NOT NULL";
    tamper(&world, revive).await;
    keep(&world).await;
    assert_eq!(published(&world).await, after);
    world.restart().await;
    assert_eq!(published(&world).await, after);
    assert_eq!(list(&world).await["refused_kids"], json!([active.kid]));
}

#[tokio::test]
async fn an_old_copy_of_a_record_does_not_bring_a_key_back_while_the_server_runs() {
    let world = World::start().await;
    let kept = stored(&world).await;
    let active = kept
        .iter()
        .find(|key| key.state() == KeyState::Active)
        .unwrap();
    assert_eq!(compromise(&world, &active.kid).await.status, 200);
    let after = published(&world).await;
    let pool = world.sql().await;
    sqlx::query("DELETE FROM issuer_keys WHERE id = $1")
        .bind(active.id.to_string())
        .execute(&pool)
        .await
        .unwrap();
    let mut old = active.clone();
    old.retiring_at = Some(old.created_at);
    let event = idp::domain::AuditEvent::new(&*world.clock, &SystemRandom, "test", "");
    let restored = world.observer().create_issuer_keys(&[old], event).await;
    assert_eq!(restored.unwrap(), InsertOutcome::Inserted);
    keep(&world).await;
    assert_eq!(published(&world).await, after);
}

#[tokio::test]
async fn a_record_that_was_edited_is_not_published() {
    for edit in [
        "UPDATE issuer_keys SET certificate = 'MII=' WHERE activated_at IS NULL",
        "UPDATE issuer_keys SET reference = 'arn:aws:kms:…' WHERE activated_at IS NULL",
        "UPDATE issuer_keys SET created_at = 1 WHERE activated_at IS NULL",
        "UPDATE issuer_keys SET mac = NULL WHERE activated_at IS NULL",
    ] {
        let mut world = World::start().await;
        let kids = published(&world).await;
        tamper(&world, edit).await;
        world.restart().await;
        keep(&world).await;
        let now = published(&world).await;
        assert_eq!(
            (now.len(), &now[0]),
            (2, &kids[0]),
            "another is pending: {edit}"
        );
        assert!(!now.contains(&kids[1]), "{edit}");
        let environment = world.environment().await;
        assert_eq!(world.token(&environment).await.status, 200, "{edit}");
    }
}

async fn build(world: &World) -> Result<Server, StartError> {
    let (settings, clock) = (world.settings.clone(), world.clock.clone());
    Server::build(settings, clock, Arc::new(SystemRandom)).await
}

/// To pose as an installation from before there were MACs, somebody would have to change the
/// key-encryption key's file.
#[tokio::test]
async fn records_without_a_mac_are_believed_under_no_new_key_encryption_key() {
    let world = World::start().await;
    plant(&world).await;
    tamper(&world, "UPDATE issuer_keys SET mac = NULL").await;
    let error = build(&world).await.err().expect("it starts").to_string();
    assert!(
        error.contains("its record was written under another"),
        "{error}"
    );
}

/// Makes the installation one from before there were MACs.
async fn age(world: &World) {
    let file = world.dir.path().join("key-encryption-key");
    let key = fs::read_to_string(&file).unwrap();
    fs::write(&file, key.replace("idp_kek_v2_", "idp_kek_")).unwrap();
    tamper(world, "UPDATE issuer_keys SET mac = NULL").await;
}

#[tokio::test]
async fn an_older_installation_gets_its_macs_once() {
    let mut world = World::start().await;
    let retiring = plant(&world).await;
    age(&world).await;
    world.restart().await;
    let kids = published(&world).await;
    assert_eq!(kids.len(), 3);
    assert!(kids.contains(&retiring.kid));
    assert!(stored(&world).await.iter().all(|key| key.mac.is_some()));
    let audit = world.audit(None).await;
    let vouched: Vec<Value> = audit
        .iter()
        .filter(|record| record.action == "key.vouch")
        .map(|record| serde_json::from_str(&record.details).unwrap())
        .collect();
    assert_eq!(vouched.len(), 1);
    assert_eq!(vouched[0]["believed"], json!([retiring.kid]));
    assert_eq!(vouched[0]["proved"].as_array().unwrap().len(), 2);

    // A later one is believed no more; one that is sealed proves itself, and its certificate does not.
    let late = plant(&world).await;
    let pool = world.sql().await;
    sqlx::query("UPDATE issuer_keys SET mac = NULL WHERE id = $1")
        .bind(late.id.to_string())
        .execute(&pool)
        .await
        .unwrap();
    let strip =
        "UPDATE issuer_keys SET mac = NULL, certificate = 'MII=' WHERE activated_at IS NULL";
    sqlx::query(strip).execute(&pool).await.unwrap();
    pool.close().await;
    world.restart().await;
    assert_eq!(published(&world).await, kids);
    assert!(
        stored(&world)
            .await
            .iter()
            .all(|key| key.certificate != "MII=" || key.id == late.id)
    );
    assert_eq!(list(&world).await["refused_kids"], json!([late.kid]));
}

#[tokio::test]
async fn another_key_encryption_key_vouches_for_the_same_keys() {
    let mut world = World::start().await;
    let rotated = world
        .post(
            "/api/v1/keys/rotate",
            &json!({ "emergency": true, "force": true }),
        )
        .await;
    assert_eq!(rotated.status, 200);
    let kids = published(&world).await;
    assert_eq!(kids.len(), 3, "one is retiring and has no private half");
    let new = world.dir.path().join("new-key");
    let mut changed = Vec::new();
    for _ in 0..2 {
        let (settings, clock) = (world.settings.clone(), world.clock.clone());
        let vault = Vault::open(settings, operator(), clock, Arc::new(SystemRandom))
            .await
            .unwrap();
        let done = vault.reseal(&new).await.unwrap();
        changed.push((done.resealed, done.already, done.former_kept));
        vault.close().await;
        keep(&world).await;
        assert_eq!(published(&world).await, kids, "the server runs on");
    }
    assert_eq!(changed, [(3, 0, true), (0, 3, false)]);
    world.restart().await;
    assert_eq!(published(&world).await, kids);
}
