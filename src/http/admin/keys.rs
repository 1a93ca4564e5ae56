//! `/keys`: the issuer's keys, public facts only.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};

use super::authentication::Admin;
use crate::{
    domain::{KeyState, OrganizationId, SigningAlgorithm},
    http::{AppState, body, error::HttpError},
    service::{Compromised, KeyReport, KeyStatus, Rotate, Rotated},
};

#[derive(Serialize)]
pub(super) struct KeyView {
    kid: String,
    algorithm: SigningAlgorithm,
    state: KeyState,
    custody: &'static str,
    created_at: String,
    activated_at: Option<String>,
    retiring_at: Option<String>,
    age_seconds: u64,
    next_state: Option<KeyState>,
    next_at: Option<String>,
    waits_for: Option<&'static str>,
}

impl From<KeyStatus> for KeyView {
    fn from(key: KeyStatus) -> Self {
        Self {
            kid: key.kid,
            algorithm: key.algorithm,
            state: key.state,
            custody: key.custody.as_str(),
            created_at: key.created_at.to_string(),
            activated_at: key.activated_at.map(|at| at.to_string()),
            retiring_at: key.retiring_at.map(|at| at.to_string()),
            age_seconds: key.age.as_secs(),
            next_state: key.next.map(|next| next.to),
            next_at: key.next.and_then(|next| next.at).map(|at| at.to_string()),
            waits_for: key.waits_for,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Keys {
    items: Vec<KeyView>,
    /// Keys in the database that are not published, because their records lack a valid MAC.
    refused_kids: Vec<String>,
    /// By how much the server's clock is behind a time that was seen before.
    clock_behind_seconds: u64,
}

impl From<KeyReport> for Keys {
    fn from(report: KeyReport) -> Self {
        Self {
            items: report.keys.into_iter().map(Into::into).collect(),
            refused_kids: report.refused,
            clock_behind_seconds: report.clock_behind.as_secs(),
        }
    }
}

pub(super) async fn list(
    State(app): AppState,
    Admin(admin): Admin,
) -> Result<Json<Keys>, HttpError> {
    Ok(Json(app.service.issuer_keys(&admin).await?.into()))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateBody {
    #[serde(default)]
    emergency: bool,
    #[serde(default)]
    force: bool,
}

#[derive(Serialize)]
pub(super) struct RotatedView {
    rotated: bool,
    active_kid: String,
    pending_kid: String,
    due_at: Option<String>,
    warnings: Vec<String>,
}

impl From<Rotated> for RotatedView {
    fn from(rotated: Rotated) -> Self {
        Self {
            rotated: rotated.rotated,
            active_kid: rotated.active_kid,
            pending_kid: rotated.pending_kid,
            due_at: rotated.due_at.map(|at| at.to_string()),
            warnings: rotated.warnings,
        }
    }
}

pub(super) async fn rotate(
    State(app): AppState,
    Admin(admin): Admin,
    body::Json(body): body::Json<RotateBody>,
) -> Result<Json<RotatedView>, HttpError> {
    let how = Rotate {
        emergency: body.emergency,
        force: body.force,
    };
    Ok(Json(app.service.rotate_keys(&admin, how).await?.into()))
}

#[derive(Serialize)]
pub(super) struct Stranded {
    organization_id: OrganizationId,
    tokens: u64,
    latest_exp: String,
}

#[derive(Serialize)]
pub(super) struct CompromisedView {
    kid: String,
    state_before: KeyState,
    active_kid: String,
    forgotten_at: String,
    stranded_tokens: u64,
    latest_exp: Option<String>,
    organizations: Vec<Stranded>,
    warnings: Vec<String>,
}

impl CompromisedView {
    fn new(kid: String, done: Compromised) -> Self {
        let latest = done.stranded.iter().map(|tokens| tokens.latest_exp).max();
        Self {
            kid,
            state_before: done.state_before,
            active_kid: done.active_kid,
            forgotten_at: done.forgotten_at.to_string(),
            stranded_tokens: done.stranded.iter().map(|tokens| tokens.count).sum(),
            latest_exp: latest.map(|at| at.to_string()),
            organizations: done
                .stranded
                .iter()
                .map(|tokens| Stranded {
                    organization_id: tokens.organization_id,
                    tokens: tokens.count,
                    latest_exp: tokens.latest_exp.to_string(),
                })
                .collect(),
            warnings: done.warnings,
        }
    }
}

pub(super) async fn compromise(
    State(app): AppState,
    Admin(admin): Admin,
    Path(kid): Path<String>,
) -> Result<Json<CompromisedView>, HttpError> {
    let done = app.service.compromise_key(&admin, &kid).await?;
    Ok(Json(CompromisedView::new(kid, done)))
}
