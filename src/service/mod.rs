//! Use cases, one verb a function: enrol, issue a token, administer. The key ring lives here.

mod administer;
mod admission;
mod admitted;
mod assertion;
mod authenticate_admin;
mod authenticate_client;
mod aws_claims;
mod change_keys;
mod checkpoints;
mod clock_watch;
mod credentials;
mod enrol;
mod follow_changes;
mod gate;
mod issue_token;
mod keep_private_keys;
mod key_report;
mod key_ring;
mod keystore;
mod known_refusals;
mod limits;
mod metrics;
mod mints;
mod nonce;
mod observe;
mod open_key_ring;
mod pool;
mod quarantine;
mod refusals;
mod release_environment;
mod rotate_environment_key;
mod rotate_keys;
mod sealing;
mod unstored_keys;
mod update;
mod vouch_for_former_keys;

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicI64},
};

use tokio::sync::RwLock;

pub use administer::{
    AdminRefusal, CreateAdminToken, CreateEnvironment, CreateOrganization, Created,
    IssuedAdminToken, IssuedJoinToken,
};
pub use admitted::{Admitted, AdmittedPage, FindAdmitted};
pub use authenticate_admin::{ADMIN_TOKEN_PREFIX, Administrator, bootstrap, replace_administrator};
pub use change_keys::{Compromised, Rotate, Rotated};
pub use checkpoints::{
    CheckpointFailure, Checkpoints, MadeCheckpoint, checkpoint_name, checkpoint_number,
};
pub use enrol::{EnrolRefusal, EnrolRequest, Enrolled};
pub use gate::{Gate, Place};
pub use issue_token::{IssuedToken, TokenRefusal, TokenRequest};
pub use keep_private_keys::{
    Export, Imported, Operator, PrivateKeyRefusal, Resealed, import_key, refuse_export,
    reseal_keys, take_private_key,
};
pub use key_report::{Custody, KeyReport, KeyStatus};
pub use key_ring::{KeyRing, Rendered};
pub use keystore::{Keystore, NewKey};
pub use limits::{Limited, Limits};
pub use mints::Mint;
pub use nonce::{NONCE_LIFE, Nonces};
pub use observe::Usage;
pub use open_key_ring::{KeyRingError, open_key_ring};
pub use pool::{Overloaded, Pool};
pub use rotate_environment_key::RotateKeyRequest;
pub use sealing::Sealing;

pub use crate::ports::{
    AdminToken, EnvironmentChange, FoundRecords, OrganizationChange, Page, StoreError,
};

use crate::{
    config::{LimitSettings, TokenSettings},
    domain::{AuditEvent, Clock, Issuer, Random, RequestId, Rotation, Timestamp},
    ports::{KeyFetch, Store},
};
use clock_watch::ClockWatch;
use credentials::Credentials;
use known_refusals::KnownRefusals;
use metrics::Metrics;
use refusals::Refusals;
use unstored_keys::UnstoredKeys;

/// What a use case knows of the request that calls it.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext {
    /// The request's id, in the answer's `X-Request-Id`, the log and the audit record.
    pub id: RequestId,
    /// Where it came from.
    pub source: Option<IpAddr>,
}

/// What the use cases work with.
pub struct Service {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    issuer: Issuer,
    tokens: TokenSettings,
    keys: Arc<KeyRing>,
    rotation: Rotation,
    /// Where the pending key is looked for before it signs: at an issuer that is published elsewhere.
    publication: Option<Arc<dyn KeyFetch>>,
    /// When it was last looked for, epoch milliseconds.
    looked_at: AtomicI64,
    nonces: Nonces,
    pool: Arc<Pool>,
    checkpoints: Checkpoints,
    started: Timestamp,
    credentials: Credentials,
    refusals: Refusals,
    known_refusals: KnownRefusals,
    limits: Limits,
    gate: Gate,
    clock_watch: ClockWatch,
    unstored_keys: UnstoredKeys,
    metrics: &'static Metrics,
    /// Held for reading from a mint's record to its signature; a stop takes it for writing.
    in_flight: RwLock<()>,
}

