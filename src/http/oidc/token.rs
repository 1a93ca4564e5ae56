//! `POST /oauth2/token`: client credentials with `private_key_jwt` (RFC 6749 §4.4, RFC 7523 §2.2).

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
    extract::State,
    http::{
        HeaderMap, HeaderValue, Request, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    domain::RoleArn,
    http::{App, AppState, body::Form, error::HttpError, layers::Context},
    service::{IssuedToken, RequestContext, TokenRequest},
};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// RFC 6749 §5.1.
#[derive(Serialize)]
struct TokenResponse {
    access_token: String,
    token_type: &'static str,
    expires_in: u16,
    /// The roles that the token is pinned to, where it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    role_arns: Vec<RoleArn>,
}

pub(super) async fn issue(
    State(app): AppState,
    Context(context): Context,
    request: Request<Body>,
) -> Response {
    answer(&app, request, context).await
}

/// Answers a request, whoever has routed it here.
pub(in crate::http) async fn answer<B>(
    app: &App,
    request: Request<B>,
    context: RequestContext,
) -> Response
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    match issue_token(app, request, context).await {
        Ok(issued) => respond(issued),
        Err(error) => error.into_response(),
    }
}

async fn issue_token<B>(
    app: &App,
    request: Request<B>,
    context: RequestContext,
) -> Result<IssuedToken, HttpError>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    // Received all the same: a connection that is closed over unread bytes takes the answer back.
    let body = Form::receive(&parts, body).await?;
    app.service.has_room_for_token()?;
    let request = read(Form::parse(&body)?, &parts.headers)?;
    Ok(app.service.issue_token(request, context).await?)
}

fn respond(issued: IssuedToken) -> Response {
    let mut body = Vec::with_capacity(issued.token.len() + 256);
    let answer = TokenResponse {
        access_token: issued.token,
        token_type: "Bearer",
        expires_in: issued.lifetime.secs(),
        role_arns: issued.roles,
    };
    if let Err(error) = serde_json::to_writer(&mut body, &answer) {
        tracing::error!(%error, "a token's answer cannot be written");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    // With those that every answer gets, and the length and the date.
    headers.reserve(6);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn read(mut form: Form, headers: &HeaderMap) -> Result<TokenRequest, HttpError> {
    if form.required("grant_type")? != "client_credentials" {
        return Err(HttpError::oauth(
            "unsupported_grant_type",
            "grant_type must be client_credentials",
        ));
    }
    if headers.contains_key(AUTHORIZATION) || form.optional("client_secret").is_some() {
        return Err(HttpError::oauth(
            "invalid_client",
            "clients authenticate with client_assertion (private_key_jwt), not with a secret or an \
             Authorization header",
        )
        .with_status(StatusCode::UNAUTHORIZED)
        .with_challenge("Bearer realm=\"idp\""));
    }
    if form.required("client_assertion_type")? != ASSERTION_TYPE {
        return Err(HttpError::oauth(
            "invalid_request",
            format!("client_assertion_type must be {ASSERTION_TYPE}"),
        ));
    }
    let request = TokenRequest {
        assertion: form.required("client_assertion")?,
        client_id: form.optional("client_id"),
        audience: form.required("audience")?,
        ttl: form.optional("ttl"),
        role_arn: form.optional("role_arn"),
    };
    if form.optional("scope").is_some() {
        return Err(HttpError::oauth(
            "invalid_scope",
            "scope is not supported: a token's audience and subject say what it is for",
        ));
    }
    if form.optional("resource").is_some() {
        return Err(HttpError::oauth(
            "invalid_target",
            "resource is not supported: name the target as audience",
        ));
    }
    Ok(request)
}
