//! `POST /oauth2/token`: client credentials with `private_key_jwt` (RFC 6749 §4.4, RFC 7523 §2.2).

use axum::{
    extract::State,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL},
    },
    response::{AppendHeaders, IntoResponse},
};
use serde::Serialize;

use crate::{
    domain::RoleArn,
    http::{AppState, body::Form, error::HttpError, layers::Context},
    service::TokenRequest,
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
    headers: HeaderMap,
    form: Form,
) -> Result<impl IntoResponse, HttpError> {
    let request = read(form, &headers)?;
    let issued = app.service.issue_token(request, context).await?;
    Ok((
        AppendHeaders([(CACHE_CONTROL, HeaderValue::from_static("no-store"))]),
        axum::Json(TokenResponse {
            access_token: issued.token,
            token_type: "Bearer",
            expires_in: issued.lifetime.secs(),
            role_arns: issued.roles,
        }),
    ))
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
