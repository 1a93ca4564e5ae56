//! Limits by address and by client (cases 21 and 26), and that neither can be slipped past or turned
//! against somebody else.

use std::net::TcpStream;

use idp::config::RateLimit;
use serde_json::json;

use super::{
    Answer, Environment, Request, World,
    world::{token_parameters, token_request},
};

fn rate(per_second: u32, burst: u32) -> RateLimit {
    RateLimit {
        per_second: per_second.try_into().unwrap(),
        burst: burst.try_into().unwrap(),
    }
}

async fn with_address_limit(burst: u32, proxies: &[&str]) -> World {
    World::with(|settings| {
        settings.limits.address = Some(rate(1, burst));
        settings.trusted_proxies = proxies.iter().map(|cidr| cidr.parse().unwrap()).collect();
    })
    .await
}

#[track_caller]
fn assert_limited(answer: &Answer, error: &str) {
    answer.assert_refused(error, "too many requests");
    let wait: u64 = answer.get("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{answer:?}");
    assert!(answer.get("x-request-id").is_some());
}

/// A request of somebody who has no key.
async fn stranger(world: &World, forwarded: &str) -> Answer {
    let request = token_request("eyJhbGciOiJub25lIn0.e30.");
    world
        .send(request.header("x-forwarded-for", forwarded))
        .await
}

