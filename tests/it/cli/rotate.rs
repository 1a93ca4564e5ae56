//! The environment's key is replaced: on demand, and by itself once it is a day old.

use std::{fs, os::unix::fs::MetadataExt as _};

use predicates::{prelude::PredicateBooleanExt as _, str::contains};
use serde_json::{Value, json};

use super::{FakeIdp, FakeSts, Place, field, opened};

impl Place {
    fn identity_file(&self) -> Value {
        serde_json::from_slice(&fs::read(self.identity()).unwrap()).unwrap()
    }

    /// The `kid` that the environment signs with.
    fn kid(&self) -> String {
        self.identity_file()["kid"].as_str().unwrap().to_owned()
    }

    /// Makes the key this many hours older.
    fn age(&self, hours: i64) {
        let mut identity = self.identity_file();
        let created = identity["key_created_at"].as_i64().unwrap();
        identity["key_created_at"] = (created - hours * 3_600_000).into();
        fs::write(self.identity(), identity.to_string()).unwrap();
    }
}

/// The `kid` of the assertion of the last token request.
fn last_kid(idp: &FakeIdp) -> String {
    let forms = idp.token_forms();
    let assertion = field(forms.last().unwrap(), "client_assertion");
    let jws = idp::jose::Jws::parse(assertion).unwrap();
    jws.header().kid.clone().unwrap()
}

#[test]
fn on_demand_both_keys_sign_and_the_new_one_is_kept() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    let before = place.identity_file();
    let old = idp::client::identity::Identity::load(&place.identity()).unwrap();
    let old_key = old.key(&place.identity()).unwrap();
    let ran = place
        .idp(["enroll", "--rotate", "--json"])
        .assert()
        .success()
        .stderr(contains("has a new key").and(contains("first use")));
    let summary: Value = serde_json::from_slice(&ran.get_output().stdout).unwrap();

    let request = &idp.rotations()[0];
    let (claims, typ) = opened(
        request["proof_by_new_key"].as_str().unwrap(),
        &request["jwk"],
    );
    assert_eq!(typ, "key-rotation+jwt");
    let old_jwk = serde_json::to_value(old_key.public()).unwrap();
    let (same, _) = opened(request["proof_by_old_key"].as_str().unwrap(), &old_jwk);
    assert_eq!(claims, same);
    assert_eq!(claims["nonce"], "nonce-1");
    assert_eq!(claims["aud"], idp.url());
    assert_eq!(claims["sub"], request["environment_id"]);
    assert_eq!(claims["old_kid"], before["kid"]);
    assert_eq!(claims["new_kid"], summary["kid"]);

    assert_eq!(place.kid(), summary["kid"]);
    assert_eq!(place.identity_file()["next_key"], Value::Null);
    let mode = fs::metadata(place.identity()).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
    place.idp(["token"]).assert().success();
    assert_eq!(last_kid(&idp), place.kid());
    assert_eq!(idp.rotations().len(), 1, "it is young");
}

#[test]
fn commands_replace_a_key_that_is_a_day_old() {
    let idp = FakeIdp::start();
    let sts = FakeSts::start();
    for arguments in [
        &["token"][..],
        &["login", "aws"],
        &["aws", "credential-process"],
        &["aws", "exec", "--", "true"],
    ] {
        let place = Place::enrolled(&idp);
        let before = place.kid();
        place.age(23);
        let run = || {
            let command = place.with_role(&sts, arguments.iter().copied());
            { command }
                .assert()
                .success()
                .stderr(contains("warning").not());
        };
        let rotations = idp.rotations().len();
        run();
        assert_eq!(place.kid(), before, "{arguments:?}");
        place.age(1);
        fs::remove_dir_all(place.path().join("cache")).ok();
        run();
        assert_ne!(place.kid(), before, "{arguments:?}");
        assert_eq!(last_kid(&idp), place.kid(), "and use the new one");
        fs::remove_dir_all(place.path().join("cache")).ok();
        run();
        assert_eq!(idp.rotations().len(), rotations + 1, "{arguments:?}");
    }
}

#[test]
fn a_failure_is_a_warning_and_the_same_key_is_tried_again_later() {
    let idp = FakeIdp::start();
    for (status, body) in [
        (503, json!({"error": "temporarily_unavailable"})),
        (404, json!({"title": "Not Found"})),
        (200, json!({"kid": "another"})),
        (
            400,
            json!({"error": "unauthorized_client", "error_description": "no"}),
        ),
    ] {
        let place = Place::enrolled(&idp);
        let before = place.kid();
        place.age(24);
        idp.next_rotation(status, body);
        place
            .idp(["token"])
            .assert()
            .success()
            .stderr(contains("warning:").and(contains("could not be replaced")));
        assert_eq!(place.kid(), before);
        assert_eq!(last_kid(&idp), before);
        let tried = idp.rotations().last().unwrap()["jwk"].clone();
        // Not at every command.
        let rotations = idp.rotations().len();
        place.idp(["token"]).assert().success().stderr("");
        assert_eq!(idp.rotations().len(), rotations);

        // The server may have taken the key although its answer was lost.
        place.idp(["enroll", "--rotate"]).assert().success();
        assert_eq!(idp.rotations().last().unwrap()["jwk"], tried);
        assert_ne!(place.kid(), before);
    }
}

#[test]
fn a_new_key_that_the_server_will_not_have_is_given_up() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    idp.next_rotation(400, json!({"error": "invalid_request"}));
    place
        .idp(["enroll", "--rotate"])
        .assert()
        .code(4)
        .stderr(contains("invalid_request"));
    let refused = idp.rotations()[0]["jwk"].clone();
    place.idp(["enroll", "--rotate"]).assert().success();
    assert_ne!(idp.rotations()[1]["jwk"], refused);
}

#[test]
fn a_directory_that_cannot_be_written_costs_a_warning_and_no_key() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    place.age(30);
    // Root may write into any directory, so the lock is in the way.
    fs::create_dir(place.path().join("idp/identity.json.lock")).unwrap();
    place
        .idp(["token"])
        .assert()
        .success()
        .stderr(contains("could not be replaced").and(contains("IDP_ROTATE=off")));
    place
        .idp(["token"])
        .env("IDP_ROTATE", "off")
        .assert()
        .success()
        .stderr("");
    assert!(idp.rotations().is_empty());
    place.idp(["enroll", "--rotate"]).assert().code(6);
}

#[test]
fn an_identity_of_before_has_an_old_key() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    let mut identity = place.identity_file();
    identity.as_object_mut().unwrap().remove("key_created_at");
    fs::write(place.identity(), identity.to_string()).unwrap();
    place.idp(["token"]).assert().success();
    assert_eq!(idp.rotations().len(), 1);
}

#[test]
fn ten_at_once_replace_it_once() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    place.age(24);
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                place.idp(["token"]).assert().success().stderr("");
            });
        }
    });
    assert_eq!(idp.rotations().len(), 1);
    assert_eq!(idp.token_forms().len(), 10);
}

#[test]
fn rotation_needs_an_identity_and_nothing_else() {
    let idp = FakeIdp::start();
    let place = Place::new();
    place
        .idp(["enroll", "--rotate"])
        .assert()
        .code(1)
        .stderr(contains("idp enroll --url"));
    place
        .idp(["enroll", "--rotate", "--url", idp.url()])
        .assert()
        .code(2);
    place.idp(["enroll"]).assert().code(2);
}
