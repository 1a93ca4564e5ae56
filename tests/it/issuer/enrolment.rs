//! Enrolment (cases 15 and 16): a join token serves once, within its time, from where it may, and for
//! the key that signed the proof.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use idp::{
    domain::SigningAlgorithm,
    jose::{PrivateKey, base64url_encode},
};
use serde_json::{Value, json};

use super::{
    Answer, Environment, ISSUER, Key, Request, Ticket, World,
    client::{compact, proof_claims},
};

async fn post(world: &World, body: &Value) -> Answer {
    world.send(Request::json("POST", "/enroll", body)).await
}

/// Tries to enrol with a proof whose claims are changed.
async fn with_claims(world: &World, ticket: &Ticket, change: impl FnOnce(&mut Value)) -> Answer {
    let environment = Environment::new(&ticket.environment);
    let nonce = world.nonce().await;
    let mut claims = proof_claims(&ticket.secret, &nonce);
    change(&mut claims);
    let mut body = environment.enrolment(&ticket.secret, &nonce);
    body["proof"] = environment
        .sign(&environment.proof_header(), &claims)
        .into();
    post(world, &body).await
}

#[tokio::test]
async fn case_15_a_join_token_serves_once() {
    let world = World::start().await;
    let ticket = world.ticket().await;
    let environment = Environment::new(&ticket.environment);
    let nonce = world.get("/enroll/nonce").await;
    snapshot!("enrolment-nonce", nonce);
    let enrolled = world.try_enrol(&ticket, &environment).await;
    snapshot!("enrolled", enrolled);
    let expected = json!({
        "environment_id": environment.id,
        "issuer": ISSUER,
        "kid": environment.kid,
    });
    assert_eq!(enrolled.json(), expected);
    for another in [&environment, &Environment::new(&ticket.environment)] {
        let answer = world.try_enrol(&ticket, another).await;
        answer.assert_refused(
            "400 invalid_grant",
            "the join token was used at 2025-02-25T20:10:45Z",
        );
    }
    let used = world.try_enrol(&ticket, &environment).await;
    snapshot!("join-token-used", used);
    assert_eq!(world.token(&environment).await.status, 200);

    let mut records = world.audited("environment.enrol").await;
    records.retain(|record| record.outcome == "success");
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].actor, format!("environment:{}", environment.id));
    assert_eq!(
        records[0].request_id.as_deref(),
        enrolled.get("x-request-id")
    );
}

#[tokio::test]
async fn case_15_expired_unknown_replaced() {
    let world = World::start().await;
    let ticket = world.ticket().await;
    world.advance(599);
    world.enrol(&ticket).await;

    let ticket = world.ticket().await;
    world.advance(600);
    let newcomer = Environment::new(&ticket.environment);
    let late = world.try_enrol(&ticket, &newcomer).await;
    late.assert_refused(
        "400 invalid_grant",
        "the join token ended at 2025-02-25T20:",
    );

    let first = world.ticket().await;
    let second = world.another_ticket(&first.environment).await;
    let newcomer = Environment::new(&first.environment);
    let replaced = world.try_enrol(&first, &newcomer).await;
    replaced.assert_refused("400 invalid_grant", "or when a newer one was made");
    world.enrol(&second).await;

    for (secret, error, says) in [
        (
            format!("idp_join_{}", "A".repeat(43)),
            "400 invalid_grant",
            "the join token is unknown",
        ),
        (
            world.admin.clone(),
            "400 invalid_request",
            "join_token is not a join token",
        ),
        (
            String::new(),
            "400 invalid_request",
            "join_token is not a join token",
        ),
        ("idp_join_\0".to_owned(), "400 invalid_grant", "unknown"),
        (
            format!(" {}", second.secret),
            "400 invalid_request",
            "not a join token",
        ),
        (
            format!("{} ", second.secret),
            "400 invalid_grant",
            "unknown",
        ),
    ] {
        let ticket = Ticket {
            environment: first.environment.clone(),
            secret: secret.clone(),
        };
        let answer = world
            .try_enrol(&ticket, &Environment::new(&ticket.environment))
            .await;
        answer.assert_refused(error, says);
        assert!(secret.len() < 20 || !answer.text().contains(&secret));
    }
}

