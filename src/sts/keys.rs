//! Getting and keeping an issuer's keys.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use super::Refusal;
use crate::{
    domain::{Clock, Issuer, Timestamp},
    jose::{WebIdentityKeys, discovery_flaw},
    ports::{FetchedKeys, KeyFetch},
};

/// Fetches that tokens with an unknown `kid` may cause: this many at once, and one more every
/// [`REFILL`]. Anybody can send such tokens, so they must not make this STS hammer an issuer.
const REFETCHES: u32 = 10;
const REFILL: Duration = Duration::from_secs(6);

/// The keys of one issuer.
pub(super) struct ProviderKeys {
    issuer: Issuer,
    held: RwLock<Option<Held>>,
    /// The fetch under way; who waits for it takes its outcome instead of fetching again.
    flight: tokio::sync::Mutex<Option<Outcome>>,
    refetches: Mutex<Refetches>,
}

type Outcome = Result<Arc<WebIdentityKeys>, Arc<str>>;

#[derive(Clone)]
struct Held {
    keys: Arc<WebIdentityKeys>,
    fresh_until: Timestamp,
}

struct Refetches {
    left: u32,
    since: Timestamp,
}

impl ProviderKeys {
    /// Nothing is fetched yet.
    pub(super) const fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            held: RwLock::new(None),
            flight: tokio::sync::Mutex::const_new(None),
            refetches: Mutex::new(Refetches {
                left: REFETCHES,
                since: Timestamp::from_ms(i64::MIN),
            }),
        }
    }

    /// A key set that holds a key for `kid`: the one at hand while it is fresh, else a newly
    /// fetched one. A `kid` that is not in the one at hand is looked for in a newly fetched one,
    /// once: the issuer may have rotated.
    pub(super) async fn with_key(
        &self,
        kid: Option<&str>,
        fetch: &dyn KeyFetch,
        clock: &dyn Clock,
    ) -> Result<Arc<WebIdentityKeys>, Refusal> {
        let fresh = self
            .held
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .filter(|held| clock.now() < held.fresh_until);
        if let Some(held) = fresh {
            if held.keys.has_key(kid) {
                return Ok(held.keys);
            }
            if !self.may_refetch(clock.now()) {
                return Err(Refusal::no_key(format!(
                    "{}; too many tokens with unknown kids came lately, so the JWKS was not \
                     fetched again",
                    held.keys.why_none(kid)
                )));
            }
        }
        let keys = self
            .fetch(fetch, clock)
            .await
            .map_err(|reason| Refusal::no_key(&*reason))?;
        if !keys.has_key(kid) {
            return Err(Refusal::no_key(keys.why_none(kid)));
        }
        Ok(keys)
    }

    async fn fetch(&self, fetch: &dyn KeyFetch, clock: &dyn Clock) -> Outcome {
        let mut flight = if let Ok(flight) = self.flight.try_lock() {
            flight
        } else {
            let flight = self.flight.lock().await;
            if let Some(outcome) = &*flight {
                return outcome.clone();
            }
            flight
        };
        // Cleared first: a fetch that is given up midway must not pass an old outcome on.
        *flight = None;
        let started = clock.now();
        let outcome = match fetch.fetch(&self.issuer).await {
            Ok(fetched) => self.read(&fetched).map(|keys| {
                let keys = Arc::new(keys);
                *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(Held {
                    keys: Arc::clone(&keys),
                    fresh_until: started.plus(fetched.max_age),
                });
                keys
            }),
            Err(error) => Err(error.to_string().into()),
        };
        *flight = Some(outcome.clone());
        outcome
    }

    /// Checks what AWS's documentation requires of a provider's documents.
    fn read(&self, fetched: &FetchedKeys) -> Result<WebIdentityKeys, Arc<str>> {
        let wrong = |what: String| Arc::from(format!("{}: {what}", self.issuer.discovery_url()));
        if let Some(flaw) = discovery_flaw(self.issuer.as_str(), &fetched.discovery) {
            return Err(wrong(flaw));
        }
        WebIdentityKeys::parse(&fetched.jwks)
            .ok_or_else(|| wrong("the JWKS it names has no list of keys".to_owned()))
    }

    fn may_refetch(&self, now: Timestamp) -> bool {
        let mut refetches = self
            .refetches
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let earned = now.since(refetches.since).as_millis() / REFILL.as_millis();
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            refetches.left = refetches.left.saturating_add(earned).min(REFETCHES);
            refetches.since = now;
        }
        let may = refetches.left > 0;
        refetches.left = refetches.left.saturating_sub(1);
        may
    }
}

#[cfg(test)]
#[path = "keys_test.rs"]
mod tests;
