//! Private keys that come from elsewhere, go elsewhere, or are sealed under another key-encryption key.
//! These run on the server's machine beside the server, never over the API.

use std::{fmt::Display, path::Path, time::Duration};

use serde_json::{Value, json};

use super::{KeyRingError, Keystore, vouch_for_former_keys::vouch_for_former_keys};
use crate::{
    domain::{AuditEvent, Clock, IssuerKey, KeyState, MOST_KEYS, Outcome, Random},
    jose::{PrivateKey, SealingKey, thumbprint},
    ports::{KeyChange, KeyStep, Store, StoreError},
};

/// How often a change is tried that the server was quicker than.
const TRIES: usize = 5;

/// Why a private key was not exported, imported or sealed anew.
#[derive(Debug, thiserror::Error)]
pub enum PrivateKeyRefusal {
    /// No such key, or no private half of it.
    #[error("{0}")]
    Absent(String),
    /// The settings or what is stored do not allow it.
    #[error("{0}")]
    Unfit(String),
    /// Keys.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server changed the keys at the same moment, again and again.
    #[error("the server is changing its keys at this moment; try again")]
    Overtaken,
}

/// Who works on the server's machine, as the machine knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The user id of the process.
    pub uid: u32,
    /// That user's name, where there is one.
    pub user: Option<String>,
    /// Who became that user by sudo(8), by its own word.
    pub sudo_user: Option<String>,
}

impl Operator {
    /// An event of this operator's, with the operator in its details.
    fn event(
        &self,
        action: &'static str,
        target: &str,
        details: Value,
        clock: &dyn Clock,
        random: &dyn Random,
    ) -> AuditEvent {
        let mut event = AuditEvent::new(clock, random, action, target);
        event.details = details;
        event.details["uid"] = json!(self.uid);
        event.details["user"] = json!(self.user);
        if let Some(sudo_user) = &self.sudo_user {
            event.details["sudo_user"] = json!(sudo_user);
        }
        event
    }
}

/// A private key that somebody wants out of the database.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    /// Which.
    pub kid: &'a str,
    /// Where it is to go.
    pub file: &'a Path,
    /// Who wants it.
    pub by: &'a Operator,
}

impl Export<'_> {
    /// As a record has it.
    fn file(&self) -> String {
        self.file.to_string_lossy().into_owned()
    }
}

