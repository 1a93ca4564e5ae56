//! What every request goes through: an id, safe headers, a time limit, a panic's end. Documents, which are
//! ready before they are asked for, need no more than the first two.

use std::{
    any::Any,
    convert::Infallible,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Request},
    http::{
        HeaderName, HeaderValue, Response, StatusCode,
        header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS},
        request::Parts,
    },
    response::IntoResponse,
};
use futures_util::FutureExt as _;
use tokio::time::timeout;

use super::{Peer, error::HttpError};
use crate::{
    domain::RequestId,
    service::{RequestContext, Service},
};

pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Puts all of it around a router.
pub(super) fn wrap(router: Router, service: Arc<Service>, time_limit: Duration) -> Router {
    Router::new().fallback_service(Layers {
        router,
        service,
        time_limit,
    })
}

/// One service around the whole router: layers that axum puts around every route are copied for
/// every request, each with those below it.
#[derive(Clone)]
struct Layers {
    router: Router,
    service: Arc<Service>,
    time_limit: Duration,
}

impl tower::Service<Request> for Layers {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    /// A router is always ready.
    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let known = request.extensions().get().copied();
        let id: RequestId = known.unwrap_or_else(|| self.service.request_id());
        request.extensions_mut().insert(id);
        let routed = self.router.call(request);
        let answer = async move {
            match routed.await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        };
        let guarded = guard(answer, id, self.time_limit);
        Box::pin(async move { Ok(guarded.await) })
    }
}

/// The answer, or what there is in its place where it takes too long or panics.
pub(super) async fn guard(
    answer: impl Future<Output = Response<Body>>,
    id: RequestId,
    time_limit: Duration,
) -> Response<Body> {
    let answer = AssertUnwindSafe(answer).catch_unwind();
    let mut response = match timeout(time_limit, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => recover(&*panic),
        Err(_) => took_too_long(time_limit).into_response(),
    };
    finish(&mut response, id);
    response
}

/// The headers of every answer.
pub(super) fn finish(response: &mut Response<Body>, id: RequestId) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(REQUEST_ID.clone(), value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // What may be kept says so itself.
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

/// A panic is a defect; the client learns no more than that.
fn recover(panic: &(dyn Any + Send)) -> Response<Body> {
    let detail = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(detail, "a request panicked");
    HttpError::problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the server failed; its log has the details under this answer's X-Request-Id",
    )
    .into_response()
}

/// The id that the layer gave, and the address that the listener saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context(pub(super) RequestContext);

impl<S: Sync> FromRequestParts<S> for Context {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let id = parts
            .extensions
            .get::<RequestId>()
            .copied()
            .ok_or_else(|| {
                HttpError::problem(StatusCode::INTERNAL_SERVER_ERROR, "the request has no id")
            })?;
        Ok(Self(RequestContext {
            id,
            source: parts.extensions.get::<Peer>().map(|peer| peer.0),
        }))
    }
}

fn took_too_long(limit: Duration) -> HttpError {
    HttpError::problem(
        StatusCode::REQUEST_TIMEOUT,
        format!(
            "the request, its body included, took longer than {} s",
            limit.as_secs_f32()
        ),
    )
}
