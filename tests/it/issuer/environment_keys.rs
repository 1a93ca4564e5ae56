//! Keys of environments that are replaced (cases 16 and 17): both keys have to say so, the old one
//! ends a minute after the new one's first use, and its use after that quarantines.

use idp::{jose::base64url_encode, ports::AuditRecord};
use serde_json::{Value, json};

use super::{Answer, Environment, ISSUER, Request, World, client::compact};

const TYPE: &str = "key-rotation+jwt";

/// The claims of both proofs.
fn claims(old: &Environment, new: &Environment, nonce: &str) -> Value {
    json!({
        "nonce": nonce, "aud": ISSUER, "sub": old.id, "old_kid": old.kid, "new_kid": new.kid,
    })
}

fn prove(by: &Environment, claims: &Value) -> String {
    let header = json!({ "alg": by.key.algorithm(), "typ": TYPE, "kid": by.kid });
    by.sign(&header, claims)
}

/// The body of a good request.
fn request(old: &Environment, new: &Environment, nonce: &str) -> Value {
    let claims = claims(old, new, nonce);
    json!({
        "environment_id": old.id,
        "jwk": new.key.jwk(),
        "proof_by_old_key": prove(old, &claims),
        "proof_by_new_key": prove(new, &claims),
    })
}

impl World {
    async fn post_rotation(&self, body: &Value) -> Answer {
        self.send(Request::json("POST", "/enroll/rotate", body))
            .await
    }

    async fn rotate(&self, old: &Environment, new: &Environment) -> Answer {
        let nonce = self.nonce().await;
        self.post_rotation(&request(old, new, &nonce)).await
    }

    /// The same environment with a new key, which the server has taken.
    async fn rotated(&self, old: &Environment) -> Environment {
        let new = Environment::new(&old.id);
        let answer = self.rotate(old, &new).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        new
    }

    async fn show(&self, environment: &Environment) -> Value {
        let target = format!("/api/v1/environments/{}", environment.id);
        self.admin(Request::get(&target)).await.json()
    }

    async fn release(&self, environment: &Environment) -> Answer {
        let target = format!("/api/v1/environments/{}/release", environment.id);
        self.admin(Request::new("POST", &target)).await
    }
}

fn details(record: &AuditRecord) -> Value {
    serde_json::from_str(&record.details).unwrap()
}

#[tokio::test]
async fn a_key_is_replaced_and_the_old_one_ends_a_minute_after_the_first_use() {
    let world = World::start().await;
    let old = world.environment().await;
    let new = Environment::new(&old.id);
    let answer = world.rotate(&old, &new).await;
    assert_eq!(
        answer.json(),
        json!({ "environment_id": old.id, "issuer": ISSUER, "kid": new.kid })
    );
    assert_eq!(answer.get("cache-control"), Some("no-store"));
    let record = &world.audited("environment.rotate_key").await[0];
    assert_eq!(record.actor, format!("environment:{}", old.id));
    assert_eq!(record.request_id.as_deref(), answer.get("x-request-id"));
    assert_eq!(
        details(record),
        json!({ "kid": new.kid, "former_kid": old.kid })
    );
    assert_eq!(world.show(&old).await["kid"], new.kid.as_str());

    // A crash before the answer was read: the old key works for as long as it takes.
    world.advance(100_000);
    assert_eq!(world.token(&old).await.status, 200);
    assert_eq!(world.rotate(&old, &new).await.status, 200, "asked again");
    assert_eq!(world.audited("environment.rotate_key").await.len(), 1);

    assert_eq!(world.token(&new).await.status, 200);
    world.advance(59);
    assert_eq!(world.token(&old).await.status, 200);
    assert_eq!(world.show(&old).await["state"], "enrolled");
}

