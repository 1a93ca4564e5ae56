//! `/audit` and `/organizations/{organization}/audit`: the audit log.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{AppendHeaders, IntoResponse},
};
use bytes::Bytes;
use futures_util::stream::try_unfold;
use serde::{Deserialize, Serialize};

use super::{
    authentication::{Admin, Asking, Id},
    page::{Items, Named, Paging, Parameters},
};
use crate::{
    domain::{AuditChain, AuditFilter, AuditLine, OrganizationId, PublicJwk, Timestamp},
    http::{App, AppState, error::HttpError},
    service::{AdminRefusal, Administrator, MadeCheckpoint},
};

/// How many records of an export are read at once.
const EXPORTED: u32 = 500;

/// The conditions in a query; times are RFC 3339.
#[derive(Deserialize)]
pub(super) struct FilterQuery {
    actor: Option<String>,
    action: Option<String>,
    target: Option<String>,
    outcome: Option<String>,
    request_id: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

impl Named for FilterQuery {
    const NAMES: &'static [&'static str] = &[
        "actor",
        "action",
        "target",
        "outcome",
        "request_id",
        "since",
        "until",
    ];
}

impl FilterQuery {
    fn read(self) -> Result<AuditFilter, HttpError> {
        if let Some(outcome) = &self.outcome
            && !matches!(outcome.as_str(), "success" | "refused")
        {
            return Err(bad("outcome must be success or refused"));
        }
        Ok(AuditFilter {
            since: time(self.since.as_deref(), "since")?,
            until: time(self.until.as_deref(), "until")?,
            actor: self.actor,
            action: self.action,
            target: self.target,
            outcome: self.outcome,
            request_id: self.request_id,
        })
    }
}

fn bad(detail: impl Into<String>) -> HttpError {
    HttpError::problem(StatusCode::BAD_REQUEST, detail)
}

fn time(text: Option<&str>, name: &str) -> Result<Option<Timestamp>, HttpError> {
    text.map(|text| {
        text.parse::<jiff::Timestamp>()
            .map(|at| Timestamp::from_ms(at.as_millisecond()))
            .map_err(|_| bad(format!("{name} must be a time like 2026-01-31T12:00:00Z")))
    })
    .transpose()
}

/// Where a chain ends, and where retention has cut it.
#[derive(Serialize)]
pub(super) struct ChainView {
    organization_id: Option<OrganizationId>,
    seq: i64,
    hash: String,
    cut: Option<CutView>,
}

#[derive(Serialize)]
struct CutView {
    seq: i64,
    hash: String,
    checkpoint: i64,
    at: String,
}

impl From<AuditChain> for ChainView {
    fn from(chain: AuditChain) -> Self {
        Self {
            organization_id: chain.head.organization_id,
            seq: chain.head.seq,
            hash: hex::encode(chain.head.hash),
            cut: chain.cut.map(|cut| CutView {
                seq: cut.seq,
                hash: hex::encode(cut.hash),
                checkpoint: cut.checkpoint,
                at: cut.at.to_string(),
            }),
        }
    }
}

async fn find(
    app: &App,
    admin: &Administrator,
    chain: Option<OrganizationId>,
    paging: &Paging<i64>,
    filter: FilterQuery,
) -> Result<Json<Items<AuditLine>>, HttpError> {
    let filter = filter.read()?;
    let found = app
        .service
        .find_audit_records(admin, chain, &filter, paging.after(), paging.limit())
        .await?;
    let records = found.records.into_iter().map(Into::into).collect();
    Ok(Json(Items::new(records, found.next)))
}

/// A page of what meets the conditions.
type Filtered = (Paging<i64>, Parameters<FilterQuery>);

pub(super) async fn list(
    State(app): AppState,
    Asking(admin, (paging, Parameters(filter))): Asking<Filtered>,
    Id(organization): Id<OrganizationId>,
) -> Result<Json<Items<AuditLine>>, HttpError> {
    find(&app, &admin, Some(organization), &paging, filter).await
}

pub(super) async fn list_system(
    State(app): AppState,
    Asking(admin, (paging, Parameters(filter))): Asking<Filtered>,
) -> Result<Json<Items<AuditLine>>, HttpError> {
    find(&app, &admin, None, &paging, filter).await
}

