//! The issuer's keys in memory: the one that signs, parsed, and the set that is published, rendered.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Pool, authenticate_client::Decoys};
use crate::{
    domain::{Issuer, IssuerKey, KeyState, SigningAlgorithm},
    jose::{PrivateKey, PublishedKeys, SealingKey, base64url_encode, sha256},
    ports::{SignError, Signer, Store, StoreError},
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
    opener: Opener,
    decoys: Decoys,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing")
            .field("issuer", &self.opener.issuer)
            .finish_non_exhaustive()
    }
}

/// What turns stored keys into a ring.
pub(super) struct Opener {
    pub(super) issuer: Issuer,
    pub(super) algorithm: SigningAlgorithm,
    pub(super) sealing: SealingKey,
    pub(super) pool: Arc<Pool>,
}

impl Opener {
    /// Opens a key's private half; the reason is for an operator's eyes.
    pub(super) fn open(&self, key: &IssuerKey) -> Result<PrivateKey, String> {
        let sealed = key
            .sealed
            .as_deref()
            .ok_or_else(|| format!("the private half of key {} is destroyed", key.kid))?;
        let pkcs8 = self
            .sealing
            .open(&key.kid, &key.id.to_string(), sealed)
            .map_err(|error| format!("key {}: {error}", key.kid))?;
        let private = PrivateKey::from_pkcs8(key.algorithm, &pkcs8)
            .map_err(|error| format!("key {}: {error}", key.kid))?;
        if private.public() == &key.public {
            Ok(private)
        } else {
            Err(format!(
                "key {}: its private half is another key's",
                key.kid
            ))
        }
    }

    /// The key that signs now.
    pub(super) fn active<'k>(&self, keys: &'k [IssuerKey]) -> Option<&'k IssuerKey> {
        keys.iter()
            .find(|key| key.state() == KeyState::Active && key.algorithm == self.algorithm)
    }

    fn ring(&self, keys: &[IssuerKey]) -> Result<Ring, String> {
        let active = self
            .active(keys)
            .ok_or_else(|| format!("issuer {} has no active key", self.issuer))?;
        Ok(Ring {
            signer: Arc::new(LocalSigner {
                kid: active.kid.clone(),
                key: Arc::new(self.open(active)?),
                pool: self.pool.clone(),
            }),
            jwks: Arc::new(Rendered::new(PublishedKeys::of(keys).to_json())),
        })
    }
}

impl KeyRing {
    pub(super) fn new(opener: Opener, keys: &[IssuerKey]) -> Result<Self, String> {
        Ok(Self {
            ring: RwLock::new(opener.ring(keys)?),
            decoys: Decoys::new()?,
            opener,
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
        self.opener.algorithm
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
        let keys = store.issuer_keys(&self.opener.issuer).await?;
        let ring = self.opener.ring(&keys).map_err(StoreError::Corrupt)?;
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }
}

/// A private key in memory that signs on the pool.
struct LocalSigner {
    kid: String,
    key: Arc<PrivateKey>,
    pool: Arc<Pool>,
}

#[async_trait]
impl Signer for LocalSigner {
    fn kid(&self) -> &str {
        &self.kid
    }

    fn algorithm(&self) -> SigningAlgorithm {
        self.key.algorithm()
    }

    async fn sign(&self, input: Vec<u8>) -> Result<Vec<u8>, SignError> {
        let key = self.key.clone();
        self.pool
            .run(move || key.sign(&input))
            .await
            .map_err(|_| SignError::Overloaded)?
            .map_err(|error| SignError::Failed(error.to_string()))
    }
}
