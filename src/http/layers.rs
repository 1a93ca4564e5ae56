//! What every request goes through: an id, safe headers, a time limit, a panic's end.

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Request},
    http::{
        HeaderName, HeaderValue, Response, StatusCode,
        header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS},
        request::Parts,
    },
    middleware::{Next, from_fn},
    response::IntoResponse,
};
use tokio::time::timeout;
use tower_http::catch_panic::CatchPanicLayer;

use super::{Peer, error::HttpError};
use crate::{
    domain::RequestId,
    service::{RequestContext, Service},
};

pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Puts the layers around a router.
pub(super) fn wrap(router: Router, service: Arc<Service>, time_limit: Duration) -> Router {
    router
        .layer(CatchPanicLayer::custom(|panic: Box<dyn Any + Send>| {
            recover(&*panic)
        }))
        .layer(from_fn(move |request: Request, next: Next| async move {
            timeout(time_limit, next.run(request))
                .await
                .unwrap_or_else(|_| took_too_long(time_limit).into_response())
        }))
        .layer(from_fn(move |mut request: Request, next: Next| {
            let known = request.extensions().get().copied();
            let id: RequestId = known.unwrap_or_else(|| service.request_id());
            request.extensions_mut().insert(id);
            async move {
                let mut response = next.run(request).await;
                let headers = response.headers_mut();
                if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
                    headers.insert(REQUEST_ID.clone(), value);
                }
                headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                // What may be kept says so itself.
                headers
                    .entry(CACHE_CONTROL)
                    .or_insert(HeaderValue::from_static("no-store"));
                response
            }
        }))
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
