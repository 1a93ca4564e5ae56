//! Opening the key ring at start, and making the first keys.

use std::sync::Arc;

use super::{KeyRing, Pool, key_ring::Opener};
use crate::{
    domain::{
        AuditEvent, Clock, Issuer, IssuerKey, KeyId, KeyState, Random, SigningAlgorithm, Timestamp,
    },
    jose::{KeyError, PrivateKey, SealError, SealingKey, self_signed, thumbprint},
    ports::{InsertOutcome, Store, StoreError},
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
    /// The signing threads are gone.
    #[error(transparent)]
    Pool(#[from] super::Overloaded),
}

/// Opens the keys of `issuer`. Where it has none of this algorithm, makes an active and a pending
/// one; of several replicas that start together, one makes them and the others read them.
///
/// # Errors
/// See [`KeyRingError`].
pub async fn open_key_ring(
    store: &dyn Store,
    issuer: &Issuer,
    algorithm: SigningAlgorithm,
    sealing: SealingKey,
    pool: Arc<Pool>,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<KeyRing, KeyRingError> {
    let opener = Opener {
        issuer: issuer.clone(),
        algorithm,
        sealing,
        pool,
    };
    let mut keys = store.issuer_keys(issuer).await?;
    if opener.active(&keys).is_none() {
        let now = clock.now();
        let mut fresh = Vec::new();
        for state in [KeyState::Active, KeyState::Pending] {
            let key = opener
                .pool
                .run(move || PrivateKey::generate(algorithm))
                .await??;
            fresh.push(opener.record(&key, state, now, clock, random)?);
        }
        let mut event = AuditEvent::new(clock, random, "key.create", issuer.as_str());
        let kids: Vec<&str> = fresh.iter().map(|key| &*key.kid).collect();
        event.details = serde_json::json!({ "algorithm": algorithm.as_str(), "kids": kids });
        if store.create_issuer_keys(&fresh, event).await? == InsertOutcome::Inserted {
            tracing::info!(%issuer, ?kids, "made the issuer's first keys");
        } else {
            tracing::debug!("another replica made the issuer's first keys");
        }
        keys = store.issuer_keys(issuer).await?;
    }
    // The pending key is opened too: better a start that fails than an emergency rotation that does.
    for key in keys.iter().filter(|key| key.sealed.is_some()) {
        opener.open(key).map_err(KeyRingError::Unreadable)?;
    }
    KeyRing::new(opener, &keys).map_err(KeyRingError::Unreadable)
}

impl Opener {
    fn record(
        &self,
        key: &PrivateKey,
        state: KeyState,
        now: Timestamp,
        clock: &dyn Clock,
        random: &dyn Random,
    ) -> Result<IssuerKey, KeyRingError> {
        let id = KeyId::new(clock, random);
        let kid = thumbprint(key.public());
        Ok(IssuerKey {
            id,
            issuer: self.issuer.clone(),
            algorithm: key.algorithm(),
            public: key.public().clone(),
            certificate: self_signed(key, &self.issuer, now, random)?,
            sealed: Some(self.sealing.seal(&kid, &id.to_string(), &key.to_pkcs8()?)?),
            kid,
            created_at: now,
            activated_at: (state == KeyState::Active).then_some(now),
            retiring_at: None,
            retired_at: None,
        })
    }
}
