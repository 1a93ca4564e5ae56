//! What administrators do with the issuer's keys: rotate them before their time, and withdraw one that
//! somebody else may have.

use serde_json::json;

use super::{AdminRefusal, Administrator, KeyRingError, Service, key_report::may_see_keys};
use crate::{
    domain::{AuditEvent, IssuerKey, KeyState, Schedule, Timestamp, spelled},
    ports::{KeyChange, KeyStep, OutstandingTokens},
};

/// How to rotate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotate {
    /// At once, rather than as soon as the pending key has been published long enough.
    pub emergency: bool,
    /// In an emergency: even where verifiers cannot know the pending key yet.
    pub force: bool,
}

/// What a rotation did.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// The key that signs now.
    pub active_kid: String,
    /// The key that will sign next; empty while none could be made.
    pub pending_kid: String,
    /// Whether the keys changed just now.
    pub rotated: bool,
    /// When they will, if not now; `None` while the pending key has yet to be published.
    pub due_at: Option<Timestamp>,
    /// What to mind: sentences.
    pub warnings: Vec<String>,
}

/// What the withdrawal of a key did.
#[derive(Clone, Debug)]
pub struct Compromised {
    /// What the key was.
    pub state_before: KeyState,
    /// The key that signs now.
    pub active_kid: String,
    /// From when on no verifier that keeps to the caching rules takes the key's tokens.
    pub forgotten_at: Timestamp,
    /// The tokens that it signed and that have not expired: no verifier takes them any more.
    pub stranded: Vec<OutstandingTokens>,
    /// What to mind: sentences.
    pub warnings: Vec<String>,
}