/// Takes a sealed private key out of the database. `prepare` makes of it what is handed over; that is
/// returned once it is recorded. A refusal, `prepare`'s too, is recorded as one.
///
/// # Errors
/// See [`PrivateKeyRefusal`]; those of `prepare`.
pub async fn take_private_key<T, E>(
    store: &dyn Store,
    keystore: &Keystore,
    wanted: Export<'_>,
    prepare: impl FnOnce(&PrivateKey) -> Result<T, E>,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<T, E>
where
    E: From<PrivateKeyRefusal> + Display,
{
    let keys = store.issuer_keys(&keystore.issuer).await;
    let keys = keys.map_err(PrivateKeyRefusal::Store)?;
    let key = keys.iter().find(|key| key.kid == wanted.kid);
    let prepared = open_sealed(keystore, key, wanted.kid)
        .map_err(E::from)
        .and_then(|private| prepare(&private));
    match prepared {
        Ok(prepared) => {
            let details = json!({ "state": key.map(IssuerKey::state), "file": wanted.file() });
            let event = (wanted.by).event("key.export", wanted.kid, details, clock, random);
            store
                .append(event)
                .await
                .map_err(PrivateKeyRefusal::Store)?;
            Ok(prepared)
        }
        Err(error) => {
            refuse_export(store, wanted, &error, clock, random).await?;
            Err(error)
        }
    }
}

/// Records that an export came to nothing, and why.
///
/// # Errors
/// The database.
pub async fn refuse_export(
    store: &dyn Store,
    wanted: Export<'_>,
    reason: &impl Display,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<(), PrivateKeyRefusal> {
    let details = json!({ "reason": reason.to_string(), "file": wanted.file() });
    let kid: String = wanted.kid.chars().take(100).collect();
    let mut event = (wanted.by).event("key.export", &kid, details, clock, random);
    event.outcome = Outcome::Refused;
    Ok(store.append(event).await?)
}

fn open_sealed(
    keystore: &Keystore,
    key: Option<&IssuerKey>,
    kid: &str,
) -> Result<PrivateKey, PrivateKeyRefusal> {
    let key = key.ok_or_else(|| {
        PrivateKeyRefusal::Absent(format!(
            "issuer {} has no key {kid}; `idp admin key list` shows those it has",
            keystore.issuer
        ))
    })?;
    if key.reference.is_some() {
        return Err(PrivateKeyRefusal::Absent(format!(
            "the private half of key {kid} is in an external keystore and cannot leave it"
        )));
    }
    keystore.open(key).map_err(PrivateKeyRefusal::Absent)
}

/// What became of an imported key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Its `kid`.
    pub kid: String,
    /// Pending; active where the issuer had no key.
    pub state: KeyState,
    /// The pending key that it took the place of, which is withdrawn and never signed.
    pub replaced: Option<String>,
}

/// Lets a key that was made elsewhere be the next to sign; the first, where the issuer has none.
///
/// # Errors
/// See [`PrivateKeyRefusal`].
pub async fn import_key(
    store: &dyn Store,
    keystore: &Keystore,
    private: &PrivateKey,
    longest_life: Duration,
    by: &Operator,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<Imported, PrivateKeyRefusal> {
    if private.algorithm() != keystore.algorithm {
        return Err(PrivateKeyRefusal::Unfit(format!(
            "it is a key for {}, and the issuer signs with {}: set keys.algorithm to {0}, or import \
             another key",
            private.algorithm().as_str(),
            keystore.algorithm.as_str()
        )));
    }
    let kid = thumbprint(private.public());
    for _ in 0..TRIES {
        let keys = store.issuer_keys(&keystore.issuer).await?;
        if let Some(known) = keys.iter().find(|key| key.kid == kid) {
            return Err(PrivateKeyRefusal::Unfit(format!(
                "the issuer has key {kid} already ({})",
                known.state().as_str()
            )));
        }
        let mut key = keystore.seal(private, clock, random).await?;
        let mut steps = Vec::new();
        let mut replaced = None;
        if keys.is_empty() {
            key.activated_at = Some(key.created_at);
            key.facts.longest_life = longest_life;
        } else if let Some(pending) = keys.iter().find(|known| {
            known.state() == KeyState::Pending && known.algorithm == keystore.algorithm
        }) {
            steps.push(keystore.withdraw(pending).map_err(KeyRingError::from)?);
            replaced = Some(pending.kid.clone());
        } else if keys.len() >= MOST_KEYS {
            return Err(PrivateKeyRefusal::Unfit(
                "ten keys are published already; wait until one leaves the JWKS".to_owned(),
            ));
        }
        let state = key.state();
        steps.push(KeyStep::Create(Box::new(key)));
        let details = json!({ "state": state, "replaced": replaced });
        let event = by.event("key.import", &kid, details, clock, random);
        match store.change_issuer_keys(&steps, clock.now(), event).await? {
            KeyChange::Applied => {
                return Ok(Imported {
                    kid,
                    state,
                    replaced,
                });
            }
            KeyChange::Overtaken if !kid_is_free(store, keystore, &keys).await? => {}
            KeyChange::Overtaken => {
                return Err(PrivateKeyRefusal::Unfit(format!(
                    "key {kid} was a key of this installation before, and no kid is used twice"
                )));
            }
        }
    }
    Err(PrivateKeyRefusal::Overtaken)
}

/// Whether nothing else changed: then it was the `kid` that stood in the way.
async fn kid_is_free(
    store: &dyn Store,
    keystore: &Keystore,
    before: &[IssuerKey],
) -> Result<bool, StoreError> {
    Ok(store.issuer_keys(&keystore.issuer).await? == before)
}

/// The step that seals a key's private half under `new`, where it has one and is not sealed so.
fn resealed(
    keystore: &Keystore,
    new: &SealingKey,
    key: &IssuerKey,
) -> Result<Option<KeyStep>, KeyRingError> {
    let (id, Some(sealed)) = (key.id.to_string(), &key.sealed) else {
        return Ok(None);
    };
    if new.open(&key.kid, &id, sealed).is_ok() {
        return Ok(None);
    }
    let secret = keystore
        .sealing
        .open(&key.kid, &id, sealed)
        .map_err(|error| KeyRingError::Unreadable(format!("key {}: {error}", key.kid)))?;
    Ok(Some(KeyStep::Reseal {
        id: key.id,
        from: sealed.clone(),
        to: new.seal(&key.kid, &id, &secret)?,
    }))
}

/// How a re-sealing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resealed {
    /// Keys that were sealed or vouched for anew just now.
    pub now: usize,
    /// Keys that were under the new key-encryption key before.
    pub before: usize,
}

/// Seals every private key in the database under `new`, and vouches under it for every key that somebody
/// with a former key-encryption key vouched for; all in one transaction.
///
/// # Errors
/// See [`PrivateKeyRefusal`].
pub async fn reseal_keys(
    store: &dyn Store,
    keystore: &Keystore,
    new: &SealingKey,
    by: &Operator,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<Resealed, PrivateKeyRefusal> {
    for _ in 0..TRIES {
        vouch_for_former_keys(store, keystore, clock, random).await?;
        let keys = store.bound_keys().await?;
        let (mut steps, mut done) = (Vec::new(), Resealed { now: 0, before: 0 });
        for key in &keys {
            let taken = steps.len();
            steps.extend(resealed(keystore, new, key)?);
            let vouched = new.vouches(key);
            if !vouched && keystore.vouches(key) {
                steps.push(KeyStep::Vouch {
                    id: key.id,
                    from: key.mac.clone(),
                    to: new.vouch(key).map_err(KeyRingError::from)?,
                    certificate: key.certificate.clone(),
                });
            }
            if steps.len() > taken {
                done.now += 1;
            } else if vouched {
                done.before += 1;
            }
        }
        if steps.is_empty() {
            return Ok(done);
        }
        let issuer = keystore.issuer.as_str();
        let event = by.event(
            "key.reseal",
            issuer,
            json!({ "keys": done.now }),
            clock,
            random,
        );
        if store.change_issuer_keys(&steps, clock.now(), event).await? == KeyChange::Applied {
            return Ok(done);
        }
    }
    Err(PrivateKeyRefusal::Overtaken)
}
