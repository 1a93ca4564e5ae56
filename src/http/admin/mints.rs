//! `/organizations/{organization}/mints`

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};

use super::{
    authentication::{Asking, Id},
    page::{Items, Named, Paging, Parameters},
};
use crate::{
    domain::{OrganizationId, Timestamp},
    http::{AppState, error::HttpError},
    service::Mint,
};

/// RFC 3339 times; from the beginning and to the end where they are left out.
#[derive(Deserialize)]
pub(super) struct Window {
    since: Option<jiff::Timestamp>,
    until: Option<jiff::Timestamp>,
}

impl Named for Window {
    const NAMES: &'static [&'static str] = &["since", "until"];
}

#[derive(Serialize)]
pub(super) struct MintView {
    seq: i64,
    at: String,
    jti: String,
    subject: String,
    audience: String,
    expires_at: String,
}

impl From<Mint> for MintView {
    fn from(mint: Mint) -> Self {
        Self {
            seq: mint.seq,
            at: mint.at.to_string(),
            jti: mint.jti,
            subject: mint.subject,
            audience: mint.audience,
            expires_at: mint.expires_at.to_string(),
        }
    }
}

pub(super) async fn list(
    State(app): AppState,
    Asking(admin, (paging, Parameters(window))): Asking<(Paging<i64>, Parameters<Window>)>,
    Id(organization): Id<OrganizationId>,
) -> Result<Json<Items<MintView>>, HttpError> {
    let time = |time: Option<jiff::Timestamp>, default| {
        Timestamp::from_ms(time.map_or(default, jiff::Timestamp::as_millisecond))
    };
    let window = (time(window.since, 0), time(window.until, i64::MAX / 2));
    let rows = app
        .service
        .mints(&admin, organization, window, paging.page())
        .await?;
    Ok(Json(paging.items(rows, |row| row.seq, Into::into)))
}
