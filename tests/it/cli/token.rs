//! `idp token`.

use predicates::{prelude::PredicateBooleanExt as _, str::contains};
use serde_json::{Value, json};

use super::{FakeIdp, Place, field};

/// A v3-like token: flat claims, an audience in an array.
const V3: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiJvcmdhbml6YXRpb25faWQ6bzpwcm9qZWN0X2lkOnAiLCJhdWQiOlsic3RzLmFtYXpvbmF3cy5jb20iXSwib3JnYW5pemF0aW9uX2lkIjoibyIsImV4cCI6MTc0MDUxNzg0NX0.AA";

#[test]
fn asks_with_an_assertion_and_prints_the_token() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    let output = place.idp(["token"]).assert().success().stderr("");
    let printed = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert_eq!(printed.matches('.').count(), 2);
    assert!(printed.ends_with('\n') && printed.lines().count() == 1);

    let form = &idp.token_forms()[0];
    let names: Vec<_> = form.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "grant_type",
            "client_assertion_type",
            "client_assertion",
            "client_id",
            "audience"
        ]
    );
    assert_eq!(field(form, "grant_type"), "client_credentials");
    assert_eq!(
        field(form, "client_assertion_type"),
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    assert_eq!(field(form, "audience"), "sts.amazonaws.com");

    let identity: Value =
        serde_json::from_slice(&std::fs::read(place.identity()).unwrap()).unwrap();
    let parts: Vec<_> = field(form, "client_assertion").split('.').collect();
    let part = |at: usize| -> Value {
        serde_json::from_slice(&idp::jose::base64url_decode(parts[at]).unwrap()).unwrap()
    };
    assert_eq!(
        part(0),
        json!({"alg": "ES256", "typ": "client-authentication+jwt", "kid": identity["kid"]})
    );
    let claims = part(1);
    let id = field(form, "client_id");
    assert_eq!((&claims["iss"], &claims["sub"]), (&id.into(), &id.into()));
    assert_eq!(claims["aud"], idp.url(), "one string");
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        60
    );
    assert_eq!(
        claims["jti"].as_str().unwrap().as_bytes()[14],
        b'7',
        "a UUIDv7"
    );
}

#[test]
fn audience_and_life_are_passed_on() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    place
        .idp([
            "token",
            "--audience",
            "https://vault.example.com",
            "--ttl",
            "120",
            "--json",
        ])
        .assert()
        .success()
        .stdout(contains("\"access_token\":\"").and(contains("\"expires_in\":300")));
    let form = &idp.token_forms()[0];
    assert_eq!(field(form, "audience"), "https://vault.example.com");
    assert_eq!(field(form, "ttl"), "120");
}

#[test]
fn refusals_are_exit_4_with_the_servers_words() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    idp.next(
        400,
        json!({"error": "invalid_target", "error_description": "audience is not allowed\u{1b}[2J"}),
    );
    place.idp(["token"]).assert().code(4).stdout("").stderr(
        contains("refused: invalid_target: audience is not allowed\u{FFFD}[2J")
            .and(contains("help: ask an administrator to allow the audience")),
    );
    idp.next_with(
        401,
        json!({"error": "invalid_client", "error_description": "no"}),
        vec![("date", "Tue, 25 Feb 2025 20:10:45 GMT".to_owned())],
    );
    place
        .idp(["token"])
        .assert()
        .code(4)
        .stderr(contains("s ahead of the server's").and(contains("enroll")));
}

#[test]
fn a_server_that_is_away_or_unwell_is_exit_3() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    for (status, body) in [
        (500, json!({"error": "server_error"})),
        (503, json!([])),
        (404, json!({})),
        (200, json!({"token": "x"})),
    ] {
        idp.next(status, body);
        place.idp(["token"]).assert().code(3).stdout("");
    }
    let text = std::fs::read_to_string(place.identity()).unwrap();
    std::fs::write(
        place.identity(),
        text.replace(idp.url(), "http://127.0.0.1:1"),
    )
    .unwrap();
    place
        .idp(["token"])
        .assert()
        .code(3)
        .stderr(contains("Connection refused").and(contains("HTTPS_PROXY")));
}

