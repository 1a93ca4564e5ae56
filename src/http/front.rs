//! What stands before the router: whose request it is, whether there is room for it, whether its
//! sender has come too often, and how long the answer took.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    BoxError, Router,
    body::{Body, Bytes, HttpBody},
    http::{HeaderValue, Request, Response, StatusCode, header::X_CONTENT_TYPE_OPTIONS},
    response::IntoResponse,
};
use ipnet::IpNet;
use metrics::{Counter, Histogram, Unit};
use tower::ServiceExt as _;
use tracing::{Instrument as _, Span, field};
use url::Url;

use super::{
    Peer,
    client_address::TrustedProxies,
    error::{HttpError, Proved},
    layers::REQUEST_ID,
    routes::{Route, Routes},
    trace_context::TraceParent,
};
use crate::{
    domain::RequestId,
    service::{Gate, Limited, Service},
};

/// A router with everything before it. Cheap to clone.
#[derive(Clone)]
pub struct Front(Arc<Inner>);

struct Inner {
    router: Router,
    service: Arc<Service>,
    routes: Routes,
    proxies: TrustedProxies,
    gate: Gate,
    series: Vec<Series>,
    limited: Counter,
    shed: Counter,
}

/// The metrics of a route.
struct Series {
    duration: Histogram,
    /// By the first digit of the status, from 2 on.
    responses: [Counter; 4],
}

impl Front {
    /// Puts itself before `router`, in which at most `most` requests are at a time.
    #[must_use]
    pub fn new(
        router: Router,
        service: Arc<Service>,
        server_url: &Url,
        trusted_proxies: Vec<IpNet>,
        most: usize,
    ) -> Self {
        describe();
        Self(Arc::new(Inner {
            routes: Routes::new(service.issuer(), server_url),
            router,
            service,
            proxies: TrustedProxies::new(trusted_proxies),
            gate: Gate::new(most),
            series: Route::ALL.into_iter().map(Series::of).collect(),
            limited: metrics::counter!("idp_rate_limited_total", "scope" => "address"),
            shed: metrics::counter!("idp_shed_requests_total"),
        }))
    }

    /// Answers a request that came over a connection from `peer`.
    pub async fn answer<B>(&self, request: Request<B>, peer: IpAddr) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let begun = Instant::now();
        let route = self.0.routes.of(request.uri().path());
        let response = match self.0.gate.enter() {
            Some(_place) if route.is_document() => self.route(request).await,
            Some(_place) => self.admit(request, route, peer, begun).await,
            None => {
                self.0.shed.increment(1);
                self.refuse(HttpError::overloaded(route.is_oauth()))
            }
        };
        self.0.series[route as usize].count(response.status(), begun.elapsed());
        response
    }

    async fn route<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        match self.0.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn admit<B>(
        &self,
        mut request: Request<B>,
        route: Route,
        peer: IpAddr,
        begun: Instant,
    ) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let client = self.0.proxies.client(peer, request.headers());
        let counted = !matches!(route, Route::Sts | Route::Other);
        let limits = self.0.service.limits();
        if counted && let Err(limited) = limits.admits(client) {
            return self.limited(route, limited);
        }
        let id = self.0.service.request_id();
        let span = span(&request, id, route, client);
        request.extensions_mut().insert(Peer(client));
        request.extensions_mut().insert(id);
        let response = async {
            let response = self.route(request).await;
            tracing::debug!(
                status = response.status().as_u16(),
                ms = begun.elapsed().as_secs_f64() * 1e3,
                "answered"
            );
            response
        }
        .instrument(span)
        .await;
        if counted && proves_nothing(route, &response) {
            limits.charge(client);
        }
        response
    }

    fn limited(&self, route: Route, limited: Limited) -> Response<Body> {
        self.0.limited.increment(1);
        self.refuse(if route.is_oauth() {
            HttpError::limited_oauth(limited)
        } else {
            limited.into()
        })
    }

    /// What the layers inside would have added.
    fn refuse(&self, error: HttpError) -> Response<Body> {
        let mut response = error.into_response();
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&self.0.service.request_id().to_string()) {
            headers.insert(REQUEST_ID.clone(), value);
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    /// How many requests are being answered, and how many can be.
    #[must_use]
    pub fn requests(&self) -> (usize, usize) {
        (self.0.gate.inside(), self.0.gate.most())
    }
}

/// Whether the answer says that the sender showed no key and no token that is valid. A nonce is for
/// the asking.
fn proves_nothing(route: Route, response: &Response<Body>) -> bool {
    let status = response.status();
    match route {
        Route::EnrollNonce => true,
        Route::Admin => status == StatusCode::UNAUTHORIZED,
        _ => status.is_client_error() && response.extensions().get::<Proved>().is_none(),
    }
}

/// What the log lines of a request have in common.
fn span<B>(request: &Request<B>, id: RequestId, route: Route, client: IpAddr) -> Span {
    let span = tracing::info_span!(
        "request",
        request_id = %id,
        method = method(request),
        route = route.as_str(),
        %client,
        trace_id = field::Empty,
        parent_id = field::Empty,
    );
    if let Some(parent) = TraceParent::of(request.headers()) {
        span.record("trace_id", parent.trace_id);
        span.record("parent_id", parent.parent_id);
        #[cfg(feature = "otel")]
        super::otel::continue_trace(&span, parent);
    }
    span
}

/// A method that is not one of HTTP's own is any text that a client likes.
fn method<B>(request: &Request<B>) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| request.method() == known)
        .unwrap_or("other")
}

impl Series {
    fn of(route: Route) -> Self {
        let response = |status: &'static str| {
            let labels = [("route", route.as_str()), ("status", status)];
            metrics::counter!("idp_http_responses_total", &labels)
        };
        Self {
            duration: metrics::histogram!(
                "idp_http_request_duration_seconds", "route" => route.as_str()
            ),
            responses: ["2xx", "3xx", "4xx", "5xx"].map(response),
        }
    }

    fn count(&self, status: StatusCode, took: Duration) {
        self.duration.record(took);
        let class = usize::from(status.as_u16() / 100).clamp(2, 5) - 2;
        self.responses[class].increment(1);
    }
}

fn describe() {
    use metrics::{describe_counter, describe_histogram};
    describe_histogram!(
        "idp_http_request_duration_seconds",
        Unit::Seconds,
        "How long requests took by route"
    );
    describe_counter!(
        "idp_http_responses_total",
        "Answers by route and class of status"
    );
    describe_counter!(
        "idp_rate_limited_total",
        "Requests that were refused because their address had failed too often"
    );
    describe_counter!(
        "idp_shed_requests_total",
        "Requests that were refused because too many were being answered"
    );
}