#[tokio::test]
async fn case_16_a_rotated_out_key_quarantines_after_its_grace() {
    let mut world = World::start().await;
    let old = world.environment().await;
    let new = world.rotated(&old).await;
    let bystander = world.environment().await;
    assert_eq!(world.token(&new).await.status, 200);
    world.advance(59);
    let made_before = old.assertion(world.now());
    world.advance(1);

    // What was signed before the end and is late, or was captured and is sent again, harms nobody.
    let late = world.present(&made_before).await;
    late.assert_refused(
        "401 invalid_client",
        "was replaced by a newer one and ended",
    );
    assert_eq!(world.token(&new).await.status, 200);

    // Assertions speak in whole seconds.
    world.advance(1);
    let says = format!("environment {} is quarantined", old.id);
    let stolen = world.token(&old).await;
    stolen.assert_refused("400 unauthorized_client", &says);
    snapshot!("quarantined", stolen);
    let shown = world.show(&old).await;
    assert_eq!(shown["state"], "quarantined");
    assert!(shown["quarantined_at"].is_string());
    let records = world.audited("environment.quarantine").await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].actor, "system");
    assert_eq!(records[0].source.as_deref(), Some("127.0.0.1"));
    assert_eq!(records[0].request_id.as_deref(), stolen.get("x-request-id"));
    let why = details(&records[0]);
    assert_eq!(why["kid"], old.kid.as_str());
    assert!(
        why["reason"].as_str().unwrap().contains("replaced"),
        "{why}"
    );

    // Every key of it proves and gets nothing; also a token that was asked for before, and a restart
    // changes nothing.
    for _ in 0..2 {
        for key in [&new, &old] {
            let answer = world.token(key).await;
            answer.assert_refused("400 unauthorized_client", &says);
        }
        let answer = world.rotate(&new, &Environment::new(&new.id)).await;
        answer.assert_refused("400 unauthorized_client", &says);
        assert_eq!(world.token(&bystander).await.status, 200);
        world.restart().await;
    }
    // A stranger learns nothing.
    let stranger = world.token(&Environment::new(&old.id)).await;
    stranger.assert_refused("401 invalid_client", "the client is unknown");
    assert_eq!(world.audited("environment.quarantine").await.len(), 1);
}

#[tokio::test]
async fn case_16_the_old_key_cannot_rotate_after_its_end_either() {
    let world = World::start().await;
    let old = world.environment().await;
    let new = world.rotated(&old).await;
    assert_eq!(world.token(&new).await.status, 200);
    // Within the grace it gets tokens, but the new key is in use.
    let thief = Environment::new(&old.id);
    let answer = world.rotate(&old, &thief).await;
    answer.assert_refused("401 invalid_client", "was replaced by a newer one already");
    assert_eq!(world.token(&new).await.status, 200);
    // Signed with a nonce of before the end: late. With one of after it: a use.
    world.advance(30);
    let early = world.nonce().await;
    world.advance(30);
    let answer = world.post_rotation(&request(&old, &thief, &early)).await;
    answer.assert_refused("401 invalid_client", "was replaced by a newer one already");
    assert_eq!(world.token(&new).await.status, 200);
    let answer = world.rotate(&old, &thief).await;
    answer.assert_refused("400 unauthorized_client", "is quarantined");
    world
        .token(&new)
        .await
        .assert_refused("400 unauthorized_client", "is quarantined");
    let refused = world.audited("environment.rotate_key").await;
    assert_eq!(refused.len(), 4, "each of them is a record");
}

#[tokio::test]
async fn case_16_who_rotates_first_is_found_out_by_the_other() {
    let world = World::start().await;
    let owner = world.environment().await;
    // A thief with the key replaces it, and uses the new one.
    let thief = world.rotated(&owner).await;
    assert_eq!(world.token(&thief).await.status, 200);
    world.advance(61);
    world
        .token(&owner)
        .await
        .assert_refused("400 unauthorized_client", "is quarantined");
    world
        .token(&thief)
        .await
        .assert_refused("400 unauthorized_client", "is quarantined");
}

