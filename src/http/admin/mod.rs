//! The administration API at `/api/v1`.

mod admin_tokens;
mod audit;
mod authentication;
mod environments;
mod keys;
mod mints;
mod organizations;
mod page;
mod principals;
mod projects;

use std::sync::Arc;

use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{delete, get, post},
};

use super::App;
use authentication::record_refusals;

pub(super) fn router(app: Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route(
            "/organizations",
            get(organizations::list).post(organizations::create),
        )
        .route(
            "/organizations/{organization}",
            get(organizations::show).patch(organizations::update),
        )
        .route(
            "/organizations/{organization}/projects",
            get(projects::list).post(projects::create),
        )
        .route(
            "/projects/{project}",
            get(projects::show).patch(projects::update),
        )
        .route(
            "/organizations/{organization}/environments",
            get(environments::list).post(environments::create),
        )
        .route(
            "/environments/{environment}",
            get(environments::show).patch(environments::update),
        )
        .route("/environments/{environment}/stop", post(environments::stop))
        .route(
            "/environments/{environment}/release",
            post(environments::release),
        )
        .route(
            "/environments/{environment}/join-tokens",
            post(environments::create_join_token),
        )
        .route(
            "/admin-tokens",
            get(admin_tokens::list).post(admin_tokens::create),
        )
        .route("/admin-tokens/{token}", delete(admin_tokens::revoke))
        .route("/principals/admitted", post(principals::admitted))
        .route("/organizations/{organization}/mints", get(mints::list))
        .route("/keys", get(keys::list))
        .route("/keys/rotate", post(keys::rotate))
        .route("/keys/{kid}/compromise", post(keys::compromise))
        .route("/audit", get(audit::list_system))
        .route("/audit/chain", get(audit::system_chain))
        .route("/audit/chains", get(audit::chains))
        .route("/audit/export", get(audit::export_system))
        .route("/audit/checkpoints", post(audit::create_checkpoint))
        .route("/audit/checkpoint-key", get(audit::checkpoint_key))
        .route("/organizations/{organization}/audit", get(audit::list))
        .route(
            "/organizations/{organization}/audit/chain",
            get(audit::chain),
        )
        .route(
            "/organizations/{organization}/audit/export",
            get(audit::export),
        )
        .route_layer(from_fn_with_state(app, record_refusals))
}
