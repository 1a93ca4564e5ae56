//! Health and readiness, on a listener of their own.

use std::sync::Arc;

use axum::{Router, extract::State, http::StatusCode, routing::get};

use crate::service::Service;

/// `/livez`: the process answers. `/readyz`: the database does too.
pub fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(service)
}

async fn ready(State(service): State<Arc<Service>>) -> (StatusCode, &'static str) {
    match service.ping().await {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the database is not available\n",
            )
        }
    }
}
