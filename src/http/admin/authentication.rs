//! Authentication is an extractor: a handler needs the [`Administrator`] and cannot get it elsewhere.

use std::{
    str::FromStr,
    sync::{Arc, OnceLock},
};

use axum::{
    extract::{FromRequestParts, OriginalUri, Path, Request, State},
    http::{StatusCode, header::AUTHORIZATION, request::Parts},
    middleware::Next,
    response::Response,
};

use super::page::{Query, refuse_others};
use crate::{
    domain::SecretString,
    http::{
        App,
        error::{HttpError, Said},
        layers::Context,
    },
    service::Administrator,
};

/// Somebody who presented a valid administrator token, and no query.
pub(super) struct Admin(pub(super) Administrator);

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, HttpError> {
        let admin = authenticate(parts, app).await?;
        refuse_others(&parts.uri, &[])?;
        Ok(Self(admin))
    }
}

/// Somebody who presented a valid administrator token, and what the query asks for.
pub(super) struct Asking<Q>(pub(super) Administrator, pub(super) Q);

impl<Q: Query> FromRequestParts<Arc<App>> for Asking<Q> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, HttpError> {
        let admin = authenticate(parts, app).await?;
        refuse_others(&parts.uri, &Q::names())?;
        Ok(Self(admin, Q::read(&parts.uri)?))
    }
}

async fn authenticate(parts: &mut Parts, app: &Arc<App>) -> Result<Administrator, HttpError> {
    let Context(context) = Context::from_request_parts(parts, app).await?;
    let token = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| SecretString::from(token.trim()))
        .ok_or_else(HttpError::unauthenticated)?;
    let admin = app
        .service
        .authenticate_admin(&token, context)
        .await?
        .ok_or_else(HttpError::unauthenticated)?;
    app.service.admit(&admin)?;
    if let Some(slot) = parts.extensions.get::<Slot>() {
        // Filled once: a request has one extractor of this kind.
        let _ = slot.0.set(admin);
    }
    Ok(admin)
}

/// Where the administrator of a request is remembered until it is answered.
#[derive(Clone, Default)]
struct Slot(Arc<OnceLock<Administrator>>);

/// Records a refusal of a known administrator, whatever route refused, before it is answered. What
/// cannot be recorded is answered with 503.
pub(super) async fn record_refusals(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    let slot = Slot::default();
    request.extensions_mut().insert(slot.clone());
    let method = request.method().clone();
    // Within a nested router the path is what is left of it; this is the whole.
    let path = request
        .extensions()
        .get::<OriginalUri>()
        .map_or_else(|| request.uri().path(), |uri| uri.path())
        .to_owned();
    let response = next.run(request).await;
    let (Some(admin), true) = (slot.0.get(), response.status().is_client_error()) else {
        return Ok(response);
    };
    let reason = response.status().canonical_reason().unwrap_or("refused");
    let says = response
        .extensions()
        .get::<Said>()
        .map_or(reason, |said| &said.0);
    app.service
        .record_refused_request(admin, reason, format!("{method} {path}"), says)
        .await?;
    Ok(response)
}

/// The id in the path. One that is malformed names nothing that exists.
#[derive(Debug)]
pub(super) struct Id<T>(pub(super) T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Id<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        Path::<String>::from_request_parts(parts, state)
            .await
            .ok()
            .and_then(|Path(text)| text.parse().ok())
            .map(Self)
            .ok_or_else(|| HttpError::problem(StatusCode::NOT_FOUND, "there is no such thing"))
    }
}
