//! The listing of minted tokens that `CloudTrail` is joined with.

use std::time::Duration;

use serde_json::Value;

use super::{Request, World};

async fn list(world: &World, query: &str) -> Value {
    let target = format!("/api/v1/organizations/{}/mints{query}", world.organization);
    let answer = world.admin(Request::get(&target)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn mints_are_listed_by_time_and_page() {
    let world = World::start().await;
    let environment = world.environment().await;
    let mut jtis = Vec::new();
    for _ in 0..5 {
        world.advance(3600);
        let answer = world.token(&environment).await;
        assert_eq!(answer.status, 200);
    }
    // A refusal is no mint.
    world
        .present(&environment.assertion(world.now() - 999))
        .await;
    for record in world.audited("token.mint").await {
        if record.outcome == "success" {
            let details: Value = serde_json::from_str(&record.details).unwrap();
            jtis.push((record.at, details["jti"].as_str().unwrap().to_owned()));
        }
    }
    assert_eq!(jtis.len(), 5);
    let all = list(&world, "").await;
    let listed: Vec<_> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["jti"].as_str().unwrap())
        .collect();
    let wanted: Vec<_> = jtis.iter().map(|(_, jti)| jti.as_str()).collect();
    assert_eq!(listed, wanted);
    assert_eq!(all["next_cursor"], Value::Null);

    let query = format!(
        "?since={}&until={}",
        jtis[1].0,
        jtis[3].0.plus(Duration::from_secs(1))
    );
    let some = list(&world, &query).await;
    assert_eq!(some["items"].as_array().unwrap().len(), 3);
    assert_eq!(some["items"][0]["jti"], wanted[1]);

    let first = list(&world, &format!("{query}&limit=2")).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = list(&world, &format!("{query}&limit=2&cursor={cursor}")).await;
    assert_eq!(second["items"][0]["jti"], wanted[3]);
    assert_eq!(second["next_cursor"], Value::Null);
    let late = list(&world, &format!("?since={}", jtis[4].0)).await;
    assert_eq!(late["items"].as_array().unwrap().len(), 1);
}
