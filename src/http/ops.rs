//! Health, readiness and metrics, on a listener of their own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::IntoResponse,
    routing::get,
};
use tokio::{sync::watch, time::timeout};

use crate::service::Service;

/// How long the database may take to answer before the server counts as not ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the routes look at.
pub struct Ops {
    /// The use cases.
    pub service: Arc<Service>,
    /// Turns true when the server has begun to stop.
    pub stopping: watch::Receiver<bool>,
    /// The metrics in Prometheus's text format.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
}

/// `/livez`: the process answers. `/readyz`: so do the database and the key ring, and the server is
/// not stopping; `?exclude=database` leaves that check out. `/metrics`: what was counted.
pub fn router(ops: Ops) -> Router {
    Router::new()
        .route(
            "/livez",
            get(|| async { ([(CACHE_CONTROL, "no-store")], "ok\n") }),
        )
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(ops))
}

async fn ready(State(ops): State<Arc<Ops>>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let query = query.unwrap_or_default();
    let excluded = |name: &str| {
        url::form_urlencoded::parse(query.as_bytes())
            .any(|(key, value)| key == "exclude" && value == name)
    };
    let mut checks = vec![
        ("shutdown", !*ops.stopping.borrow()),
        ("keys", ops.service.has_keys()),
    ];
    if !excluded("database") {
        checks.push(("database", database(&ops.service).await));
    }
    let ready = checks.iter().all(|(_, ok)| *ok);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut text = String::new();
    for (name, ok) in checks {
        text.push_str(if ok { "ok " } else { "failed " });
        text.push_str(name);
        text.push('\n');
    }
    (status, [(CACHE_CONTROL, "no-store")], text)
}

async fn database(service: &Service) -> bool {
    let begun = Instant::now();
    match timeout(PATIENCE, service.ping()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            false
        }
        Err(_) => {
            let waited = begun.elapsed().as_secs_f64();
            tracing::warn!(waited, "not ready: the database does not answer");
            false
        }
    }
}

async fn metrics(State(ops): State<Arc<Ops>>) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, (ops.metrics)())
}