async fn show(
    app: &App,
    admin: &Administrator,
    chain: Option<OrganizationId>,
) -> Result<Json<Option<ChainView>>, HttpError> {
    let chain = app.service.audit_chain(admin, chain).await?;
    Ok(Json(chain.map(Into::into)))
}

pub(super) async fn chain(
    State(app): AppState,
    Admin(admin): Admin,
    Id(organization): Id<OrganizationId>,
) -> Result<Json<Option<ChainView>>, HttpError> {
    show(&app, &admin, Some(organization)).await
}

pub(super) async fn system_chain(
    State(app): AppState,
    Admin(admin): Admin,
) -> Result<Json<Option<ChainView>>, HttpError> {
    show(&app, &admin, None).await
}

pub(super) async fn chains(
    State(app): AppState,
    Asking(admin, paging): Asking<Paging<OrganizationId>>,
) -> Result<Json<Items<ChainView>>, HttpError> {
    let rows = app.service.audit_chains(&admin, paging.page()).await?;
    let limit = usize::try_from(paging.limit()).unwrap_or(usize::MAX);
    let next = (rows.len() > limit)
        .then(|| rows[..limit].last()?.head.organization_id)
        .flatten();
    let views = rows.into_iter().take(limit).map(Into::into).collect();
    Ok(Json(Items::new(views, next)))
}

#[derive(Deserialize)]
pub(super) struct ExportQuery {
    after: Option<i64>,
}

impl Named for ExportQuery {
    const NAMES: &'static [&'static str] = &["after"];
}

/// A chain as JSON lines. It is read page by page as the client takes it, so that it may be of any
/// length; one that breaks off goes on after the last `seq` that arrived.
async fn stream(
    app: Arc<App>,
    admin: Administrator,
    chain: Option<OrganizationId>,
    query: ExportQuery,
) -> Result<impl IntoResponse, HttpError> {
    // A refusal is an answer of its own; later on there is only breaking off.
    app.service.audit_chain(&admin, chain).await?;
    let after = query.after.unwrap_or(0);
    let pages = try_unfold((app, after), move |(app, after)| async move {
        let records = app
            .service
            .audit_records(&admin, chain, after, EXPORTED)
            .await?;
        let Some(last) = records.last().map(|last| last.seq) else {
            return Ok(None);
        };
        let mut lines = Vec::with_capacity(1_024 * records.len());
        for record in records {
            // Texts and numbers only: serialising into memory does not fail.
            if serde_json::to_writer(&mut lines, &AuditLine::from(record)).is_ok() {
                lines.push(b'\n');
            }
        }
        Ok::<_, AdminRefusal>(Some((Bytes::from(lines), (app, last))))
    });
    let content_type = HeaderValue::from_static("application/x-ndjson");
    Ok((
        AppendHeaders([(CONTENT_TYPE, content_type)]),
        Body::from_stream(pages),
    ))
}

pub(super) async fn export(
    State(app): AppState,
    Asking(admin, Parameters(query)): Asking<Parameters<ExportQuery>>,
    Id(organization): Id<OrganizationId>,
) -> Result<impl IntoResponse, HttpError> {
    stream(app, admin, Some(organization), query).await
}

pub(super) async fn export_system(
    State(app): AppState,
    Asking(admin, Parameters(query)): Asking<Parameters<ExportQuery>>,
) -> Result<impl IntoResponse, HttpError> {
    stream(app, admin, None, query).await
}

#[derive(Serialize)]
pub(super) struct CheckpointView {
    /// `null` where no place is configured.
    number: Option<i64>,
    place: Option<String>,
    chains: usize,
    kid: String,
    statement: String,
}

impl From<MadeCheckpoint> for CheckpointView {
    fn from(made: MadeCheckpoint) -> Self {
        Self {
            number: made.place.is_some().then_some(made.number),
            place: made.place,
            chains: made.chains,
            kid: made.kid,
            statement: made.statement,
        }
    }
}

pub(super) async fn create_checkpoint(
    State(app): AppState,
    Admin(admin): Admin,
) -> Result<(StatusCode, Json<CheckpointView>), HttpError> {
    let made = app.service.create_checkpoint(&admin).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

#[derive(Serialize)]
pub(super) struct KeyView {
    kid: String,
    jwk: PublicJwk,
}

pub(super) async fn checkpoint_key(State(app): AppState, Admin(_): Admin) -> Json<KeyView> {
    let (kid, jwk) = app.service.checkpoint_key();
    Json(KeyView { kid, jwk })
}
