//! A stop is final and at once (case 17; the race is in `heavy`).

use serde_json::json;

use super::{Environment, Request, World};

#[tokio::test]
async fn case_17_no_token_once_stop_has_returned() {
    let mut world = World::start().await;
    let environment = world.environment().await;
    let bystander = world.environment().await;
    assert_eq!(world.token(&environment).await.status, 200);
    let made_before = environment.assertion(world.now());

    let stopped = world.stop(&environment.id).await;
    assert_eq!(stopped.status, 200);
    assert_eq!(stopped.json()["state"], "stopped");
    snapshot!("stop", stopped);
    let says = format!("environment {} is stopped", environment.id);
    for _ in 0..2 {
        let answer = world.token(&environment).await;
        answer.assert_refused("400 unauthorized_client", &says);
        let answer = world.present(&made_before).await;
        answer.assert_refused("400 unauthorized_client", &says);
        assert_eq!(world.token(&bystander).await.status, 200);
        world.restart().await;
    }
}

#[tokio::test]
async fn case_17_join_tokens_end_with_it() {
    let world = World::start().await;
    let ticket = world.ticket().await;
    assert_eq!(world.stop(&ticket.environment).await.status, 200);
    let environment = Environment::new(&ticket.environment);
    let answer = world.try_enrol(&ticket, &environment).await;
    answer.assert_refused("400 invalid_grant", "ask an administrator for a new one");

    let target = format!("/api/v1/environments/{}/join-tokens", ticket.environment);
    let answer = world.post(&target, &json!({})).await;
    answer.assert_refused("409", "is stopped for good; make a new environment");

    // One that was made before a stop of an enrolled environment.
    let enrolled = world.environment().await;
    let spare = world.another_ticket(&enrolled.id).await;
    assert_eq!(world.stop(&enrolled.id).await.status, 200);
    let answer = world
        .try_enrol(&spare, &Environment::new(&enrolled.id))
        .await;
    answer.assert_refused("400 invalid_grant", "ask an administrator for a new one");
    let answer = world.token(&enrolled).await;
    answer.assert_refused("400 unauthorized_client", "is stopped");
}

#[tokio::test]
async fn case_17_stopping_twice_is_quiet() {
    let world = World::start().await;
    let environment = world.environment().await;
    let first = world.stop(&environment.id).await;
    world.advance(60);
    let second = world.stop(&environment.id).await;
    assert_eq!(first.json(), second.json(), "its time too");
    let records = world.audited("environment.stop").await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].target, environment.id);
    assert_eq!(records[0].request_id.as_deref(), first.get("x-request-id"));
    assert!(records[0].actor.starts_with("administrator:"));
    let target = "/api/v1/environments/019527e4-75d5-704d-a5a4-a2b52cf56196/stop";
    let answer = world.admin(Request::new("POST", target)).await;
    answer.assert_refused("404", "there is no such environment");
}
