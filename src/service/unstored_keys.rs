//! External keys on their way into the database: none is left behind that nobody knows of, none is
//! destroyed that is stored, and a keystore that refuses is not asked every few seconds.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::json;

use super::Service;
use crate::{
    domain::{AuditEvent, Clock, Outcome, Random, Timestamp},
    ports::{Store, StoreError, UnkeptKey},
};

/// How long a keystore that made no key is left alone, at first. Doubled with each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// The longest that it is left alone.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Failures in a row, and until when nothing is tried.
#[derive(Clone, Copy, Debug, Default)]
struct Pause {
    failures: u32,
    until: Option<Timestamp>,
}

/// Keys that may be stored or not, and when a keystore may be asked again.
#[derive(Debug, Default)]
pub(super) struct UnstoredKeys {
    doubtful: Mutex<Vec<UnkeptKey>>,
    pause: Mutex<Pause>,
}

/// A key while the database is asked to store it. Dropped without an answer, whether it is stored is to
/// be found out.
pub(super) struct Storing<'k> {
    keys: &'k UnstoredKeys,
    key: Option<UnkeptKey>,
}

impl Storing<'_> {
    /// The database answered. A key that it did not store is destroyed.
    pub(super) fn ended(mut self, stored: bool) {
        if let Some(key) = self.key.take().filter(|_| stored) {
            key.keep();
        }
    }
}

impl Drop for Storing<'_> {
    fn drop(&mut self) {
        self.keys.doubtful().extend(self.key.take());
    }
}

impl UnstoredKeys {
    /// Watches over a key that is about to be stored.
    pub(super) fn storing(&self, key: Option<UnkeptKey>) -> Storing<'_> {
        Storing { keys: self, key }
    }

    /// Whether a keystore may be asked for a key now.
    pub(super) fn may_make(&self, now: Timestamp) -> bool {
        // A clock that was set back does not make a pause longer.
        let over = |until: Timestamp| until <= now || until.since(now) > LONGEST_PAUSE;
        self.pause().until.is_none_or(over)
    }

    /// Notes whether a key could be made and stored.
    pub(super) fn tried(&self, stored: bool, now: Timestamp) {
        let mut pause = self.pause();
        if stored {
            *pause = Pause::default();
            return;
        }
        let factor = 2_u32.saturating_pow(pause.failures);
        let wait = FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE);
        pause.failures += 1;
        pause.until = Some(now.plus(wait));
    }

    /// An administrator asks: no pause stands in the way.
    pub(super) fn end_pause(&self) {
        *self.pause() = Pause::default();
    }

    fn references(&self) -> Vec<String> {
        let doubtful = self.doubtful();
        doubtful
            .iter()
            .map(|key| key.reference().to_owned())
            .collect()
    }

    /// Keeps those of `doubtful` that are `stored`, and has the others destroyed.
    fn settle(&self, doubtful: &[String], stored: &[String]) {
        let among = |references: &[String], key: &UnkeptKey| {
            references.iter().any(|one| one == key.reference())
        };
        let mut all = self.doubtful();
        let (settled, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut *all)
            .into_iter()
            .partition(|key| among(doubtful, key));
        *all = rest;
        drop(all);
        let keep = settled.into_iter().filter(|key| among(stored, key));
        keep.for_each(UnkeptKey::keep);
    }

    fn doubtful(&self) -> MutexGuard<'_, Vec<UnkeptKey>> {
        self.doubtful.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pause(&self) -> MutexGuard<'_, Pause> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnstoredKeys {
    /// The server ends before it knows: a key that may be in the database must not be destroyed.
    fn drop(&mut self) {
        for key in std::mem::take(&mut *self.doubtful()) {
            tell_of_doubt(key);
        }
    }
}

/// Leaves a key that may be stored, and says so.
pub(super) fn tell_of_doubt(key: UnkeptKey) {
    tracing::warn!(
        reference = key.reference(),
        "a key was made, and whether it is stored is not known; if `idp admin key list` has no key of that \
         time, destroy it in the keystore"
    );
    key.keep();
}

