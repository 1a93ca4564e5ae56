//! `/organizations`

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    authentication::{Admin, Asking, Id},
    page::{Items, Paging},
};
use crate::{
    domain::{Audience, AwsClaims, AwsClaimsChange, Name, Organization, OrganizationId},
    http::{AppState, body, error::HttpError},
    service::{CreateOrganization, OrganizationChange},
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
    name: Option<Name>,
    audiences: Option<Vec<Audience>>,
    #[serde(default)]
    aws_claims: AwsClaimsBody,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AwsClaimsBody {
    session_tags: Option<bool>,
    source_identity: Option<bool>,
    role_pin: Option<bool>,
}

impl From<UpdateBody> for OrganizationChange {
    fn from(body: UpdateBody) -> Self {
        Self {
            name: body.name,
            audiences: body.audiences,
            aws_claims: AwsClaimsChange {
                session_tags: body.aws_claims.session_tags,
                source_identity: body.aws_claims.source_identity,
                role_pin: body.aws_claims.role_pin,
            },
        }
    }
}

#[derive(Serialize)]
pub(super) struct OrganizationView {
    id: OrganizationId,
    name: Name,
    audiences: Vec<Audience>,
    aws_claims: AwsClaims,
    created_at: String,
}

impl From<Organization> for OrganizationView {
    fn from(organization: Organization) -> Self {
        Self {
            id: organization.id,
            name: organization.name,
            audiences: organization.audiences,
            aws_claims: organization.aws_claims,
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
    Asking(admin, paging): Asking<Paging<OrganizationId>>,
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
        .update_organization(&admin, id, body.into())
        .await?;
    Ok(Json(organization.into()))
}
