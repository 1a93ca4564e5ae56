//! Tokens that must not pass, and what a refusal may tell.

use std::sync::{LazyLock, atomic::Ordering};

use aws_lc_rs::hmac;
use axum::{body::Body, http::Request};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    keys::{KEYS, b64},
    world::{World, assume_form, form},
};

const GENERAL: &str = "The web identity token provided could not be validated.";

#[tokio::test]
async fn unsigned_tokens_are_refused_in_every_spelling() {
    let world = World::new().await;
    let payload = world.claims().to_string();
    for alg in ["none", "None", "NONE", "nOnE", "none ", ""] {
        let header = json!({ "alg": alg, "kid": "k1" }).to_string();
        let signed = KEYS.sign("RS256", &header, &payload);
        let unsigned = format!("{}.{}.", b64(&header), b64(&payload));
        for token in [signed, unsigned] {
            let reply = world.assume(&token, &[]).await;
            assert_eq!(reply.refusal().0, "InvalidIdentityToken", "{alg}");
        }
    }
    assert_eq!(
        world.issued.fetches.load(Ordering::SeqCst),
        0,
        "nothing is fetched for a token that cannot pass"
    );
}

#[tokio::test]
async fn the_public_key_is_no_secret() {
    let world = World::new().await;
    let payload = world.claims().to_string();
    let header = r#"{"alg":"HS256","kid":"k1"}"#;
    let input = format!("{}.{}", b64(header), b64(&payload));
    let jwk = KEYS.rsa_jwk("k1", "RS256");
    let n = jwk["n"].as_str().unwrap();
    for secret in [KEYS.public_der(), KEYS.modulus(), n.as_bytes().to_vec()] {
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &secret),
            input.as_bytes(),
        );
        let reply = world.assume(&format!("{input}.{}", b64(tag)), &[]).await;
        assert_eq!(reply.refusal().0, "InvalidIdentityToken");
    }
    // A key of that kind in the set changes nothing.
    *world.issued.jwks.lock().unwrap() =
        json!({ "keys": [{ "kty": "oct", "kid": "k1", "alg": "HS256", "k": b64("secret") }] });
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, b"secret"),
        input.as_bytes(),
    );
    let reply = world.assume(&format!("{input}.{}", b64(tag)), &[]).await;
    assert_eq!(reply.refusal().0, "InvalidIdentityToken");
}

#[tokio::test]
async fn algorithms_that_aws_does_not_take() {
    let world = World::new().await;
    let payload = world.claims().to_string();
    for alg in ["PS256", "EdDSA", "ES256K", "RS1", "rs256"] {
        let header = json!({ "alg": alg, "kid": "k1" }).to_string();
        let reply = world.assume(&KEYS.sign(alg, &header, &payload), &[]).await;
        assert_eq!(reply.refusal().0, "InvalidIdentityToken", "{alg}");
    }
}

#[tokio::test]
async fn a_key_is_used_only_for_its_own_kind() {
    let world = World::new().await;
    let payload = world.claims().to_string();
    for (alg, kid) in [
        ("RS256", "ES256"),
        ("ES256", "k1"),
        ("ES384", "ES256"),
        ("ES512", "ES384"),
    ] {
        let header = json!({ "alg": alg, "kid": kid }).to_string();
        let reply = world.assume(&KEYS.sign(alg, &header, &payload), &[]).await;
        let (code, message) = reply.refusal();
        assert_eq!(code, "InvalidIdentityToken");
        assert!(message.starts_with(GENERAL), "{alg} {kid}: {message}");
    }
}

#[tokio::test]
async fn keys_in_the_header_are_ignored() {
    let world = World::new().await;
    let payload = world.claims().to_string();
    *world.issued.jwks.lock().unwrap() = json!({ "keys": [KEYS.ec_jwk("ES256")] });
    let header = json!({ "alg": "RS256", "kid": "k1", "jwk": KEYS.rsa_jwk("k1", "RS256"),
        "jku": format!("http://{}/jwks", world.host), "x5c": [KEYS.x5c(false)] });
    let token = KEYS.sign("RS256", &header.to_string(), &payload);
    let (code, message) = {
        let reply = world.assume(&token, &[]).await;
        (reply.refusal().0.to_owned(), reply.refusal().1.to_owned())
    };
    assert_eq!(code, "InvalidIdentityToken");
    assert!(message.starts_with("Couldn't retrieve verification key"));
}

