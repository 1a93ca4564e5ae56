//! `idp enroll`.

use std::{fs, os::unix::fs::MetadataExt as _};

use predicates::{prelude::PredicateBooleanExt as _, str::contains};
use serde_json::{Value, json};

use super::{FakeIdp, Place, opened};

const JOIN_TOKEN: &str = "idp_join_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[test]
fn proves_possession_and_keeps_the_identity() {
    let idp = FakeIdp::start();
    let place = Place::new();
    let file = place.write("join", &format!("{JOIN_TOKEN}\n"));
    place
        .idp([
            "enroll",
            "--url",
            idp.url(),
            "--token-file",
            file.to_str().unwrap(),
        ])
        .assert()
        .success()
        .stdout("")
        .stderr(contains("is enrolled with").and(contains(JOIN_TOKEN).not()));

    let request = &idp.enrolments()[0];
    assert_eq!(request["join_token"], JOIN_TOKEN);
    assert_eq!(request.as_object().unwrap().len(), 3);
    let (claims, typ) = opened(request["proof"].as_str().unwrap(), &request["jwk"]);
    assert_eq!(typ, "enrolment+jwt");
    assert_eq!(claims["nonce"], "nonce-1");
    assert_eq!(claims["aud"], idp.url());
    assert_eq!(
        claims["token_sha256"],
        "OyrYG4XqfFmfL8JEXsIc5zOL03CPNYRukDcJmmvoHSo"
    );

    let metadata = fs::metadata(place.identity()).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o600);
    let identity: Value = serde_json::from_slice(&fs::read(place.identity()).unwrap()).unwrap();
    assert_eq!(identity["server_url"], idp.url());
    place.idp(["token"]).assert().success();
}

#[test]
fn the_join_token_comes_from_the_environment_or_standard_input_too() {
    let idp = FakeIdp::start();
    let place = Place::new();
    place
        .idp(["enroll", "--url", idp.url(), "--json"])
        .env("IDP_JOIN_TOKEN", JOIN_TOKEN)
        .assert()
        .success()
        .stdout(contains("\"environment_id\":").and(contains("\"identity_file\":")));
    let place = Place::new();
    place
        .idp(["enroll", "--url", idp.url(), "--token-file", "-"])
        .write_stdin(JOIN_TOKEN)
        .assert()
        .success();
    assert_eq!(idp.enrolments().len(), 2);
    let place = Place::new();
    place
        .idp(["enroll", "--url", idp.url()])
        .env("IDP_JOIN_TOKEN", "sesame")
        .assert()
        .code(2)
        .stderr(contains("not a join token").and(contains("sesame").not()));
}

#[test]
fn refusals_are_exit_4_and_leave_no_identity() {
    let idp = FakeIdp::start();
    let place = Place::new();
    for body in [
        json!({"error": "invalid_grant", "error_description": "the join token is used"}),
        json!({"title": "invalid_grant", "detail": "the join token is used"}),
    ] {
        idp.next(400, body);
        place
            .idp(["enroll", "--url", idp.url()])
            .env("IDP_JOIN_TOKEN", JOIN_TOKEN)
            .assert()
            .code(4)
            .stdout("")
            .stderr(
                contains("the join token is used")
                    .and(contains("works once"))
                    .and(contains(JOIN_TOKEN).not()),
            );
        assert!(!place.identity().exists());
    }
    place
        .idp(["enroll", "--url", "http://127.0.0.1:1"])
        .env("IDP_JOIN_TOKEN", JOIN_TOKEN)
        .assert()
        .code(3)
        .stderr(contains("Connection refused"));
}

#[test]
fn an_identity_that_cannot_be_kept_costs_no_join_token() {
    let idp = FakeIdp::start();
    let place = Place::new();
    place.write("idp", "a file where the directory should be");
    place
        .idp(["enroll", "--url", idp.url()])
        .env("IDP_JOIN_TOKEN", JOIN_TOKEN)
        .env("IDP_HOME", place.path().join("idp/below"))
        .assert()
        .failure();
    assert!(idp.enrolments().is_empty());
}

#[test]
fn an_identity_that_works_is_replaced_by_force_only() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    let before = fs::read(place.identity()).unwrap();
    let enroll = |more: &[&str]| {
        let mut command = place.idp(["enroll", "--url", idp.url()]);
        command.args(more).env("IDP_JOIN_TOKEN", JOIN_TOKEN);
        command
    };
    enroll(&[])
        .assert()
        .code(6)
        .stderr(contains("and it works").and(contains("--force")));
    idp.next(503, json!({}));
    enroll(&[])
        .assert()
        .code(6)
        .stderr(contains("cannot be asked"));
    assert_eq!(fs::read(place.identity()).unwrap(), before);
    assert!(idp.enrolments().is_empty());

    // Neither does one that is busy let a key go; that is found out without waiting for it.
    let busy = json!({"error": "temporarily_unavailable"});
    idp.next_with(503, busy.clone(), vec![("retry-after", "30".to_owned())]);
    enroll(&[])
        .assert()
        .code(6)
        .stderr(contains("cannot be asked"));

    // The enrolment itself waits.
    idp.next_with(503, busy, vec![("retry-after", "0".to_owned())]);
    enroll(&["--force"])
        .assert()
        .success()
        .stderr(contains("trying again"));
    let sent = idp.enrolments();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0]["jwk"], sent[1]["jwk"], "one key");
    let forced = fs::read(place.identity()).unwrap();
    assert_ne!(forced, before);
    // A key that the server does not accept any more needs no force.
    idp.next(401, json!({"error": "invalid_client"}));
    enroll(&[]).assert().success();
    assert_ne!(fs::read(place.identity()).unwrap(), forced);
    // Neither does a file that is no identity.
    fs::write(place.identity(), "{}").unwrap();
    enroll(&[]).assert().success();
}
