//! The claims that AWS takes into its policies: off until an organisation turns them on, and never
//! more than was asked for.

use idp::client::decode::DecodedToken;
use serde_json::{Value, json};

use super::{Answer, Environment, Request, World, world::token_parameters};

const ROLE: &str = "arn:aws:iam::123456789012:role/demo";
const OTHER: &str = "arn:aws:iam::123456789012:role/other";

/// Asks for a token with more parameters.
async fn ask(world: &World, environment: &Environment, more: &[(&str, &str)]) -> Answer {
    let assertion = environment.assertion(world.now());
    let mut parameters = token_parameters(&assertion).to_vec();
    for (name, value) in more {
        parameters.retain(|(known, _)| known != name);
        parameters.push((name, value));
    }
    world
        .send(Request::form("/oauth2/token", &parameters))
        .await
}

fn claims(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    let token = DecodedToken::parse(answer["access_token"].as_str().unwrap()).unwrap();
    serde_json::from_str::<Value>(&token.to_json()).unwrap()["Claims"].clone()
}

async fn turn(world: &World, switches: Value) -> Answer {
    let target = format!("/api/v1/organizations/{}", world.organization);
    let body = json!({ "aws_claims": switches });
    world.admin(Request::json("PATCH", &target, &body)).await
}

async fn update(world: &World, environment: &str, body: Value) -> Answer {
    let target = format!("/api/v1/environments/{environment}");
    world.admin(Request::json("PATCH", &target, &body)).await
}

fn names(claims: &Value) -> Vec<&str> {
    let mut names: Vec<_> = claims
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

const V2: [&str; 8] = ["aud", "exp", "iat", "iss", "jti", "nbf", "org", "sub"];

#[tokio::test]
async fn off_until_the_organisation_turns_them_on() {
    let world = World::start().await;
    let environment = world.environment().await;
    let answer = ask(&world, &environment, &[("role_arn", ROLE)]).await;
    assert_eq!(answer.json().get("role_arns"), None);
    assert_eq!(names(&claims(&answer)), V2);

    let shown = turn(
        &world,
        json!({ "session_tags": true, "source_identity": true, "role_pin": true }),
    )
    .await;
    assert_eq!(
        shown.json()["aws_claims"],
        json!({ "session_tags": true, "source_identity": true, "role_pin": true })
    );
    let answer = ask(&world, &environment, &[("role_arn", ROLE)]).await;
    assert_eq!(answer.json()["role_arns"], json!([ROLE]));
    let all = claims(&answer);
    assert_eq!(all["https://aws.amazon.com/roles"], json!([ROLE]));
    assert_eq!(
        all["https://aws.amazon.com/source_identity"],
        json!(environment.id)
    );
    assert_eq!(
        all["https://aws.amazon.com/tags"],
        json!({
            "principal_tags": {
                "organization_id": [world.organization],
                "organization_name": ["Acme"],
                "environment_id": [environment.id],
                "environment_name": ["dev"],
            },
            "transitive_tag_keys": ["organization_id", "environment_id"],
        })
    );
    let minted = world.audited("token.mint").await.pop().unwrap();
    let details: Value = serde_json::from_str(&minted.details).unwrap();
    assert_eq!(details["roles"], json!([ROLE]));

    turn(&world, json!({ "session_tags": false })).await;
    let mut wanted = V2.to_vec();
    wanted.extend([
        "https://aws.amazon.com/roles",
        "https://aws.amazon.com/source_identity",
    ]);
    wanted.sort_unstable();
    let some = ask(&world, &environment, &[("role_arn", ROLE)]).await;
    assert_eq!(names(&claims(&some)), wanted);
}

#[tokio::test]
async fn other_audiences_see_none_of_them() {
    let world = World::start().await;
    let environment = world.environment().await;
    turn(
        &world,
        json!({ "session_tags": true, "source_identity": true, "role_pin": true }),
    )
    .await;
    let target = format!("/api/v1/organizations/{}", world.organization);
    let audiences = json!({ "audiences": ["sts.amazonaws.com", "api://x"] });
    let answer = world
        .admin(Request::json("PATCH", &target, &audiences))
        .await;
    assert_eq!(answer.json()["aws_claims"]["role_pin"], true, "as it was");
    let answer = ask(&world, &environment, &[("audience", "api://x")]).await;
    assert_eq!(names(&claims(&answer)), V2);
    ask(
        &world,
        &environment,
        &[("audience", "api://x"), ("role_arn", ROLE)],
    )
    .await
    .assert_refused("400 invalid_request", "role_arn goes with the audience");
}

#[tokio::test]
async fn an_environment_with_a_list_gets_no_token_for_another_role() {
    let world = World::start().await;
    let environment = world.environment().await;
    turn(&world, json!({ "role_pin": true })).await;
    let roles = |claims: &Value| claims["https://aws.amazon.com/roles"].clone();
    let any = ask(&world, &environment, &[("role_arn", OTHER)]).await;
    assert_eq!(roles(&claims(&any)), json!([OTHER]), "it has no list yet");

    let answer = update(&world, &environment.id, json!({ "role_arns": [ROLE] })).await;
    assert_eq!(answer.json()["role_arns"], json!([ROLE]));
    let pinned = ask(&world, &environment, &[("role_arn", ROLE)]).await;
    assert_eq!(roles(&claims(&pinned)), json!([ROLE]));
    ask(&world, &environment, &[("role_arn", OTHER)])
        .await
        .assert_refused("400 invalid_target", "is not a role of environment");
    // A case apart is another role to AWS.
    ask(
        &world,
        &environment,
        &[("role_arn", "arn:aws:iam::123456789012:role/Demo")],
    )
    .await
    .assert_refused("400 invalid_target", "is not a role of environment");
    let silent = ask(&world, &environment, &[]).await;
    assert_eq!(
        roles(&claims(&silent)),
        json!([ROLE]),
        "who asks for none gets no more than the list"
    );

    for (body, says) in [
        (json!({ "role_arns": [] }), "name at least one role"),
        (json!({ "role_arns": ["*"] }), "role_arns"),
        (
            json!({ "role_arns": ["arn:aws:iam::123456789012:role/*"] }),
            "role_arns",
        ),
        (
            json!({ "role_arns": (0..51).map(|n| format!("{ROLE}{n}")).collect::<Vec<_>>() }),
            "at most 50 roles",
        ),
    ] {
        let answer = update(&world, &environment.id, body).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.text().contains(says), "{answer:?}");
    }
    let lifted = update(&world, &environment.id, json!({ "role_arns": null })).await;
    assert_eq!(lifted.json()["role_arns"], Value::Null);
    let any = ask(&world, &environment, &[("role_arn", OTHER)]).await;
    assert_eq!(roles(&claims(&any)), json!([OTHER]));
}

