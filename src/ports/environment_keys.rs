//! How an environment's key is replaced by a newer one, and what becomes of a key that was.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{
    AuditEvent, Credential, Environment, EnvironmentId, EnvironmentState, PublicJwk, Timestamp,
};

/// Where a key stands with its environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStanding {
    /// It is the environment's key.
    Present,
    /// A newer key replaced it.
    Former {
        /// From when on it is not accepted; `None` until the newer key's first use sets the time,
        /// [`crate::domain::FORMER_KEY_GRACE`] later.
        ends_at: Option<Timestamp>,
    },
}

impl KeyStanding {
    /// Whether it is accepted at that time.
    #[must_use]
    pub fn is_accepted(self, at: Timestamp) -> bool {
        match self {
            Self::Present | Self::Former { ends_at: None } => true,
            Self::Former { ends_at: Some(end) } => at < end,
        }
    }
}

/// A key that is to take the place of another.
#[derive(Clone, Debug)]
pub struct KeyRotation {
    /// Whose key.
    pub environment_id: EnvironmentId,
    /// The key that proved itself and asks to be replaced.
    pub old_kid: String,
    /// The thumbprint of the new key.
    pub new_kid: String,
    /// Its public half.
    pub public: PublicJwk,
    /// When.
    pub at: Timestamp,
}

/// How a replacement ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RotationOutcome {
    /// The new key is the environment's key; the old one is accepted until some time after the new
    /// one's first use.
    Rotated(Environment),
    /// It is already; nothing was recorded. So a request whose answer was lost can be repeated.
    AlreadyRotated(Environment),
    /// The old key is not the environment's, or was replaced by a key that is in use.
    OldKeyEnded,
    /// The new key is, or was, somebody's key.
    KeyInUse,
    /// The environment is not enrolled but in this state.
    NotEnrolled(EnvironmentState),
    /// There is no such environment.
    Missing,
}

/// How a quarantine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuarantineOutcome {
    /// It is quarantined from now on. No mint commits after this.
    Quarantined,
    /// Nothing was changed: it is not enrolled (any more), or the key has not ended.
    Unchanged,
}

/// How a release ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// It gets tokens again with its present key.
    Released(Environment),
    /// It was not quarantined; nothing was recorded.
    NotQuarantined,
    /// No such environment.
    Missing,
}

/// The keys of environments over time.
#[async_trait]
pub trait EnvironmentKeyStore: Send + Sync {
    /// The credential of an environment under one of its keys, present or former, whatever its
    /// state; `None` where that key was never its own or is forgotten.
    async fn credential_under(
        &self,
        id: EnvironmentId,
        kid: &str,
    ) -> Result<Option<(Credential, KeyStanding)>, StoreError>;

    /// Puts a new key in the place of the old one. The old key is the present one, or the one before
    /// it as long as the present one was never used: then the present one ends at once, unused. The
    /// last [`crate::domain::FORMER_KEYS_KEPT`] former keys are remembered.
    async fn rotate_environment_key(
        &self,
        rotation: &KeyRotation,
        event: AuditEvent,
    ) -> Result<RotationOutcome, StoreError>;

    /// Quarantines an enrolled environment whose former key `kid` has ended by `at`.
    async fn quarantine_environment(
        &self,
        id: EnvironmentId,
        kid: &str,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<QuarantineOutcome, StoreError>;

    /// Ends a quarantine. The present key is accepted again, and what ended stays ended.
    async fn release_environment(
        &self,
        id: EnvironmentId,
        event: AuditEvent,
    ) -> Result<ReleaseOutcome, StoreError>;
}
