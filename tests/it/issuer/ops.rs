//! The ops listener: health, readiness, metrics.

use std::net::SocketAddr;

use super::{Answer, Environment, Request, World};
use crate::support::free_port;

/// A server with an ops listener.
async fn world() -> (World, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let world = World::with(|settings| settings.ops_listen = Some(address)).await;
    (world, address)
}

async fn get(address: SocketAddr, target: &str) -> Answer {
    Request::get(target).send(address).await
}

/// A series' value as it is written.
async fn metric(address: SocketAddr, series: &str) -> String {
    let text = get(address, "/metrics").await.text().to_owned();
    text.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("{series} is not in\n{text}"))
        .to_owned()
}

#[tokio::test]
async fn what_is_counted() {
    let (world, ops) = world().await;
    let refused = r#"idp_refusals_total{endpoint="token",reason="invalid_client"}"#;
    assert_eq!(metric(ops, refused).await, "0", "it is there before");
    let environment = world.environment().await;
    for _ in 0..3 {
        assert_eq!(world.token(&environment).await.status, 200);
    }
    let forged = Environment::new(&environment.id).assertion(world.now());
    assert_eq!(world.present(&forged).await.status, 401);
    let wrong = Request::get("/api/v1/keys").bearer("idp_admin_wrong");
    assert_eq!(world.send(wrong).await.status, 401);
    world.get("/.well-known/jwks.json").await;
    for (series, expected) in [
        (r#"idp_mints_total{outcome="issued"}"#, "3"),
        (r#"idp_mints_total{outcome="refused"}"#, "1"),
        (r#"idp_mints_total{outcome="unavailable"}"#, "0"),
        (refused, "1"),
        (
            r#"idp_refusals_total{endpoint="admin",reason="unauthenticated"}"#,
            "1",
        ),
        ("idp_signer_duration_seconds_count", "3"),
        ("idp_audit_commit_duration_seconds_count", "3"),
        (
            r#"idp_http_request_duration_seconds_count{route="token"}"#,
            "4",
        ),
        (
            r#"idp_http_request_duration_seconds_count{route="jwks"}"#,
            "1",
        ),
        (
            r#"idp_http_responses_total{route="token",status="4xx"}"#,
            "1",
        ),
        (r#"idp_issuer_keys{state="active"}"#, "1"),
        (r#"idp_issuer_keys{state="pending"}"#, "1"),
        ("idp_mints_in_flight", "0"),
        ("idp_mints_in_flight_limit", "1024"),
        (r#"idp_build_info{version="0.1.0",otel="no"}"#, "1"),
    ] {
        if series.starts_with("idp_build_info") && cfg!(feature = "otel") {
            continue;
        }
        assert_eq!(metric(ops, series).await, expected, "{series}");
    }
    let resident = metric(ops, "process_resident_memory_bytes").await;
    assert!(resident.parse::<f64>().unwrap() > 1e6, "{resident}");
}

/// Case 25, and that no label grows with what clients send.
#[tokio::test]
async fn metrics_hold_no_secrets_and_no_names() {
    let (world, ops) = world().await;
    let environment = world.environment().await;
    let token = world.token(&environment).await.json();
    let before = get(ops, "/metrics").await.text().lines().count();
    for number in 0..50 {
        world.get(&format!("/path-{number}")).await;
        world
            .send(Request::new(
                &format!("METHOD{number}"),
                "/api/v1/organizations",
            ))
            .await;
        world.present(&format!("garbage-{number}")).await;
    }
    let answer = get(ops, "/metrics").await;
    assert_eq!(answer.text().lines().count(), before);
    for secret in [
        token["access_token"].as_str().unwrap(),
        &world.admin,
        &environment.id,
        &environment.kid,
        "path-",
        "METHOD",
    ] {
        assert!(!answer.text().contains(secret), "{secret}");
    }
    assert!(
        answer
            .get("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
}

#[tokio::test]
async fn readiness_says_what_is_wrong() {
    let (world, ops) = world().await;
    assert_eq!(get(ops, "/livez").await.text(), "ok\n");
    let ready = get(ops, "/readyz").await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.text(), "ok shutdown\nok keys\nok database\n");
    let ready = get(ops, "/readyz?exclude=database").await;
    assert_eq!(ready.text(), "ok shutdown\nok keys\n");
    // Nothing of it is public.
    for target in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(world.get(target).await.status, 404);
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_is_counted() {
    let (world, ops) = world().await;
    world.clock.advance(std::time::Duration::from_mins(1));
    world.service.keep_keys().await.unwrap();
    world
        .clock
        .set(idp::domain::Timestamp::from_secs(world.now() - 30));
    world.service.keep_keys().await.unwrap();
    world.service.keep_keys().await.unwrap();
    assert_eq!(metric(ops, "idp_clock_set_back_total").await, "1");
}

#[tokio::test]
async fn checkpoints_that_cease_are_told() {
    let place = tempfile::tempdir().unwrap();
    let ops = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let world = World::with(|settings| {
        settings.ops_listen = Some(ops);
        settings.audit.checkpoints = Some(place.path().to_str().unwrap().to_owned());
    })
    .await;
    let hour = std::time::Duration::from_hours(1);
    let age = async || {
        world.service.observe().await.unwrap();
        let age = metric(ops, "idp_audit_checkpoint_age_seconds").await;
        let (whole, _) = age.split_once('.').unwrap_or((&age, ""));
        whole.to_owned()
    };
    world.service.checkpoint_if_due(hour).await.unwrap();
    assert_eq!(age().await, "0");
    world.advance(3 * 3_600);
    assert_eq!(age().await, "10800");
    assert_eq!(metric(ops, "idp_issuer_key_overdue_seconds").await, "0");
    // Another log's checkpoint lies there.
    std::fs::write(place.path().join("000000000002.jws"), "nonsense").unwrap();
    assert!(world.service.checkpoint_if_due(hour).await.is_err());
    assert_eq!(age().await, "10800");
    let failures = metric(ops, "idp_audit_checkpoint_failures_total").await;
    assert!(failures.parse::<f64>().unwrap() >= 1.0, "{failures}");
}
