//! Keys that rotate by themselves, under a clock that the tests move (cases 18 and 19).

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use idp::{
    domain::{
        Issuer, KeyState, PublicJwk, Rotation, SecretString, SigningAlgorithm, SystemRandom,
        Timestamp, TokenLifetime,
    },
    jose::{SealingKey, SeedKey, VerifyingKey, base64url_decode},
    ports::{ExternalKeys, FetchError, FetchedKeys, KeyFetch, KeyStep},
    service::{
        Checkpoints, Keystore, Nonces, Parts, Pool, RequestContext, Rotate, Sealing, Service,
        open_key_ring,
    },
};
use serde_json::{Value, json};

use super::{
    Environment, ISSUER, Request, World,
    admin::scoped,
    outsider::Outsider,
    world::{open_store, token_parameters},
};
use crate::support::Postgres;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// Another replica on a world's database, without a listener.
struct Replica {
    service: Service,
}

#[derive(Default)]
struct Outside {
    external: Option<Arc<dyn ExternalKeys>>,
    publication: Option<Arc<dyn KeyFetch>>,
}

async fn replica(world: &World, outside: Outside) -> Replica {
    let settings = &world.settings;
    let store = open_store(settings, world.clock.clone()).await;
    let sealing = std::fs::read_to_string(&settings.keys.encryption_key_file).unwrap();
    let pool = Arc::new(Pool::new(NonZeroUsize::MIN, 64).unwrap());
    let sealing = Arc::new(Sealing::from(SealingKey::from_text(&sealing).unwrap()));
    let keystore = Keystore {
        issuer: settings.issuer.clone(),
        algorithm: settings.keys.algorithm,
        sealing: sealing.clone(),
        external: outside.external,
        pool: pool.clone(),
    };
    let life = settings.tokens.max_ttl.duration();
    let keys = open_key_ring(&*store, keystore, life, &*world.clock, &SystemRandom).await;
    Replica {
        service: Service::new(Parts {
            store,
            clock: world.clock.clone(),
            random: Arc::new(SystemRandom),
            issuer: settings.issuer.clone(),
            tokens: settings.tokens,
            keys: Arc::new(keys.unwrap()),
            limits: settings.limits,
            rotation: settings.keys.rotation,
            publication: outside.publication,
            nonces: Nonces::new(sealing, settings.issuer.clone()),
            pool,
            checkpoints: Checkpoints::new(SeedKey::new(&[0; 32]).unwrap(), None),
        }),
    }
}

