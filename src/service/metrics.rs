//! What the use cases count. Every label has few values that are known in advance, and every series
//! is there from the start with 0, so that the first event already shows as an increase.

use std::{sync::OnceLock, time::Duration};

use metrics::{Counter, Gauge, Histogram, Unit};

use super::{EnrolRefusal, IssuedToken, TokenRefusal};
use crate::domain::KeyState;

/// Whose refusals are counted.
const ENDPOINTS: [(&str, &[&str]); 3] = [
    (
        "token",
        &[
            "invalid_client",
            "invalid_request",
            "invalid_target",
            "unauthorized_client",
            "rate_limited",
            "replayed",
            "unavailable",
        ],
    ),
    (
        "enroll",
        &[
            "invalid_client",
            "invalid_grant",
            "invalid_nonce",
            "invalid_proof",
            "invalid_request",
            "rate_limited",
            "unauthorized_client",
            "unavailable",
        ],
    ),
    (
        "admin",
        &["unauthenticated", "expired", "revoked", "rate_limited"],
    ),
];

const STATES: [(KeyState, &str); 3] = [
    (KeyState::Active, "active"),
    (KeyState::Pending, "pending"),
    (KeyState::Retiring, "retiring"),
];

/// Handles, made once: counting takes no look-up and no allocation.
pub(super) struct Metrics {
    issued: Counter,
    refused: Counter,
    unavailable: Counter,
    refusals: Vec<(&'static str, &'static str, Counter)>,
    commit: Histogram,
    sign: Histogram,
    sign_failures: Counter,
    clock_set_back: Counter,
    uncounted: Gauge,
    refused_keys: Gauge,
    keys: Vec<(KeyState, Gauge, Gauge)>,
    key_overdue: Gauge,
    checkpoint_age: Gauge,
    checkpoint_failures: Counter,
}

