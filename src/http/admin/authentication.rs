//! Authentication is an extractor: a handler needs the [`Administrator`] and cannot get it elsewhere.

use std::{str::FromStr, sync::Arc};

use axum::{
    extract::{FromRequestParts, Path},
    http::{StatusCode, header::AUTHORIZATION, request::Parts},
};

use crate::{
    domain::SecretString,
    http::{App, error::HttpError, layers::Context},
    service::Administrator,
};

/// Somebody who presented a valid administrator token.
pub(super) struct Admin(pub(super) Administrator);

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, HttpError> {
        let Context(context) = Context::from_request_parts(parts, app).await?;
        let token = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| SecretString::from(token.trim()))
            .ok_or_else(HttpError::unauthenticated)?;
        app.service
            .authenticate_admin(&token, context)
            .await?
            .map(Self)
            .ok_or_else(HttpError::unauthenticated)
    }
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
