//! Client assertions that somebody tampered with (cases 1–3, 6, 7): algorithms, keys in headers, key
//! ids, audiences, names.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aws_lc_rs::{
    hmac,
    rsa::KeySize,
    signature::{
        ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use idp::jose::base64url_decode;
use serde_json::{Value, json};

use super::{Environment, ISSUER, Key, World, client::compact, world::token_parameters};

const UNPROVED: &str = "the client is unknown, or the assertion is not signed by its enrolled key";
const ALGORITHM: &str = "client_assertion: its algorithm must be ES256 or EdDSA";

#[tokio::test]
async fn case_1_alg_none_in_every_spelling() {
    let world = World::start().await;
    let environment = world.environment().await;
    for spelling in [
        "none", "None", "NONE", "nOnE", "noNe", " none", "none ", "none\0", "", "null", "ｎone",
    ] {
        let mut header = environment.header();
        header["alg"] = spelling.into();
        let claims = environment.claims(world.now()).to_string();
        for signature in [Vec::new(), b"x".to_vec()] {
            let text = compact(&header.to_string(), &claims, |_| signature);
            let answer = world.present(&text).await;
            answer.assert_refused("401 invalid_client", ALGORITHM);
        }
        // A good signature does not help.
        let answer = world
            .present(&environment.heading(world.now(), "alg", spelling))
            .await;
        answer.assert_refused("401 invalid_client", ALGORITHM);
    }
    for (alg, says) in [
        (Value::Null, "\"alg\" that is not a string"),
        (json!(["none"]), "\"alg\" that is not a string"),
        (json!(0), "\"alg\" that is not a string"),
    ] {
        let answer = world
            .present(&environment.heading(world.now(), "alg", alg))
            .await;
        answer.assert_refused("401 invalid_client", &says.replace('"', "'"));
    }
    let mut header = environment.header();
    header.as_object_mut().unwrap().remove("alg");
    let text = environment.sign(&header, &environment.claims(world.now()));
    let answer = world.present(&text).await;
    answer.assert_refused(
        "401 invalid_client",
        "client_assertion: its header lacks 'alg'",
    );
    // Two parts, and three of which the last is missing.
    let good = environment.assertion(world.now());
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    let answer = world.present(unsigned).await;
    answer.assert_refused("401 invalid_client", "separated by dots, this has 2");
    let answer = world.present(&format!("{unsigned}.")).await;
    answer.assert_refused("401 invalid_client", UNPROVED);
}

/// Every form in which somebody might hand a public key to an HMAC.
fn forms_of_the_public_key(environment: &Environment) -> Vec<Vec<u8>> {
    let jwk = environment.key.jwk();
    let member = |name: &str| base64url_decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [vec![4], member("x"), member("y")].concat();
    let head = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
    let info = [hex::decode(head).unwrap(), point.clone()].concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(&info)
    );
    vec![
        point[1..].to_vec(),
        point,
        info,
        pem.trim_end().as_bytes().to_vec(),
        pem.into_bytes(),
        jwk.to_string().into_bytes(),
        environment.kid.clone().into_bytes(),
        Vec::new(),
    ]
}

#[tokio::test]
async fn case_1_an_hmac_keyed_with_the_public_key() {
    let world = World::start().await;
    let environment = world.environment().await;
    for secret in forms_of_the_public_key(&environment) {
        for (alg, algorithm) in [
            ("HS256", hmac::HMAC_SHA256),
            ("HS384", hmac::HMAC_SHA384),
            ("HS512", hmac::HMAC_SHA512),
        ] {
            let mut header = environment.header();
            header["alg"] = alg.into();
            let claims = environment.claims(world.now()).to_string();
            let text = compact(&header.to_string(), &claims, |input| {
                let key = hmac::Key::new(algorithm, &secret);
                hmac::sign(&key, input).as_ref().to_vec()
            });
            let answer = world.present(&text).await;
            answer.assert_refused("401 invalid_client", ALGORITHM);
        }
    }
}

#[tokio::test]
async fn case_1_algorithms_that_are_not_for_clients() {
    let world = World::start().await;
    let environment = world.environment().await;
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let sign_rsa = |encoding, input: &[u8]| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(encoding, &random(), input, &mut signature)
            .unwrap();
        signature
    };
    for (alg, says) in [
        ("RS256", ALGORITHM),
        ("PS256", ALGORITHM),
        ("ES384", ALGORITHM),
        // The right name over another curve's signature.
        ("ES256", UNPROVED),
        ("es256", ALGORITHM),
        ("ES256K", ALGORITHM),
        ("Ed25519", ALGORITHM),
    ] {
        let mut header = environment.header();
        header["alg"] = alg.into();
        let claims = environment.claims(world.now()).to_string();
        let text = compact(&header.to_string(), &claims, |input| match alg {
            "RS256" => sign_rsa(&RSA_PKCS1_SHA256, input),
            "PS256" => sign_rsa(&RSA_PSS_SHA256, input),
            "ES384" | "ES256" => p384.sign(&random(), input).unwrap().as_ref().to_vec(),
            _ => environment.key.sign(input),
        });
        let answer = world.present(&text).await;
        answer.assert_refused("401 invalid_client", says);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "aws-lc takes this argument and draws its nonces from its own generator"
)]
fn random() -> aws_lc_rs::rand::SystemRandom {
    aws_lc_rs::rand::SystemRandom::new()
}

