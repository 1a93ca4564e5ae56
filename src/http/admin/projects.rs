//! `/projects`

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    authentication::{Admin, Asking, Id},
    page::{Items, Paging},
};
use crate::{
    domain::{Name, OrganizationId, Project, ProjectId},
    http::{AppState, body, error::HttpError},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    name: Name,
}

#[derive(Serialize)]
pub(super) struct ProjectView {
    id: ProjectId,
    organization_id: OrganizationId,
    name: Name,
    created_at: String,
}

impl From<Project> for ProjectView {
    fn from(project: Project) -> Self {
        Self {
            id: project.id,
            organization_id: project.organization_id,
            name: project.name,
            created_at: project.created_at.to_string(),
        }
    }
}

pub(super) async fn create(
    State(app): AppState,
    Admin(admin): Admin,
    Id(organization): Id<OrganizationId>,
    body::Json(body): body::Json<Body>,
) -> Result<(StatusCode, Json<ProjectView>), HttpError> {
    let project = app
        .service
        .create_project(&admin, organization, body.name)
        .await?;
    Ok((StatusCode::CREATED, Json(project.into())))
}

pub(super) async fn list(
    State(app): AppState,
    Asking(admin, paging): Asking<Paging<ProjectId>>,
    Id(organization): Id<OrganizationId>,
) -> Result<Json<Items<ProjectView>>, HttpError> {
    let rows = app
        .service
        .projects(&admin, organization, paging.page())
        .await?;
    Ok(Json(paging.items(rows, |row| row.id, Into::into)))
}

pub(super) async fn show(
    State(app): AppState,
    Admin(admin): Admin,
    Id(id): Id<ProjectId>,
) -> Result<Json<ProjectView>, HttpError> {
    Ok(Json(app.service.project(&admin, id).await?.into()))
}

pub(super) async fn update(
    State(app): AppState,
    Admin(admin): Admin,
    Id(id): Id<ProjectId>,
    body::Json(body): body::Json<Body>,
) -> Result<Json<ProjectView>, HttpError> {
    let project = app.service.rename_project(&admin, id, body.name).await?;
    Ok(Json(project.into()))
}
