//! Opening the key ring at start, and making the first keys.

use std::time::Duration;

use super::{KeyRing, Keystore, key_ring::active, vouch_for_former_keys::vouch_for_former_keys};
use crate::{
    domain::{AuditEvent, Clock, IssuerKey, Random},
    jose::{KeyError, SealError},
    ports::{InsertOutcome, SignError, Store, StoreError},
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
    /// The signing threads are gone.
    #[error(transparent)]
    Pool(#[from] super::Overloaded),
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
        let mut first = keystore.make(clock, random).await?;
        first.activated_at = Some(first.created_at);
        first.facts.longest_life = longest_life;
        let fresh = [first, keystore.make(clock, random).await?];
        let mut event = AuditEvent::new(clock, random, "key.create", issuer.as_str());
        let kids: Vec<&str> = fresh.iter().map(|key| &*key.kid).collect();
        let algorithm = keystore.algorithm.as_str();
        event.details = serde_json::json!({ "algorithm": algorithm, "kids": kids });
        if store.create_issuer_keys(&fresh, event).await? == InsertOutcome::Inserted {
            tracing::info!(%issuer, ?kids, "made the issuer's first keys");
        } else {
            tracing::debug!("another replica made the issuer's first keys");
            for reference in fresh.iter().filter_map(|key| key.reference.as_deref()) {
                keystore.destroy(reference).await;
            }
        }
        keys = store.issuer_keys(issuer).await?;
    }
    KeyRing::open(store, keystore, longest_life, keys).await
}
