//! Keys that rotate by themselves. Every step is first stored, then published, and only then signs;
//! the store lets one of several replicas take a step and tells the others that they were overtaken.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::json;
use tokio::time::timeout;

use super::{KeyRingError, NewKey, Service, clock_watch::Standing};
use crate::{
    domain::{
        AuditEvent, Due, IssuerKey, JWKS_MAX_AGE, KeyId, KeyState, Outcome, Schedule, Timestamp,
    },
    ports::{KeyChange, KeyNote, KeyStep, SignError, StoreError, UnkeptKey},
};

/// How often the public address of an issuer that is published elsewhere is looked at.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// How long an emergency, once it is done, waits for the next pending key.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most steps that one round takes: more than a round ever finds.
const MOST_STEPS: usize = 24;

impl Service {
    /// Reads the keys and does what is due by the clock: makes the pending key, promotes it, takes
    /// retired keys out of the JWKS, destroys what ended in an external keystore. Every replica calls
    /// it every few seconds; that is also how it learns what others did.
    ///
    /// # Errors
    /// The database or the keystore. What was done is done; the next call goes on.
    pub async fn keep_keys(&self) -> Result<(), KeyRingError> {
        self.look_at_clock().await?;
        let mut keys = self.keys.reload(&*self.store).await?;
        self.settle_unstored_keys().await?;
        self.report_refused_keys().await?;
        if self.look_for_pending(&keys).await? {
            keys = self.keys.reload(&*self.store).await?;
        }
        for _ in 0..MOST_STEPS {
            let Some(due) = self.schedule(&keys).due(self.clock.now()) else {
                break;
            };
            self.carry_out(due, &keys).await?;
            let before = keys;
            keys = self.keys.reload(&*self.store).await?;
            if *before == *keys {
                // Something stands in the way; not a key after the other is to be made for nothing.
                break;
            }
        }
        self.destroy_ended().await
    }

    /// Records each key once that is in the database and not published, because nobody with the
    /// key-encryption key wrote it.
    async fn report_refused_keys(&self) -> Result<(), StoreError> {
        for key in self.keys.unreported() {
            let mut event = self.event("key.refuse", &*key.kid);
            event.outcome = Outcome::Refused;
            event.details = json!({ "reason": "no valid MAC", "state": key.state(), "id": key.id });
            self.store.append(event).await?;
            self.keys.reported(key.id);
        }
        Ok(())
    }