#[tokio::test]
async fn a_changed_token_does_not_pass() {
    let world = World::new().await;
    let token = world.token(&json!({}));
    assert_eq!(world.assume(&token, &[]).await.status, 200);
    let parts: Vec<_> = token.split('.').collect();
    let mut claims = world.claims();
    claims["sub"] = json!("somebody-else");
    let flipped = {
        let first = if parts[2].starts_with('A') { 'B' } else { 'A' };
        format!("{first}{}", &parts[2][1..])
    };
    for (changed, message) in [
        (format!("{}.{}.{flipped}", parts[0], parts[1]), GENERAL),
        (
            format!("{}.{}.{}", parts[0], b64(claims.to_string()), parts[2]),
            GENERAL,
        ),
        (
            format!(
                "{}.{}.{}",
                b64(r#"{"typ":"JWT","kid":"k1","alg":"RS256"}"#),
                parts[1],
                parts[2]
            ),
            GENERAL,
        ),
        (format!("{}.{}.", parts[0], parts[1]), GENERAL),
        (format!("{token}="), "The ID Token provided is not a valid"),
        (
            format!("{}.{}", parts[0], parts[1]),
            "The ID Token provided is not a valid",
        ),
    ] {
        let reply = world.assume(&changed, &[]).await;
        assert_eq!(reply.refusal().0, "InvalidIdentityToken");
        assert!(reply.refusal().1.starts_with(message), "{}", reply.body);
        assert!(!reply.body.contains(parts[1]), "no token in an answer");
    }
}

#[tokio::test]
async fn an_unknown_kid_is_looked_for_once_more() {
    let world = World::new().await;
    world.issued.max_age.store(300, Ordering::SeqCst);
    let fetches = || world.issued.fetches.load(Ordering::SeqCst);
    for _ in 0..3 {
        world.assume(&world.token(&json!({})), &[]).await;
    }
    assert_eq!(fetches(), 1, "honours max-age");
    let rotated = KEYS.sign(
        "RS256",
        r#"{"alg":"RS256","kid":"k2"}"#,
        &world.claims().to_string(),
    );
    let reply = world.assume(&rotated, &[]).await;
    assert!(reply.refusal().1.starts_with("Couldn't retrieve"));
    assert_eq!(fetches(), 2, "once more, and no more");
    *world.issued.jwks.lock().unwrap() = json!({ "keys": [KEYS.rsa_jwk("k2", "RS256")] });
    assert_eq!(world.assume(&rotated, &[]).await.status, 200);
    assert_eq!(fetches(), 3);
}

#[tokio::test]
async fn kids_are_names_and_nothing_else() {
    let world = World::new().await;
    for kid in [
        "../../k1",
        "k1' OR 1=1",
        "k1\0",
        "",
        " k1",
        &"k".repeat(9000),
    ] {
        let header = json!({ "alg": "RS256", "kid": kid }).to_string();
        let token = KEYS.sign("RS256", &header, &world.claims().to_string());
        let reply = world.assume(&token, &[]).await;
        assert!(
            reply.refusal().1.starts_with("Couldn't retrieve"),
            "{}",
            reply.body
        );
    }
}

#[tokio::test]
async fn certificates_must_agree_with_their_key() {
    let world = World::new().await;
    let token = world.token(&json!({}));
    for (x5c, message) in [
        (json!([KEYS.x5c(false)]), None),
        (json!([KEYS.x5c(true)]), Some("Couldn't retrieve")),
        (json!(["AAAA"]), Some("Couldn't retrieve")),
        (json!([]), Some("Couldn't retrieve")),
        (json!("x"), Some("Couldn't retrieve")),
    ] {
        *world.issued.jwks.lock().unwrap() = KEYS.one(|jwk| jwk["x5c"] = x5c.clone());
        let reply = world.assume(&token, &[]).await;
        match message {
            None => assert_eq!(reply.status, 200, "{}", reply.body),
            Some(message) => assert!(reply.refusal().1.starts_with(message), "{x5c}"),
        }
    }
}

#[tokio::test]
async fn more_than_a_hundred_keys_of_one_type_leave_the_other() {
    let world = World::new().await;
    let mut keys: Vec<_> = (0..101)
        .map(|n| KEYS.rsa_jwk(&format!("r{n}"), "RS256"))
        .collect();
    keys.push(KEYS.ec_jwk("ES256"));
    *world.issued.jwks.lock().unwrap() = json!({ "keys": keys });
    let payload = world.claims().to_string();
    let token = KEYS.sign("ES256", r#"{"alg":"ES256","kid":"ES256"}"#, &payload);
    assert_eq!(world.assume(&token, &[]).await.status, 200);
    *world.issued.jwks.lock().unwrap() = json!({ "keys": keys[1..] });
    let token = KEYS.sign("RS256", r#"{"alg":"RS256","kid":"r1"}"#, &payload);
    assert_eq!(world.assume(&token, &[]).await.status, 200, "a hundred do");
}

#[tokio::test]
async fn issuers_and_audiences_must_be_registered() {
    let world = World::new().await;
    for issuer in [
        "https://unknown.example.com".to_owned(),
        format!("http://{}/", world.host),
        format!("https://{}", world.host),
    ] {
        let reply = world
            .assume(&world.token(&json!({ "iss": issuer })), &[])
            .await;
        assert_eq!(
            reply.refusal(),
            (
                "InvalidIdentityToken",
                format!("No OpenIDConnect provider found in your account for {issuer}").as_str()
            )
        );
    }
    assert_eq!(world.issued.fetches.load(Ordering::SeqCst), 0);
    let reply = world
        .assume(&world.token(&json!({ "aud": "other" })), &[])
        .await;
    assert!(reply.refusal().1.starts_with(GENERAL));
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_as_one() {
    let world = World::new().await;
    let good = world.issued.discovery.lock().unwrap().clone();
    let token = world.token(&json!({}));
    let mut other = good.clone();
    other["issuer"] = json!("http://127.0.0.1:1");
    let mut gone = good.clone();
    gone["jwks_uri"] = json!(format!("http://{}/gone", world.host));
    let mut closed = good.clone();
    closed["jwks_uri"] = json!("http://127.0.0.1:1/jwks");
    for discovery in [Value::Null, json!({}), other, gone, closed] {
        *world.issued.discovery.lock().unwrap() = discovery;
        let reply = world.assume(&token, &[]).await;
        assert_eq!(reply.refusal().0, "InvalidIdentityToken");
        assert!(reply.refusal().1.starts_with("Couldn't retrieve"));
    }
    *world.issued.discovery.lock().unwrap() = good;
    assert_eq!(world.assume(&token, &[]).await.status, 200);
}

#[tokio::test]
async fn answers_are_well_formed_whatever_is_echoed() {
    let world = World::new().await;
    for name in ["<&>\"'", "]]>", "\u{1}\u{0}\u{FFFE}", "a\r\nb", "é<!--"] {
        let reply = world.assume("token", &[("RoleSessionName", name)]).await;
        assert_eq!(reply.status, 400);
        assert_eq!(reply.get("Type"), Some("Sender"));
        assert_eq!(reply.headers["content-type"], "text/xml");
        assert_eq!(
            reply.get("RequestId").unwrap(),
            reply.headers["x-amzn-requestid"]
        );
    }
    let sub = "<sub>&amp;\"'</sub>";
    let reply = world
        .assume(&world.token(&json!({ "sub": sub })), &[])
        .await;
    assert_eq!(reply.get("SubjectFromWebIdentityToken"), Some(sub));
}

#[tokio::test]
async fn other_methods_types_and_sizes() {
    let world = World::new().await;
    let valid = assume_form(&world.token(&json!({})), &[]);
    let request = |method: &str, uri: &str, content_type: &str, body: String| {
        Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "h")
            .header("content-type", content_type)
            .body(Body::from(body))
            .unwrap()
    };
    let form_type = "application/x-www-form-urlencoded; charset=utf-8";
    for (request, status, code) in [
        (request("POST", "/", form_type, valid.clone()), 200, ""),
        (
            request("POST", "/any/path", form_type, valid.clone()),
            200,
            "",
        ),
        (
            request("GET", &format!("/?{valid}"), form_type, String::new()),
            200,
            "",
        ),
        (
            request("PUT", "/", form_type, valid.clone()),
            405,
            "MethodNotAllowed",
        ),
        (
            request("POST", "/", "application/json", valid.clone()),
            400,
            "MissingAction",
        ),
        (
            request("GET", "/", form_type, valid.clone()),
            400,
            "MissingAction",
        ),
        (
            request("POST", &format!("/?{valid}"), form_type, valid),
            400,
            "MalformedQueryString",
        ),
        (
            request("POST", "/", form_type, "a".repeat(64 * 1024 + 1)),
            413,
            "RequestEntityTooLarge",
        ),
    ] {
        let reply = world.send(request).await;
        assert_eq!((reply.status, reply.refusal().0), (status, code));
    }
}

/// One world for all garbage: what one request leaves behind must not help the next.
static GARBAGE: LazyLock<(Runtime, World)> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let world = runtime.block_on(World::new());
    (runtime, world)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn garbage_is_refused_and_never_breaks_it(
        name in prop::sample::select(vec![
            "Action", "Version", "RoleArn", "RoleSessionName", "WebIdentityToken",
            "DurationSeconds", "ProviderId", "Policy", "PolicyArns.member.1.arn",
        ]),
        value in any::<String>(),
        header in "(\\{\"alg\":\"RS256\"\\})?.{0,20}",
        payload in ".{0,40}",
        raw in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let (runtime, world) = &*GARBAGE;
        runtime.block_on(async {
            let token = format!("{}.{}.{}", b64(&header), b64(&payload), b64(&value));
            let raw = Request::post("/").body(Body::from(raw)).unwrap();
            for request in [form(&assume_form(&token, &[(name, &value)])), raw] {
                let reply = world.send(request).await;
                assert!((400..500).contains(&reply.status), "{}", reply.body);
            }
        });
    }
}