#[test]
fn decodes_files_and_standard_input_without_an_identity() {
    let place = Place::new();
    let file = place.write("token", &format!("\n{V3}\n"));
    let expected = "{\n\t\"Claims\": {\n\t\t\"aud\": [\n\t\t\t\"sts.amazonaws.com\"\n\t\t],\n\
        \t\t\"exp\": 1740517845,\n\t\t\"organization_id\": \"o\",\n\
        \t\t\"sub\": \"organization_id:o:project_id:p\"\n\t},\n\t\"Header\": [\n\t\t{\n\
        \t\t\t\"KeyID\": \"k\",\n\t\t\t\"JSONWebKey\": null,\n\t\t\t\"Algorithm\": \"RS256\",\n\
        \t\t\t\"Nonce\": \"\",\n\t\t\t\"ExtraHeaders\": {\n\t\t\t\t\"typ\": \"JWT\"\n\t\t\t}\n\t\t}\n\t]\n}\n";
    place
        .idp(["token", "--decode", file.to_str().unwrap()])
        .assert()
        .success()
        .stdout(expected)
        .stderr("signature not verified (use --verify)\n");
    place
        .idp(["token", "--decode", "-", "-q"])
        .write_stdin(V3)
        .assert()
        .success()
        .stdout(expected)
        .stderr("");
}

#[test]
fn says_what_is_wrong_with_garbage() {
    let place = Place::new();
    for (text, says) in [
        ("", "it is empty"),
        (
            "hello",
            "a JWT has three parts separated by dots, this has 1",
        ),
        ("a.b.c.d.e", "encrypted"),
        ("!.e30.AA", "header is not unpadded base64url"),
        ("W10.e30.AA", "header cannot be read"),
    ] {
        place
            .idp(["token", "--decode", "-"])
            .write_stdin(text)
            .assert()
            .code(1)
            .stdout("")
            .stderr(contains(says));
    }
    place
        .idp(["token", "--decode", "/nonexistent"])
        .assert()
        .code(2)
        .stderr(contains("cannot read the token from /nonexistent"));
}

#[test]
fn verifies_against_the_issuers_keys() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    let verified = format!("signature verified against {}\n", idp.url());
    place
        .idp(["token", "--decode", "--verify"])
        .assert()
        .success()
        .stdout(contains("\"Claims\""))
        .stderr(verified.clone());
    place
        .idp(["token", "--verify"])
        .assert()
        .success()
        .stdout(contains("."))
        .stderr(verified);

    idp.withdraw_key();
    place
        .idp(["token", "--decode", "--verify"])
        .assert()
        .code(4)
        .stderr(contains("has no key"));
}

#[test]
fn an_issuer_of_the_tokens_choice_is_not_asked_everywhere() {
    let place = Place::new();
    for (issuer, code, says) in [
        ("https://169.254.169.254", 4, "a cloud metadata address"),
        ("https://10.0.0.1", 4, "a private address"),
        ("https://localhost", 4, "a loopback address"),
        ("http://10.0.0.1", 4, "must be an https URL"),
        ("http://127.0.0.1:1", 3, "Connection refused"),
    ] {
        let claims = idp::jose::base64url_encode(json!({"iss": issuer}).to_string());
        place
            .idp(["token", "--decode", "-", "--verify"])
            .write_stdin(format!("eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.{claims}.AA"))
            .assert()
            .code(code)
            .stderr(contains(says));
    }
}

#[test]
fn a_server_that_cannot_answer_now_is_waited_for() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    let away = json!({"error": "temporarily_unavailable", "error_description": "no database"});
    let slow = json!({"error": "slow_down", "error_description": "too many requests"});
    let now = || vec![("retry-after", "0".to_owned())];
    idp.next_with(503, away.clone(), now());
    idp.next_with(429, slow.clone(), now());
    place.idp(["token"]).assert().success().stderr(
        contains(
            "the identity provider is not available at present: temporarily_unavailable: no database; trying \
             again in 0.0 s (try 2 of 4)",
        )
        .and(contains("slow_down: too many requests")),
    );
    let forms = idp.token_forms();
    assert_eq!(forms.len(), 3);
    assert_ne!(
        field(&forms[0], "client_assertion"),
        field(&forms[1], "client_assertion"),
        "an assertion is good for one request"
    );
    for _ in 0..4 {
        idp.next_with(503, away.clone(), now());
    }
    place.idp(["token"]).assert().code(3).stdout("").stderr(
        contains("error: the identity provider is not available")
            .and(contains("help: the address is right")),
    );
    assert_eq!(idp.token_forms().len(), 7);
    // Who is told to come again in an hour does not hang.
    idp.next_with(429, slow, vec![("retry-after", "3600".to_owned())]);
    place.idp(["token"]).assert().code(3);
    assert_eq!(idp.token_forms().len(), 8);
}
