//! `/keys`: the issuer's keys, public facts only.

use axum::{Json, extract::State};
use serde::Serialize;

use super::authentication::Admin;
use crate::{
    domain::{IssuerKey, KeyState, SigningAlgorithm},
    http::{AppState, error::HttpError},
};

#[derive(Serialize)]
pub(super) struct KeyView {
    kid: String,
    algorithm: SigningAlgorithm,
    state: KeyState,
    created_at: String,
    activated_at: Option<String>,
    retiring_at: Option<String>,
}

impl From<IssuerKey> for KeyView {
    fn from(key: IssuerKey) -> Self {
        Self {
            state: key.state(),
            kid: key.kid,
            algorithm: key.algorithm,
            created_at: key.created_at.to_string(),
            activated_at: key.activated_at.map(|at| at.to_string()),
            retiring_at: key.retiring_at.map(|at| at.to_string()),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Keys {
    items: Vec<KeyView>,
}

pub(super) async fn list(
    State(app): AppState,
    Admin(admin): Admin,
) -> Result<Json<Keys>, HttpError> {
    let keys = app.service.issuer_keys(&admin).await?;
    Ok(Json(Keys {
        items: keys.into_iter().map(Into::into).collect(),
    }))
}
