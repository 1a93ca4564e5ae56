//! The audit log as attackers and auditors meet it: what is recorded, who sees it, what it withstands.

use std::time::Duration;

use idp::domain::{AuditRecord, Clock as _};
use serde_json::{Value, json};

use super::{Request, World, admin::scoped, world::token_request};

/// The refusals among the records of an action.
fn refused(records: Vec<AuditRecord>) -> Vec<AuditRecord> {
    let refused = |record: &AuditRecord| record.outcome == "refused";
    records.into_iter().filter(refused).collect()
}

fn details(record: &AuditRecord) -> Value {
    serde_json::from_str(&record.details).unwrap()
}

/// Whoever holds one captured assertion can prove the key for ever, but not fill the log.
#[tokio::test]
async fn a_captured_assertion_does_not_fill_the_log() {
    let world = World::start().await;
    let environment = world.environment().await;
    let captured = environment.assertion(world.now());
    assert_eq!(world.present(&captured).await.status, 200);
    for _ in 0..20 {
        assert_eq!(world.present(&captured).await.status, 401);
    }
    world.advance(3_600);
    for _ in 0..20 {
        assert_eq!(world.present(&captured).await.status, 401);
    }
    let records = refused(world.audited("token.mint").await);
    assert_eq!(records.len(), 2, "the first of each kind: {records:?}");
    assert!(
        details(&records[0])["reason"]
            .as_str()
            .unwrap()
            .contains("jti was used")
    );
    assert!(
        details(&records[1])["reason"]
            .as_str()
            .unwrap()
            .contains("exp passed")
    );

    // The rest is counted: into the next one, or by the housekeeping.
    world.advance(60);
    assert_eq!(world.present(&captured).await.status, 401);
    let next = refused(world.audited("token.mint").await).pop().unwrap();
    assert_eq!(details(&next)["not_recorded"], 19);
    world.advance(60);
    world.service.keep_house().await.unwrap();
    let last = refused(world.audited("token.mint").await).pop().unwrap();
    assert_eq!(details(&last)["not_recorded"], 18, "and the record itself");
}

#[tokio::test]
async fn what_was_held_back_survives_a_stop() {
    let mut world = World::start().await;
    let environment = world.environment().await;
    let captured = environment.assertion(world.now());
    for _ in 0..4 {
        world.present(&captured).await;
    }
    world.restart().await;
    let records = refused(world.audited("token.mint").await);
    assert_eq!(records.len(), 2);
    assert_eq!(details(&records[1])["not_recorded"], 1);
}

#[tokio::test]
async fn a_used_join_token_is_recorded_in_its_organisation() {
    let world = World::start().await;
    let ticket = world.ticket().await;
    world.enrol(&ticket).await;
    let thief = super::Environment::new(&ticket.environment);
    assert_eq!(world.try_enrol(&ticket, &thief).await.status, 400);
    let records = refused(world.audited("environment.enrol").await);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].target, ticket.environment);
    assert_eq!(records[0].actor, "anonymous");
    assert!(records[0].source.is_some() && records[0].request_id.is_some());
    assert!(!records[0].details.contains("idp_join_"));
}

#[tokio::test]
async fn refused_administrators_are_recorded_where_they_can_see_it() {
    let world = World::start().await;
    let own = world.organization.to_string();
    let token = scoped(&world, &own, Some(60)).await;
    let answer = world
        .send(
            Request::json("POST", "/api/v1/organizations", &json!({ "name": "x" })).bearer(&token),
        )
        .await;
    assert_eq!(answer.status, 403);
    let record = world.audited("admin.request").await.pop().unwrap();
    assert_eq!(record.target, "POST /api/v1/organizations");
    assert_eq!(record.outcome, "refused");
    assert!(record.actor.starts_with("administrator:"));
    assert!(
        details(&record)["reason"]
            .as_str()
            .unwrap()
            .contains("cannot make another")
    );
    assert_eq!(record.request_id.as_deref(), answer.get("x-request-id"));

    world.advance(60);
    let request = Request::get("/api/v1/organizations").bearer(&token);
    assert_eq!(world.send(request).await.status, 401);
    let record = world.audited("admin.authenticate").await.pop().unwrap();
    assert_eq!(details(&record)["reason"], "expired");
}