#[tokio::test]
async fn case_1_a_key_serves_its_own_algorithm_only() {
    let world = World::start().await;
    let ticket = world.ticket().await;
    let ed25519 = Environment::with_key(&ticket.environment, Key::ed25519());
    assert_eq!(world.try_enrol(&ticket, &ed25519).await.status, 200);
    let es256 = world.environment().await;

    // Both kinds of key get tokens.
    for environment in [&ed25519, &es256] {
        assert_eq!(world.token(environment).await.status, 200);
    }
    for (environment, alg) in [(&ed25519, "ES256"), (&es256, "EdDSA")] {
        let answer = world
            .present(&environment.heading(world.now(), "alg", alg))
            .await;
        answer.assert_refused("401 invalid_client", UNPROVED);
    }
}

#[tokio::test]
async fn case_2_a_key_in_the_header_is_not_used_and_nothing_is_fetched() {
    let world = World::start().await;
    let environment = world.environment().await;
    let attacker = Environment::with_key(&environment.id, Key::es256());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = visits.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut jwk = attacker.key.jwk();
    jwk["kid"] = attacker.kid.clone().into();
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AA")),
        ("x5t#S256", json!("AA")),
    ] {
        for kid in [&environment.kid, &attacker.kid] {
            let mut header = attacker.header();
            header["kid"] = kid.clone().into();
            header[name] = value.clone();
            let text = attacker.sign(&header, &attacker.claims(world.now()));
            let answer = world.present(&text).await;
            answer.assert_refused("401 invalid_client", UNPROVED);
        }
        // Ignored means that it spoils nothing either.
        let answer = world
            .present(&environment.heading(world.now(), name, value))
            .await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn case_2_extensions_that_change_the_meaning() {
    let world = World::start().await;
    let environment = world.environment().await;
    for (name, value, says) in [
        ("crit", json!(["exp"]), "has 'crit'"),
        ("crit", json!(["urn:example:x"]), "has 'crit'"),
        ("crit", json!([]), "has 'crit'"),
        ("crit", Value::Null, "has 'crit'"),
        ("b64", json!(false), "has 'b64'"),
        ("b64", json!("false"), "has 'b64'"),
        (
            "typ",
            json!("JWT"),
            "typ must be 'client-authentication+jwt'",
        ),
        ("typ", json!("enrolment+jwt"), "typ must be"),
        ("typ", json!("CLIENT-AUTHENTICATION+JWT"), "typ must be"),
        ("typ", json!(1), "'typ' that is not a string"),
    ] {
        let text = environment.heading(world.now(), name, value);
        let answer = world.present(&text).await;
        answer.assert_refused("401 invalid_client", "client_assertion: its header");
        answer.assert_refused("401 invalid_client", says);
    }
    // `b64: true` is the default, said aloud (RFC 7797 §3).
    let text = environment.heading(world.now(), "b64", true);
    assert_eq!(world.present(&text).await.status, 200);
}

#[tokio::test]
async fn case_3_hostile_key_ids() {
    let world = World::start().await;
    let environment = world.environment().await;
    for kid in [
        "",
        "../../etc/passwd",
        "/dev/null",
        "' OR '1'='1",
        "'; DROP TABLE environments; --",
        "\0",
        &format!("{}\0", environment.kid),
        &format!(" {}", environment.kid),
        &environment.kid.to_uppercase(),
        "%00",
        "\u{202e}",
        "http://127.0.0.1/jwks",
        &"k".repeat(20 * 1024),
    ] {
        let answer = world
            .present(&environment.heading(world.now(), "kid", kid))
            .await;
        answer.assert_refused("401 invalid_client", UNPROVED);
    }
    let huge = "k".repeat(64 * 1024);
    let answer = world
        .present(&environment.heading(world.now(), "kid", huge))
        .await;
    answer.assert_refused("413 invalid_request", "the body is over 32768 bytes");
    for (kid, says) in [
        (json!(1), "'kid' that is not a string"),
        (json!(["a"]), "'kid' that is not a string"),
        (Value::Null, "'kid' that is not a string"),
    ] {
        let answer = world
            .present(&environment.heading(world.now(), "kid", kid))
            .await;
        answer.assert_refused("401 invalid_client", says);
    }
    let mut header = environment.header();
    header.as_object_mut().unwrap().remove("kid");
    let text = environment.sign(&header, &environment.claims(world.now()));
    let answer = world.present(&text).await;
    answer.assert_refused("401 invalid_client", "its header lacks 'kid'");
    assert_eq!(
        world.token(&environment).await.status,
        200,
        "all is still there"
    );
}

#[tokio::test]
async fn case_6_audiences_that_are_not_exactly_the_issuer() {
    let world = World::start().await;
    let environment = world.environment().await;
    for aud in [
        json!([ISSUER]),
        json!([ISSUER, "https://other.example"]),
        json!("https://other.example"),
        json!(format!("{ISSUER}/")),
        json!(format!("{ISSUER}/oauth2/token")),
        json!(format!("{ISSUER}/oauth2/token/")),
        json!(format!("{ISSUER}/o/0191e223-1c3c-7607-badf-303c98b52d2f")),
        json!(ISSUER.to_uppercase()),
        json!(format!("{ISSUER}:443")),
        json!(format!("{ISSUER}\0")),
        json!("sts.amazonaws.com"),
        json!(""),
        Value::Null,
        json!({}),
    ] {
        let text = environment.claiming(world.now(), "aud", aud.clone());
        let answer = world.present(&text).await;
        answer.assert_refused(
            "401 invalid_client",
            "client_assertion: aud must be the issuer as one string, 'https://idp.example.com'",
        );
    }
}

#[tokio::test]
async fn case_7_names_that_disagree() {
    let world = World::start().await;
    let environment = world.environment().await;
    let other = world.environment().await;
    let now = world.now();

    let answer = world
        .present(&environment.claiming(now, "sub", other.id.as_str()))
        .await;
    answer.assert_refused(
        "401 invalid_client",
        "client_assertion: sub must be the client id",
    );
    // Then it is the other's assertion, by a key that is not its own.
    let answer = world
        .present(&environment.claiming(now, "iss", other.id.as_str()))
        .await;
    answer.assert_refused("401 invalid_client", UNPROVED);

    for (client_id, status) in [
        (environment.id.as_str(), 200),
        (other.id.as_str(), 401),
        (&environment.id.to_uppercase(), 401),
        ("x", 401),
    ] {
        let assertion = environment.assertion(now);
        let mut parameters = token_parameters(&assertion).to_vec();
        parameters.push(("client_id", client_id));
        let answer = world
            .send(super::Request::form("/oauth2/token", &parameters))
            .await;
        assert_eq!(answer.status, status, "{client_id}");
        if status != 200 {
            answer.assert_refused(
                "401 invalid_client",
                "client_assertion: iss is not the client_id of the request",
            );
        }
    }
    for iss in [
        json!("x"),
        json!(environment.id.to_uppercase()),
        json!(format!("{{{}}}", environment.id)),
        json!(environment.id.replace('-', "")),
        json!(format!("urn:uuid:{}", environment.id)),
        json!(format!("{}\0", environment.id)),
        json!([environment.id]),
        json!("' OR 1=1 --"),
        Value::Null,
    ] {
        let answer = world.present(&environment.claiming(now, "iss", iss)).await;
        answer.assert_refused(
            "401 invalid_client",
            "client_assertion: iss must be the client id",
        );
    }
}

/// Two parsers that choose differently would read two different assertions.
#[tokio::test]
async fn case_9_members_that_occur_twice() {
    let world = World::start().await;
    let environment = world.environment().await;
    let now = world.now();
    let claims = environment.claims(now).to_string();
    let twice = claims.replacen('{', "{\"aud\":\"https://evil.example\",", 1);
    let text = environment.sign_text(&environment.header().to_string(), &twice);
    let answer = world.present(&text).await;
    answer.assert_refused("401 invalid_client", "the member 'aud' occurs twice");

    let header = environment.header().to_string();
    let twice = header.replacen('{', "{\"alg\":\"none\",", 1);
    let answer = world.present(&environment.sign_text(&twice, &claims)).await;
    answer.assert_refused("401 invalid_client", "the member 'alg' occurs twice");

    for payload in ["", "[]", "null", "{", "1", "\"x\"", "{}{}"] {
        let text = environment.sign_text(&header, payload);
        let answer = world.present(&text).await;
        answer.assert_refused(
            "401 invalid_client",
            "client_assertion: its payload is refused",
        );
    }
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let answer = world.present(&environment.sign_text(&header, &deep)).await;
    answer.assert_refused(
        "401 invalid_client",
        "client_assertion: its payload is refused",
    );
}

#[tokio::test]
async fn one_assertion_has_one_spelling() {
    let world = World::start().await;
    let environment = world.environment().await;
    let good = environment.assertion(world.now());
    for bad in [
        format!("{good}="),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{good}.AA"),
        good.replacen('.', ".=", 1),
        good.to_uppercase(),
    ] {
        let answer = world.present(&bad).await;
        let (error, description) = answer.refusal();
        assert_eq!(error, "401 invalid_client");
        assert!(
            description.starts_with("client_assertion: "),
            "{description}"
        );
    }
    assert_eq!(world.present(&good).await.status, 200, "it was not used up");
}