#[tokio::test]
async fn case_21_x_forwarded_for_does_not_slip_the_limit() {
    let world = with_address_limit(5, &[]).await;
    for number in 0..5 {
        let answer = stranger(&world, &format!("192.0.2.{number}")).await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    for number in 5..10 {
        let answer = stranger(&world, &format!("192.0.2.{number}")).await;
        assert_limited(&answer, "429 slow_down");
    }
    assert_limited(&world.get("/enroll/nonce").await, "429 slow_down");
    assert_limited(&world.get("/api/v1/keys").await, "429");
    // Documents are for everybody.
    for target in [
        "/.well-known/jwks.json",
        "/.well-known/openid-configuration",
    ] {
        assert_eq!(world.get(target).await.status, 200);
    }
    world.advance(2);
    assert_eq!(stranger(&world, "192.0.2.1").await.status, 401);
}

#[tokio::test]
async fn who_proves_a_key_uses_nothing_up() {
    let world = with_address_limit(3, &[]).await;
    let environment = world.environment().await;
    for _ in 0..20 {
        assert_eq!(world.token(&environment).await.status, 200);
    }
    let answer = world.admin(Request::get("/api/v1/organizations")).await;
    assert_eq!(answer.status, 200);
}

/// One environment that is stopped, or asks for what it may not have, and asks again and again, does
/// not lock out the others behind its address.
#[tokio::test]
async fn who_proves_a_key_and_is_refused_uses_nothing_of_the_address_up() {
    let world = with_address_limit(3, &[]).await;
    let (astray, stopped) = (world.environment().await, world.environment().await);
    assert_eq!(world.stop(&stopped.id).await.status, 200);
    for _ in 0..5 {
        world.advance(2);
        for (name, value, error) in [
            ("audience", "https://nowhere.example", "400 invalid_target"),
            ("ttl", "1", "400 invalid_request"),
        ] {
            let assertion = astray.assertion(world.now());
            let mut parameters = token_parameters(&assertion).to_vec();
            parameters.retain(|(known, _)| *known != name);
            parameters.push((name, value));
            let answer = world.send(Request::form("/oauth2/token", &parameters));
            answer.await.assert_refused(error, name);
        }
        let answer = world.token(&stopped).await;
        answer.assert_refused("400 unauthorized_client", "is stopped");
    }
    assert_eq!(world.token(&astray).await.status, 200);
}

/// The second and later tries with a join token that was used.
#[tokio::test]
async fn a_known_join_token_is_not_charged_to_its_address() {
    let world = with_address_limit(4, &[]).await;
    let ticket = world.ticket().await;
    world.enrol(&ticket).await;
    for _ in 0..10 {
        // The nonces of this test's own are paid for.
        world.advance(1);
        let environment = Environment::new(&ticket.environment);
        let answer = world.try_enrol(&ticket, &environment).await;
        answer.assert_refused("400 invalid_grant", "the join token was used at");
    }
    assert_eq!(world.get("/enroll/nonce").await.status, 200);
}

/// Instead it has a limit of its own, as a client has.
#[tokio::test]
async fn a_known_join_token_is_limited_as_a_client_is() {
    let world = World::with(|settings| settings.limits.client = Some(rate(1, 3))).await;
    world.advance(60);
    let ticket = world.ticket().await;
    world.enrol(&ticket).await;
    for expected in [400, 400, 429, 429] {
        let environment = Environment::new(&ticket.environment);
        let answer = world.try_enrol(&ticket, &environment).await;
        assert_eq!(answer.status, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn replays_are_charged_to_their_address() {
    let world = with_address_limit(3, &[]).await;
    let environment = world.environment().await;
    let seen = environment.assertion(world.now());
    assert_eq!(world.present(&seen).await.status, 200);
    world.advance(10);
    for _ in 0..3 {
        let replayed = world.present(&seen).await;
        replayed.assert_refused("401 invalid_client", "its jti was used before");
    }
    assert_limited(&world.present(&seen).await, "429 slow_down");
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client() {
    let world = with_address_limit(3, &["127.0.0.0/8"]).await;
    for _ in 0..3 {
        assert_eq!(stranger(&world, "192.0.2.1").await.status, 401);
    }
    assert_limited(&stranger(&world, "192.0.2.1").await, "429 slow_down");
    // What the client writes itself stands to the left.
    let forged = stranger(&world, "198.51.100.7, 192.0.2.1").await;
    assert_limited(&forged, "429 slow_down");
    assert_eq!(stranger(&world, "192.0.2.2").await.status, 401);
}

#[tokio::test]
async fn a_trusted_proxys_word_counts_for_join_tokens_and_records_too() {
    let proxied = World::with(|settings| {
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let direct = World::start().await;
    for (world, enrolled) in [(&proxied, 200), (&direct, 400)] {
        let body = json!({ "name": "dev", "cidr": "192.0.2.0/24" });
        let ticket = world.ticket_with(world.organization, &body).await;
        let environment = Environment::new(&ticket.environment);
        let nonce = world.nonce().await;
        let body = environment.enrolment(&ticket.secret, &nonce);
        let request =
            Request::json("POST", "/enroll", &body).header("x-forwarded-for", "192.0.2.9");
        let answer = world.send(request).await;
        assert_eq!(answer.status, enrolled, "{answer:?}");
    }
    let records = proxied.audited("environment.enrol").await;
    assert_eq!(records[0].source.as_deref(), Some("192.0.2.9"));
}

#[tokio::test]
async fn a_client_has_a_limit_of_its_own() {
    let world = World::with(|settings| settings.limits.client = Some(rate(1, 3))).await;
    world.advance(60);
    let (one, other) = (world.environment().await, world.environment().await);
    for _ in 0..3 {
        assert_eq!(world.token(&one).await.status, 200);
    }
    assert_limited(&world.token(&one).await, "429 slow_down");
    assert_eq!(world.token(&other).await.status, 200);
    world.advance(1);
    assert_eq!(world.token(&one).await.status, 200);
    let issued = world.audited("token.mint").await;
    assert_eq!(issued.len(), 5, "what is limited leaves no record");
}

/// Whoever knows a client's id, or saw one of its assertions go by, takes nothing from it.
#[tokio::test]
async fn strangers_do_not_lock_a_client_out() {
    let world = World::with(|settings| settings.limits.client = Some(rate(1, 3))).await;
    world.advance(60);
    let environment = world.environment().await;
    let seen = environment.assertion(world.now());
    assert_eq!(world.present(&seen).await.status, 200);
    let impostor = Environment::new(&environment.id);
    for _ in 0..10 {
        let forged = impostor.assertion(world.now());
        assert_eq!(world.present(&forged).await.status, 401);
        let replayed = world.present(&seen).await;
        replayed.assert_refused("401 invalid_client", "its jti was used before");
    }
    for _ in 0..2 {
        assert_eq!(world.token(&environment).await.status, 200);
    }
}

#[tokio::test]
async fn an_administrator_has_one_too() {
    let world = World::with(|settings| settings.limits.client = Some(rate(1, 5))).await;
    world.advance(60);
    for _ in 0..5 {
        let answer = world.admin(Request::get("/api/v1/keys")).await;
        assert_eq!(answer.status, 200);
    }
    let answer = world.admin(Request::get("/api/v1/keys")).await;
    assert_limited(&answer, "429");
}

/// No more connections than there is room for, and a word to who comes on top.
#[tokio::test]
async fn a_connection_too_many_is_told_to_come_back() {
    let world = World::with(|settings| settings.limits.connections = 4).await;
    let held: Vec<_> = (0..4)
        .map(|_| TcpStream::connect(world.address).unwrap())
        .collect();
    // The world's own connections may still be about to close.
    let mut answer = world.get("/.well-known/jwks.json").await;
    for _ in 0..100 {
        if answer.status == 503 {
            break;
        }
        answer = world.get("/.well-known/jwks.json").await;
    }
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.get("retry-after"), Some("1"));
    assert_eq!(answer.get("cache-control"), Some("no-store"));
    drop(held);
    let mut status = 503;
    for _ in 0..200 {
        status = world.get("/.well-known/jwks.json").await.status;
        if status == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(status, 200);
}

/// What hyper refuses before anything of ours sees it.
#[tokio::test]
async fn what_is_no_request_is_refused_in_http() {
    let world = World::start().await;
    let long = "x".repeat(100_000);
    for (bytes, expected) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        (format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), 414),
        (
            format!("GET / HTTP/1.1\r\nhost: x\r\nx-large: {long}\r\n\r\n"),
            431,
        ),
    ] {
        let answer = super::wire::send_bytes(world.address, bytes.as_bytes()).await;
        // Where the buffer ends before the line does, 431 stands for both.
        assert!(
            answer.status == expected || answer.status == 431,
            "{expected} {answer:?}"
        );
    }
}
