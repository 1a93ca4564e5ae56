//! `/principals`: everything that can ask for tokens, whatever its type.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    authentication::Asking,
    page::{Named, Parameters},
};
use crate::{
    domain::{EnvironmentId, EnvironmentState, Name, OrganizationId, ProjectId, RoleArn},
    http::{AppState, body, error::HttpError},
    service::{Admitted, FindAdmitted, Page},
};

const DEFAULT_LIMIT: u32 = 500;
const MAX_LIMIT: u32 = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdmittedBody {
    /// Unread, so that repeated members in it are found.
    trust_policy: Box<RawValue>,
    organization_id: Option<OrganizationId>,
    /// The role that has the policy.
    role_arn: Option<RoleArn>,
}

#[derive(Deserialize)]
pub(super) struct AdmittedQuery {
    limit: Option<u32>,
    cursor: Option<EnvironmentId>,
}

impl Named for AdmittedQuery {
    const NAMES: &'static [&'static str] = &["limit", "cursor"];
}

#[derive(Serialize)]
pub(super) struct AdmittedView {
    id: EnvironmentId,
    #[serde(rename = "type")]
    kind: &'static str,
    organization_id: OrganizationId,
    project_id: Option<ProjectId>,
    name: Name,
    state: EnvironmentState,
    subject: String,
    /// One with which it is let in; others may do as well.
    audience: String,
}

impl From<Admitted> for AdmittedView {
    fn from(admitted: Admitted) -> Self {
        let principal = admitted.principal;
        Self {
            id: principal.subject.environment,
            kind: "environment",
            organization_id: principal.subject.organization,
            project_id: principal.subject.project,
            name: principal.name,
            state: principal.state,
            subject: principal.subject.to_string(),
            audience: principal.organization.audiences[admitted.audience]
                .as_str()
                .to_owned(),
        }
    }
}

/// A page; it may be empty and still have a next one, since one request looks at a bounded number of
/// principals.
#[derive(Serialize)]
pub(super) struct AdmittedItems {
    items: Vec<AdmittedView>,
    next_cursor: Option<EnvironmentId>,
    scanned: u64,
}

pub(super) async fn admitted(
    State(app): AppState,
    Asking(admin, Parameters(query)): Asking<Parameters<AdmittedQuery>>,
    body::Json(body): body::Json<AdmittedBody>,
) -> Result<Json<AdmittedItems>, HttpError> {
    let find = FindAdmitted {
        trust_policy: body.trust_policy.get().to_owned(),
        role: body.role_arn,
        organization: body.organization_id,
        page: Page {
            after: query.cursor,
            limit: query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT),
        },
    };
    let page = app.service.admitted(&admin, find).await?;
    Ok(Json(AdmittedItems {
        items: page.items.into_iter().map(Into::into).collect(),
        next_cursor: page.next,
        scanned: page.scanned,
    }))
}