/// What a [`Service`] is made of.
pub struct Parts {
    /// Storage.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// The issuer.
    pub issuer: Issuer,
    /// Token lives.
    pub tokens: TokenSettings,
    /// How much callers may ask for.
    pub limits: LimitSettings,
    /// The issuer's keys.
    pub keys: Arc<KeyRing>,
    /// How long a key stays in each state.
    pub rotation: Rotation,
    /// What fetches the JWKS as verifiers do, where they are published elsewhere than on this server
    /// and a key has to be seen there before it signs.
    pub publication: Option<Arc<dyn KeyFetch>>,
    /// Enrolment nonces.
    pub nonces: Nonces,
    /// Where verifications and signatures run.
    pub pool: Arc<Pool>,
    /// Checkpoints of the audit log.
    pub checkpoints: Checkpoints,
}

impl Service {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            limits: Limits::new(&parts.limits, &parts.clock),
            gate: Gate::new(parts.limits.signing_queue),
            clock_watch: ClockWatch::new(parts.clock.now()),
            started: parts.clock.now(),
            unstored_keys: UnstoredKeys::default(),
            metrics: Metrics::get(),
            store: parts.store,
            clock: parts.clock,
            random: parts.random,
            issuer: parts.issuer,
            tokens: parts.tokens,
            keys: parts.keys,
            rotation: parts.rotation,
            publication: parts.publication,
            looked_at: AtomicI64::new(i64::MIN),
            nonces: parts.nonces,
            pool: parts.pool,
            checkpoints: parts.checkpoints,
            credentials: Credentials::new(),
            refusals: Refusals::default(),
            known_refusals: KnownRefusals::default(),
            in_flight: RwLock::new(()),
        }
    }

    /// The issuer that this service speaks for.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The issuer's keys.
    #[must_use]
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// The clock that the service goes by.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// How often callers may come.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A fresh request id.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        RequestId::new(&*self.clock, &*self.random)
    }

    /// A fresh enrolment nonce.
    ///
    /// # Errors
    /// Its key cannot be derived.
    pub fn nonce(&self) -> Result<String, EnrolRefusal> {
        self.nonces
            .issue(&*self.clock, &*self.random)
            .map_err(|error| EnrolRefusal::Unavailable(error.to_string()))
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }

    /// The housekeeping of every few seconds: forgets expired `jti`s and records how many requests
    /// were refused since the last time without a record of their own, and why.
    ///
    /// # Errors
    /// The database is not available; the counts are kept for the next time.
    pub async fn keep_house(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.store.purge_jtis(now).await?;
        self.record_held_back(Some(now)).await?;
        self.record_tallies().await
    }

    /// The last housekeeping: records every count.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn leave_house(&self) -> Result<(), StoreError> {
        self.record_held_back(None).await?;
        self.record_tallies().await
    }

    async fn record_tallies(&self) -> Result<(), StoreError> {
        let mut tallies = self.refusals.take().into_iter();
        while let Some(tally) = tallies.next() {
            let mut event = self.event("refusals.anonymous", tally.reason);
            event.outcome = crate::domain::Outcome::Refused;
            event.actor = crate::domain::Actor::Anonymous;
            event.source = tally.sample.source;
            event.request_id = Some(tally.sample.id);
            event.details = serde_json::json!({ "count": tally.count });
            if let Err(error) = self.store.append(event).await {
                self.refusals.give_back(&tally);
                tallies.for_each(|tally| self.refusals.give_back(&tally));
                return Err(error);
            }
        }
        Ok(())
    }

    /// An event of now.
    fn event(&self, action: &'static str, target: impl Into<String>) -> AuditEvent {
        AuditEvent::new(&*self.clock, &*self.random, action, target)
    }
}
