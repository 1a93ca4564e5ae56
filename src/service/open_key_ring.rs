//! Opening the key ring at start, and making the first keys.

use std::time::Duration;

use super::{
    KeyRing, Keystore,
    key_ring::active,
    unstored_keys::{stored_of, tell_of_doubt},
    vouch_for_former_keys::vouch_for_former_keys,
};
use crate::{
    domain::{AuditEvent, Clock, IssuerKey, Random},
    jose::{KeyError, SealError},
    ports::{InsertOutcome, SignError, Store, StoreError, UnkeptKey},
};

/// Why there is no key ring.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored key does not open with this key-encryption key.
    #[error("{0}")]
    Unreadable(String),
    /// A key could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A key could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A key that was just made does not sign, or an external keystore makes none.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// No key was made, because the process is ending or by a defect.
    #[error("no key was made: {0}")]
    Generation(#[source] tokio::task::JoinError),
}

/// Opens the keys of the keystore's issuer, which are going to sign tokens of up to `longest_life`.
/// Where none is active, makes an active and a pending one; of several replicas that start together, one makes them and the others read them.
///
/// # Errors
/// See [`KeyRingError`].
pub async fn open_key_ring(
    store: &dyn Store,
    keystore: Keystore,
    longest_life: Duration,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<KeyRing, KeyRingError> {
    let issuer = &keystore.issuer;
    let stored = store.issuer_keys(issuer).await?;
    let vouched = |key: &&IssuerKey| keystore.vouches(key);
    // Under another key-encryption key nothing is vouched for. What that one did seal does not open
    // either, and says so better.
    let any_vouched = stored.iter().any(|key| vouched(&key));
    // The pending key is opened too: better a start that fails than an emergency rotation that does.
    for key in stored.iter().filter(|key| key.sealed.is_some()) {
        if !any_vouched || vouched(&key) {
            keystore.open(key).map_err(KeyRingError::Unreadable)?;
        }
    }
    vouch_for_former_keys(store, &keystore, clock, random).await?;
    let mut keys = store.issuer_keys(issuer).await?;
    let good: Vec<IssuerKey> = keys.iter().filter(vouched).cloned().collect();
    if active(&keystore, &good).is_none() {
        if let Some(key) = active(&keystore, &keys) {
            return Err(KeyRingError::Unreadable(format!(
                "key {}: its record was written under another key-encryption key, or altered since",
                key.kid
            )));
        }
        make_first_keys(store, &keystore, longest_life, clock, random).await?;
        keys = store.issuer_keys(issuer).await?;
    }
    KeyRing::open(store, keystore, longest_life, keys).await
}

/// Makes an active and a pending key, unless another replica is quicker.
async fn make_first_keys(
    store: &dyn Store,
    keystore: &Keystore,
    longest_life: Duration,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<(), KeyRingError> {
    let issuer = &keystore.issuer;
    let mut first = keystore.make(clock, random).await?;
    first.record.activated_at = Some(first.record.created_at);
    first.record.facts.longest_life = longest_life;
    let next = match keystore.make(clock, random).await {
        Ok(next) => next,
        Err(error) => {
            destroy(first.unkept).await;
            return Err(error);
        }
    };
    let records = [first.record, next.record];
    let unkept: Vec<UnkeptKey> = first.unkept.into_iter().chain(next.unkept).collect();
    let mut event = AuditEvent::new(clock, random, "key.create", issuer.as_str());
    let kids: Vec<&str> = records.iter().map(|key| &*key.kid).collect();
    let algorithm = keystore.algorithm.as_str();
    event.details = serde_json::json!({ "algorithm": algorithm, "kids": kids });
    match store.create_issuer_keys(&records, event).await {
        Ok(InsertOutcome::Inserted) => {
            tracing::info!(%issuer, ?kids, "made the issuer's first keys");
            unkept.into_iter().for_each(UnkeptKey::keep);
        }
        Ok(_) => {
            tracing::debug!("another replica made the issuer's first keys");
            destroy(unkept).await;
        }
        Err(error) if unkept.is_empty() => return Err(error.into()),
        Err(error) => {
            let references = unkept.iter().map(|key| key.reference().to_owned());
            let references: Vec<String> = references.collect();
            match stored_of(store, &references, clock, random).await {
                // They are there, and only the answer was lost.
                Ok(stored) if !stored.is_empty() => unkept.into_iter().for_each(UnkeptKey::keep),
                Ok(_) => {
                    destroy(unkept).await;
                    return Err(error.into());
                }
                Err(_) => {
                    unkept.into_iter().for_each(tell_of_doubt);
                    return Err(error.into());
                }
            }
        }
    }
    Ok(())
}

/// Waits for the destruction, because a start that fails ends the process.
async fn destroy(keys: impl IntoIterator<Item = UnkeptKey>) {
    for key in keys {
        key.destroy().await;
    }
}
