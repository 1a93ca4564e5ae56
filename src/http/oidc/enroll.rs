//! `GET /enroll/nonce`, `POST /enroll` and `POST /enroll/rotate`.

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
    service::{EnrolRequest, Enrolled, NONCE_LIFE, RotateKeyRequest},
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
    Ok(answer(app.service.enrol(request, context).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateBody {
    environment_id: EnvironmentId,
    jwk: PublicJwk,
    proof_by_old_key: String,
    proof_by_new_key: String,
}

pub(super) async fn rotate(
    State(app): AppState,
    Context(context): Context,
    OAuthJson(body): OAuthJson<RotateBody>,
) -> Result<impl IntoResponse, HttpError> {
    let request = RotateKeyRequest {
        environment_id: body.environment_id,
        jwk: body.jwk,
        proof_by_old_key: body.proof_by_old_key,
        proof_by_new_key: body.proof_by_new_key,
    };
    let rotated = app.service.rotate_environment_key(request, context).await?;
    Ok(answer(rotated))
}

fn answer(enrolled: Enrolled) -> impl IntoResponse {
    let answer = EnrollResponse {
        environment_id: enrolled.environment_id,
        issuer: enrolled.issuer,
        kid: enrolled.kid,
    };
    (AppendHeaders(NO_STORE), Json(answer))
}