#[tokio::test]
async fn a_release_says_which_key_stays_and_a_join_token_ends_all() {
    let world = World::start().await;
    let old = world.environment().await;
    let new = world.rotated(&old).await;
    let refused = world.release(&old).await;
    refused.assert_refused("409", "is not quarantined but enrolled");
    assert_eq!(world.token(&new).await.status, 200);
    world.advance(61);
    world.token(&old).await;

    let released = world.release(&old).await;
    assert_eq!(released.status, 200, "{released:?}");
    assert_eq!(released.json()["state"], "enrolled");
    assert_eq!(released.json()["kid"], new.kid.as_str());
    assert_eq!(released.json()["quarantined_at"], Value::Null);
    let record = &world.audited("environment.release").await[0];
    assert!(record.actor.starts_with("administrator:"));
    assert_eq!(details(record), json!({ "kid": new.kid }));
    assert_eq!(world.token(&new).await.status, 200);

    // The other holder is still there.
    let again = world.token(&old).await;
    again.assert_refused("400 unauthorized_client", "is quarantined");
    assert_eq!(world.audited("environment.quarantine").await.len(), 2);

    // A compromised environment enrols anew: both keys end, and neither quarantines any more.
    let ticket = world.another_ticket(&old.id).await;
    let reborn = world.enrol(&ticket).await;
    assert_eq!(world.token(&reborn).await.status, 200);
    for ended in [&old, &new] {
        world
            .token(ended)
            .await
            .assert_refused("401 invalid_client", "the client is unknown");
    }
    assert_eq!(world.token(&reborn).await.status, 200);
    let target = "/api/v1/environments/019527e4-75d5-704d-a5a4-a2b52cf56196/release";
    let answer = world.admin(Request::new("POST", target)).await;
    answer.assert_refused("404", "there is no such environment");
}

/// What one test of a bad request needs.
struct Attempt {
    old: Environment,
    new: Environment,
    other: Environment,
    nonce: String,
}

impl Attempt {
    async fn begin(world: &World) -> Self {
        let old = world.environment().await;
        Self {
            new: Environment::new(&old.id),
            other: world.environment().await,
            nonce: world.nonce().await,
            old,
        }
    }

    fn claims(&self) -> Value {
        claims(&self.old, &self.new, &self.nonce)
    }

    /// A good request but for one member.
    fn with(&self, name: &str, value: impl Into<Value>) -> Value {
        let mut body = request(&self.old, &self.new, &self.nonce);
        body[name] = value.into();
        body
    }

    /// A good proof but for one claim.
    fn changed(&self, by: &Environment, claim: &str, value: &str) -> String {
        let mut claims = self.claims();
        claims[claim] = value.into();
        prove(by, &claims)
    }

    fn typed(&self, by: &Environment, typ: &str) -> String {
        let header = json!({ "alg": "ES256", "typ": typ, "kid": by.kid });
        by.sign(&header, &self.claims())
    }

    fn unsigned(&self, by: &Environment) -> String {
        let header = json!({ "alg": "ES256", "typ": TYPE, "kid": by.kid });
        compact(&header.to_string(), &self.claims().to_string(), |_| {
            vec![0; 64]
        })
    }

    /// Each is refused so, and nothing has changed after all of them.
    async fn all_refused(&self, world: &World, bad: Vec<(Value, &str, &str)>) {
        for (body, error, says) in bad {
            let answer = world.post_rotation(&body).await;
            answer.assert_refused(error, says);
        }
        assert_eq!(world.show(&self.old).await["kid"], self.old.kid.as_str());
        assert_eq!(world.token(&self.old).await.status, 200);
    }
}

