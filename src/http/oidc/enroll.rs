//! `GET /enroll/nonce` and `POST /enroll`.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header::CACHE_CONTROL},
    response::{AppendHeaders, IntoResponse},
};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{EnvironmentId, Issuer, PublicJwk, SecretString},
    http::{AppState, body::OAuthJson, error::HttpError, layers::Context},
    service::{EnrolRequest, NONCE_LIFE},
};

const NO_STORE: [(axum::http::HeaderName, HeaderValue); 1] =
    [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];

#[derive(Serialize)]
struct NonceResponse {
    nonce: String,
    expires_in: u64,
    issuer: Issuer,
}

pub(super) async fn nonce(State(app): AppState) -> Result<impl IntoResponse, HttpError> {
    let answer = NonceResponse {
        nonce: app.service.nonce()?,
        expires_in: NONCE_LIFE.as_secs(),
        issuer: app.service.issuer().clone(),
    };
    Ok((AppendHeaders(NO_STORE), Json(answer)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnrollBody {
    join_token: SecretString,
    jwk: PublicJwk,
    proof: String,
}

#[derive(Serialize)]
struct EnrollResponse {
    environment_id: EnvironmentId,
    issuer: Issuer,
    kid: String,
}

pub(super) async fn enroll(
    State(app): AppState,
    Context(context): Context,
    OAuthJson(body): OAuthJson<EnrollBody>,
) -> Result<impl IntoResponse, HttpError> {
    let request = EnrolRequest {
        join_token: body.join_token,
        jwk: body.jwk,
        proof: body.proof,
    };
    let enrolled = app.service.enrol(request, context).await?;
    Ok((
        AppendHeaders(NO_STORE),
        Json(EnrollResponse {
            environment_id: enrolled.environment_id,
            issuer: enrolled.issuer,
            kid: enrolled.kid,
        }),
    ))
}
