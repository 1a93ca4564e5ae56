//! What an `OpenID` Connect issuer serves: discovery, keys, tokens, enrolment.

mod enroll;
mod token;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Response},
    routing::{get, post},
};
use serde_json::json;
use url::Url;

pub(super) use token::answer as token;

use super::{App, AppState, cached};
use crate::domain::{Issuer, SigningAlgorithm};

/// The `Cache-Control` of discovery, which changes with the configuration only.
pub const DISCOVERY_CACHE: &str = "public, max-age=3600";

/// The `Cache-Control` of the key set: short enough that a verifier sees a new key long before it signs.
pub const JWKS_CACHE: &str = "public, max-age=300";

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/.well-known/openid-configuration", get(serve_discovery))
        .route("/.well-known/jwks.json", get(serve_jwks))
        .route("/oauth2/token", post(token::issue))
        .route("/enroll/nonce", get(enroll::nonce))
        .route("/enroll", post(enroll::enroll))
        .route("/enroll/rotate", post(enroll::rotate))
}

async fn serve_discovery(State(app): AppState, headers: HeaderMap) -> Response<Body> {
    discovery_document(&app, &headers)
}

async fn serve_jwks(State(app): AppState, headers: HeaderMap) -> Response<Body> {
    jwks(&app, &headers)
}

pub(super) fn discovery_document(app: &App, headers: &HeaderMap) -> Response<Body> {
    cached::respond(&app.discovery, DISCOVERY_CACHE, "application/json", headers)
}

pub(super) fn jwks(app: &App, headers: &HeaderMap) -> Response<Body> {
    let jwks = app.service.keys().jwks();
    cached::respond(&jwks, JWKS_CACHE, "application/json", headers)
}

/// The discovery document (`OpenID` Connect Discovery 1.0 §3, RFC 8414 §2) as JSON. The issuer comes
/// from the configuration alone: no header of a request changes it.
///
/// There is no authorization endpoint, because nobody signs in here; `response_types_supported` is
/// there because AWS requires the member. `id_token_signing_alg_values_supported` begins with the
/// issuer's algorithm and always has RS256, which Discovery §3 requires and validators ask for.
#[must_use]
pub fn discovery(issuer: &Issuer, algorithm: SigningAlgorithm, server_url: &Url) -> Vec<u8> {
    let server = server_url.as_str().trim_end_matches('/');
    let mut algorithms = vec![algorithm, SigningAlgorithm::Rs256];
    algorithms.dedup();
    let document = json!({
        "issuer": issuer,
        "jwks_uri": issuer.jwks_url(),
        "token_endpoint": format!("{server}/oauth2/token"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA"],
        "claims_supported": ["iss", "sub", "aud", "org", "exp", "iat", "nbf", "jti"],
    });
    document.to_string().into_bytes()
}