#[tokio::test]
async fn case_15_from_another_network() {
    let world = World::start().await;
    for (cidr, status) in [
        ("127.0.0.1/32", 200),
        ("127.0.0.0/8", 200),
        ("0.0.0.0/0", 200),
        ("10.0.0.0/8", 400),
        ("127.0.0.2/32", 400),
        ("::1/128", 400),
        ("::/0", 400),
    ] {
        let body = json!({ "name": "dev", "cidr": cidr });
        let ticket = world.ticket_with(world.organization, &body).await;
        let environment = Environment::new(&ticket.environment);
        let body = environment.enrolment(&ticket.secret, &world.nonce().await);
        // What a header says of the source is not believed.
        let request = Request::json("POST", "/enroll", &body)
            .header("x-forwarded-for", "10.1.2.3")
            .header("x-real-ip", "10.1.2.3")
            .header("forwarded", "for=10.1.2.3");
        let answer = world.send(request).await;
        assert_eq!(answer.status, status, "{cidr}: {answer:?}");
        if status != 200 {
            answer.assert_refused("400 invalid_grant", "may not be used from this address");
        }
    }
}

/// A listener on both protocols sees IPv4 peers as mapped IPv6 addresses.
#[tokio::test]
async fn case_15_from_a_mapped_address() {
    let mut world = World::with(|settings| settings.listen = "[::]:0".parse().unwrap()).await;
    world.address.set_ip("127.0.0.1".parse().unwrap());
    for (cidr, status) in [("127.0.0.0/8", 200), ("10.0.0.0/8", 400), ("::/0", 400)] {
        let body = json!({ "name": "dev", "cidr": cidr });
        let ticket = world.ticket_with(world.organization, &body).await;
        let environment = Environment::new(&ticket.environment);
        let answer = world.try_enrol(&ticket, &environment).await;
        assert_eq!(answer.status, status, "{cidr}: {answer:?}");
    }
    let enrolled = world.audited("environment.enrol").await;
    assert_eq!(enrolled[0].source.as_deref(), Some("127.0.0.1"));
}

#[tokio::test]
async fn case_16_the_proof_is_by_the_key_that_is_enrolled() {
    let world = World::start().await;
    let ticket = world.ticket().await;
    let environment = Environment::new(&ticket.environment);
    let other = Environment::new(&ticket.environment);
    let nonce = world.nonce().await;

    let mut body = environment.enrolment(&ticket.secret, &nonce);
    body["proof"] = other.proof(&ticket.secret, &nonce).into();
    let answer = post(&world, &body).await;
    answer.assert_refused(
        "400 invalid_proof",
        "proof: it is not signed by the key in jwk",
    );
    snapshot!("invalid-proof", answer);

    let claims = proof_claims(&ticket.secret, &nonce);
    for (name, value, says) in [
        ("alg", json!("none"), "not signed by the key in jwk"),
        ("alg", json!("HS256"), "not signed by the key in jwk"),
        ("alg", json!("EdDSA"), "not signed by the key in jwk"),
        (
            "typ",
            json!("client-authentication+jwt"),
            "typ must be 'enrolment+jwt'",
        ),
        ("typ", json!("JWT"), "typ must be 'enrolment+jwt'"),
        ("crit", json!(["x"]), "has 'crit'"),
        ("b64", json!(false), "has 'b64'"),
    ] {
        let mut header = environment.proof_header();
        header[name] = value;
        let mut body = environment.enrolment(&ticket.secret, &nonce);
        body["proof"] = environment.sign(&header, &claims).into();
        let answer = post(&world, &body).await;
        answer.assert_refused("400 invalid_proof", says);
    }
    for proof in ["", "x", "a.b.c", "..", "\0"] {
        let mut body = environment.enrolment(&ticket.secret, &nonce);
        body["proof"] = proof.into();
        let answer = post(&world, &body).await;
        answer.assert_refused("400 invalid_proof", "proof: ");
    }
    // The key in the proof's header is not the one that counts.
    let mut header = other.proof_header();
    header["jwk"] = other.key.jwk();
    let mut body = environment.enrolment(&ticket.secret, &nonce);
    body["proof"] = other.sign(&header, &claims).into();
    let answer = post(&world, &body).await;
    answer.assert_refused("400 invalid_proof", "not signed by the key in jwk");

    // After all of this the token still serves.
    assert_eq!(world.try_enrol(&ticket, &environment).await.status, 200);
}

