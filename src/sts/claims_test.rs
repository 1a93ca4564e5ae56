use serde_json::json;

use super::*;
use crate::sts::Roles;

const NOW: i64 = 1_000_000;
const ROLE: &str = "arn:aws:iam::000000000000:role/demo";

fn check(changes: &Value) -> Result<WebIdentity, Refusal> {
    let roles = Roles::parse(
        r#"{"account":"000000000000","providers":[
            {"url":"https://idp.example.com","client_ids":["client-a","client-b"]}]}"#,
    )
    .unwrap();
    let mut claims = json!({ "iss": "https://idp.example.com", "sub": "s", "aud": "client-a",
        "exp": NOW + 300, "iat": NOW });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let Value::Object(claims) = claims else {
        unreachable!("written as an object")
    };
    WebIdentity::check(
        &claims,
        roles.provider("https://idp.example.com").unwrap(),
        ROLE,
        Timestamp::from_secs(NOW),
    )
}

fn message(changes: &Value) -> String {
    check(changes).unwrap_err().message
}

#[test]
fn the_leeway_is_exactly_300_seconds() {
    for good in [
        json!({ "exp": NOW - 299 }),
        json!({ "iat": NOW + 300 }),
        json!({ "nbf": NOW + 300 }),
        json!({ "exp": (NOW + 10).to_string() }),
        json!({ "exp": i64::MAX }),
    ] {
        check(&good).unwrap();
    }
    assert_eq!(
        message(&json!({ "exp": NOW - 300 })),
        format!(
            "Token expired: current date/time {} must be before the expiration date/time {}",
            NOW - 300,
            NOW - 300
        )
    );
    assert_eq!(
        message(&json!({ "iat": NOW + 301 })),
        format!("Token issued in the future: {}", NOW + 301)
    );
    assert_eq!(
        message(&json!({ "nbf": NOW + 301 })),
        format!(
            "Token not yet valid: current date/time {} must be after or equal to the not-before \
             date/time {}",
            NOW + 300,
            NOW + 301
        )
    );
}

#[test]
fn times_are_whole_seconds() {
    for bad in [
        json!(null),
        json!(1.5),
        json!("soon"),
        json!(""),
        json!(true),
        json!([]),
        json!(u64::MAX),
        json!("9223372036854775808"),
    ] {
        for name in ["exp", "iat", "nbf"] {
            assert_eq!(
                message(&json!({ name: bad })),
                "Invalid timestamp in token claims.",
                "{name} {bad}"
            );
        }
    }
}

#[test]
fn odd_audiences_never_pass() {
    for bad in [
        json!({ "aud": "" }),
        json!({ "aud": [] }),
        json!({ "aud": null }),
        json!({ "aud": 7 }),
        json!({ "aud": [["client-a"]] }),
        json!({ "aud": "client-a " }),
        json!({ "aud": "CLIENT-A" }),
        json!({ "aud": ["client-a", "client-a"] }),
        json!({ "azp": 7 }),
        json!({ "azp": ["client-a"] }),
    ] {
        assert_eq!(
            check(&bad).unwrap_err().code,
            "InvalidIdentityToken",
            "{bad}"
        );
    }
    assert_eq!(
        check(&json!({ "azp": null })).unwrap().audience,
        "client-a",
        "null is without"
    );
}

#[test]
fn the_reason_names_what_is_registered() {
    let refusal = check(&json!({ "aud": "other" })).unwrap_err();
    assert!(refusal.reason.contains("\"other\""));
    assert!(refusal.reason.contains("client-a, client-b"));
}

#[test]
fn subjects_are_texts() {
    assert_eq!(check(&json!({ "sub": 123 })).unwrap().subject, "123");
    for bad in [json!(true), json!([]), json!({})] {
        assert_eq!(
            check(&json!({ "sub": bad })).unwrap_err().code,
            "InvalidIdentityToken"
        );
    }
}

#[test]
fn source_identities_have_a_form() {
    let claim = |value: Value| check(&json!({ SOURCE_IDENTITY: value }));
    assert_eq!(
        claim(json!("a_b-c.d@e,f=g+h")).unwrap().source_identity,
        Some("a_b-c.d@e,f=g+h".to_owned())
    );
    assert_eq!(claim(json!(null)).unwrap().source_identity, None);
    for bad in [json!("a"), json!("a".repeat(65)), json!("a b"), json!(7)] {
        assert_eq!(claim(bad).unwrap_err().code, "InvalidIdentityToken");
    }
}
