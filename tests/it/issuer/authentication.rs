//! Who learns what (cases 8 and 10): strangers get one answer, whoever proved the key learns the
//! reason, and the audit log has only what somebody proved.

use serde_json::{Value, json};

use super::{
    Answer, Environment, Key, Request, World,
    world::{token_parameters, token_request},
};

const NOBODY: &str = "019527e4-75d5-704d-a5a4-a2b52cf56196";

#[tokio::test]
async fn case_10_an_unknown_client_and_a_bad_signature_are_one_answer() {
    let world = World::start().await;
    let environment = world.environment().await;
    let ticket = world.ticket().await;
    let ed25519 = Environment::with_key(&ticket.environment, Key::ed25519());
    assert_eq!(world.try_enrol(&ticket, &ed25519).await.status, 200);
    let pending = world.ticket().await.environment;
    let stopped = world.environment().await;
    assert_eq!(world.stop(&stopped.id).await.status, 200);
    let now = world.now();

    let mut answers: Vec<(&str, Answer)> = Vec::new();
    for key in [Key::es256, Key::ed25519] {
        for (case, id) in [
            ("unknown client", NOBODY),
            ("another key than the enrolled", &environment.id),
            ("another key than the enrolled, EdDSA", &ed25519.id),
            ("an environment that is not enrolled", &pending),
            ("a stopped environment", &stopped.id),
        ] {
            let stranger = Environment::with_key(id, key());
            answers.push((case, world.present(&stranger.assertion(now)).await));
        }
    }
    let unknown_kid = environment.heading(now, "kid", "a".repeat(43));
    answers.push(("unknown kid", world.present(&unknown_kid).await));
    let others_kid = environment.heading(now, "kid", ed25519.kid.as_str());
    answers.push(("another's kid", world.present(&others_kid).await));
    let mut stranger = Environment::new(&environment.id);
    stranger.kid.clone_from(&environment.kid);
    answers.push(("known kid", world.present(&stranger.assertion(now)).await));
    for length in [0, 1, 63, 64, 65, 1_000] {
        let header = environment.header().to_string();
        let claims = environment.claims(now).to_string();
        let text = super::client::compact(&header, &claims, |_| vec![1; length]);
        answers.push(("a signature of any length", world.present(&text).await));
    }
    let good = environment.assertion(now);
    let edited = edit_payload(&good, |claims| claims["jti"] = "another one".into());
    answers.push(("an edited payload", world.present(&edited).await));

    let first = answers[0].1.clone();
    snapshot!("not-authenticated", first);
    for (case, answer) in answers {
        assert_eq!(
            answer.without_id(),
            first.clone().without_id(),
            "{case} is told apart"
        );
    }
}

/// Changes the claims and keeps the signature.
fn edit_payload(assertion: &str, edit: impl FnOnce(&mut Value)) -> String {
    let parts: Vec<&str> = assertion.split('.').collect();
    let payload = idp::jose::base64url_decode(parts[1]).unwrap();
    let mut claims: Value = serde_json::from_slice(&payload).unwrap();
    edit(&mut claims);
    let payload = idp::jose::base64url_encode(claims.to_string());
    [parts[0], &payload, parts[2]].join(".")
}

#[tokio::test]
async fn case_10_who_proved_the_key_learns_why_and_the_audit_log_too() {
    let world = World::start().await;
    let environment = world.environment().await;
    let now = world.now();

    let used = environment.assertion(now);
    assert_eq!(world.present(&used).await.status, 200);
    let replayed = world.present(&used).await;
    replayed.assert_refused("401 invalid_client", "its jti was used before");
    snapshot!("replayed", replayed);

    let assertion = environment.assertion(now);
    let mut parameters = token_parameters(&assertion);
    parameters[3].1 = "https://other.example";
    let target = world
        .send(Request::form("/oauth2/token", &parameters))
        .await;
    target.assert_refused(
        "400 invalid_target",
        "audience: https://other.example is not one that the organisation allows \
         (sts.amazonaws.com)",
    );
    snapshot!("invalid-target", target);

    let expired = world
        .present(&environment.claiming(now, "exp", now - 60))
        .await;
    assert_eq!(expired.status, 401);

    assert_eq!(world.stop(&environment.id).await.status, 200);
    let stopped = world.token(&environment).await;
    stopped.assert_refused(
        "400 unauthorized_client",
        &format!("environment {} is stopped", environment.id),
    );
    snapshot!("stopped", stopped);

    let minted = world.audited("token.mint").await;
    let refused: Vec<_> = minted
        .iter()
        .filter(|record| record.outcome == "refused")
        .collect();
    let answers = [&replayed, &target, &expired, &stopped];
    assert_eq!(refused.len(), answers.len());
    assert_eq!(minted.len(), answers.len() + 1);
    for (record, answer) in refused.iter().zip(answers) {
        assert_eq!(record.actor, format!("environment:{}", environment.id));
        assert_eq!(record.target, environment.id);
        assert_eq!(record.request_id.as_deref(), answer.get("x-request-id"));
        assert_eq!(record.source.as_deref(), Some("127.0.0.1"));
        let details: Value = serde_json::from_str(&record.details).unwrap();
        let (_, description) = answer.refusal();
        let reason = details["reason"].as_str().unwrap().replace('"', "'");
        assert_eq!(reason, description);
    }
}

