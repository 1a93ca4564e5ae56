//! Health, readiness and metrics of the signing proxy, on a listener of their own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{StatusCode, header::CACHE_CONTROL},
    response::IntoResponse as _,
    routing::get,
};
use tokio::{sync::watch, time::interval};

use crate::server::{
    listener::{Bound, ListenError, Options, bind},
    metrics::{ProcessGauges, UPKEEP, recorder},
};

/// Connections at once: a few probes and a few scrapers.
const CONNECTIONS: usize = 64;

/// The listener, bound.
pub(super) struct Ops {
    bound: Bound,
    address: SocketAddr,
}

impl Ops {
    pub(super) async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let bound = bind(address).await?;
        let address = bound
            .address()
            .map_err(|reason| ListenError::Bind { address, reason })?;
        Ok(Self { bound, address })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `/livez`: the process answers. `/readyz`: it takes requests. `/metrics`: what was counted. Until it
    /// is dropped: who asks hears of a stop.
    pub(super) async fn serve(self, stop: watch::Receiver<bool>) {
        const NO_STORE: [(axum::http::HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];
        let ready = move || {
            let stopping = *stop.borrow();
            async move {
                if stopping {
                    let text = "failed shutdown\n";
                    (StatusCode::SERVICE_UNAVAILABLE, NO_STORE, text).into_response()
                } else {
                    (NO_STORE, "ok shutdown\n").into_response()
                }
            }
        };
        let process = Arc::new(ProcessGauges::new());
        let metrics = move || {
            process.sample();
            let text = recorder().render();
            async move { (NO_STORE, text) }
        };
        let router = Router::new()
            .route("/livez", get(|| async { (NO_STORE, "ok\n") }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics));
        let options = Options {
            name: "ops",
            tls: None,
            connections: CONNECTIONS,
            header_timeout: Duration::from_secs(10),
            grace: Duration::from_secs(1),
        };
        let (_never, running) = watch::channel(false);
        let upkeep = async {
            let mut ticks = interval(UPKEEP);
            loop {
                ticks.tick().await;
                recorder().run_upkeep();
            }
        };
        tokio::join!(self.bound.serve_router(router, options, running), upkeep);
    }
}
