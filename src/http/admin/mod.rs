//! The administration API at `/api/v1`.

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
    routing::{get, post},
};

use super::App;

pub(super) fn router() -> Router<Arc<App>> {
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
        .route("/principals/admitted", post(principals::admitted))
        .route("/organizations/{organization}/mints", get(mints::list))
        .route("/keys", get(keys::list))
        .route("/keys/rotate", post(keys::rotate))
        .route("/keys/{kid}/compromise", post(keys::compromise))
}