#[tokio::test]
async fn case_10_strangers_are_counted_not_recorded() {
    let world = World::start().await;
    let environment = world.environment().await;
    world.service.keep_house().await.unwrap();
    let before = (
        world.audit(Some(world.organization)).await.len(),
        world.audit(None).await.len(),
    );
    let stranger = Environment::new(&environment.id);
    let mut last = None;
    for _ in 0..20 {
        last = Some(world.present(&stranger.assertion(world.now())).await);
    }
    for _ in 0..3 {
        let request = Request::get("/api/v1/keys").bearer("idp_admin_guess");
        assert_eq!(world.send(request).await.status, 401);
    }
    let after = (
        world.audit(Some(world.organization)).await.len(),
        world.audit(None).await.len(),
    );
    assert_eq!(after, before, "nobody fills the disk from outside");

    world.service.keep_house().await.unwrap();
    world.service.keep_house().await.unwrap();
    let records = world.audit(None).await;
    let added = &records[before.1..];
    let counts: Vec<(&str, i64)> = added
        .iter()
        .map(|record| {
            assert_eq!(record.action, "refusals.anonymous");
            assert_eq!(record.actor, "anonymous");
            assert_eq!(record.outcome, "refused");
            let details: Value = serde_json::from_str(&record.details).unwrap();
            (record.target.as_str(), details["count"].as_i64().unwrap())
        })
        .collect();
    assert_eq!(counts, [("admin.authenticate", 3), ("token.mint", 20)]);
    let sample = added[1].request_id.as_deref();
    assert_eq!(sample, last.unwrap().get("x-request-id"), "one sample");
}

/// What is counted when the server stops is recorded before it ends.
#[tokio::test]
async fn case_10_counts_outlive_a_stop_of_the_server() {
    let mut world = World::start().await;
    let environment = world.environment().await;
    let stranger = Environment::new(&environment.id);
    for _ in 0..5 {
        world.present(&stranger.assertion(world.now())).await;
    }
    world.restart().await;
    let counted: i64 = world
        .audit(None)
        .await
        .iter()
        .filter(|record| record.action == "refusals.anonymous")
        .map(|record| {
            let details: Value = serde_json::from_str(&record.details).unwrap();
            details["count"].as_i64().unwrap()
        })
        .sum();
    assert_eq!(counted, 5);
}

#[tokio::test]
async fn case_8_an_identity_token_is_no_administrator_token() {
    let world = World::start().await;
    let environment = world.environment().await;
    let token = world.token(&environment).await.json()["access_token"].clone();
    let token = token.as_str().unwrap();
    let assertion = environment.assertion(world.now());
    for text in [token, &assertion, &environment.kid, "idp_join_x"] {
        let answer = world
            .send(Request::get("/api/v1/organizations").bearer(text))
            .await;
        answer.assert_refused("401", "present an administrator token");
    }
}

#[tokio::test]
async fn case_8_an_administrator_token_is_no_client_credential() {
    let world = World::start().await;
    let environment = world.environment().await;
    let assertion = environment.assertion(world.now());
    let request = token_request(&assertion).bearer(&world.admin);
    let answer = world.send(request).await;
    answer.assert_refused(
        "401 invalid_client",
        "clients authenticate with client_assertion",
    );
    assert!(answer.get("www-authenticate").is_some());

    let mut parameters = token_parameters(&assertion).to_vec();
    parameters.push(("client_secret", &world.admin));
    let answer = world
        .send(Request::form("/oauth2/token", &parameters))
        .await;
    answer.assert_refused("401 invalid_client", "not with a secret");

    let answer = world.present(&world.admin).await;
    answer.assert_refused("401 invalid_client", "separated by dots, this has 1");
    assert!(!answer.text().contains(&world.admin));

    // An issued token is no assertion either, not even for the audience that it was issued for.
    let token = world.present(&assertion).await.json()["access_token"].clone();
    let answer = world.present(token.as_str().unwrap()).await;
    answer.assert_refused(
        "401 invalid_client",
        "client_assertion: its header's typ must be",
    );

    // Nor is a proof of possession.
    let proof = environment.sign(
        &environment.proof_header(),
        &json!({ "iss": environment.id }),
    );
    let answer = world.present(&proof).await;
    answer.assert_refused(
        "401 invalid_client",
        "client_assertion: its header's typ must be",
    );
}
