//! What is looked at every few seconds and told to whoever watches the server.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use super::Service;
use crate::{
    domain::{IssuerKey, KeyState, Timestamp},
    ports::{StoreError, StoreUsage},
};

/// What a clock that is disciplined by NTP may step back without anybody minding.
const TOLERANCE: Duration = Duration::from_secs(1);

/// How much of what is bounded is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Token requests and enrolments that are worked on.
    pub working: usize,
    /// How many can be.
    pub working_most: usize,
    /// Verifications and signatures that wait for a thread.
    pub signing_queue: usize,
    /// The database's.
    pub store: StoreUsage,
}

/// The clock's last reading.
#[derive(Debug)]
pub(super) struct ClockWatch(AtomicI64);

impl ClockWatch {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.ms()))
    }

    /// How far the clock was set back since the last look, if it was.
    fn set_back(&self, now: Timestamp) -> Option<Duration> {
        let last = Timestamp::from_ms(self.0.swap(now.ms(), Ordering::Relaxed));
        let back = last.since(now);
        (back > TOLERANCE).then_some(back)
    }
}

impl Service {
    /// Looks at the clock and the keys.
    ///
    /// # Errors
    /// The database is not available. The clock was looked at nevertheless.
    pub async fn observe(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        if let Some(back) = self.clock_watch.set_back(now) {
            self.metrics.clock_was_set_back();
            tracing::warn!(
                seconds = back.as_secs(),
                %now,
                "the clock was set back: tokens and assertions are judged by it, so AWS and clients \
                 may refuse what they get until it is right; check the machine's time service"
            );
        }
        self.metrics.unrecorded(self.refusals.waiting());
        let keys = self.keys.reload(&*self.store).await?;
        self.metrics.refused_keys(self.keys.refused().len());
        self.metrics.keys(|state| {
            let of_state = keys.iter().filter(|key| key.state() == state);
            of_state.map(|key| now.since(since(key))).collect()
        });
        Ok(())
    }

    /// How much of what is bounded is taken now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            working: self.gate.inside(),
            working_most: self.gate.most(),
            signing_queue: self.pool.waiting(),
            store: self.store.usage(),
        }
    }

    /// Whether there is a key to sign with and a set to publish.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.keys.signer().kid().is_empty() && !self.keys.jwks().body.is_empty()
    }
}

/// When the key came into the state that it is in.
fn since(key: &IssuerKey) -> Timestamp {
    let at = match key.state() {
        KeyState::Pending => None,
        KeyState::Active => key.activated_at,
        KeyState::Retiring => key.retiring_at,
        KeyState::Retired => key.retired_at,
    };
    at.unwrap_or(key.created_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_is_noticed_once() {
        let watch = ClockWatch::new(Timestamp::from_secs(100));
        assert_eq!(watch.set_back(Timestamp::from_secs(110)), None);
        assert_eq!(watch.set_back(Timestamp::from_ms(109_500)), None);
        assert_eq!(
            watch.set_back(Timestamp::from_secs(50)),
            Some(Duration::from_millis(59_500))
        );
        assert_eq!(watch.set_back(Timestamp::from_secs(51)), None);
    }
}
