//! What there is to know of the issuer's keys: for administrators and for metrics.

use std::time::Duration;

use super::{AdminRefusal, Administrator, Service};
use crate::domain::{IssuerKey, KeyState, SigningAlgorithm, Timestamp, Transition};

/// Where a private half is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Custody {
    /// In the database, sealed.
    Sealed,
    /// In an external keystore.
    External,
    /// Nowhere any more.
    Destroyed,
}

impl Custody {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::External => "external",
            Self::Destroyed => "destroyed",
        }
    }
}

/// One key.
#[derive(Clone, Debug)]
pub struct KeyStatus {
    /// Its `kid`.
    pub kid: String,
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// Where it stands.
    pub state: KeyState,
    /// Where its private half is.
    pub custody: Custody,
    /// When it was first published.
    pub created_at: Timestamp,
    /// When it began to sign.
    pub activated_at: Option<Timestamp>,
    /// When it ceased to sign.
    pub retiring_at: Option<Timestamp>,
    /// How old it is.
    pub age: Duration,
    /// What becomes of it next.
    pub next: Option<Transition>,
    /// What it waits for, where that is not a time: a sentence.
    pub waits_for: Option<&'static str>,
}

/// The issuer's keys at one moment.
#[derive(Clone, Debug)]
pub struct KeyReport {
    /// Every key that is published, the active one first.
    pub keys: Vec<KeyStatus>,
    /// The `kid` of every key in the database that is neither retired nor published, because nobody
    /// with the key-encryption key wrote its record.
    pub refused: Vec<String>,
    /// By how much this replica's clock is behind the newest time that was ever noted; zero for a
    /// clock that is right.
    pub clock_behind: Duration,
}

impl Service {
    /// The keys as this replica knows them. Reads memory only, for metrics.
    #[must_use]
    pub fn key_report(&self) -> KeyReport {
        let keys = self.keys.all();
        let now = self.clock.now();
        let schedule = self.schedule(&keys);
        let mut sorted: Vec<&IssuerKey> = keys.iter().collect();
        sorted.sort_by_key(|key| key.rank());
        let status = |key: &IssuerKey| {
            let next = schedule.next(key);
            KeyStatus {
                kid: key.kid.clone(),
                algorithm: key.algorithm,
                state: key.state(),
                custody: custody(key),
                created_at: key.created_at,
                activated_at: key.activated_at,
                retiring_at: key.retiring_at,
                age: now.since(key.created_at),
                waits_for: waits_for(next, now, schedule.has_room()),
                next,
            }
        };
        KeyReport {
            keys: sorted.into_iter().map(status).collect(),
            refused: self
                .keys
                .refused()
                .iter()
                .map(|key| key.kid.clone())
                .collect(),
            clock_behind: self.clock_watch.behind(),
        }
    }

    /// The keys as they are stored, for those who administer the whole installation.
    ///
    /// # Errors
    /// The administrator's token is for one organisation only; the database.
    pub async fn issuer_keys(&self, admin: &Administrator) -> Result<KeyReport, AdminRefusal> {
        may_see_keys(admin)?;
        self.keys.reload(&*self.store).await?;
        Ok(self.key_report())
    }
}

/// The issuer's keys concern every organisation.
pub(super) fn may_see_keys(admin: &Administrator) -> Result<(), AdminRefusal> {
    if admin.reaches_all() {
        Ok(())
    } else {
        Err(AdminRefusal::Forbidden(
            "this administrator token is for one organisation and cannot see the issuer's keys",
        ))
    }
}

/// Why there is no next key, or why it does not sign.
const FULL: &str = "ten keys are published already: one has to leave first";

const fn custody(key: &IssuerKey) -> Custody {
    if key.sealed.is_some() {
        Custody::Sealed
    } else if key.reference.is_some() {
        Custody::External
    } else {
        Custody::Destroyed
    }
}

fn waits_for(next: Option<Transition>, now: Timestamp, room: bool) -> Option<&'static str> {
    let next = next?;
    match (next.to, next.at) {
        (KeyState::Active | KeyState::Retiring, None) if !room => Some(FULL),
        (KeyState::Active | KeyState::Retiring, None) => Some(
            "the pending key has not been seen at the issuer's public address: publish the keys",
        ),
        (KeyState::Active | KeyState::Retiring, Some(at)) if at <= now && !room => Some(FULL),
        _ => None,
    }
}
