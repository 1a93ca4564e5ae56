//! The issuer's keys in memory: the one that signs, parsed, and the set that is published, rendered.

use std::{
    collections::HashSet,
    sync::{self, Arc, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::Mutex;

use super::{KeyRingError, Keystore, authenticate_client::Decoys};
use crate::{
    domain::{IssuerKey, KeyId, Rotation, Schedule, SigningAlgorithm},
    jose::{PublishedKeys, base64url_encode, sha256},
    ports::{KeyNote, Signer, Store, StoreError},
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
    /// The records as they were read.
    read: Arc<[IssuerKey]>,
    /// Those of them that somebody with the key-encryption key wrote.
    keys: Arc<[IssuerKey]>,
    /// The others: not published, and not signed with.
    refused: Arc<[IssuerKey]>,
    signer: Arc<dyn Signer>,
    jwks: Arc<Rendered>,
}

/// The issuer's keys.
pub struct KeyRing {
    ring: RwLock<Ring>,
    /// Held while the keys are read and the ring is changed: what was read first is installed first.
    reloading: Mutex<()>,
    keystore: Keystore,
    /// The longest life of a token that this server signs.
    longest_life: Duration,
    decoys: Decoys,
    /// Keys that left the JWKS while this server ran. A record that somebody kept and put back does not
    /// make them good again.
    gone: sync::Mutex<HashSet<KeyId>>,
    /// Refused keys that are recorded.
    reported: sync::Mutex<HashSet<KeyId>>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing")
            .field("issuer", &self.keystore.issuer)
            .finish_non_exhaustive()
    }
}

impl Ring {
    /// Keeps the signer of `before` where the same key still signs, so that its private half is opened
    /// once.
    fn new(
        keystore: &Keystore,
        read: Vec<IssuerKey>,
        gone: &HashSet<KeyId>,
        before: Option<&Self>,
    ) -> Result<Self, String> {
        let good = |key: &IssuerKey| keystore.vouches(key) && !gone.contains(&key.id);
        let (keys, refused): (Vec<_>, Vec<_>) = read.iter().cloned().partition(good);
        if !refused.is_empty() {
            let kids: Vec<&str> = refused.iter().map(|key| &*key.kid).collect();
            tracing::error!(
                ?kids,
                "keys in the database are not published: nobody with the key-encryption key wrote \
                 their records as they are; find out who writes to the database, then withdraw them \
                 with idp admin key compromise"
            );
        }
        let active = active(keystore, &keys)
            .ok_or_else(|| format!("issuer {} has no active key", keystore.issuer))?;
        let signer = before
            .map(|ring| &ring.signer)
            .filter(|signer| signer.kid() == active.kid);
        Ok(Self {
            signer: match signer {
                Some(signer) => signer.clone(),
                None => keystore.signer(active)?,
            },
            jwks: Arc::new(Rendered::new(PublishedKeys::of(&keys).to_json())),
            read: read.into(),
            keys: keys.into(),
            refused: refused.into(),
        })
    }
}

/// The key that signs now: of the issuer's algorithm, or of its former one while no key of the new one
/// is ready.
pub(super) fn active<'k>(keystore: &Keystore, keys: &'k [IssuerKey]) -> Option<&'k IssuerKey> {
    let rules = Schedule {
        keys,
        algorithm: keystore.algorithm,
        rotation: Rotation::default(),
        published_elsewhere: false,
    };
    rules.active()
}