#[tokio::test]
async fn case_11_a_name_that_aws_would_refuse_stops_the_token_and_says_why() {
    let world = World::start().await;
    let ticket = world
        .ticket_with(world.organization, &json!({ "name": "a*b" }))
        .await;
    let environment = world.enrol(&ticket).await;
    turn(&world, json!({ "session_tags": true })).await;
    ask(&world, &environment, &[]).await.assert_refused(
        "400 invalid_request",
        "the environment's name 'a*b' cannot be an AWS session tag because of the character U+002A",
    );
    // Nothing that is made or renamed now can have one.
    let environments = format!("/api/v1/organizations/{}/environments", world.organization);
    let projects = format!("/api/v1/organizations/{}/projects", world.organization);
    for target in [&environments, &projects] {
        let answer = world.post(target, &json!({ "name": "${aws:x}" })).await;
        assert_eq!(answer.status, 409, "{answer:?}");
        assert!(answer.text().contains("cannot be an AWS session tag"));
    }
    let answer = update(&world, &environment.id, json!({ "name": "a?b" })).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    let answer = update(&world, &environment.id, json!({ "name": "a-b" })).await;
    assert_eq!(answer.json()["name"], "a-b");
    let tags = &claims(&ask(&world, &environment, &[]).await)["https://aws.amazon.com/tags"];
    assert_eq!(tags["principal_tags"]["environment_name"], json!(["a-b"]));

    let target = format!("/api/v1/organizations/{}", world.organization);
    let answer = world
        .admin(Request::json("PATCH", &target, &json!({ "name": "a\\b" })))
        .await;
    assert_eq!(answer.status, 409, "{answer:?}");
}

#[tokio::test]
async fn a_project_is_renamed() {
    let world = World::start().await;
    let projects = format!("/api/v1/organizations/{}/projects", world.organization);
    let made = world.post(&projects, &json!({ "name": "web" })).await;
    let target = format!("/api/v1/projects/{}", made.json()["id"].as_str().unwrap());
    let renamed = world
        .admin(Request::json("PATCH", &target, &json!({ "name": "site" })))
        .await;
    assert_eq!(renamed.json()["name"], "site");
    let shown = world.admin(Request::get(&target)).await;
    assert_eq!(shown.json()["name"], "site");
    assert_eq!(world.audited("project.update").await.len(), 1);
}
