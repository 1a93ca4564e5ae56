//! What everybody may read: discovery and keys, and how they are cached (cases 21 and 26).

use std::time::Duration;

use super::{ISSUER, Request, World, wire::send_bytes};

const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/.well-known/jwks.json";

#[tokio::test]
async fn answers_as_they_are() {
    let world = World::start().await;
    for (name, target) in [("discovery", DISCOVERY), ("jwks", JWKS)] {
        let answer = world.get(target).await;
        snapshot!(name, answer);

        let etag = answer.get("etag").unwrap();
        for known in [etag, &format!("W/{etag}"), &format!("\"x\", {etag}"), "*"] {
            let request = Request::get(target).header("if-none-match", known);
            let unchanged = world.send(request).await;
            assert_eq!(unchanged.status, 304, "{known}");
            assert!(unchanged.body.is_empty());
            for header in ["etag", "cache-control"] {
                assert_eq!(unchanged.get(header), answer.get(header), "{header}");
            }
        }
        let request = Request::get(target).header("if-none-match", etag);
        snapshot!(format!("{name}-304"), world.send(request).await);

        let changed = world
            .send(Request::get(target).header("if-none-match", "\"other\""))
            .await;
        assert_eq!((changed.status, &changed.body), (200, &answer.body));
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let world = World::start().await;
    for target in [DISCOVERY, JWKS] {
        let get = world.get(target).await;
        let head = world.send(Request::new("HEAD", target)).await;
        assert!(head.body.is_empty());
        assert_eq!(head.get("content-length"), get.get("content-length"));
        assert_eq!(
            head.clone().without_id().headers,
            get.without_id().headers,
            "{head:?}"
        );
        let known = head.get("etag").unwrap();
        let request = Request::new("HEAD", target).header("if-none-match", known);
        assert_eq!(world.send(request).await.status, 304);
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_in_json() {
    let world = World::start().await;
    snapshot!("not-found", world.get("/nothing").await);
    snapshot!("wrong-method", world.get("/oauth2/token").await);
    for (method, target, allow) in [
        ("POST", JWKS, "GET,HEAD"),
        ("DELETE", DISCOVERY, "GET,HEAD"),
        ("PUT", "/enroll", "POST"),
        ("OPTIONS", "/oauth2/token", "POST"),
        ("POST", "/enroll/nonce", "GET,HEAD"),
        ("PUT", "/api/v1/organizations", "GET,HEAD,POST"),
        ("TRACE", "/oauth2/token", "POST"),
    ] {
        let answer = world.send(Request::new(method, target)).await;
        answer.assert_refused("405", "see the Allow header");
        assert_eq!(answer.get("allow"), Some(allow), "{method} {target}");
    }
    for target in [
        "/",
        "//",
        "/oauth2/token/",
        "/.well-known/jwks.json/",
        "/.well-known/../.well-known/jwks.json",
        "/.WELL-KNOWN/jwks.json",
        "/api/v1",
        "/api/v1/",
        "/livez",
        "/%00",
    ] {
        let answer = world.get(target).await;
        answer.assert_refused("404", "nothing is served here");
    }
}

/// Targets that are no path have no route, and panic nowhere.
#[tokio::test]
async fn odd_request_targets() {
    let world = World::start().await;
    for line in [
        "CONNECT idp.example.com:443",
        "OPTIONS *",
        "GET http://idp.example.com",
    ] {
        let bytes = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = send_bytes(world.address, bytes.as_bytes()).await;
        assert!(
            matches!(answer.status, 400 | 404 | 405),
            "{line}: {answer:?}"
        );
    }
}

/// Case 21: no header says who the issuer is.
#[tokio::test]
async fn a_spoofed_host_changes_nothing() {
    let world = World::start().await;
    let [discovery, jwks] = [world.get(DISCOVERY).await, world.get(JWKS).await];
    for (header, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "host=evil.example;proto=http"),
        ("x-original-url", "/evil"),
        ("x-host", "evil.example"),
    ] {
        for (target, honest) in [(DISCOVERY, &discovery), (JWKS, &jwks)] {
            let answer = world.send(Request::get(target).header(header, value)).await;
            assert_eq!(
                answer.without_id(),
                honest.clone().without_id(),
                "{header}: {value}"
            );
        }
    }
    let absolute = format!("http://evil.example{DISCOVERY}");
    assert_eq!(
        world.get(&absolute).await.without_id(),
        discovery.without_id()
    );
}

#[tokio::test]
async fn an_issuer_below_a_path_with_a_server_elsewhere() {
    let world = World::with(|settings| {
        settings.issuer = format!("{ISSUER}/o/x").parse().unwrap();
        settings.server_url = "https://inside.example:8443/idp/".parse().unwrap();
    })
    .await;
    let discovery = world.get(&format!("/o/x{DISCOVERY}")).await;
    snapshot!("discovery-below-a-path", discovery);
    for path in ["/o/x", "/idp"] {
        let answer = world.get(&format!("{path}{DISCOVERY}")).await;
        assert_eq!(answer.clone().without_id(), discovery.clone().without_id());
        assert_eq!(world.get(&format!("{path}{JWKS}")).await.status, 200);
        let nonce = world.get(&format!("{path}/enroll/nonce")).await.json();
        assert_eq!(nonce["issuer"], format!("{ISSUER}/o/x"));
        let token = world
            .send(Request::form(&format!("{path}/oauth2/token"), &[]))
            .await;
        token.assert_refused("400 invalid_request", "grant_type");
    }
    for target in [DISCOVERY, JWKS, "/enroll/nonce", "/o/x", "/idp/"] {
        let answer = world.get(target).await;
        answer.assert_refused("404", "nothing is served here");
    }
}

/// These are URLs like any other, though a router may see patterns in them.
#[tokio::test]
async fn an_issuer_whose_path_looks_like_a_route() {
    for path in ["/:org", "/*all", "/api/v1", "/a/:b/*c", "/%7Bx%7D"] {
        let world = World::with(|settings| {
            settings.issuer = format!("{ISSUER}{path}").parse().unwrap();
            settings.server_url = settings.issuer.as_str().parse().unwrap();
        })
        .await;
        let discovery = world.get(&format!("{path}{DISCOVERY}")).await;
        assert_eq!(discovery.json()["issuer"], format!("{ISSUER}{path}"));
        let other = world.get(&format!("/other{DISCOVERY}")).await;
        assert_eq!(other.status, 404, "{path}");
    }
}

/// Case 26: an error is never cached, and a document always may be.
#[tokio::test]
async fn only_documents_are_cached() {
    let world = World::start().await;
    for (target, cached) in [
        (DISCOVERY, "public, max-age=3600"),
        (JWKS, "public, max-age=300"),
        ("/enroll/nonce", "no-store"),
        ("/nothing", "no-store"),
        ("/oauth2/token", "no-store"),
        ("/api/v1/keys", "no-store"),
        ("/api/v1/organizations", "no-store"),
    ] {
        let answer = world.admin(Request::get(target)).await;
        assert_eq!(answer.get("cache-control"), Some(cached), "{target}");
        assert_eq!(answer.get("x-content-type-options"), Some("nosniff"));
        let id = answer.get("x-request-id").unwrap();
        id.parse::<idp::domain::RequestId>().unwrap();
    }
}

#[tokio::test]
async fn a_request_that_does_not_come_to_its_end() {
    let world = World::with(|settings| {
        settings.limits.request_timeout = Duration::from_millis(200);
    })
    .await;
    for (target, content_type) in [
        ("/oauth2/token", "application/x-www-form-urlencoded"),
        ("/enroll", "application/json"),
    ] {
        let head = format!(
            "POST {target} HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\n\
             content-length: 100\r\nconnection: close\r\n\r\nhalf"
        );
        let answer = send_bytes(world.address, head.as_bytes()).await;
        answer.assert_refused("408", "took longer than 0.2 s");
        if target == "/oauth2/token" {
            snapshot!("too-slow", answer);
        }
    }
}