impl Metrics {
    /// The handles of the process.
    pub(super) fn get() -> &'static Self {
        static METRICS: OnceLock<Metrics> = OnceLock::new();
        METRICS.get_or_init(Self::new)
    }

    fn new() -> Self {
        describe();
        let mints =
            |outcome: &'static str| metrics::counter!("idp_mints_total", "outcome" => outcome);
        let refusal = |endpoint, reason| {
            let labels = [("endpoint", endpoint), ("reason", reason)];
            (
                endpoint,
                reason,
                metrics::counter!("idp_refusals_total", &labels),
            )
        };
        Self {
            issued: mints("issued"),
            refused: mints("refused"),
            unavailable: mints("unavailable"),
            refusals: ENDPOINTS
                .into_iter()
                .flat_map(|(endpoint, reasons)| {
                    reasons.iter().map(move |reason| refusal(endpoint, *reason))
                })
                .collect(),
            commit: metrics::histogram!("idp_audit_commit_duration_seconds"),
            sign: metrics::histogram!("idp_signer_duration_seconds"),
            sign_failures: metrics::counter!("idp_signer_failures_total"),
            clock_set_back: metrics::counter!("idp_clock_set_back_total"),
            uncounted: metrics::gauge!("idp_audit_unrecorded_refusals"),
            refused_keys: metrics::gauge!("idp_issuer_keys_refused"),
            keys: STATES
                .into_iter()
                .map(|(state, name)| {
                    (
                        state,
                        metrics::gauge!("idp_issuer_keys", "state" => name),
                        metrics::gauge!("idp_issuer_key_age_seconds", "state" => name),
                    )
                })
                .collect(),
            key_overdue: metrics::gauge!("idp_issuer_key_overdue_seconds"),
            checkpoint_age: metrics::gauge!("idp_audit_checkpoint_age_seconds"),
            checkpoint_failures: metrics::counter!("idp_audit_checkpoint_failures_total"),
        }
    }

    pub(super) fn mint(&self, result: &Result<IssuedToken, TokenRefusal>) {
        match result {
            Ok(_) => self.issued.increment(1),
            Err(TokenRefusal::Unavailable(_)) => self.unavailable.increment(1),
            Err(_) => self.refused.increment(1),
        }
        if let Err(refusal) = result {
            self.refusal("token", refusal.reason());
        }
    }

    pub(super) fn enrolment(&self, refusal: &EnrolRefusal) {
        self.refusal("enroll", refusal.reason());
    }

    pub(super) fn administrator_refused(&self, reason: &'static str) {
        self.refusal("admin", reason);
    }

    fn refusal(&self, endpoint: &str, reason: &str) {
        let known = |(of, why, _): &&(&str, &str, Counter)| *of == endpoint && *why == reason;
        if let Some((_, _, counter)) = self.refusals.iter().find(known) {
            counter.increment(1);
        }
    }

    /// How long it took until a mint's record was durable.
    pub(super) fn committed(&self, took: Duration) {
        self.commit.record(took);
    }

    /// How long the signer took.
    pub(super) fn signed(&self, took: Duration, failed: bool) {
        self.sign.record(took);
        if failed {
            self.sign_failures.increment(1);
        }
    }

    pub(super) fn clock_was_set_back(&self) {
        self.clock_set_back.increment(1);
    }

    /// How many refusals wait to be recorded.
    pub(super) fn unrecorded(&self, count: u64) {
        self.uncounted.set(as_f64(count));
    }

    /// How many keys are in the database that are not published because nobody vouches for them.
    pub(super) fn refused_keys(&self, count: usize) {
        self.refused_keys.set(as_f64(count as u64));
    }

    /// For how long a change of the keys has been due that was not made.
    pub(super) fn key_overdue(&self, since: Duration) {
        self.key_overdue.set(since.as_secs_f64());
    }

    /// How old the newest checkpoint of the audit log is.
    pub(super) fn checkpoint_age(&self, age: Duration) {
        self.checkpoint_age.set(age.as_secs_f64());
    }

    /// A checkpoint that was due was not written.
    pub(super) fn checkpoint_failed(&self) {
        self.checkpoint_failures.increment(1);
    }

    /// How many keys are in a state, and for how long the first of them has been.
    pub(super) fn keys(&self, ages: impl Fn(KeyState) -> Vec<Duration>) {
        for (state, count, age) in &self.keys {
            let ages = ages(*state);
            count.set(as_f64(ages.len() as u64));
            age.set(ages.iter().max().map_or(0.0, Duration::as_secs_f64));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
const fn as_f64(count: u64) -> f64 {
    count as f64
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!(
        "idp_mints_total",
        "Token requests by how they ended: issued, refused, unavailable"
    );
    describe_counter!(
        "idp_refusals_total",
        "Refused requests by endpoint and reason"
    );
    describe_histogram!(
        "idp_audit_commit_duration_seconds",
        Unit::Seconds,
        "How long a mint waited until its audit record was durable"
    );
    describe_histogram!(
        "idp_signer_duration_seconds",
        Unit::Seconds,
        "How long a signature took, the wait for the signer included"
    );
    describe_counter!(
        "idp_signer_failures_total",
        "Signatures that the signer did not give"
    );
    describe_counter!(
        "idp_clock_set_back_total",
        "How often the machine's clock was found set back"
    );
    describe_gauge!(
        "idp_audit_unrecorded_refusals",
        "Refusals of unknown clients that are counted and not in the audit log yet"
    );
    describe_gauge!(
        "idp_issuer_keys_refused",
        "Keys in the database that are not published because they lack a valid MAC"
    );
    describe_gauge!("idp_issuer_keys", "Published keys of the issuer by state");
    describe_gauge!(
        "idp_issuer_key_age_seconds",
        Unit::Seconds,
        "How long the issuer's oldest key of a state has been in that state"
    );
    describe_gauge!(
        "idp_issuer_key_overdue_seconds",
        Unit::Seconds,
        "How long a step of the issuer's keys has been due that was not taken; 0 where none is"
    );
    describe_gauge!(
        "idp_audit_checkpoint_age_seconds",
        Unit::Seconds,
        "How old the newest checkpoint of the audit log is; 0 where none are kept"
    );
    describe_counter!(
        "idp_audit_checkpoint_failures_total",
        "Checkpoints of the audit log that were due and not written"
    );
}
