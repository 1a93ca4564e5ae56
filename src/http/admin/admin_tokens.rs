//! `/admin-tokens`

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    authentication::{Admin, Asking, Id},
    page::{Items, Paging},
};
use crate::{
    domain::{AdminTokenId, ExposeSecret as _, Name, OrganizationId},
    http::{AppState, body, error::HttpError},
    service::{AdminToken, CreateAdminToken},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateBody {
    name: Option<Name>,
    organization_id: Option<OrganizationId>,
    /// Seconds.
    expires_in: Option<u64>,
}

/// A token as it is listed: without its secret, which nobody has kept.
#[derive(Serialize)]
pub(super) struct AdminTokenView {
    id: AdminTokenId,
    name: Option<Name>,
    organization_id: Option<OrganizationId>,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
}

impl From<AdminToken> for AdminTokenView {
    fn from(token: AdminToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            organization_id: token.organization_id,
            created_at: token.created_at.to_string(),
            expires_at: token.expires_at.map(|at| at.to_string()),
            revoked_at: token.revoked_at.map(|at| at.to_string()),
        }
    }
}

/// The one answer that holds the secret.
#[derive(Serialize)]
pub(super) struct IssuedView {
    #[serde(flatten)]
    token: AdminTokenView,
    admin_token: String,
}

pub(super) async fn create(
    State(app): AppState,
    Admin(admin): Admin,
    body::Json(body): body::Json<CreateBody>,
) -> Result<(StatusCode, Json<IssuedView>), HttpError> {
    let wanted = CreateAdminToken {
        name: body.name,
        organization_id: body.organization_id,
        expires_in: body.expires_in,
    };
    let issued = app.service.create_admin_token(&admin, wanted).await?;
    let view = IssuedView {
        token: issued.token.into(),
        admin_token: issued.secret.expose_secret().to_owned(),
    };
    Ok((StatusCode::CREATED, Json(view)))
}

pub(super) async fn list(
    State(app): AppState,
    Asking(admin, paging): Asking<Paging<AdminTokenId>>,
) -> Result<Json<Items<AdminTokenView>>, HttpError> {
    let rows = app.service.admin_tokens(&admin, paging.page()).await?;
    Ok(Json(paging.items(rows, |row| row.id, Into::into)))
}

pub(super) async fn revoke(
    State(app): AppState,
    Admin(admin): Admin,
    Id(id): Id<AdminTokenId>,
) -> Result<Json<AdminTokenView>, HttpError> {
    let token = app.service.revoke_admin_token(&admin, id).await?;
    Ok(Json(token.into()))
}
