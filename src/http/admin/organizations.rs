//! `/organizations`

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    authentication::{Admin, Id},
    page::{Items, Paging},
};
use crate::{
    domain::{Audience, Name, Organization, OrganizationId},
    http::{AppState, body, error::HttpError},
    service::CreateOrganization,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateBody {
    name: Name,
    #[serde(default)]
    audiences: Vec<Audience>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateBody {
    audiences: Vec<Audience>,
}

#[derive(Serialize)]
pub(super) struct OrganizationView {
    id: OrganizationId,
    name: Name,
    audiences: Vec<Audience>,
    created_at: String,
}

impl From<Organization> for OrganizationView {
    fn from(organization: Organization) -> Self {
        Self {
            id: organization.id,
            name: organization.name,
            audiences: organization.audiences,
            created_at: organization.created_at.to_string(),
        }
    }
}

pub(super) async fn create(
    State(app): AppState,
    Admin(admin): Admin,
    body::Json(body): body::Json<CreateBody>,
) -> Result<(StatusCode, Json<OrganizationView>), HttpError> {
    let new = CreateOrganization {
        name: body.name,
        audiences: body.audiences,
    };
    let organization = app.service.create_organization(&admin, new).await?;
    Ok((StatusCode::CREATED, Json(organization.into())))
}

pub(super) async fn list(
    State(app): AppState,
    Admin(admin): Admin,
    paging: Paging<OrganizationId>,
) -> Result<Json<Items<OrganizationView>>, HttpError> {
    let rows = app.service.organizations(&admin, paging.page()).await?;
    Ok(Json(paging.items(rows, |row| row.id, Into::into)))
}

pub(super) async fn show(
    State(app): AppState,
    Admin(admin): Admin,
    Id(id): Id<OrganizationId>,
) -> Result<Json<OrganizationView>, HttpError> {
    Ok(Json(app.service.organization(&admin, id).await?.into()))
}

pub(super) async fn update(
    State(app): AppState,
    Admin(admin): Admin,
    Id(id): Id<OrganizationId>,
    body::Json(body): body::Json<UpdateBody>,
) -> Result<Json<OrganizationView>, HttpError> {
    let organization = app
        .service
        .set_audiences(&admin, id, body.audiences)
        .await?;
    Ok(Json(organization.into()))
}
