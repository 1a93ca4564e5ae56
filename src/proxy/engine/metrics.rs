//! What the engine counts. No label comes from a request but the name of a service that the catalog knows.

use std::{
    collections::HashMap,
    sync::{OnceLock, PoisonError, RwLock},
};

use http::StatusCode;
use metrics::{Counter, describe_counter};

use crate::proxy::answer::{Kind, Refusal};

/// Handles, made once.
pub(super) struct Metrics {
    /// By service; requests that were not recognised have none.
    services: RwLock<HashMap<&'static str, ServiceMetrics>>,
    unrecognised: ServiceMetrics,
    turned_away: [Counter; 2],
    broken: Counter,
    unrecorded: Counter,
    bytes: [Counter; 2],
}

#[derive(Clone)]
struct ServiceMetrics {
    allowed: Counter,
    blocked: Counter,
    failures: [Counter; 4],
    /// By the first digit of AWS's status.
    answers: [Counter; 5],
}

const FAILURES: [&str; 4] = ["credentials", "log", "upstream", "internal"];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl ServiceMetrics {
    fn of(service: &'static str) -> Self {
        let requests = |decision: &'static str| {
            metrics::counter!(
                "idp_proxy_requests_total", "service" => service, "decision" => decision
            )
        };
        Self {
            allowed: requests("allow"),
            blocked: requests("block"),
            failures: FAILURES.map(|cause| {
                metrics::counter!(
                    "idp_proxy_failures_total", "service" => service, "cause" => cause
                )
            }),
            answers: CLASSES.map(|class| {
                metrics::counter!(
                    "idp_proxy_answers_total", "service" => service, "status" => class
                )
            }),
        }
    }
}

impl Metrics {
    /// The handles of the process.
    pub(super) fn get() -> &'static Self {
        static METRICS: OnceLock<Metrics> = OnceLock::new();
        METRICS.get_or_init(Self::new)
    }

    fn new() -> Self {
        describe();
        Self {
            services: RwLock::default(),
            unrecognised: ServiceMetrics::of("unrecognised"),
            turned_away: ["yes", "no"]
                .map(|known| metrics::counter!("idp_proxy_turned_away_total", "key" => known)),
            broken: metrics::counter!("idp_proxy_broken_total"),
            unrecorded: metrics::counter!("idp_proxy_unrecorded_refusals_total"),
            bytes: ["sent", "received"].map(
                |direction| metrics::counter!("idp_proxy_bytes_total", "direction" => direction),
            ),
        }
    }

    fn with(&self, service: Option<&'static str>, count: impl FnOnce(&ServiceMetrics)) {
        let Some(service) = service else {
            return count(&self.unrecognised);
        };
        let services = self.services.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = services.get(service) {
            return count(found);
        }
        drop(services);
        let mut services = self
            .services
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        count(
            services
                .entry(service)
                .or_insert_with(|| ServiceMetrics::of(service)),
        );
    }

    pub(super) fn refused(&self, service: Option<&'static str>, refusal: &Refusal) {
        let failure = match refusal.kind {
            Kind::Denied | Kind::Invalid { .. } => None,
            Kind::NoSession | Kind::SessionUnavailable => Some(0),
            Kind::LogUnavailable => Some(1),
            Kind::Unreachable | Kind::Broken | Kind::Silent => Some(2),
            Kind::Internal => Some(3),
        };
        self.with(service, |of| match failure {
            None => of.blocked.increment(1),
            Some(cause) => {
                of.allowed.increment(1);
                of.failures[cause].increment(1);
            }
        });
    }

    pub(super) fn answered(&self, service: Option<&'static str>, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.with(service, |of| {
            of.allowed.increment(1);
            of.answers[class].increment(1);
        });
    }

    pub(super) fn turned_away(&self, known: bool) {
        self.turned_away[usize::from(!known)].increment(1);
    }

    pub(super) fn broken(&self) {
        self.broken.increment(1);
    }

    pub(super) fn unrecorded(&self) {
        self.unrecorded.increment(1);
    }

    pub(super) fn bytes(&self, sent: u64, received: u64) {
        self.bytes[0].increment(sent);
        self.bytes[1].increment(received);
    }
}

fn describe() {
    describe_counter!(
        "idp_proxy_requests_total",
        "Requests by service and decision; those that nobody recognised under \"unrecognised\""
    );
    describe_counter!(
        "idp_proxy_failures_total",
        "Allowed requests that did not get an answer from AWS by service and cause"
    );
    describe_counter!(
        "idp_proxy_answers_total",
        "AWS's answers by service and class of status"
    );
    describe_counter!(
        "idp_proxy_turned_away_total",
        "Requests that were not let in, by whether they had shown the proxy's key"
    );
    describe_counter!(
        "idp_proxy_broken_total",
        "Requests and answers that were cut off by either side"
    );
    describe_counter!(
        "idp_proxy_unrecorded_refusals_total",
        "Refusals that were counted and have no record of their own"
    );
    describe_counter!(
        "idp_proxy_bytes_total",
        "Bytes of bodies sent to AWS and received from it"
    );
}
