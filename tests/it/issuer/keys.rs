//! The issuer's keys and the tokens that they sign, as a second and a third implementation read them
//! (case 18, as far as keys do not rotate yet).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use idp::{domain::SigningAlgorithm, jose::base64url_decode};
use josekit::{
    jwk::Jwk,
    jws::{ES256, JwsVerifier, RS256},
    jwt,
};
use jsonwebtoken::jwk::ThumbprintHash;
use rustls::{pki_types::CertificateDer, server::ParsedCertificate};
use serde_json::Value;

use super::World;

const ALGORITHMS: [SigningAlgorithm; 2] = [SigningAlgorithm::Rs256, SigningAlgorithm::Es256];

async fn world(algorithm: SigningAlgorithm) -> World {
    World::with(|settings| settings.keys.algorithm = algorithm).await
}

async fn keys(world: &World) -> Vec<Value> {
    let jwks = world.get("/.well-known/jwks.json").await.json();
    assert_eq!(jwks.as_object().unwrap().len(), 1);
    jwks["keys"].as_array().unwrap().clone()
}

fn bytes(key: &Value, member: &str) -> Vec<u8> {
    base64url_decode(key[member].as_str().unwrap()).unwrap()
}

/// The public half as a `SubjectPublicKeyInfo` (RFC 5280 §4.1), put together by hand.
fn public_key_info(key: &Value) -> Vec<u8> {
    match key["kty"].as_str().unwrap() {
        "EC" => {
            // id-ecPublicKey, prime256v1, an uncompressed point (RFC 5480).
            let head = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
            [hex::decode(head).unwrap(), bytes(key, "x"), bytes(key, "y")].concat()
        }
        "RSA" => {
            // rsaEncryption, a modulus of 2048 bits with its leading zero, 65537 (RFC 8017).
            let head = "30820122300d06092a864886f70d01010105000382010f003082010a0282010100";
            let exponent = "0203010001";
            let [head, exponent] = [head, exponent].map(|text| hex::decode(text).unwrap());
            [head, bytes(key, "n"), exponent].concat()
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn two_keys_are_published_and_none_of_their_secrets() {
    for (algorithm, members) in [
        (
            SigningAlgorithm::Rs256,
            ["alg", "e", "kid", "kty", "n", "use", "x5c"].as_slice(),
        ),
        (
            SigningAlgorithm::Es256,
            &["alg", "crv", "kid", "kty", "use", "x", "x5c", "y"],
        ),
    ] {
        let world = world(algorithm).await;
        let keys = keys(&world).await;
        assert_eq!(keys.len(), 2);
        for key in &keys {
            let mut names: Vec<&String> = key.as_object().unwrap().keys().collect();
            names.sort();
            assert_eq!(names, members);
            assert_eq!(key["alg"], algorithm.as_str());
            assert_eq!(key["use"], "sig");
        }
        let listed = world
            .admin(super::Request::get("/api/v1/keys"))
            .await
            .json();
        for (at, state) in ["active", "pending"].into_iter().enumerate() {
            assert_eq!(listed["items"][at]["state"], state);
            assert_eq!(listed["items"][at]["kid"], keys[at]["kid"], "active first");
        }
    }
}

#[tokio::test]
async fn a_kid_is_the_thumbprint_that_jsonwebtoken_computes() {
    for algorithm in ALGORITHMS {
        for key in keys(&world(algorithm).await).await {
            let theirs: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.clone()).unwrap();
            let thumbprint = theirs.thumbprint(ThumbprintHash::SHA256).unwrap();
            assert_eq!(key["kid"], thumbprint);
        }
    }
}

#[tokio::test]
async fn a_certificate_holds_the_key_beside_it() {
    for algorithm in ALGORITHMS {
        for key in keys(&world(algorithm).await).await {
            let chain = key["x5c"].as_array().unwrap();
            assert_eq!(chain.len(), 1);
            let der = CertificateDer::from(STANDARD.decode(chain[0].as_str().unwrap()).unwrap());
            ParsedCertificate::try_from(&der).unwrap();
            let info = public_key_info(&key);
            assert!(
                der.windows(info.len()).any(|window| window == info),
                "{key}"
            );
        }
    }
}

#[tokio::test]
async fn a_restart_changes_no_byte() {
    for algorithm in ALGORITHMS {
        let mut world = world(algorithm).await;
        let before = world.get("/.well-known/jwks.json").await.without_id();
        for _ in 0..2 {
            world.restart().await;
            world.advance(86_400);
            let after = world.get("/.well-known/jwks.json").await.without_id();
            assert_eq!(before, after);
        }
    }
}

/// Verifies with josekit, which had no part in signing.
fn verified_by_josekit(token: &str, key: &Value) -> (Value, Value) {
    let jwk = Jwk::from_map(key.as_object().unwrap().clone()).unwrap();
    let verifier: Box<dyn JwsVerifier> = match key["alg"].as_str().unwrap() {
        "RS256" => Box::new(RS256.verifier_from_jwk(&jwk).unwrap()),
        _ => Box::new(ES256.verifier_from_jwk(&jwk).unwrap()),
    };
    let (payload, header) = jwt::decode_with_verifier(token, &*verifier).unwrap();
    (
        Value::Object(header.claims_set().clone()),
        Value::Object(payload.claims_set().clone()),
    )
}

#[tokio::test]
async fn josekit_verifies_what_the_active_key_signed_and_the_pending_key_signs_nothing() {
    for algorithm in ALGORITHMS {
        let mut world = world(algorithm).await;
        let keys = keys(&world).await;
        let environment = world.environment().await;
        for round in 0..6 {
            if round == 3 {
                world.restart().await;
            }
            world.advance(3_600);
            let answer = world.token(&environment).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let token = answer.json()["access_token"].as_str().unwrap().to_owned();
            let (header, claims) = verified_by_josekit(&token, &keys[0]);
            assert_eq!(header["kid"], keys[0]["kid"]);
            assert_eq!(header["alg"], algorithm.as_str());
            assert_eq!(claims["exp"], world.now() + 900);
            let other = Jwk::from_map(keys[1].as_object().unwrap().clone()).unwrap();
            let refused = match algorithm {
                SigningAlgorithm::Rs256 => {
                    jwt::decode_with_verifier(&token, &RS256.verifier_from_jwk(&other).unwrap())
                        .is_err()
                }
                SigningAlgorithm::Es256 => {
                    jwt::decode_with_verifier(&token, &ES256.verifier_from_jwk(&other).unwrap())
                        .is_err()
                }
            };
            assert!(refused, "the pending key signed");
        }
    }
}

#[tokio::test]
async fn a_token_says_exactly_this() {
    let world = World::start().await;
    let keys = keys(&world).await;
    let environment = world.environment().await;
    let answer = world.token(&environment).await;
    snapshot!("token", answer);
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let (header, claims) = verified_by_josekit(&token, &keys[0]);
    let now = world.now();
    let organization = world.organization;
    let expected = serde_json::json!({
        "iss": super::ISSUER,
        "sub": format!("org:{organization}/env:{}", environment.id),
        "aud": "sts.amazonaws.com",
        "org": organization,
        "exp": now + 900,
        "iat": now,
        "nbf": now - 60,
        "jti": claims["jti"],
    });
    assert_eq!(claims, expected);
    assert_eq!(
        header,
        serde_json::json!({ "alg": "ES256", "typ": "JWT", "kid": keys[0]["kid"] })
    );

    // The audit record names the token that went out.
    let minted = world.audited("token.mint").await;
    let details: Value = serde_json::from_str(&minted[0].details).unwrap();
    for claim in ["jti", "sub", "aud", "exp"] {
        assert_eq!(details[claim], claims[claim], "{claim}");
    }
    assert_eq!(details["kid"], keys[0]["kid"]);
    assert_eq!(minted[0].request_id.as_deref(), answer.get("x-request-id"));
    assert_eq!(minted[0].source.as_deref(), Some("127.0.0.1"));
    assert_eq!(minted[0].actor, format!("environment:{}", environment.id));
}

#[tokio::test]
async fn a_project_stands_in_the_subject() {
    let world = World::start().await;
    let target = format!("/api/v1/organizations/{}/projects", world.organization);
    let project = world
        .post(&target, &serde_json::json!({ "name": "web" }))
        .await
        .json()["id"]
        .clone();
    let body = serde_json::json!({ "name": "dev", "project_id": project });
    let ticket = world.ticket_with(world.organization, &body).await;
    let environment = world.enrol(&ticket).await;
    let answer = world.token(&environment).await.json();
    let token = answer["access_token"].as_str().unwrap();
    let (_, claims) = verified_by_josekit(token, &keys(&world).await[0]);
    let project = project.as_str().unwrap();
    let (organization, id) = (world.organization, &environment.id);
    assert_eq!(
        claims["sub"],
        format!("org:{organization}/prj:{project}/env:{id}")
    );
}