    pub(super) fn schedule<'a>(&self, keys: &'a [IssuerKey]) -> Schedule<'a> {
        Schedule {
            keys,
            algorithm: self.keys.algorithm(),
            rotation: self.rotation,
            published_elsewhere: self.publication.is_some(),
        }
    }

    async fn carry_out(&self, due: Due, keys: &[IssuerKey]) -> Result<(), KeyRingError> {
        let kid = |id: KeyId| {
            let key = keys.iter().find(|key| key.id == id);
            key.map(|key| key.kid.clone()).unwrap_or_default()
        };
        // What is still to come after a pause is due all the same, and shows as such.
        if !matches!(due, Due::Expire(_)) && !self.unstored_keys.may_make(self.clock.now()) {
            return Ok(());
        }
        match due {
            Due::Create => {
                let key = self.make_key().await?;
                self.store_pending(key).await?;
            }
            Due::Promote(id) => {
                let event = self.event("key.rotate", kid(id));
                let next = self.make_key().await?;
                self.promote(keys, id, Some(next), "planned", event).await?;
            }
            Due::Expire(id) => {
                let event = self.event("key.retire", kid(id));
                if let Some(key) = keys.iter().find(|key| key.id == id) {
                    let expire = self.keys.keystore().expire(key)?;
                    self.change_keys(vec![expire], event).await?;
                }
            }
        }
        Ok(())
    }

    /// Withdraws what is in the place of a new key and is not published: there is one pending key of an
    /// algorithm, and whoever writes to the database must not keep the keys from rotating.
    pub(super) fn clear_the_way(&self) -> Vec<KeyStep> {
        let stands_there = |key: &&IssuerKey| {
            key.algorithm == self.keys.algorithm()
                && matches!(key.state(), KeyState::Pending | KeyState::Active)
        };
        let refused = self.keys.refused();
        let steps = refused.iter().filter(stands_there);
        steps.map(|key| KeyStep::Withdraw(key.id, None)).collect()
    }

    pub(super) async fn make_key(&self) -> Result<NewKey, KeyRingError> {
        let keystore = self.keys.keystore();
        let made = keystore.make(&*self.clock, &*self.random).await;
        if made.is_err() && keystore.maker().is_some() {
            self.unstored_keys.tried(false, self.clock.now());
        }
        made
    }

    /// Makes the pending key that is missing after an emergency, unless the keystore cannot: then
    /// [`Service::keep_keys`] goes on trying, and what to mind is returned, as a sentence.
    pub(super) async fn replace_pending(&self) -> Option<String> {
        let made = timeout(PATIENCE, self.make_key());
        let stored = match made.await {
            Ok(Ok(key)) => self.store_pending(key).await.map(drop),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(KeyRingError::Sign(SignError::Failed(format!(
                "no key was made within {} s",
                PATIENCE.as_secs()
            )))),
        };
        let error = stored.err()?;
        tracing::error!(%error, "there is no pending key, because none could be made");
        Some(format!(
            "there is no pending key at present, and no other key to turn to: {error}; the server goes on \
             trying to make one"
        ))
    }

    async fn store_pending(&self, key: NewKey) -> Result<KeyChange, KeyRingError> {
        let mut event = self.event("key.create", &*key.record.kid);
        event.details = json!({ "algorithm": key.record.algorithm.as_str() });
        let mut steps = self.clear_the_way();
        steps.push(KeyStep::Create(Box::new(key.record)));
        self.store_steps(steps, key.unkept, event).await
    }

    /// Retires what signs, lets the pending key sign, and stores the next pending one, where it is
    /// given: all or nothing.
    pub(super) async fn promote(
        &self,
        keys: &[IssuerKey],
        pending: KeyId,
        next: Option<NewKey>,
        reason: &'static str,
        mut event: AuditEvent,
    ) -> Result<KeyChange, KeyRingError> {
        let mut steps = self.clear_the_way();
        let mut retired = Vec::new();
        for key in keys {
            match key.state() {
                KeyState::Active => {
                    retired.push(key.kid.clone());
                    steps.push(KeyStep::Retire(key.id));
                }
                // Of an algorithm that the issuer no longer uses.
                KeyState::Pending if key.id != pending => {
                    steps.push(self.keys.keystore().withdraw(key)?);
                }
                _ => {}
            }
        }
        event.details = json!({ "reason": reason, "retired": retired });
        steps.push(KeyStep::Activate(pending, self.tokens.max_ttl.duration()));
        let mut unkept = None;
        if let Some(next) = next {
            event.details["pending"] = json!(next.record.kid);
            steps.push(KeyStep::Create(Box::new(next.record)));
            unkept = next.unkept;
        }
        self.store_steps(steps, unkept, event).await
    }

    /// Takes steps for which no key was made, unless another replica was quicker.
    pub(super) async fn change_keys(
        &self,
        steps: Vec<KeyStep>,
        event: AuditEvent,
    ) -> Result<KeyChange, KeyRingError> {
        self.store_steps(steps, None, event).await
    }

    /// Takes the steps, unless another replica was quicker: then the key that was made for them is of no
    /// use and is destroyed. Where the database gives no answer, the next rounds find out.
    pub(super) async fn store_steps(
        &self,
        steps: Vec<KeyStep>,
        made: Option<UnkeptKey>,
        event: AuditEvent,
    ) -> Result<KeyChange, KeyRingError> {
        let (action, target, at) = (event.action, event.target.clone(), event.at);
        let external = made.is_some();
        let storing = self.unstored_keys.storing(made);
        let changed = self.store.change_issuer_keys(&steps, at, event).await;
        if external {
            self.unstored_keys.tried(changed.is_ok(), self.clock.now());
        }
        let changed = changed?;
        storing.ended(changed == KeyChange::Applied);
        if changed == KeyChange::Applied {
            tracing::info!(action, kid = target, "the issuer's keys changed");
        } else {
            tracing::debug!(action, kid = target, "another replica was quicker");
        }
        Ok(changed)
    }

    /// Where the JWKS are published elsewhere, looks whether the pending key has come there. Whether
    /// that was noted just now.
    async fn look_for_pending(&self, keys: &[IssuerKey]) -> Result<bool, StoreError> {
        let (Some(fetch), Some(pending)) = (&self.publication, self.schedule(keys).pending())
        else {
            return Ok(false);
        };
        let now = self.clock.now();
        let last = self.looked_at.load(Ordering::Relaxed);
        if pending.facts.seen_at.is_some()
            || (now >= Timestamp::from_ms(last) && now.since(Timestamp::from_ms(last)) < LOOK_EVERY)
        {
            return Ok(false);
        }
        self.looked_at.store(now.ms(), Ordering::Relaxed);
        let found = match fetch.fetch(&self.issuer).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, kid = pending.kid, "cannot look for the pending key at the \
                    issuer's public address; it will not sign before it was seen there");
                return Ok(false);
            }
        };
        let there = found.jwks["keys"].as_array().is_some_and(|published| {
            published
                .iter()
                .any(|key| key["kid"].as_str() == Some(&pending.kid))
        });
        if !there {
            // In its first time nobody expects it there.
            if now >= pending.created_at.plus(self.rotation.pending_for) {
                tracing::warn!(
                    issuer = %self.issuer, kid = pending.kid,
                    "the pending key is not at the issuer's public address yet: publish the keys \
                     again (idp publish); it will not sign before"
                );
            }
            return Ok(false);
        }
        let seen = KeyNote::Seen {
            at: now,
            max_age: found.max_age.max(JWKS_MAX_AGE),
        };
        self.store.note_issuer_key(pending.id, seen).await?;
        tracing::info!(
            kid = pending.kid,
            "the pending key was seen at the public address"
        );
        Ok(true)
    }

    /// Destroys the private halves of keys that signed their last in an external keystore. One that
    /// cannot be destroyed now is tried again with the next round.
    async fn destroy_ended(&self) -> Result<(), KeyRingError> {
        if self.keys.keystore().external.is_none() {
            return Ok(());
        }
        for key in self.store.ended_external_keys(&self.issuer).await? {
            let keystore = self.keys.keystore();
            let Some(reference) = &key.reference else {
                continue;
            };
            // Whoever writes to the database does not decide which keys are destroyed.
            if keystore.knows_reference(&key) && keystore.destroy(reference).await {
                let forget = keystore.forget(&key)?;
                let event = self.event("key.destroy", key.kid);
                self.change_keys(vec![forget], event).await?;
            }
        }
        Ok(())
    }

    /// Notices a clock that was set back: since the last look, or behind the newest time that any
    /// replica ever noted.
    async fn look_at_clock(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let back = self.clock_watch.set_back(now);
        if back.is_some() {
            self.metrics.clock_was_set_back();
        }
        let compared = self.store.note_time(now).await;
        let standing = compared
            .as_ref()
            .map(|newest| self.clock_watch.compare(now, *newest));
        match (standing, back) {
            (Ok(Standing::FellBehind), _) => tracing::error!(
                %now,
                behind = self.clock_watch.behind().as_secs(),
                "the clock is behind a time that was seen before: keys do not rotate by times that lie \
                 in the future, and AWS and clients may refuse tokens; check the machine's time service"
            ),
            (_, Some(back)) => tracing::warn!(
                %now,
                seconds = back.as_secs(),
                "the clock was set back: tokens and assertions are judged by it, so AWS and clients \
                 may refuse what they get until it is right; check the machine's time service"
            ),
            (Ok(Standing::CaughtUp), None) => tracing::info!(%now, "the clock has caught up"),
            _ => {}
        }
        compared.map(drop)
    }
}
