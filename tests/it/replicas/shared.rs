//! What one replica changes, the others see; and what a replica does without its database.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use http::Method;
use serde_json::json;

use super::world::{RECOVERY, Replicas, get, until};
use crate::e2e::{
    client::{assertion, token_form},
    crowd::{administer, enrolled},
};

/// "Within seconds"; a change that is told of takes milliseconds on an idle machine.
const SOON: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_reach_every_replica() {
    let Some(replicas) = Replicas::start(2).await else {
        return;
    };
    let (first, second) = (replicas.url(0), replicas.url(1));
    let (_, clients) = enrolled(&first, &replicas.admin_token, 1).await;
    let client = &clients[0];
    let fresh = |jti: &str| assertion(&client.identity, &client.key, &format!("assertion-{jti}"));

    let used = fresh("once");
    assert_eq!(client.ask(&first, &used).await.unwrap().0, 200);
    let (status, body) = client.ask(&second, &used).await.unwrap();
    assert_eq!(status, 401, "a jti is used up on all replicas: {body}");
    assert_eq!(client.ask(&second, &fresh("b")).await.unwrap().0, 200);

    // A key that one replica makes.
    let rotated = administer(
        &first,
        &replicas.admin_token,
        Method::POST,
        "/keys/rotate",
        json!({ "emergency": true, "force": true }),
    )
    .await;
    let made = rotated["pending_kid"].as_str().unwrap();
    for url in replicas.urls() {
        let seen = async || {
            let (_, body) = get(client, &format!("{url}/.well-known/jwks.json")).await;
            let body = String::from_utf8(body).unwrap();
            body.contains(made).then_some(())
        };
        until("the key", SOON, seen).await;
    }

    // A stop on one replica has effect on the others when it returns.
    let path = format!("/environments/{}/stop", client.identity.environment_id);
    administer(
        &first,
        &replicas.admin_token,
        Method::POST,
        &path,
        json!({}),
    )
    .await;
    let (status, body) = client.ask(&second, &fresh("c")).await.unwrap();
    assert_eq!(
        (status, body["error"].as_str()),
        (400, Some("unauthorized_client"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_administrator_token_is_refused_everywhere_at_once() {
    let Some(replicas) = Replicas::start(2).await else {
        return;
    };
    let (first, second) = (replicas.url(0), replicas.url(1));
    for _ in 0..10 {
        let call = async |method, path: &str| {
            administer(&first, &replicas.admin_token, method, path, json!({})).await
        };
        let made = call(Method::POST, "/admin-tokens").await;
        let token = made["admin_token"].as_str().unwrap();
        let answer = get_raw(&second, "/api/v1/organizations", token);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let path = format!("/admin-tokens/{}", made["id"].as_str().unwrap());
        call(Method::DELETE, &path).await;
        let answer = get_raw(&second, "/api/v1/organizations", token);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_without_its_database_serves_what_it_can_and_recovers() {
    let Some(mut replicas) = Replicas::start(1).await else {
        return;
    };
    let url = replicas.url(0);
    let (_, clients) = enrolled(&url, &replicas.admin_token, 1).await;
    let client = &clients[0];
    let mut count = 0;
    let mut fresh = || {
        count += 1;
        assertion(&client.identity, &client.key, &format!("assertion-{count}"))
    };
    assert_eq!(client.ask(&url, &fresh()).await.unwrap().0, 200);

    replicas.postgres.stop();
    for path in ["jwks.json", "openid-configuration"] {
        let (status, _) = get(client, &format!("{url}/.well-known/{path}")).await;
        assert_eq!(status, 200, "{path}");
    }
    for _ in 0..3 {
        let answer = post_raw(&url, &token_form(&fresh()));
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
        assert!(answer.contains("temporarily_unavailable"), "{answer}");
    }

    replicas.postgres.resume().await;
    until("a token", RECOVERY, async || {
        let (status, body) = client.ask(&url, &fresh()).await.unwrap();
        assert!(matches!(status, 200 | 503), "{body}");
        (status == 200).then_some(())
    })
    .await;
}

/// The whole answer to a form, headers and all.
fn post_raw(url: &str, form: &str) -> String {
    let head = format!(
        "content-type: application/x-www-form-urlencoded\r\ncontent-length: {}",
        form.len()
    );
    send_raw(url, "POST /oauth2/token", &head, form)
}

fn get_raw(url: &str, path: &str, token: &str) -> String {
    let head = format!("authorization: Bearer {token}");
    send_raw(url, &format!("GET {path}"), &head, "")
}

fn send_raw(url: &str, request: &str, head: &str, body: &str) -> String {
    let authority = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    let request = format!(
        "{request} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n{head}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
