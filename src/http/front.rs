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
    http::{HeaderValue, Method, Request, Response, StatusCode, header::X_CONTENT_TYPE_OPTIONS},
    response::IntoResponse,
};
use ipnet::IpNet;
use metrics::{Counter, Histogram, Unit};
use tower::ServiceExt as _;
use tracing::{Instrument as _, Span, field};
use url::Url;

use super::{
    App, Peer,
    client_address::TrustedProxies,
    error::{HttpError, Proved},
    layers::{self, REQUEST_ID},
    log_fields::LogFields,
    oidc, route_all,
    routes::{Route, Routes},
    trace_context::TraceParent,
};
use crate::service::{Gate, Limited, RequestContext, Service};

/// A router with everything before it. Cheap to clone.
#[derive(Clone)]
pub struct Front(Arc<Inner>);

struct Inner {
    router: Router,
    app: Arc<App>,
    time_limit: Duration,
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

/// How much a front lets in.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many requests at a time.
    pub requests: usize,
    /// How long each of them may take, its body included.
    pub time: Duration,
}

impl Front {
    /// Puts itself before the [`router`](super::router) of `service`, with `extra` merged in.
    #[must_use]
    pub fn new(
        service: Arc<Service>,
        server_url: &Url,
        extra: Router,
        trusted_proxies: Vec<IpNet>,
        bounds: Bounds,
    ) -> Self {
        describe();
        let app = Arc::new(App::new(service, server_url));
        Self(Arc::new(Inner {
            routes: Routes::new(app.service.issuer(), server_url),
            router: route_all(&app, server_url, extra, bounds.time),
            app,
            time_limit: bounds.time,
            proxies: TrustedProxies::new(trusted_proxies),
            gate: Gate::new(bounds.requests),
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
            Some(_place) if route.is_document() => self.document(request, route).await,
            Some(_place) => self.admit(request, route, peer, begun).await,
            None => {
                self.0.shed.increment(1);
                self.refuse(HttpError::overloaded(route.is_oauth()))
            }
        };
        self.0.series[route as usize].count(response.status(), begun.elapsed());
        response
    }

    /// What nearly all requests ask for has no need of the router.
    async fn document<B>(&self, request: Request<B>, route: Route) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let app = &self.0.app;
        // The answer to HEAD is that to GET; its body is not sent.
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let mut response = match route {
            Route::Jwks if reads => oidc::jwks(app, request.headers()),
            Route::Discovery if reads => oidc::discovery_document(app, request.headers()),
            _ => return self.route(request).await,
        };
        layers::finish(&mut response, app.service.request_id());
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
        let service = &self.0.app.service;
        let limits = service.limits();
        if counted && let Err(limited) = limits.admits(client) {
            return self.limited(route, limited);
        }
        let id = service.request_id();
        let parent = TraceParent::of(request.headers());
        let fields = LogFields::new(id, method(&request), route.as_str(), client, parent);
        let span = span(&fields, parent);
        let answered = async {
            let response = if route == Route::Token && request.method() == Method::POST {
                let context = RequestContext {
                    id,
                    source: Some(client),
                };
                let answer = oidc::token(&self.0.app, request, context);
                layers::guard(answer, id, self.0.time_limit).await
            } else {
                request.extensions_mut().insert(Peer(client));
                request.extensions_mut().insert(id);
                self.route(request).await
            };
            tracing::debug!(
                status = response.status().as_u16(),
                ms = begun.elapsed().as_secs_f64() * 1e3,
                "answered"
            );
            response
        };
        // In a box, because a connection would be as large without a request as with one.
        let response = Box::pin(fields.scope(answered).instrument(span)).await;
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
        if let Ok(value) = HeaderValue::from_str(&self.0.app.service.request_id().to_string()) {
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

/// The span of a request, for those who collect them.
fn span(fields: &LogFields, parent: Option<TraceParent<'_>>) -> Span {
    let span = tracing::info_span!(
        "request",
        request_id = %fields.id,
        method = fields.method,
        route = fields.route,
        client = %fields.client,
        trace_id = field::Empty,
        parent_id = field::Empty,
    );
    if let Some(parent) = parent {
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