fn kids(jwks: &[u8]) -> Vec<String> {
    let jwks: Value = serde_json::from_slice(jwks).unwrap();
    jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

async fn jwks(world: &World) -> Value {
    world.get("/.well-known/jwks.json").await.json()
}

async fn list(world: &World) -> Vec<Value> {
    let answer = world.admin(Request::get("/api/v1/keys")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["items"].as_array().unwrap().clone()
}

fn states(list: &[Value]) -> Vec<&str> {
    list.iter()
        .map(|key| key["state"].as_str().unwrap())
        .collect()
}

/// A time of the API in seconds.
fn seconds(time: &Value) -> i64 {
    let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
    time.as_second()
}

fn kid(key: &Value) -> &str {
    key["kid"].as_str().unwrap()
}

async fn token(world: &World, environment: &Environment) -> String {
    let answer = world.token(environment).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// A token of the longest life.
async fn longest_token(world: &World, environment: &Environment) -> String {
    let assertion = environment.assertion(world.now());
    let mut parameters = token_parameters(&assertion).to_vec();
    parameters.push(("ttl", "1800"));
    let answer = world
        .send(Request::form("/oauth2/token", &parameters))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&base64url_decode(part).unwrap()).unwrap()
}

fn signed_by(token: &str) -> String {
    part(token, 0)["kid"].as_str().unwrap().to_owned()
}

/// Whether a verifier that holds this JWKS takes the token.
fn verifies(jwks: &Value, token: &str) -> bool {
    let wanted = signed_by(token);
    let keys = jwks["keys"].as_array().unwrap();
    let Some(key) = keys.iter().find(|key| key["kid"] == wanted.as_str()) else {
        return false;
    };
    let public = match key["kty"].as_str().unwrap() {
        "EC" => json!({ "kty": "EC", "crv": key["crv"], "x": key["x"], "y": key["y"] }),
        _ => json!({ "kty": "RSA", "n": key["n"], "e": key["e"] }),
    };
    let public: PublicJwk = serde_json::from_value(public).unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = base64url_decode(signature).unwrap();
    VerifyingKey::from_jwk(&public)
        .unwrap()
        .verifies(input.as_bytes(), &signature)
}

async fn rotate(world: &World, body: Value) -> super::Answer {
    world.post("/api/v1/keys/rotate", &body).await
}

async fn keep(world: &World) {
    world.service.keep_keys().await.unwrap();
}

/// The shortest states that the settings allow, so that every mistake of a second shows.
fn tightest() -> Rotation {
    Rotation {
        pending_for: Duration::from_hours(1),
        active_for: Duration::from_hours(24),
        retiring_for: Duration::from_mins(45),
    }
}

async fn with_rotation(rotation: Rotation) -> World {
    World::with(|settings| settings.keys.rotation = rotation).await
}

/// Ninety days in steps of up to `longest_step` seconds; how many keys signed.
async fn ninety_days(world: World, longest_step: u64) -> usize {
    let environment = world.environment().await;
    let end = world.now() + i64::try_from(90 * DAY).unwrap();
    let (mut chance, mut small_steps) = (1_u64, 0);
    let (mut outstanding, mut signers): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut pending_since: Vec<(String, i64)> = Vec::new();
    while world.now() < end {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        // After a rotation in small steps, until the former key's last token has expired.
        let step = if small_steps > 0 {
            300
        } else {
            (chance >> 33) % longest_step + 1
        };
        small_steps -= i32::from(small_steps > 0);
        world.advance(step);
        // A verifier fetches, and keeps what it got for its whole max-age.
        let cached = jwks(&world).await;
        outstanding.push(longest_token(&world, &environment).await);
        world.advance(300);
        keep(&world).await;
        let fresh = jwks(&world).await;
        assert!(fresh["keys"].as_array().unwrap().len() <= 10);

        let all = list(&world).await;
        let states = states(&all);
        assert_eq!(states[..2], ["active", "pending"], "{all:?}");
        assert!(
            states[2..].iter().all(|state| *state == "retiring"),
            "{all:?}"
        );
        let next = kid(&all[1]).to_owned();
        if pending_since.last().is_none_or(|(last, _)| *last != next) {
            pending_since.push((next, world.now()));
        }

        let token = longest_token(&world, &environment).await;
        let signer = signed_by(&token);
        assert_eq!(signer, kid(&all[0]), "only the active key signs");
        if signers.last() != Some(&signer) {
            assert!(!signers.contains(&signer), "a kid came back");
            if let Some((_, since)) = pending_since.iter().find(|(kid, _)| *kid == signer) {
                assert!(world.now() - since >= 3_600, "it signed too early");
            }
            signers.push(signer);
            small_steps = 4;
        }
        outstanding.push(token);
        outstanding.retain(|token| world.now() <= part(token, 1)["exp"].as_i64().unwrap() + 300);
        for token in &outstanding {
            assert!(verifies(&fresh, token), "with a JWKS of now");
            assert!(verifies(&cached, token), "with a JWKS of 300 s ago");
        }
    }
    signers.len()
}

#[tokio::test]
async fn every_token_verifies_for_ninety_days_of_the_shortest_states() {
    assert!(ninety_days(with_rotation(tightest()).await, 5 * HOUR).await >= 70);
}

#[tokio::test]
async fn every_token_verifies_for_ninety_days() {
    let signers = ninety_days(World::start().await, 8 * HOUR).await;
    assert!((3..=4).contains(&signers), "{signers}");
}

#[tokio::test]
async fn every_token_verifies_for_ninety_days_on_postgres() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let world = World::with(|settings| {
        settings.database_url = postgres.url();
        settings.keys.rotation = tightest();
    });
    assert!(ninety_days(world.await, 5 * HOUR).await >= 70);
}

/// A token's last moment, with the longest life and the retiring key's last moment in the JWKS.
#[tokio::test]
async fn a_retiring_key_stays_for_the_longest_life_that_was_in_force() {
    let mut world = with_rotation(tightest()).await;
    // Once, this server signed tokens of an hour.
    world.settings.tokens.max_ttl = TokenLifetime::from_secs(3_600).unwrap();
    world.restart().await;
    world.settings.tokens.max_ttl = TokenLifetime::from_secs(1_800).unwrap();
    world.restart().await;
    let former = kid(&list(&world).await[0]).to_owned();
    world.advance(DAY);
    keep(&world).await;
    let retired_at = world.now();
    assert_ne!(kid(&list(&world).await[0]), former);
    world
        .clock
        .set(Timestamp::from_secs(retired_at + 3_600 + 900 - 1));
    keep(&world).await;
    assert!(jwks(&world).await.to_string().contains(&former));
    // The world's clock began between two seconds.
    world.advance(2);
    keep(&world).await;
    assert!(!jwks(&world).await.to_string().contains(&former));
}

#[tokio::test]
async fn a_private_half_is_destroyed_at_retiring() {
    let world = World::start().await;
    let former = kid(&list(&world).await[0]).to_owned();
    world.advance(30 * DAY);
    keep(&world).await;
    let all = list(&world).await;
    assert_eq!(states(&all), ["active", "pending", "retiring"]);
    assert_eq!(kid(&all[2]), former);
    let custody: Vec<&Value> = all.iter().map(|key| &key["custody"]).collect();
    assert_eq!(custody, ["sealed", "sealed", "destroyed"]);
    let sealed: Option<String> =
        sqlx::query_scalar("SELECT sealed FROM issuer_keys WHERE kid = $1")
            .bind(&former)
            .fetch_one(&world.sql().await)
            .await
            .unwrap();
    assert_eq!(sealed, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_that_rotate_at_once_rotate_once() {
    rotate_at_once(World::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_that_rotate_at_once_on_postgres_rotate_once() {
    if let Some(postgres) = Postgres::start().await {
        rotate_at_once(World::with(|settings| settings.database_url = postgres.url()).await).await;
    }
}

async fn rotate_at_once(world: World) {
    let environment = world.environment().await;
    let others = [
        replica(&world, Outside::default()).await,
        replica(&world, Outside::default()).await,
    ];
    for round in 1..=3 {
        world.advance(30 * DAY);
        let (a, b, c) = tokio::join!(
            world.service.keep_keys(),
            others[0].service.keep_keys(),
            others[1].service.keep_keys(),
        );
        a.and(b).and(c).unwrap();
        keep(&world).await;
        let all = list(&world).await;
        assert_eq!(states(&all)[..2], ["active", "pending"], "{all:?}");
        let rotations = world.audit(None).await;
        let rotations = rotations
            .iter()
            .filter(|record| record.action == "key.rotate");
        assert_eq!(rotations.count(), round);
        assert_eq!(signed_by(&token(&world, &environment).await), kid(&all[0]));
    }
}

/// One replica persists a rotation and is gone before it published anything. The other is fenced by
/// the store, reads the keys, publishes, and signs with the new one.
#[tokio::test]
async fn a_leader_killed_between_persist_and_publish_loses_nothing() {
    let mut world = World::start().await;
    let environment = world.environment().await;
    let before = kids(jwks(&world).await.to_string().as_bytes());
    world.advance(30 * DAY);
    let leader = replica(&world, Outside::default()).await;
    leader.service.keep_keys().await.unwrap();
    drop(leader);
    assert_eq!(kids(jwks(&world).await.to_string().as_bytes()), before);
    let token = token(&world, &environment).await;
    assert_eq!(
        signed_by(&token),
        before[1],
        "the key that was pending signs"
    );
    let after = jwks(&world).await;
    assert!(verifies(&after, &token));
    assert_eq!(after["keys"].as_array().unwrap().len(), 3);
    world.restart().await;
    assert_eq!(jwks(&world).await, after);
}

#[tokio::test]
async fn a_clock_set_back_changes_no_state_and_is_told() {
    let world = World::start().await;
    let start = world.now();
    world.advance(31 * DAY);
    keep(&world).await;
    let before = list(&world).await;
    assert_eq!(states(&before), ["active", "pending", "retiring"]);
    world.clock.set(Timestamp::from_secs(start + 5));
    for _ in 0..3 {
        keep(&world).await;
    }
    let answer = world.admin(Request::get("/api/v1/keys")).await.json();
    let after = answer["items"].as_array().unwrap();
    assert_eq!(states(after), states(&before));
    assert_eq!(kid(&after[0]), kid(&before[0]));
    let behind = answer["clock_behind_seconds"].as_u64().unwrap();
    assert!((31 * DAY - 60..=31 * DAY).contains(&behind), "{behind}");
    let environment = world.environment().await;
    assert_eq!(
        signed_by(&token(&world, &environment).await),
        kid(&before[0])
    );
    world.clock.set(Timestamp::from_secs(start + 33 * 86_400));
    keep(&world).await;
    let answer = world.admin(Request::get("/api/v1/keys")).await.json();
    assert_eq!(answer["clock_behind_seconds"], 0);
    assert_eq!(
        states(answer["items"].as_array().unwrap()),
        ["active", "pending"]
    );
}

#[tokio::test]
async fn a_planned_rotation_waits_for_the_floor_only() {
    let world = World::start().await;
    let first = list(&world).await;
    let answer = rotate(&world, json!({})).await.json();
    assert_eq!(answer["rotated"], false);
    assert_eq!(answer["active_kid"], first[0]["kid"]);
    let created = seconds(&first[1]["created_at"]);
    assert_eq!(seconds(&answer["due_at"]), created + 3_600);
    assert_eq!(list(&world).await[1]["next_at"], answer["due_at"]);
    let again = rotate(&world, json!({})).await.json();
    assert_eq!(again["due_at"], answer["due_at"]);
    world.advance(HOUR);
    keep(&world).await;
    let after = list(&world).await;
    assert_eq!(after[0]["kid"], first[1]["kid"]);
    assert_eq!(states(&after), ["active", "pending", "retiring"]);

    world.advance(2 * HOUR);
    let at_once = rotate(&world, json!({})).await.json();
    assert_eq!(at_once["rotated"], true);
    assert_eq!(at_once["active_kid"], after[1]["kid"]);
    assert_eq!(at_once["due_at"], Value::Null);
}

#[tokio::test]
async fn a_second_emergency_needs_force() {
    let world = World::start().await;
    world.advance(HOUR);
    let first = list(&world).await;
    let emergency = json!({ "emergency": true });
    let done = rotate(&world, emergency.clone()).await.json();
    assert_eq!(done["rotated"], true, "{done}");
    assert_eq!(
        done["active_kid"], first[1]["kid"],
        "verifiers hold it already"
    );
    assert_eq!(done["warnings"], json!([]));
    let refused = rotate(&world, emergency.clone()).await;
    assert_eq!(refused.status, 409);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("may keep a JWKS for 5m") && detail.contains("--force"),
        "{detail}"
    );
    assert_eq!(list(&world).await[0]["kid"], done["active_kid"]);
    let forced = rotate(&world, json!({ "emergency": true, "force": true }))
        .await
        .json();
    assert_eq!(forced["active_kid"], done["pending_kid"]);
    assert_eq!(forced["warnings"].as_array().unwrap().len(), 1);
    world.advance(300);
    assert_eq!(rotate(&world, emergency).await.json()["rotated"], true);
    let environment = world.environment().await;
    let kid = list(&world).await[0]["kid"].clone();
    assert_eq!(
        signed_by(&token(&world, &environment).await),
        kid.as_str().unwrap()
    );
}

#[tokio::test]
async fn ten_keys_are_never_exceeded() {
    let world = World::start().await;
    let force = json!({ "emergency": true, "force": true });
    for _ in 0..8 {
        assert_eq!(rotate(&world, force.clone()).await.status, 200);
    }
    assert_eq!(jwks(&world).await["keys"].as_array().unwrap().len(), 10);
    let refused = rotate(&world, force.clone()).await;
    assert_eq!(refused.status, 409);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("ten keys are published"), "{detail}");
    world.advance(30 * DAY);
    keep(&world).await;
    assert_eq!(
        states(&list(&world).await),
        ["active", "pending", "retiring"]
    );
}

#[tokio::test]
async fn a_compromised_key_is_gone_at_once_and_says_what_it_strands() {
    let world = World::start().await;
    world.advance(HOUR);
    let environment = world.environment().await;
    for _ in 0..3 {
        token(&world, &environment).await;
    }
    let expired_soon = world.now() + 900;
    let first = list(&world).await;
    let target = format!("/api/v1/keys/{}/compromise", kid(&first[0]));
    let done = world.post(&target, &json!({})).await.json();
    assert_eq!(done["state_before"], "active");
    assert_eq!(done["active_kid"], first[1]["kid"]);
    assert_eq!(done["stranded_tokens"], 3);
    assert_eq!(seconds(&done["latest_exp"]), expired_soon);
    assert_eq!(
        done["organizations"][0]["organization_id"],
        world.organization.to_string()
    );
    assert_eq!(done["organizations"][0]["tokens"], 3);
    assert_eq!(seconds(&done["forgotten_at"]), world.now() + 300);
    assert!(!jwks(&world).await.to_string().contains(kid(&first[0])));
    assert_eq!(
        signed_by(&token(&world, &environment).await),
        kid(&first[1])
    );
    assert_eq!(
        world.post(&target, &json!({})).await.status,
        404,
        "it is retired"
    );

    // A pending key is replaced; a retiring one only goes.
    let pending = kid(&list(&world).await[1]).to_owned();
    let done = world
        .post(&format!("/api/v1/keys/{pending}/compromise"), &json!({}))
        .await
        .json();
    assert_eq!(done["state_before"], "pending");
    assert_eq!(done["stranded_tokens"], 0);
    let all = list(&world).await;
    assert_eq!(states(&all), ["active", "pending"]);
    assert_ne!(kid(&all[1]), pending);
    rotate(&world, json!({ "emergency": true, "force": true })).await;
    let retiring = kid(&list(&world).await[2]).to_owned();
    let done = world
        .post(&format!("/api/v1/keys/{retiring}/compromise"), &json!({}))
        .await
        .json();
    assert_eq!(done["state_before"], "retiring");
    assert_eq!(done["stranded_tokens"], 1);
    assert_eq!(states(&list(&world).await), ["active", "pending"]);

    let actions: Vec<String> = world
        .audit(None)
        .await
        .into_iter()
        .filter(|record| record.action == "key.compromise")
        .map(|record| record.actor)
        .collect();
    assert_eq!(actions.len(), 3);
    assert!(
        actions
            .iter()
            .all(|actor| actor.starts_with("administrator:"))
    );
    for odd in ["x", "%00", "..%2F..", &"k".repeat(3_000)] {
        let answer = world
            .post(&format!("/api/v1/keys/{odd}/compromise"), &json!({}))
            .await;
        assert_eq!(answer.status, 404, "{odd}");
    }
}

#[tokio::test]
async fn another_algorithm_takes_over_when_its_key_is_known() {
    let mut world = World::with(|settings| settings.keys.algorithm = SigningAlgorithm::Rs256).await;
    let environment = world.environment().await;
    let former = list(&world).await;
    world.settings.keys.algorithm = SigningAlgorithm::Es256;
    world.restart().await;
    keep(&world).await;
    let old = token(&world, &environment).await;
    assert_eq!(
        signed_by(&old),
        kid(&former[0]),
        "the former key goes on signing"
    );
    world.advance(DAY);
    let cached = jwks(&world).await;
    keep(&world).await;
    let new = token(&world, &environment).await;
    assert_eq!(part(&new, 0)["alg"], "ES256");
    assert!(verifies(&cached, &new));
    let all = list(&world).await;
    assert_eq!(states(&all), ["active", "pending", "retiring"], "{all:?}");
    assert_eq!(all[2]["kid"], former[0]["kid"]);
}

#[tokio::test]
async fn external_keys_are_made_used_and_destroyed() {
    let world = World::start().await;
    let outsider = Arc::new(Outsider::default());
    let outside = Outside {
        external: Some(outsider.clone()),
        ..Outside::default()
    };
    let replica = replica(&world, outside).await;
    // The keys that were there are sealed; they go on until their time is over.
    assert_eq!(outsider.alive().len(), 0);
    for _ in 0..2 {
        world.advance(30 * DAY);
        replica.service.keep_keys().await.unwrap();
    }
    assert_eq!(outsider.alive(), ["outside-0", "outside-1"]);
    let report = replica.service.key_report();
    let custody: Vec<&str> = report.keys.iter().map(|key| key.custody.as_str()).collect();
    assert_eq!(custody[..2], ["external", "external"]);
    outsider.stuck.store(true, Ordering::SeqCst);
    world.advance(30 * DAY);
    replica.service.keep_keys().await.unwrap();
    assert_eq!(outsider.alive().len(), 3, "it could not be destroyed yet");
    outsider.stuck.store(false, Ordering::SeqCst);
    replica.service.keep_keys().await.unwrap();
    assert_eq!(outsider.alive(), ["outside-1", "outside-2"]);
    let destroyed = world.audit(None).await;
    let destroyed = destroyed
        .iter()
        .filter(|record| record.action == "key.destroy");
    assert_eq!(destroyed.count(), 1);
    // Whoever writes to the database does not choose what is destroyed.
    let alive = outsider.alive();
    let pool = world.sql().await;
    sqlx::query(
        "UPDATE issuer_keys SET reference = 'outside-1' \
         WHERE retired_at IS NOT NULL AND reference IS NULL",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    replica.service.keep_keys().await.unwrap();
    assert_eq!(outsider.alive(), alive);
    // A server whose settings name no keystore says so, and keeps what it has.
    let error = world.service.keep_keys().await.unwrap_err().to_string();
    assert!(error.contains("is in an external keystore"), "{error}");
}

/// A thief does not wait until the keystore makes keys again.
#[tokio::test]
async fn an_emergency_needs_no_new_key() {
    let world = World::start().await;
    let outsider = Arc::new(Outsider::default());
    let outside = Outside {
        external: Some(outsider.clone()),
        ..Outside::default()
    };
    let replica = replica(&world, outside).await;
    for _ in 0..2 {
        world.advance(30 * DAY);
        replica.service.keep_keys().await.unwrap();
    }
    let keys = || {
        let report = replica.service.key_report();
        let keys = report.keys.into_iter().map(|key| (key.state, key.kid));
        keys.collect::<Vec<_>>()
    };
    let context = RequestContext {
        id: replica.service.request_id(),
        source: None,
    };
    let token = SecretString::from(world.admin.clone());
    let admin = replica.service.authenticate_admin(&token, context);
    let admin = admin.await.unwrap().unwrap();
    outsider.room.store(0, Ordering::SeqCst);

    let before = keys();
    let done = replica.service.compromise_key(&admin, &before[0].1).await;
    let done = done.unwrap();
    assert_eq!(done.active_kid, before[1].1);
    let says = done.warnings.join("; ");
    assert!(
        says.contains("no pending key") && says.contains("quota of keys"),
        "{says}"
    );
    assert!(keys().iter().all(|(_, kid)| *kid != before[0].1));

    outsider.room.store(usize::MAX, Ordering::SeqCst);
    world.advance(DAY);
    replica.service.keep_keys().await.unwrap();
    let before = keys();
    assert_eq!(before[1].0, KeyState::Pending);
    outsider.room.store(0, Ordering::SeqCst);
    world.advance(HOUR);
    let emergency = Rotate {
        emergency: true,
        force: false,
    };
    let done = replica.service.rotate_keys(&admin, emergency).await;
    let done = done.unwrap();
    assert!(done.rotated && done.pending_kid.is_empty(), "{done:?}");
    assert_eq!(done.active_kid, before[1].1);
    assert!(done.warnings[0].contains("no pending key"), "{done:?}");

    // A stolen pending key goes too, though nothing takes its place yet.
    outsider.room.store(usize::MAX, Ordering::SeqCst);
    world.advance(DAY);
    replica.service.keep_keys().await.unwrap();
    outsider.room.store(0, Ordering::SeqCst);
    let pending = keys()[1].1.clone();
    let done = replica.service.compromise_key(&admin, &pending).await;
    assert_eq!(done.unwrap().state_before, KeyState::Pending);
    assert!(keys().iter().all(|(_, kid)| *kid != pending));

    // Without one to turn to, the key stays: a set without a key that signs is nobody's gain.
    let active = keys()[0].1.clone();
    let refused = replica.service.compromise_key(&admin, &active).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("quota of keys"), "{refused}");
}

/// The public address of an issuer that is published elsewhere.
#[derive(Default)]
struct PublicAddress {
    jwks: Mutex<Option<Value>>,
    max_age: Duration,
}

#[async_trait]
impl KeyFetch for PublicAddress {
    async fn fetch(&self, issuer: &Issuer) -> Result<FetchedKeys, FetchError> {
        assert_eq!(issuer.as_str(), ISSUER);
        let jwks = self.jwks.lock().unwrap().clone();
        jwks.map(|jwks| FetchedKeys {
            discovery: Value::Null,
            jwks,
            max_age: self.max_age,
        })
        .ok_or_else(|| FetchError::Unreachable {
            url: ISSUER.to_owned(),
            reason: "connection refused".to_owned(),
        })
    }
}

#[tokio::test]
async fn a_key_that_is_published_elsewhere_has_to_be_seen_there() {
    let world = World::start().await;
    let address = Arc::new(PublicAddress {
        jwks: Mutex::new(None),
        max_age: Duration::from_hours(2),
    });
    let outside = Outside {
        publication: Some(address.clone()),
        ..Outside::default()
    };
    let replica = replica(&world, outside).await;
    let active = || replica.service.keys().kid();
    let first = active();
    let round = async |secs| {
        world.advance(secs);
        replica.service.keep_keys().await.unwrap();
    };
    // Nobody answers; then the old set without the pending key.
    round(31 * DAY).await;
    *address.jwks.lock().unwrap() = Some(json!({ "keys": [] }));
    round(DAY).await;
    assert_eq!(active(), first);
    let waits = replica.service.key_report().keys[1].waits_for;
    assert!(waits.is_some_and(|waits| waits.contains("publish the keys")));
    let published = replica.service.keys().jwks().body.clone();
    *address.jwks.lock().unwrap() = Some(serde_json::from_slice(&published).unwrap());
    round(60).await;
    assert_eq!(active(), first, "seen just now");
    // Four times as long as what was seen may be cached.
    round(8 * HOUR - 1).await;
    assert_eq!(active(), first);
    round(1).await;
    assert_ne!(active(), first);
}

#[tokio::test]
async fn one_organisations_administrator_has_no_say_in_keys() {
    let world = World::start().await;
    let token = scoped(&world, &world.organization.to_string(), None).await;
    for request in [
        Request::get("/api/v1/keys"),
        Request::json("POST", "/api/v1/keys/rotate", &json!({})),
        Request::json("POST", "/api/v1/keys/x/compromise", &json!({})),
    ] {
        assert_eq!(world.send(request.bearer(&token)).await.status, 403);
    }
    for (target, body) in [
        ("rotate", json!({ "emergencyy": true })),
        ("rotate", json!([])),
    ] {
        let answer = world.post(&format!("/api/v1/keys/{target}"), &body).await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
}

/// What a server finds that starts again after it was away for long.
#[tokio::test]
async fn a_start_after_a_long_absence_goes_on() {
    let mut world = World::start().await;
    let before = list(&world).await;
    world.advance(400 * DAY);
    world.restart().await;
    keep(&world).await;
    let after = list(&world).await;
    assert_eq!(states(&after), ["active", "pending", "retiring"]);
    assert_eq!(after[0]["kid"], before[1]["kid"]);
}

/// The promotion of a key that somebody withdrew in the meantime changes nothing at all.
#[tokio::test]
async fn steps_that_are_overtaken_leave_nothing_behind() {
    let world = World::start().await;
    let keys = world
        .observer()
        .issuer_keys(&world.settings.issuer)
        .await
        .unwrap();
    let event = || idp::domain::AuditEvent::new(&*world.clock, &SystemRandom, "key.test", "x");
    let steps = [
        KeyStep::Retire(keys[0].id),
        KeyStep::Activate(keys[1].id, Duration::from_mins(1)),
        KeyStep::Retire(keys[0].id),
    ];
    let now = Timestamp::from_secs(world.now());
    let outcome = world
        .observer()
        .change_issuer_keys(&steps, now, event())
        .await;
    assert_eq!(outcome.unwrap(), idp::ports::KeyChange::Overtaken);
    let after = world
        .observer()
        .issuer_keys(&world.settings.issuer)
        .await
        .unwrap();
    assert_eq!(keys, after);
}