#[tokio::test]
async fn case_16_the_new_key_has_to_sign() {
    let world = World::start().await;
    let it = Attempt::begin(&world).await;
    let proof = |proof: String| it.with("proof_by_new_key", proof);
    let invalid = "400 invalid_proof";
    let bad = vec![
        (
            proof(prove(&it.old, &it.claims())),
            invalid,
            "not signed by the key in jwk",
        ),
        (
            proof(it.unsigned(&it.new)),
            invalid,
            "not signed by the key in jwk",
        ),
        (
            proof(it.typed(&it.new, "enrolment+jwt")),
            invalid,
            "typ must be",
        ),
        (
            proof(it.changed(&it.new, "old_kid", &it.other.kid)),
            invalid,
            "old_kid must be",
        ),
        (
            proof(it.changed(&it.new, "nonce", &base64url_encode([0; 48]))),
            invalid,
            "its nonce is not that of",
        ),
        (proof("x".to_owned()), invalid, "proof_by_new_key"),
        (
            it.with("jwk", json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" })),
            "400 invalid_request",
            "must be a P-256",
        ),
    ];
    it.all_refused(&world, bad).await;
}

#[tokio::test]
async fn case_16_the_old_key_has_to_sign() {
    let world = World::start().await;
    let it = Attempt::begin(&world).await;
    let proof = |proof: String| it.with("proof_by_old_key", proof);
    let invalid = "400 invalid_proof";
    let stranger = ("401 invalid_client", "the environment is unknown");
    let mut as_old = Environment::new(&it.old.id);
    as_old.kid.clone_from(&it.old.kid);
    let nobody = "019527e4-75d5-704d-a5a4-a2b52cf56196";
    let mut bad: Vec<_> = [
        proof(it.unsigned(&it.old)),
        proof(prove(&as_old, &it.claims())),
        proof(prove(&it.other, &it.claims())),
        proof(prove(&it.new, &it.claims())),
        it.with("environment_id", &*it.other.id),
        it.with("environment_id", nobody),
    ]
    .map(|body| (body, stranger.0, stranger.1))
    .into();
    bad.extend([
        (
            proof(it.typed(&it.old, "client-authentication+jwt")),
            invalid,
            "typ must be",
        ),
        (
            proof(it.changed(&it.old, "aud", "https://other.example")),
            invalid,
            "aud must be",
        ),
        (
            proof(it.changed(&it.old, "sub", &it.other.id)),
            invalid,
            "sub must be",
        ),
        (
            proof(it.changed(&it.old, "new_kid", &it.other.kid)),
            invalid,
            "new_kid must be",
        ),
        (proof("x".to_owned()), invalid, "proof_by_old_key"),
    ]);
    it.all_refused(&world, bad).await;
}

#[tokio::test]
async fn case_16_the_nonce_has_to_be_fresh_and_the_key_new() {
    let world = World::start().await;
    let it = Attempt::begin(&world).await;
    let good = request(&it.old, &it.new, &it.nonce);
    let forged = base64url_encode([0; 48]);
    let bad = vec![
        (
            request(&it.old, &it.new, &forged),
            "400 invalid_nonce",
            "fetch /enroll/nonce",
        ),
        (
            request(&it.old, &it.old, &it.nonce),
            "401 invalid_client",
            "was replaced",
        ),
    ];
    it.all_refused(&world, bad).await;
    world.advance(60);
    let stale = vec![(good, "400 invalid_nonce", "fetch /enroll/nonce")];
    it.all_refused(&world, stale).await;
}

#[tokio::test]
async fn a_replayed_request_changes_nothing() {
    let world = World::start().await;
    let first = world.environment().await;
    let second = Environment::new(&first.id);
    let nonce = world.nonce().await;
    let captured = request(&first, &second, &nonce);
    assert_eq!(world.post_rotation(&captured).await.status, 200);
    assert_eq!(world.post_rotation(&captured).await.status, 200, "unused");
    let third = world.rotated(&second).await;
    let replayed = world.post_rotation(&captured).await;
    replayed.assert_refused("401 invalid_client", "was replaced by a newer one already");
    assert_eq!(world.show(&first).await["kid"], third.kid.as_str());
    assert_eq!(world.token(&third).await.status, 200);
    world.advance(90);
    let stale = world.post_rotation(&captured).await;
    stale.assert_refused("400 invalid_nonce", "fetch /enroll/nonce");
    assert_eq!(world.token(&third).await.status, 200, "no quarantine");
}

#[tokio::test]
async fn case_17_no_token_once_the_quarantine_has_returned() {
    let world = World::start().await;
    let old = world.environment().await;
    let new = world.rotated(&old).await;
    assert_eq!(world.token(&new).await.status, 200);
    world.advance(61);
    // Many mints of the good key race with the one use of the bad one.
    let mints: Vec<_> = (0..20).map(|_| new.assertion(world.now())).collect();
    let bad = old.assertion(world.now());
    let (answers, refused) = tokio::join!(
        futures_util::future::join_all(mints.iter().map(|mint| world.present(mint))),
        world.present(&bad)
    );
    refused.assert_refused("400 unauthorized_client", "is quarantined");
    let minted = answers.iter().filter(|answer| answer.status == 200).count();
    let records = world.audited("token.mint").await;
    let successes = records.iter().filter(|record| record.outcome == "success");
    assert_eq!(successes.count(), minted + 1);
    let quarantined = world.audited("environment.quarantine").await[0].seq;
    let last = records.iter().rfind(|record| record.outcome == "success");
    assert!(last.unwrap().seq < quarantined);
    world
        .token(&new)
        .await
        .assert_refused("400 unauthorized_client", "is quarantined");
}
