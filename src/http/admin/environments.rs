//! `/environments` and their join tokens.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header::CACHE_CONTROL},
    response::{AppendHeaders, IntoResponse},
};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    authentication::{Admin, Asking, Id},
    page::{Items, Named, Paging, Parameters},
};
use crate::{
    domain::{
        Environment, EnvironmentId, EnvironmentState, ExposeSecret as _, Name, OrganizationId,
        ProjectId, RoleArn,
    },
    http::{AppState, body, error::HttpError},
    service::{CreateEnvironment, EnvironmentChange, IssuedJoinToken},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateBody {
    name: Name,
    project_id: Option<ProjectId>,
    cidr: Option<IpNet>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateBody {
    name: Option<Name>,
    /// Absent: as it is; null: any role.
    #[serde(default, deserialize_with = "present")]
    #[expect(
        clippy::option_option,
        reason = "absent, null, a value: the three that a JSON merge patch knows"
    )]
    role_arns: Option<Option<Vec<RoleArn>>>,
}

/// Tells a member that is null from one that is absent.
#[expect(
    clippy::option_option,
    reason = "absent, null, a value: the three that a JSON merge patch knows"
)]
fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<Vec<RoleArn>>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinTokenBody {
    cidr: Option<IpNet>,
}

#[derive(Deserialize)]
pub(super) struct Filter {
    project_id: Option<ProjectId>,
}

impl Named for Filter {
    const NAMES: &'static [&'static str] = &["project_id"];
}

#[derive(Serialize)]
pub(super) struct EnvironmentView {
    id: EnvironmentId,
    organization_id: OrganizationId,
    project_id: Option<ProjectId>,
    name: Name,
    role_arns: Option<Vec<RoleArn>>,
    state: EnvironmentState,
    subject: String,
    kid: Option<String>,
    created_at: String,
    enrolled_at: Option<String>,
    quarantined_at: Option<String>,
    stopped_at: Option<String>,
}

impl From<Environment> for EnvironmentView {
    fn from(environment: Environment) -> Self {
        Self {
            subject: environment.subject().to_string(),
            id: environment.id,
            organization_id: environment.organization_id,
            project_id: environment.project_id,
            name: environment.name,
            role_arns: environment.role_arns,
            state: environment.state,
            kid: environment.kid,
            created_at: environment.created_at.to_string(),
            enrolled_at: environment.enrolled_at.map(|at| at.to_string()),
            quarantined_at: environment.quarantined_at.map(|at| at.to_string()),
            stopped_at: environment.stopped_at.map(|at| at.to_string()),
        }
    }
}

/// A join token: the one answer that holds its secret.
#[derive(Serialize)]
struct JoinTokenView {
    environment_id: EnvironmentId,
    join_token: String,
    expires_at: String,
}

impl From<IssuedJoinToken> for JoinTokenView {
    fn from(issued: IssuedJoinToken) -> Self {
        Self {
            environment_id: issued.environment_id,
            join_token: issued.token.expose_secret().to_owned(),
            expires_at: issued.expires_at.to_string(),
        }
    }
}

#[derive(Serialize)]
struct CreatedView {
    environment: EnvironmentView,
    #[serde(flatten)]
    join_token: JoinTokenView,
}

fn created(view: impl Serialize) -> impl IntoResponse {
    (
        StatusCode::CREATED,
        AppendHeaders([(CACHE_CONTROL, HeaderValue::from_static("no-store"))]),
        Json(view),
    )
}

pub(super) async fn create(
    State(app): AppState,
    Admin(admin): Admin,
    Id(organization): Id<OrganizationId>,
    body::Json(body): body::Json<CreateBody>,
) -> Result<impl IntoResponse, HttpError> {
    let new = CreateEnvironment {
        organization,
        project: body.project_id,
        name: body.name,
        cidr: body.cidr,
    };
    let made = app.service.create_environment(&admin, new).await?;
    Ok(created(CreatedView {
        environment: made.environment.into(),
        join_token: made.join_token.into(),
    }))
}

pub(super) async fn list(
    State(app): AppState,
    Asking(admin, (paging, Parameters(filter))): Asking<(
        Paging<EnvironmentId>,
        Parameters<Filter>,
    )>,
    Id(organization): Id<OrganizationId>,
) -> Result<Json<Items<EnvironmentView>>, HttpError> {
    let rows = app
        .service
        .environments(&admin, organization, filter.project_id, paging.page())
        .await?;
    Ok(Json(paging.items(rows, |row| row.id, Into::into)))
}

pub(super) async fn show(
    State(app): AppState,
    Admin(admin): Admin,
    Id(id): Id<EnvironmentId>,
) -> Result<Json<EnvironmentView>, HttpError> {
    Ok(Json(app.service.environment(&admin, id).await?.into()))
}

pub(super) async fn update(
    State(app): AppState,
    Admin(admin): Admin,
    Id(id): Id<EnvironmentId>,
    body::Json(body): body::Json<UpdateBody>,
) -> Result<Json<EnvironmentView>, HttpError> {
    let change = EnvironmentChange {
        name: body.name,
        role_arns: body.role_arns,
    };
    let environment = app.service.update_environment(&admin, id, change).await?;
    Ok(Json(environment.into()))
}

pub(super) async fn stop(
    State(app): AppState,
    Admin(admin): Admin,
    Id(id): Id<EnvironmentId>,
) -> Result<Json<EnvironmentView>, HttpError> {
    Ok(Json(app.service.stop_environment(&admin, id).await?.into()))
}

pub(super) async fn release(
    State(app): AppState,
    Admin(admin): Admin,
    Id(id): Id<EnvironmentId>,
) -> Result<Json<EnvironmentView>, HttpError> {
    Ok(Json(
        app.service.release_environment(&admin, id).await?.into(),
    ))
}

pub(super) async fn create_join_token(
    State(app): AppState,
    Admin(admin): Admin,
    Id(id): Id<EnvironmentId>,
    body::Json(body): body::Json<JoinTokenBody>,
) -> Result<impl IntoResponse, HttpError> {
    let issued = app.service.create_join_token(&admin, id, body.cidr).await?;
    Ok(created(JoinTokenView::from(issued)))
}