/// Case 20 for the log: an organisation's administrator sees its chain only.
#[tokio::test]
async fn an_organisation_sees_its_own_chain_only() {
    let world = World::start().await;
    let other = world.new_organization("other").await;
    let token = scoped(&world, &world.organization.to_string(), None).await;
    let get = async |path: &str| {
        let target = format!("/api/v1{path}");
        world.send(Request::get(&target).bearer(&token)).await
    };
    for rest in ["", "/chain", "/export"] {
        let own = get(&format!(
            "/organizations/{}/audit{rest}",
            world.organization
        ))
        .await;
        assert_eq!(own.status, 200, "{rest}");
        let others = get(&format!("/organizations/{other}/audit{rest}")).await;
        assert_eq!(others.status, 404, "{rest}");
        assert_eq!(get(&format!("/audit{rest}")).await.status, 403, "{rest}");
    }
    let chains = get("/audit/chains").await.json();
    assert_eq!(chains["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        chains["items"][0]["organization_id"],
        world.organization.to_string()
    );
    let post = Request::json("POST", "/api/v1/audit/checkpoints", &json!({})).bearer(&token);
    assert_eq!(world.send(post).await.status, 403);
}

#[tokio::test]
async fn the_log_is_listed_newest_first_and_filtered() {
    let world = World::start().await;
    let environment = world.environment().await;
    let mut requests = Vec::new();
    for _ in 0..7 {
        world.advance(1);
        let answer = world.token(&environment).await;
        requests.push(answer.get("x-request-id").unwrap().to_owned());
    }
    let base = format!("/api/v1/organizations/{}/audit", world.organization);
    let get = async |query: &str| world.admin(Request::get(&format!("{base}?{query}"))).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(&format!("action=token.mint&limit=3{cursor}"))
            .await
            .json();
        let items = page["items"].as_array().unwrap();
        seen.extend(
            items
                .iter()
                .map(|item| item["request_id"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    requests.reverse();
    assert_eq!(seen, requests);
    let one = get(&format!("request_id={}", requests[2])).await.json();
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    assert_eq!(one["items"][0]["details"]["aud"], "sts.amazonaws.com");
    for (query, says) in [
        ("since=yesterday", "since must be a time"),
        ("until=1", "until must be a time"),
        ("outcome=fine", "outcome must be success or refused"),
        ("cursor=x", "cursor is not one"),
    ] {
        get(query).await.assert_refused("400", says);
    }
}

#[tokio::test]
async fn retention_removes_behind_a_checkpoint_and_the_rest_verifies() {
    let world = World::with(|settings| {
        let place = settings
            .keys
            .encryption_key_file
            .with_file_name("checkpoints");
        settings.audit.checkpoints = Some(place.display().to_string());
    })
    .await;
    let retain = Duration::from_hours(24 * 30);
    let environment = world.environment().await;
    let service = &world.service;
    for _ in 0..40 {
        assert_eq!(world.token(&environment).await.status, 200);
        let every = Duration::from_hours(24);
        service.checkpoint_if_due(every).await.unwrap();
        assert!(!service.checkpoint_if_due(every).await.unwrap());
        world.advance(86_400);
    }
    let before = world.audit(Some(world.organization)).await;
    let removed = service.remove_old_records(retain).await.unwrap();
    assert!(removed > 10, "{removed}");
    let left = world.audit(Some(world.organization)).await;
    assert_eq!(left.last().unwrap().action, "audit.remove");
    let kept = left.len() - 1;
    assert_eq!(left[..kept], before[before.len() - kept..]);
    let limit = world.clock.now().minus(retain);
    let young = before.iter().filter(|record| record.at > limit).count();
    assert_eq!(kept, young);
    assert_eq!(service.remove_old_records(retain).await.unwrap(), 0);
    assert_eq!(world.token(&environment).await.status, 200);
}

#[tokio::test]
async fn nothing_is_removed_that_a_checkpoint_does_not_vouch_for() {
    let world = World::with(|settings| {
        let place = settings
            .keys
            .encryption_key_file
            .with_file_name("checkpoints");
        settings.audit.checkpoints = Some(place.display().to_string());
    })
    .await;
    let environment = world.environment().await;
    world.service.make_checkpoint().await.unwrap();
    world.advance(86_400 * 100);
    world.token(&environment).await;
    sqlx::query("UPDATE audit SET hash = randomblob(32) WHERE seq <= 3")
        .execute(&world.sql().await)
        .await
        .unwrap();
    let removed = world
        .service
        .remove_old_records(Duration::from_hours(24))
        .await;
    assert_eq!(removed.unwrap(), 0);
}

#[tokio::test]
async fn a_token_whose_record_cannot_be_written_is_not_issued() {
    let world = World::start().await;
    let environment = world.environment().await;
    let database = world.sql().await;
    sqlx::query(
        "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END",
    )
    .execute(&database)
    .await
    .unwrap();
    let request = token_request(&environment.assertion(world.now()));
    let answer = world.send(request.clone()).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    sqlx::query("DROP TRIGGER full")
        .execute(&database)
        .await
        .unwrap();
    assert_eq!(
        world.send(request).await.status,
        200,
        "the assertion was not used up"
    );
}
