//! What is looked at every few seconds and told to whoever watches the server.

use super::Service;
use crate::{
    domain::{IssuerKey, KeyState, Timestamp},
    ports::{StoreError, StoreUsage},
};

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

impl Service {
    /// Looks at the keys, and at what waits to be recorded.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn observe(&self) -> Result<(), StoreError> {
        self.metrics.unrecorded(self.refusals.waiting());
        let keys = self.keys.reload(&*self.store).await?;
        self.metrics.refused_keys(self.keys.refused().len());
        let now = self.clock.now();
        let overdue = self.schedule(&keys).overdue_since(now);
        self.metrics
            .key_overdue(overdue.map(|at| now.since(at)).unwrap_or_default());
        self.metrics
            .checkpoint_age(self.checkpoint_age().unwrap_or_default());
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