#[tokio::test]
async fn case_16_the_proof_says_for_what_it_is() {
    let world = World::start().await;
    let ticket = world.ticket().await;
    for aud in [
        json!("https://other.example"),
        json!([ISSUER]),
        json!(format!("{ISSUER}/")),
    ] {
        let answer = with_claims(&world, &ticket, |claims| claims["aud"] = aud).await;
        answer.assert_refused("400 invalid_proof", "proof: aud must be the issuer");
    }
    let other = world.ticket().await;
    let hash = proof_claims(&other.secret, "")["token_sha256"].clone();
    for hash in [hash, json!(""), json!(ticket.secret), Value::Null] {
        let answer = with_claims(&world, &ticket, |claims| claims["token_sha256"] = hash).await;
        answer.assert_refused("400 invalid_proof", "proof: token_sha256 must be");
    }
    let elsewhere = World::start().await;
    let foreign = elsewhere.nonce().await;
    let nonce = world.nonce().await;
    let mut forged = idp::jose::base64url_decode(&nonce).unwrap();
    forged[7] ^= 1;
    for nonce in [
        json!(foreign),
        json!(base64url_encode(forged)),
        json!(format!("{nonce}A")),
        json!(""),
        json!(1),
        Value::Null,
    ] {
        let answer = with_claims(&world, &ticket, |claims| claims["nonce"] = nonce).await;
        answer.assert_refused("400 invalid_nonce", "fetch /enroll/nonce and try again");
    }
    let answer = with_claims(&world, &ticket, |_| ()).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn case_16_a_nonce_goes_stale() {
    let world = World::start().await;
    let ticket = world.ticket().await;
    let environment = Environment::new(&ticket.environment);
    let nonce = world.nonce().await;
    let body = environment.enrolment(&ticket.secret, &nonce);
    let start = world.now();
    world.advance(60);
    let answer = post(&world, &body).await;
    answer.assert_refused("400 invalid_nonce", "not a fresh one of this issuer");
    snapshot!("stale-nonce", answer);
    world
        .clock
        .set(idp::domain::Timestamp::from_secs(start - 3_600));
    let answer = post(&world, &body).await;
    answer.assert_refused("400 invalid_nonce", "not a fresh one");
    world
        .clock
        .set(idp::domain::Timestamp::from_secs(start + 59));
    assert_eq!(post(&world, &body).await.status, 200);
}

/// A nonce is good for as long as it says, across a restart too: its key is derived, not drawn.
#[tokio::test]
async fn a_nonce_outlives_a_restart() {
    let mut world = World::start().await;
    let ticket = world.ticket().await;
    let environment = Environment::new(&ticket.environment);
    let body = environment.enrolment(&ticket.secret, &world.nonce().await);
    world.restart().await;
    assert_eq!(post(&world, &body).await.status, 200);
}

#[tokio::test]
async fn case_15_keys_that_cannot_be_enrolled() {
    let world = World::start().await;
    let ticket = world.ticket().await;
    let environment = Environment::new(&ticket.environment);
    let good = environment.key.jwk();
    let rsa = PrivateKey::generate(SigningAlgorithm::Rs256).unwrap();
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let point = &p384.public_key().as_ref()[1..];
    let with = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        jwk
    };
    for (jwk, says) in [
        (
            serde_json::to_value(rsa.public()).unwrap(),
            "jwk must be a P-256 (ES256) or Ed25519 (EdDSA) key",
        ),
        // Whoever sends a private half has given the key away.
        (
            with("d", json!(base64url_encode([1; 32]))),
            "jwk: unknown field `d`",
        ),
        (with("k", json!("AA")), "jwk: unknown field `k`"),
        (
            with("key_ops", json!(["sign"])),
            "jwk: unknown field `key_ops`",
        ),
        (
            json!({
                "kty": "EC", "crv": "P-384",
                "x": base64url_encode(&point[..48]), "y": base64url_encode(&point[48..]),
            }),
            "jwk: the curve 'P-384' is not supported",
        ),
        (
            json!({ "kty": "OKP", "crv": "X25519", "x": base64url_encode([9; 32]) }),
            "jwk: the curve 'X25519' is not supported",
        ),
        (
            with("crv", json!("secp256k1")),
            "jwk: the curve 'secp256k1'",
        ),
        (with("x", json!("AA")), "jwk: the member 'x'"),
        (
            with("x", json!(format!("{}=", good["x"].as_str().unwrap()))),
            "jwk: the member 'x'",
        ),
        (
            with("y", good["x"].clone()),
            "jwk: the members do not make a valid public key",
        ),
        (
            json!({
                "kty": "EC", "crv": "P-256",
                "x": base64url_encode([0; 32]), "y": base64url_encode([0; 32]),
            }),
            "jwk: the members do not make a valid public key",
        ),
        (with("kty", json!("EC2")), "jwk.kty: unknown variant `EC2`"),
        (with("y", Value::Null), "jwk: invalid type"),
    ] {
        let mut body = environment.enrolment(&ticket.secret, &world.nonce().await);
        body["jwk"] = jwk.clone();
        let answer = post(&world, &body).await;
        answer.assert_refused("400 invalid_request", says);
    }
    assert_eq!(world.try_enrol(&ticket, &environment).await.status, 200);
}

