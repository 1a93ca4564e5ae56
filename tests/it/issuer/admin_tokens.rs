//! Administrator tokens over the API: who may make, see and revoke which, and what one is good for after
//! its end.

use idp::domain::{ExposeSecret as _, SystemRandom, Timestamp};
use serde_json::{Value, json};

use super::{
    Request, World,
    admin::{assert_unauthenticated, scoped},
};

/// The request that revokes a token.
fn revocation(id: &Value) -> Request {
    let target = format!("/api/v1/admin-tokens/{}", id.as_str().unwrap());
    Request::new("DELETE", &target)
}

/// Who makes a token gives away nothing that they do not have.
#[tokio::test]
async fn a_token_makes_none_that_is_wider_or_lives_longer() {
    let world = World::start().await;
    let own = world.organization.to_string();
    let other = world.new_organization("other").await.to_string();
    let token = scoped(&world, &own, Some(600)).await;
    let ask = async |body: Value| {
        let request = Request::json("POST", "/api/v1/admin-tokens", &body);
        world.send(request.bearer(&token)).await
    };
    ask(json!({}))
        .await
        .assert_refused("403", "for one organisation");
    ask(json!({ "organization_id": other }))
        .await
        .assert_refused("404", "no such organisation");
    ask(json!({ "organization_id": own, "expires_in": 601 }))
        .await
        .assert_refused("403", "would outlive");
    for life in [json!(0), json!(400_000_000), json!(-1), json!("1d")] {
        let body = json!({ "organization_id": own, "expires_in": life });
        assert_eq!(ask(body).await.status, 400);
    }
    let shorter = ask(json!({ "organization_id": own, "expires_in": 5 })).await;
    assert_eq!(shorter.status, 201, "{shorter:?}");
    let made = ask(json!({ "organization_id": own, "name": "ci" })).await;
    let made = made.json();
    let ends = Timestamp::from_secs(world.now() + 600).to_string();
    assert_eq!(made["expires_at"], ends, "no later than its maker's");
    assert_eq!(made["name"], "ci");
    assert_eq!(made["organization_id"], own);
}

/// Case 20 for tokens themselves.
#[tokio::test]
async fn a_token_knows_of_those_of_its_organisation_alone() {
    let world = World::start().await;
    let own = world.organization.to_string();
    let other = world.new_organization("other").await.to_string();
    let token = scoped(&world, &own, None).await;
    let stranger = scoped(&world, &other, None).await;
    let list = Request::get("/api/v1/admin-tokens");
    let seen = world.send(list.clone().bearer(&token)).await.json();
    let seen = seen["items"].as_array().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["organization_id"], own);
    let all = world.admin(list.clone()).await;
    assert!(!all.text().contains("idp_admin_"), "no secret is listed");
    let all = all.json();
    let all = all["items"].as_array().unwrap();
    assert_eq!(all.len(), 3);
    let paged = world
        .admin(Request::get("/api/v1/admin-tokens?limit=2"))
        .await;
    let paged = paged.json();
    assert_eq!(paged["items"].as_array().unwrap()[..], all[..2]);

    let nothing = revocation(&json!(own)).bearer(&token);
    let nothing = world.send(nothing).await;
    nothing.assert_refused("404", "no such administrator token");
    for out_of_reach in all.iter().filter(|one| one["organization_id"] != own) {
        let refused = revocation(&out_of_reach["id"]).bearer(&token);
        let refused = world.send(refused).await;
        assert_eq!(
            refused.without_id(),
            nothing.clone().without_id(),
            "{out_of_reach}"
        );
    }
    // Nothing has happened to them.
    for works in [&stranger, &world.admin] {
        let answer = world.send(list.clone().bearer(works)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    // One's own is all one's own.
    let answer = world.send(revocation(&seen[0]["id"]).bearer(&token)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_unauthenticated(&world.send(list.bearer(&token)).await);
}

#[tokio::test]
async fn a_revoked_token_is_of_no_use_from_then_on() {
    let world = World::start().await;
    let own = world.organization.to_string();
    let body = json!({ "organization_id": own, "name": "ci" });
    let made = world.post("/api/v1/admin-tokens", &body).await.json();
    let token = made["admin_token"].as_str().unwrap();
    let request = Request::get(&format!("/api/v1/organizations/{own}")).bearer(token);
    assert_eq!(world.send(request.clone()).await.status, 200);
    let id = made["id"].as_str().unwrap();
    let revoke = revocation(&made["id"]);
    let revoked = world.admin(revoke.clone()).await;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    assert_unauthenticated(&world.send(request.clone()).await);
    // Nor by a replica whose clock is behind.
    let now = Timestamp::from_secs(world.now());
    world.clock.set(Timestamp::from_secs(world.now() - 60));
    assert_unauthenticated(&world.send(request).await);
    world.clock.set(now);
    world.advance(5);
    let again = world.admin(revoke).await;
    assert_eq!(again.json(), revoked.json(), "once is enough");

    let records = world.audit(Some(world.organization)).await;
    let of = |action: &str| {
        let found = records.iter().filter(|record| record.action == action);
        found.collect::<Vec<_>>()
    };
    for action in ["admin_token.create", "admin_token.revoke"] {
        let found = of(action);
        assert_eq!(found.len(), 1, "{action}");
        assert_eq!(found[0].target, id);
        assert!(found[0].actor.starts_with("administrator:"));
        assert!(found[0].details.contains("\"name\":\"ci\""));
    }
    let used = of("admin.authenticate");
    assert_eq!(used[0].actor, format!("administrator:{id}"));
    assert!(used[0].details.contains("revoked"), "{used:?}");
    assert!(records.iter().all(|record| !record.details.contains(token)));
}

/// The token was lost, or stolen: on the server's machine there is another one.
#[tokio::test]
async fn a_replacement_ends_all_that_reach_everything() {
    let world = World::start().await;
    let own = world.organization.to_string();
    let kept = scoped(&world, &own, None).await;
    let lost = world
        .admin(Request::get("/api/v1/admin-tokens"))
        .await
        .json();
    let fresh = idp::server::replace_admin(&world.settings, world.clock.clone(), &SystemRandom);
    let fresh = fresh.await.unwrap();
    let target = format!("/api/v1/organizations/{own}");
    let with = async |token: &str| world.send(Request::get(&target).bearer(token)).await;
    assert_unauthenticated(&with(&world.admin).await);
    assert_eq!(with(&kept).await.status, 200);
    assert_eq!(with(fresh.expose_secret()).await.status, 200);

    let records = world.audit(None).await;
    let bootstrap = records.iter().rfind(|one| one.action == "admin.bootstrap");
    let replaced: Value = serde_json::from_str(&bootstrap.unwrap().details).unwrap();
    let expected = json!({ "replaced": true, "revoked": [lost["items"][0]["id"]] });
    assert_eq!(replaced, expected);
}