impl From<KeyRingError> for AdminRefusal {
    fn from(error: KeyRingError) -> Self {
        match error {
            KeyRingError::Store(error) => Self::Store(error),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

const OVERTAKEN: &str = "the keys were changed by somebody else at the same moment; look at `idp admin \
                         key list` and try again";

impl Service {
    /// Lets the pending key sign: as soon as it has been published long enough, or now.
    ///
    /// # Errors
    /// The administrator's token is for one organisation only; an emergency that would promote a key
    /// that verifiers cannot know; ten keys are published; somebody else was quicker; the database or
    /// the keystore.
    pub async fn rotate_keys(
        &self,
        admin: &Administrator,
        how: Rotate,
    ) -> Result<Rotated, AdminRefusal> {
        may_see_keys(admin)?;
        let mut keys = self.keys.reload(&*self.store).await?;
        self.unstored_keys.end_pause();
        // Whatever was due anyway is done first, and a pending key is there after it. An emergency
        // that has one does not wait for a keystore.
        if !how.emergency || self.schedule(&keys).pending().is_none() {
            self.keep_keys().await?;
            keys = self.keys.reload(&*self.store).await?;
        }
        let schedule = self.schedule(&keys);
        let now = self.clock.now();
        let Some(pending) = schedule.pending() else {
            return Err(AdminRefusal::Conflict(
                "there is no pending key, because ten keys are published already; wait until one \
                 leaves the JWKS (`idp admin key list` says when)"
                    .to_owned(),
            ));
        };
        let mut warnings = Vec::new();
        if how.emergency {
            if let Some(unknown) = self.unknown(&schedule, pending, now) {
                if !how.force {
                    let advice = format!(
                        "{unknown}; wait, or use --force if that is better than \
                                          one more token signed by the active key"
                    );
                    return Err(AdminRefusal::Conflict(advice));
                }
                warnings.push(unknown);
            }
        } else {
            let wanted = KeyStep::Want(pending.id);
            let mut event = self.key_event(admin, "key.want_rotation", &pending.kid);
            event.details = json!({ "active": schedule.active().map(|key| &key.kid) });
            if pending.facts.wanted_at.is_none()
                && self.change_keys(vec![wanted], event).await? == KeyChange::Overtaken
            {
                return Err(AdminRefusal::Conflict(OVERTAKEN.to_owned()));
            }
            self.keep_keys().await?;
            let now_active = self.keys.kid();
            return self.rotated(now_active == pending.kid, warnings).await;
        }
        if !schedule.has_room() {
            return Err(AdminRefusal::Conflict(
                "ten keys are published already; wait until one leaves the JWKS, or withdraw one \
                 with `idp admin key compromise`"
                    .to_owned(),
            ));
        }
        let event = self.key_event(admin, "key.rotate", &pending.kid);
        let changed = self
            .promote(&keys, pending.id, None, "emergency", event)
            .await?;
        if changed == KeyChange::Overtaken {
            return Err(AdminRefusal::Conflict(OVERTAKEN.to_owned()));
        }
        self.keys.reload(&*self.store).await?;
        // What the former key was signing is signed before this returns.
        drop(self.in_flight.write().await);
        warnings.extend(self.replace_pending().await);
        self.rotated(true, warnings).await
    }

    /// Why verifiers cannot be expected to know the pending key; `None` where they do.
    fn unknown(
        &self,
        schedule: &Schedule<'_>,
        pending: &IssuerKey,
        now: Timestamp,
    ) -> Option<String> {
        match schedule.known_from(pending) {
            Some(at) if at <= now => None,
            Some(at) => Some(format!(
                "verifiers may keep a JWKS for {}, so until {at} some will refuse what the pending \
                 key {} signs",
                spelled(schedule.max_age()),
                pending.kid
            )),
            None => Some(format!(
                "the pending key {} has not been seen at {}: until its JWKS are published there \
                 again (idp publish), every verifier will refuse what it signs",
                pending.kid, self.issuer
            )),
        }
    }

    async fn rotated(
        &self,
        rotated: bool,
        mut warnings: Vec<String>,
    ) -> Result<Rotated, AdminRefusal> {
        let keys = self.keys.reload(&*self.store).await?;
        let schedule = self.schedule(&keys);
        if rotated && self.publication.is_some() {
            warnings.push(format!(
                "publish the keys at {} again (idp publish): the next key cannot sign before it was \
                 seen there",
                self.issuer
            ));
        }
        Ok(Rotated {
            active_kid: self.keys.kid(),
            pending_kid: schedule
                .pending()
                .map(|key| key.kid.clone())
                .unwrap_or_default(),
            rotated,
            due_at: if rotated {
                None
            } else {
                schedule.pending().and_then(|key| schedule.promotion(key))
            },
            warnings,
        })
    }

    /// Takes a key out of the JWKS and out of use at once, because somebody else may have it. Where it
    /// signs, the pending key signs from now on, known to verifiers or not. The next pending key is
    /// made after that, so that a keystore which makes none holds nothing up.
    ///
    /// # Errors
    /// The administrator's token is for one organisation only; no such key, or retired already;
    /// somebody else was quicker; the database; the keystore, where the key signs, there is no pending
    /// one and none can be made.
    pub async fn compromise_key(
        &self,
        admin: &Administrator,
        kid: &str,
    ) -> Result<Compromised, AdminRefusal> {
        may_see_keys(admin)?;
        let keys = self.keys.reload(&*self.store).await?;
        let refused = self.keys.refused();
        let key = keys
            .iter()
            .chain(&*refused)
            .find(|key| key.kid == kid)
            .ok_or(AdminRefusal::NotFound("key that is still published"))?;
        let published = keys.iter().any(|known| known.id == key.id);
        let schedule = self.schedule(&keys);
        let (state_before, now) = (key.state(), self.clock.now());
        let mut warnings = Vec::new();
        let withdraw = self.keys.keystore().withdraw(key);
        let mut steps = vec![withdraw.map_err(KeyRingError::from)?];
        let (mut promoted, mut unkept) = (None, None);
        match state_before {
            // Not this installation's: nothing has to take its place.
            _ if !published => {}
            KeyState::Active => {
                steps.extend(self.clear_the_way());
                if let Some(pending) = schedule.pending() {
                    warnings.extend(self.unknown(&schedule, pending, now));
                    promoted = Some(pending.kid.clone());
                    let life = self.tokens.max_ttl.duration();
                    steps.push(KeyStep::Activate(pending.id, life));
                } else {
                    warnings.push(
                        "there was no pending key: no verifier knows the one that signs \
                                   now before it has fetched the JWKS again"
                            .to_owned(),
                    );
                    let made = self.make_key().await?;
                    let mut first = made.record;
                    unkept = made.unkept;
                    first.activated_at = Some(now);
                    first.facts.longest_life = self.tokens.max_ttl.duration();
                    promoted = Some(first.kid.clone());
                    steps.push(KeyStep::Create(Box::new(first)));
                }
            }
            KeyState::Pending => steps.extend(self.clear_the_way()),
            KeyState::Retiring | KeyState::Retired => {}
        }
        let mut event = self.key_event(admin, "key.compromise", kid);
        event.details = json!({ "state": state_before, "activated": promoted });
        if self.store_steps(steps, unkept, event).await? == KeyChange::Overtaken {
            return Err(AdminRefusal::Conflict(OVERTAKEN.to_owned()));
        }
        self.keys.reload(&*self.store).await?;
        // Recorded before the withdrawal, signed after it: these tokens count as stranded too.
        drop(self.in_flight.write().await);
        if published && matches!(state_before, KeyState::Active | KeyState::Pending) {
            warnings.extend(self.replace_pending().await);
        }
        let after = self.keys.reload(&*self.store).await?;
        if self.publication.is_some() {
            warnings.push(format!(
                "publish the keys at {} now (idp publish): until then verifiers take what the \
                 withdrawn key signs",
                self.issuer
            ));
        }
        Ok(Compromised {
            state_before,
            active_kid: self.keys.kid(),
            forgotten_at: now.plus(self.schedule(&after).max_age()),
            stranded: self.store.outstanding_tokens(kid, now).await?,
            warnings,
        })
    }

    fn key_event(&self, admin: &Administrator, action: &'static str, kid: &str) -> AuditEvent {
        let mut event = self.event(action, kid);
        event.actor = admin.actor();
        event.request_id = Some(admin.context.id);
        event.source = admin.context.source;
        event
    }
}