/// Which of these references are in the database for good. The record that this leaves waits for its
/// turn at the end of the system's chain, where every change of keys is recorded too; so once it is
/// written, each change that was begun before has happened or never will.
pub(super) async fn stored_of(
    store: &dyn Store,
    references: &[String],
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<Vec<String>, StoreError> {
    let mut event = AuditEvent::new(clock, random, "key.recheck", references.join(" "));
    event.outcome = Outcome::Refused;
    event.details = json!({ "reason": "the database gave no answer when it was to store them" });
    store.append(event).await?;
    let keys = store.bound_keys().await?.into_iter();
    let stored = keys.filter_map(|key| key.reference);
    Ok(stored.filter(|one| references.contains(one)).collect())
}

impl Service {
    /// Finds out whether the keys are stored whose storing had no answer.
    pub(super) async fn settle_unstored_keys(&self) -> Result<(), StoreError> {
        let doubtful = self.unstored_keys.references();
        if doubtful.is_empty() {
            return Ok(());
        }
        let stored = stored_of(&*self.store, &doubtful, &*self.clock, &*self.random).await?;
        self.unstored_keys.settle(&doubtful, &stored);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;

    use super::*;
    use crate::{
        domain::SigningAlgorithm,
        ports::{ExternalKey, ExternalKeys, SignError},
    };

    const START: Timestamp = Timestamp::from_secs(1_740_514_245);

    /// A keystore that only notes what is destroyed, and refuses the first few times.
    #[derive(Default)]
    struct Notes {
        destroyed: Mutex<Vec<String>>,
        refusals: Mutex<u32>,
    }

    #[async_trait]
    impl ExternalKeys for Notes {
        async fn create(&self, _: SigningAlgorithm, _: &str) -> Result<ExternalKey, SignError> {
            Err(SignError::Overloaded)
        }

        async fn sign(&self, _: &str, _: SigningAlgorithm, _: &[u8]) -> Result<Vec<u8>, SignError> {
            Err(SignError::Overloaded)
        }

        async fn destroy(&self, reference: &str) -> Result<(), SignError> {
            let mut refusals = self.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                return Err(SignError::Overloaded);
            }
            self.destroyed.lock().unwrap().push(reference.to_owned());
            Ok(())
        }
    }

    fn unkept(notes: &Arc<Notes>, reference: &str) -> UnkeptKey {
        UnkeptKey::new(notes.clone(), reference.to_owned())
    }

    async fn destroyed(notes: &Notes) -> Vec<String> {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        notes.destroyed.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn what_is_not_stored_is_destroyed_and_nothing_else() {
        let notes = Arc::new(Notes::default());
        let keys = UnstoredKeys::default();
        keys.storing(Some(unkept(&notes, "stored"))).ended(true);
        assert!(destroyed(&notes).await.is_empty());
        keys.storing(Some(unkept(&notes, "overtaken"))).ended(false);
        assert_eq!(destroyed(&notes).await, ["overtaken"]);
        // No answer came of these, or nobody waited for it.
        for name in ["there", "lost", "later"] {
            drop(keys.storing(Some(unkept(&notes, name))));
        }
        assert_eq!(keys.references(), ["there", "lost", "later"]);
        let doubtful = ["there".to_owned(), "lost".to_owned()];
        keys.settle(&doubtful, &["there".to_owned()]);
        assert_eq!(keys.references(), ["later"]);
        drop(keys);
        let gone = destroyed(&notes).await;
        assert_eq!(gone, ["overtaken", "lost"], "the last may be stored");
    }

    #[tokio::test]
    async fn a_destruction_that_fails_is_tried_again() {
        let notes = Arc::new(Notes::default());
        *notes.refusals.lock().unwrap() = 1;
        drop(unkept(&notes, "left"));
        assert!(destroyed(&notes).await.is_empty());
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert_eq!(destroyed(&notes).await, ["left"]);
    }

    #[test]
    fn a_keystore_that_fails_is_asked_less_and_less_often() {
        let keys = UnstoredKeys::default();
        let mut now = START;
        let mut tries = 0;
        while now < START.plus(Duration::from_hours(24)) {
            if keys.may_make(now) {
                tries += 1;
                keys.tried(false, now);
            }
            now = now.plus(Duration::from_secs(10));
        }
        assert!((24..40).contains(&tries), "{tries}");
        keys.end_pause();
        assert!(keys.may_make(now));
        keys.tried(false, now);
        assert!(!keys.may_make(now));
        assert!(keys.may_make(START), "the clock was set back by a day");
        assert!(keys.may_make(now.plus(FIRST_PAUSE)));
        keys.tried(true, now);
        assert!(keys.may_make(now));
    }
}
