//! Enrolment: a key pair, proof of its possession, and the server's word who it belongs to.

use serde::Deserialize;
use serde_json::json;

use super::{
    identity::Identity,
    patience::Patience,
    server::{Server, ServerError},
};
use crate::{
    domain::{EnvironmentId, ExposeSecret as _, Issuer, SecretString, SigningAlgorithm},
    jose::{PrivateKey, base64url_encode, sign_compact, thumbprint},
};

#[derive(Deserialize)]
struct NonceAnswer {
    nonce: String,
    issuer: Issuer,
}

#[derive(Deserialize)]
struct EnrolAnswer {
    environment_id: EnvironmentId,
    issuer: Issuer,
    kid: String,
}

/// Makes an ES256 key, proves to the server that it is held here, and registers it with a join
/// token. The token is used up when this succeeds, so the caller makes sure beforehand that the
/// identity can be kept. A server that cannot answer now is waited for with `patience`.
pub async fn enrol(
    server: Server<'_>,
    join_token: &SecretString,
    patience: &Patience,
) -> Result<Identity, ServerError> {
    let key = PrivateKey::generate(SigningAlgorithm::Es256)?;
    let answer = patience.of(|| register(&server, join_token, &key)).await?;
    Ok(Identity::new(
        server.url.clone(),
        answer.issuer,
        answer.environment_id,
        &key,
        server.clock.now(),
    )?)
}

/// Registers the key, with a nonce of its own.
async fn register(
    server: &Server<'_>,
    join_token: &SecretString,
    key: &PrivateKey,
) -> Result<EnrolAnswer, ServerError> {
    let unexpected = |path: &str, reason: &str| ServerError::Unexpected {
        url: format!("{}{path}", server.url),
        reason: reason.to_owned(),
    };
    let kid = thumbprint(key.public());
    let NonceAnswer { nonce, issuer } = serde_json::from_value(server.get("/enroll/nonce").await?)
        .map_err(|_| unexpected("/enroll/nonce", "its answer lacks nonce or issuer"))?;

    let token_hash = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        join_token.expose_secret().as_bytes(),
    );
    let claims = json!({
        "nonce": nonce,
        "aud": issuer,
        "token_sha256": base64url_encode(token_hash),
        "iat": server.clock.now().secs(),
    });
    let proof = sign_compact(key, "enrolment+jwt", &kid, claims.to_string().as_bytes())?;
    let body = json!({
        "join_token": join_token.expose_secret(),
        "jwk": key.public(),
        "proof": proof,
    });
    let answer: EnrolAnswer = serde_json::from_value(
        server
            .post("/enroll", "application/json", body.to_string())
            .await?,
    )
    .map_err(|_| unexpected("/enroll", "its answer lacks environment_id, issuer or kid"))?;
    if answer.kid != kid {
        return Err(unexpected("/enroll", "it registered another key"));
    }
    Ok(answer)
}
