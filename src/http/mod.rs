//! The routers: what the world sees of the issuer, the administration API, health. A handler
//! extracts, makes one service call, renders.

mod admin;
mod body;
mod cached;
mod client_address;
mod error;
mod front;
mod layers;
mod log_fields;
mod oidc;
mod ops;
#[cfg(feature = "otel")]
mod otel;
mod routes;
mod sts;
mod trace_context;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::Router;
use url::Url;

pub use front::{Bounds, Front};
pub use log_fields::LogFields;
pub use oidc::{DISCOVERY_CACHE, JWKS_CACHE, discovery};
pub use ops::{Ops, router as ops_router};
pub use sts::{CurrentSts, OnRefusal, router as sts_router, router_of as sts_router_of};

use crate::service::{Rendered, Service};

/// The address that a request comes from: the other end of the connection or, where that is a trusted
/// proxy, the client that the proxy names.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// What the handlers share.
struct App {
    service: Arc<Service>,
    discovery: Rendered,
}

impl App {
    fn new(service: Arc<Service>, server_url: &Url) -> Self {
        let discovery = discovery(service.issuer(), service.keys().algorithm(), server_url);
        Self {
            discovery: Rendered::new(discovery),
            service,
        }
    }
}

type AppState = axum::extract::State<Arc<App>>;

/// The public router: discovery, JWKS, tokens and enrolment below the path of the issuer and of the
/// address that environments reach, and the administration API at `/api/v1`. `extra` is merged in
/// below the layers. A request that takes longer than `time_limit`, its body included, ends with 408.
pub fn router(
    service: Arc<Service>,
    server_url: &Url,
    extra: Router,
    time_limit: Duration,
) -> Router {
    route_all(
        &Arc::new(App::new(service, server_url)),
        server_url,
        extra,
        time_limit,
    )
}

/// The same for handlers that share `app` with others.
fn route_all(app: &Arc<App>, server_url: &Url, extra: Router, time_limit: Duration) -> Router {
    let issuer_path = app.service.issuer().path().to_owned();
    let server_path = server_url.path().trim_end_matches('/').to_owned();
    // An issuer's path may begin a segment with `:` or `*`, which axum 0.7 gave a meaning.
    let mut router = Router::new()
        .without_v07_checks()
        .nest("/api/v1", admin::router(app.clone()));
    for path in [
        Some(&issuer_path),
        Some(&server_path).filter(|path| **path != issuer_path),
    ] {
        router = match path.map(String::as_str) {
            None => router,
            Some("") => router.merge(oidc::router()),
            Some(path) => router.nest(path, oidc::router()),
        };
    }
    let router = router
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .with_state(app.clone())
        .merge(extra);
    layers::wrap(router, app.service.clone(), time_limit)
}
