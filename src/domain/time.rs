//! Time as the program sees it: epoch milliseconds from a clock that is passed in.

use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since the Unix epoch, UTC.
///
/// Tokens speak in whole seconds ([`Timestamp::secs`]); the database and the API in milliseconds
/// and RFC 3339 ([`fmt::Display`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    #[must_use]
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// From whole seconds since the epoch, saturating.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down, as a JWT's `NumericDate` has them.
    #[must_use]
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This time and `duration` more, saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This time less `duration`, saturating.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// RFC 3339 in UTC with milliseconds (`2026-01-31T12:00:00.000Z`); `@` and milliseconds for a time
    /// that has no date.
    #[must_use]
    pub fn exact(self) -> String {
        jiff::Timestamp::from_millisecond(self.0)
            .map_or_else(|_| format!("@{}", self.0), |time| format!("{time:.3}"))
    }

    /// How long it is from `earlier` to this time; zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with whole seconds (`2026-01-31T12:00:00Z`), the form that AWS's
    /// `credential_process` contract reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.secs()) {
            Ok(at) => write!(f, "{at}"),
            Err(_) => write!(f, "@{}", self.secs()),
        }
    }
}

/// Where the current time comes from. Rotation, expiry and replay are tested through weeks in
/// milliseconds because nothing else reads a clock (`clippy.toml` bans it).
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond())
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct SimulatedClock(AtomicI64);

impl SimulatedClock {
    /// A clock that shows `start`.
    #[must_use]
    pub const fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(millis(duration), Ordering::SeqCst);
    }

    /// Sets the clock, backwards too.
    pub fn set(&self, to: Timestamp) {
        self.0.store(to.0, Ordering::SeqCst);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_down_before_the_epoch_too() {
        assert_eq!(Timestamp::from_ms(1_999).secs(), 1);
        assert_eq!(Timestamp::from_ms(-1).secs(), -1);
    }

    #[test]
    fn prints_rfc_3339_in_utc() {
        assert_eq!(
            Timestamp::from_secs(1_740_514_245).to_string(),
            "2025-02-25T20:10:45Z"
        );
    }

    #[test]
    fn since_never_goes_below_zero() {
        let now = Timestamp::from_secs(10);
        assert_eq!(now.since(Timestamp::from_secs(11)), Duration::ZERO);
        assert_eq!(now.since(Timestamp::from_secs(7)), Duration::from_secs(3));
    }
}
