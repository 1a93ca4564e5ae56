//! What every request goes through, with handlers that misbehave: a defect costs its own request and
//! nothing else.

use std::{future::pending, hint::black_box, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{Request, Response},
    routing::{get, post},
};
use tower::Service as _;

use super::{ISSUER, World};

const LIMIT: Duration = Duration::from_millis(200);

fn misbehaving(world: &World) -> Router {
    let extra = Router::new()
        .route(
            "/panics",
            get(|| async {
                assert!(black_box(false), "hunter2 is in this message");
            }),
        )
        .route("/hangs", get(pending::<()>))
        .route("/reads", post(|body: Bytes| async move { body }));
    let url = ISSUER.parse().unwrap();
    idp::http::router(world.service.clone(), &url, extra, LIMIT)
}

async fn answer(router: &mut Router, request: Request<Body>) -> (Response<()>, String) {
    let (head, body) = router.call(request).await.unwrap().into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    (Response::from_parts(head, ()), text)
}

fn request(path: &str, body: Body) -> Request<Body> {
    let method = if path == "/reads" { "POST" } else { "GET" };
    let request = Request::builder().method(method).uri(path);
    request.body(body).unwrap()
}

#[tokio::test]
async fn a_panic_and_a_hang_end_their_own_request_only() {
    let world = World::start().await;
    let mut router = misbehaving(&world);
    let never = || Body::from_stream(futures_util::stream::pending::<Result<Bytes, axum::Error>>());
    for (path, body, status) in [
        ("/panics", Body::empty(), 500),
        ("/hangs", Body::empty(), 408),
        ("/reads", never(), 408),
        ("/reads", Body::from("as sent"), 200),
    ] {
        let (head, text) = answer(&mut router, request(path, body)).await;
        assert_eq!(head.status(), status, "{path}: {text}");
        let header = |name: &str| {
            head.headers()
                .get(name)
                .map(|value| value.to_str().unwrap())
        };
        let id = header("x-request-id").unwrap();
        assert_eq!(id.len(), 36, "{path}: {id}");
        assert_eq!(header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(header("cache-control"), Some("no-store"), "{path}");
        assert!(!text.contains("hunter2"), "{path}: {text}");
        if status == 200 {
            assert_eq!(text, "as sent");
            continue;
        }
        assert_eq!(header("content-type"), Some("application/problem+json"));
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(problem["status"], status);
        let says = if status == 500 {
            "X-Request-Id"
        } else {
            "longer than 0.2 s"
        };
        assert!(problem["detail"].as_str().unwrap().contains(says), "{text}");
        let jwks = request("/.well-known/jwks.json", Body::empty());
        let (head, _) = answer(&mut router, jwks).await;
        assert_eq!(head.status(), 200, "after {path}");
        assert_eq!(head.headers()["cache-control"], "public, max-age=300");
    }
    // A request that is given up by its client harms nobody either.
    let gone = router.call(request("/hangs", Body::empty()));
    assert!(tokio::time::timeout(LIMIT / 4, gone).await.is_err());
    let environment = world.environment().await;
    assert_eq!(world.token(&environment).await.status, 200);
}
