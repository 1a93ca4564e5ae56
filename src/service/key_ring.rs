//! The issuer's keys in memory: the one that signs, parsed, and the set that is published, rendered.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use super::{Keystore, authenticate_client::Decoys};
use crate::{
    domain::{IssuerKey, KeyState, SigningAlgorithm},
    jose::{PublishedKeys, base64url_encode, sha256},
    ports::{Signer, Store, StoreError},
};

/// A document with its entity tag, rendered once and served many times.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The bytes.
    pub body: Bytes,
    /// A strong entity tag, quotes included.
    pub etag: String,
}

impl Rendered {
    /// A document whose tag is its hash.
    #[must_use]
    pub fn new(body: Vec<u8>) -> Self {
        let hash = sha256(&body);
        Self {
            etag: format!("\"{}\"", base64url_encode(&hash[..16])),
            body: body.into(),
        }
    }
}

/// The state of the ring between two changes.
struct Ring {
    signer: Arc<dyn Signer>,
    jwks: Arc<Rendered>,
}

/// The issuer's keys.
pub struct KeyRing {
    ring: RwLock<Ring>,
    keystore: Keystore,
    decoys: Decoys,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing")
            .field("issuer", &self.keystore.issuer)
            .finish_non_exhaustive()
    }
}

impl Ring {
    fn new(keystore: &Keystore, keys: &[IssuerKey]) -> Result<Self, String> {
        let active = active(keystore, keys)
            .ok_or_else(|| format!("issuer {} has no active key", keystore.issuer))?;
        Ok(Self {
            signer: keystore.signer(active)?,
            jwks: Arc::new(Rendered::new(PublishedKeys::of(keys).to_json())),
        })
    }
}

/// The key that signs now.
pub(super) fn active<'k>(keystore: &Keystore, keys: &'k [IssuerKey]) -> Option<&'k IssuerKey> {
    keys.iter()
        .find(|key| key.state() == KeyState::Active && key.algorithm == keystore.algorithm)
}

impl KeyRing {
    pub(super) fn new(keystore: Keystore, keys: &[IssuerKey]) -> Result<Self, String> {
        Ok(Self {
            ring: RwLock::new(Ring::new(&keystore, keys)?),
            decoys: Decoys::new()?,
            keystore,
        })
    }

    /// The body of `/.well-known/jwks.json`.
    #[must_use]
    pub fn jwks(&self) -> Arc<Rendered> {
        self.ring
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .jwks
            .clone()
    }

    /// The algorithm that tokens are signed with.
    #[must_use]
    pub const fn algorithm(&self) -> SigningAlgorithm {
        self.keystore.algorithm
    }

    /// The active key.
    pub(super) fn signer(&self) -> Arc<dyn Signer> {
        self.ring
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .signer
            .clone()
    }

    /// Keys that nobody signs with.
    pub(super) const fn decoys(&self) -> &Decoys {
        &self.decoys
    }

    /// Reads the keys again.
    pub(super) async fn reload(&self, store: &dyn Store) -> Result<(), StoreError> {
        let keys = store.issuer_keys(&self.keystore.issuer).await?;
        let ring = Ring::new(&self.keystore, &keys).map_err(StoreError::Corrupt)?;
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }
}
