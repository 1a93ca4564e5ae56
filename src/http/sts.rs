//! The local STS over HTTP: `POST` with a form, `GET` with a query, XML either way.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{OriginalUri, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, uri::Authority},
    response::Response,
};

use super::Peer;
use crate::sts::{Answer, LocalSts, Refusal, StsHttpRequest};

/// A token has at most 20,000 characters, a session policy 2,048; percent-encoded this is room for
/// both.
const BODY_LIMIT: usize = 64 * 1024;

/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The STS that answers at present.
pub struct CurrentSts(RwLock<Arc<LocalSts>>);

impl CurrentSts {
    /// With the first one.
    #[must_use]
    pub fn new(sts: LocalSts) -> Self {
        Self(RwLock::new(Arc::new(sts)))
    }

    /// The one that answers now.
    #[must_use]
    pub fn get(&self) -> Arc<LocalSts> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets another one answer from now on.
    pub fn replace(&self, sts: LocalSts) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(sts);
    }
}

/// Hears of every refusal, with the request's id.
pub type OnRefusal = Arc<dyn Fn(&Refusal, &str) + Send + Sync>;

#[derive(Clone)]
struct Front {
    sts: Arc<CurrentSts>,
    on_refusal: Option<OnRefusal>,
}

/// Answers on every path at and below where it is mounted; AWS's own STS does not look at the path
/// either. Mounted below a prefix, it verifies signatures over the path that the client sent. Mount
/// it with `nest_service`: `nest` would leave out the prefix with a trailing slash, to which SDKs
/// send.
///
/// Where the listener gives the peer's address ([`Peer`]), policies see it as `aws:SourceIp`.
pub fn router(sts: Arc<LocalSts>) -> Router {
    let sts = Arc::new(CurrentSts(RwLock::new(sts)));
    router_of(sts, None)
}

/// The same for an STS that is replaced at times.
pub fn router_of(sts: Arc<CurrentSts>, on_refusal: Option<OnRefusal>) -> Router {
    Router::new()
        .fallback(answer)
        .with_state(Front { sts, on_refusal })
}

async fn answer(
    State(front): State<Front>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let (parts, body) = request.into_parts();
    let sts = front.sts.get();
    let body = axum::body::to_bytes(body, BODY_LIMIT);
    let Ok(Ok(body)) = tokio::time::timeout(BODY_TIME, body).await else {
        return respond(sts.too_large(), &front);
    };
    let authority = uri.authority().map(Authority::as_str);
    let headers = visible(&parts.headers, authority);
    let answer = sts
        .handle(&StsHttpRequest {
            method: parts.method.as_str(),
            path: uri.path(),
            query: uri.query(),
            headers: &headers,
            body: &body,
            source_ip: peer,
        })
        .await;
    respond(answer, &front)
}

/// The headers that are text. One that is not cannot have been signed. HTTP/2 has the host in the
/// URI, where a signature speaks of a header.
fn visible<'a>(headers: &'a HeaderMap, authority: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let mut visible: Vec<_> = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    if !headers.contains_key(header::HOST) {
        visible.extend(authority.map(|host| ("host", host)));
    }
    visible
}

fn respond(answer: Answer, front: &Front) -> Response {
    if let Some(refusal) = &answer.refusal {
        if let Some(hears) = &front.on_refusal {
            hears(refusal, &answer.request_id);
        }
        tracing::info!(
            request_id = answer.request_id,
            code = refusal.code,
            reason = refusal.reason,
            "sts refused"
        );
    }
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(Body::from(Bytes::from(answer.body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::try_from(answer.request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