impl KeyRing {
    /// The ring of `keys`, once it is noted that they may sign tokens of `longest_life`.
    pub(super) async fn open(
        store: &dyn Store,
        keystore: Keystore,
        longest_life: Duration,
        keys: Vec<IssuerKey>,
    ) -> Result<Self, KeyRingError> {
        let ring = Ring::new(&keystore, keys, &HashSet::new(), None);
        let ring = ring.map_err(KeyRingError::Unreadable)?;
        let ring = Self {
            ring: RwLock::new(ring),
            reloading: Mutex::new(()),
            decoys: Decoys::new().map_err(KeyRingError::Unreadable)?,
            keystore,
            longest_life,
            gone: sync::Mutex::default(),
            reported: sync::Mutex::default(),
        };
        ring.note_token_life(store, &ring.all()).await?;
        Ok(ring)
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

    /// The active key's `kid`.
    #[must_use]
    pub fn kid(&self) -> String {
        self.signer().kid().to_owned()
    }

    /// Every key that is published, as it was last read.
    pub(super) fn all(&self) -> Arc<[IssuerKey]> {
        self.ring
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .keys
            .clone()
    }

    /// Every key in the database that is neither retired nor published.
    pub(super) fn refused(&self) -> Arc<[IssuerKey]> {
        self.ring
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .refused
            .clone()
    }

    /// Those of them that this server has not recorded yet.
    pub(super) fn unreported(&self) -> Vec<IssuerKey> {
        let reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let mut refused = self.refused().to_vec();
        refused.retain(|key| !reported.contains(&key.id));
        refused
    }

    /// A refused key is recorded.
    pub(super) fn reported(&self, id: KeyId) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.insert(id);
    }

    /// Where new keys come from.
    pub(super) const fn keystore(&self) -> &Keystore {
        &self.keystore
    }

    /// Reads the keys again, publishes what is to be published, and signs with the key that is active:
    /// in one step, so that nothing is signed with a key that this server does not publish.
    pub(super) async fn reload(&self, store: &dyn Store) -> Result<Arc<[IssuerKey]>, StoreError> {
        let _reloading = self.reloading.lock().await;
        let keys = store.issuer_keys(&self.keystore.issuer).await?;
        let before = self.all();
        if *self.as_read() == *keys {
            return Ok(before);
        }
        let good = |key: &&IssuerKey| self.keystore.vouches(key);
        let vouched: Vec<IssuerKey> = keys.iter().filter(good).cloned().collect();
        self.note_token_life(store, &vouched).await?;
        self.open_changed(&before, &keys);
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |key: &&IssuerKey| keys.iter().all(|now| now.id != key.id);
        gone.extend(before.iter().filter(left).map(|key| key.id));
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        *ring = Ring::new(&self.keystore, keys, &gone, Some(&ring)).map_err(StoreError::Corrupt)?;
        Ok(ring.keys.clone())
    }

    fn as_read(&self) -> Arc<[IssuerKey]> {
        self.ring
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .read
            .clone()
    }

    /// Opens what is new or was sealed anew, though nobody needs it yet: so a key that does not open is
    /// known long before it is to sign, and what this server seals next is sealed like the others.
    fn open_changed(&self, before: &[IssuerKey], keys: &[IssuerKey]) {
        let known = |key: &IssuerKey| {
            before
                .iter()
                .any(|old| old.id == key.id && old.sealed == key.sealed)
        };
        for key in keys
            .iter()
            .filter(|key| key.sealed.is_some() && !known(key))
        {
            if let Err(error) = self.keystore.open(key) {
                tracing::error!(
                    error,
                    "a stored key does not open; put the key-encryption key that sealed it into \
                     keys.encryption_key_file before the next rotation"
                );
            }
        }
    }

    /// Before the active key signs a token of this server, it is noted how long it may live: the key
    /// stays published for as long.
    async fn note_token_life(
        &self,
        store: &dyn Store,
        keys: &[IssuerKey],
    ) -> Result<(), StoreError> {
        let Some(active) = active(&self.keystore, keys) else {
            return Ok(());
        };
        if active.facts.longest_life < self.longest_life {
            let life = KeyNote::TokenLife(self.longest_life);
            // Missing where it has retired since; then the store will not let it sign.
            store.note_issuer_key(active.id, life).await?;
        }
        Ok(())
    }
}