/// RS256 proofs are no proofs even for an RSA key.
#[tokio::test]
async fn case_15_an_rsa_key_proves_nothing_here() {
    let world = World::start().await;
    let ticket = world.ticket().await;
    let key = PrivateKey::generate(SigningAlgorithm::Rs256).unwrap();
    let environment = Environment::with_key(&ticket.environment, Key::Local(key));
    let answer = world.try_enrol(&ticket, &environment).await;
    answer.assert_refused("400 invalid_request", "jwk must be");
}

#[tokio::test]
async fn a_key_belongs_to_one_environment() {
    let world = World::start().await;
    let first = world.environment().await;
    let ticket = world.ticket().await;
    let body = {
        let nonce = world.nonce().await;
        first.enrolment(&ticket.secret, &nonce)
    };
    let answer = post(&world, &body).await;
    answer.assert_refused(
        "400 invalid_request",
        "jwk is, or was, an environment's key",
    );
    // The token was not used up by that.
    world.enrol(&ticket).await;
    assert_eq!(world.token(&first).await.status, 200);
}

/// Case 16: a key that was replaced is nobody's.
#[tokio::test]
async fn case_16_enrolling_again_ends_the_old_key_at_once() {
    let world = World::start().await;
    let old = world.environment().await;
    // It is in the server's cache now.
    assert_eq!(world.token(&old).await.status, 200);
    let ticket = world.another_ticket(&old.id).await;
    assert_eq!(ticket.environment, old.id);
    assert_eq!(
        world.token(&old).await.status,
        200,
        "a token alone ends nothing"
    );
    let new = world.enrol(&ticket).await;
    let answer = world.token(&old).await;
    answer.assert_refused("401 invalid_client", "the client is unknown");
    assert_eq!(world.token(&new).await.status, 200);
    // With the old key's signature under the new key's name neither.
    let answer = world
        .present(&old.heading(world.now(), "kid", new.kid.as_str()))
        .await;
    answer.assert_refused("401 invalid_client", "the client is unknown");
    // The same key again is fine: the environment kept it.
    let ticket = world.another_ticket(&old.id).await;
    assert_eq!(world.try_enrol(&ticket, &new).await.status, 200);
    assert_eq!(world.token(&new).await.status, 200);
}

#[tokio::test]
async fn an_edwards_key_enrols() {
    let world = World::start().await;
    let ticket = world.ticket().await;
    let environment = Environment::with_key(&ticket.environment, Key::ed25519());
    let answer = world.try_enrol(&ticket, &environment).await;
    assert_eq!(answer.json()["kid"], environment.kid);
    // `EdDSA` over a proof whose signature is that of another message.
    let claims = proof_claims(&ticket.secret, "x").to_string();
    let header = environment.proof_header().to_string();
    let proof = compact(&header, &claims, |_| environment.key.sign(b"other"));
    let mut body = environment.enrolment(&ticket.secret, &world.nonce().await);
    body["proof"] = proof.into();
    let answer = post(&world, &body).await;
    answer.assert_refused("400 invalid_proof", "not signed by the key in jwk");
}
