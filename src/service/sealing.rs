//! The key-encryption keys: one, or two while the issuer's keys are sealed anew.

use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use crate::{
    domain::IssuerKey,
    jose::{SealError, SealingKey},
};

/// Reads the key-encryption keys again; `None` where that is not possible now.
type Reread = Box<dyn Fn() -> Option<Vec<SealingKey>> + Send + Sync>;

/// Every key-encryption key that this server knows. Each of them opens. New things are sealed under
/// the one that stored keys are sealed under, so that replicas change over together, whatever file
/// each of them was started with.
pub struct Sealing {
    known: RwLock<Known>,
    reread: Option<Reread>,
}

struct Known {
    keys: Vec<Arc<SealingKey>>,
    /// The place of the one that opened something last.
    present: usize,
}

impl std::fmt::Debug for Sealing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealing(…)")
    }
}

impl From<SealingKey> for Sealing {
    fn from(key: SealingKey) -> Self {
        Self::new(vec![key])
    }
}

impl Sealing {
    /// Keys of which the first seals until one of them has opened something.
    #[must_use]
    pub fn new(keys: Vec<SealingKey>) -> Self {
        Self {
            known: RwLock::new(Known {
                keys: keys.into_iter().map(Arc::new).collect(),
                present: 0,
            }),
            reread: None,
        }
    }

    /// The same, and where the keys are read again when none of them opens something: the file may
    /// have changed since.
    #[must_use]
    pub fn rereading(
        mut self,
        reread: impl Fn() -> Option<Vec<SealingKey>> + Send + Sync + 'static,
    ) -> Self {
        self.reread = Some(Box::new(reread));
        self
    }

    /// Opens what any of the keys sealed for this `kid` and `record`.
    ///
    /// # Errors
    /// See [`SealingKey::open`].
    pub fn open(
        &self,
        kid: &str,
        record: &str,
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        match self.try_open(kid, record, sealed) {
            Err(SealError::Open) if self.read_again() => self.try_open(kid, record, sealed),
            result => result,
        }
    }

    fn try_open(
        &self,
        kid: &str,
        record: &str,
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let keys = self.all();
        for (place, key) in keys.iter().enumerate() {
            match key.open(kid, record, sealed) {
                Err(SealError::Open) => {}
                result => {
                    self.is_present(place);
                    return result;
                }
            }
        }
        Err(SealError::Open)
    }

    /// A MAC over a key's record under the present key; see [`SealingKey::vouch`].
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn vouch(&self, key: &IssuerKey) -> Result<String, SealError> {
        self.present()?.vouch(key)
    }

    /// Whether any of the keys vouches for a key's record.
    #[must_use]
    pub fn vouches(&self, key: &IssuerKey) -> bool {
        self.try_vouch(key) || (key.mac.is_some() && self.read_again() && self.try_vouch(key))
    }

    fn try_vouch(&self, key: &IssuerKey) -> bool {
        let keys = self.all();
        let place = keys.iter().position(|known| known.vouches(key));
        if let Some(place) = place {
            self.is_present(place);
        }
        place.is_some()
    }

    /// Whether the present key is from a time when records had no MAC.
    #[must_use]
    pub fn predates_vouching(&self) -> bool {
        self.present().is_ok_and(|key| key.predates_vouching())
    }

    /// What is stored is under the key at that place.
    fn is_present(&self, place: usize) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.present = place;
    }

    /// Whether there is a key that was not known before.
    fn read_again(&self) -> bool {
        let Some(read) = self.reread.as_ref().and_then(|reread| reread()) else {
            return false;
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.keys.len();
        for key in read {
            if known
                .keys
                .iter()
                .all(|old| *old.to_text() != *key.to_text())
            {
                known.keys.push(Arc::new(key));
            }
        }
        known.keys.len() > before
    }

    /// Seals under the present key; see [`SealingKey::seal`].
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn seal(&self, kid: &str, record: &str, secret: &[u8]) -> Result<String, SealError> {
        self.present()?.seal(kid, record, secret)
    }

    /// A key for another purpose, of the present key; see [`SealingKey::derive`].
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn derive(&self, purpose: &str) -> Result<Zeroizing<[u8; 32]>, SealError> {
        self.present()?.derive(purpose)
    }

    /// The same of every key.
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn derive_all(&self, purpose: &str) -> Result<Vec<Zeroizing<[u8; 32]>>, SealError> {
        self.all().iter().map(|key| key.derive(purpose)).collect()
    }

    fn all(&self) -> Vec<Arc<SealingKey>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.keys.clone()
    }

    fn present(&self) -> Result<Arc<SealingKey>, SealError> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.keys.get(known.present).cloned().ok_or(SealError::Key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemRandom;

    fn copy(key: &SealingKey) -> SealingKey {
        SealingKey::from_text(&key.to_text()).unwrap()
    }

    #[test]
    fn seals_under_the_key_that_stored_things_are_sealed_under() {
        let (old, new) = (
            SealingKey::generate(&SystemRandom),
            SealingKey::generate(&SystemRandom),
        );
        let sealing = Sealing::new(vec![copy(&new), copy(&old)]);
        let stored = old.seal("kid", "id", b"secret").unwrap();
        assert_eq!(*sealing.open("kid", "id", &stored).unwrap(), b"secret");
        let next = sealing.seal("kid", "id", b"next").unwrap();
        assert_eq!(*old.open("kid", "id", &next).unwrap(), b"next");
        let resealed = new.seal("kid", "id", b"secret").unwrap();
        sealing.open("kid", "id", &resealed).unwrap();
        let next = sealing.seal("kid", "id", b"next").unwrap();
        assert_eq!(*new.open("kid", "id", &next).unwrap(), b"next");
        assert_eq!(sealing.derive("x").unwrap(), new.derive("x").unwrap());
    }

    #[test]
    fn reads_the_file_again_before_it_gives_up() {
        let (old, new) = (
            SealingKey::generate(&SystemRandom),
            SealingKey::generate(&SystemRandom),
        );
        let text = new.to_text().to_string();
        let sealing =
            Sealing::from(old).rereading(move || Some(vec![SealingKey::from_text(&text).unwrap()]));
        let stored = new.seal("kid", "id", b"secret").unwrap();
        assert_eq!(*sealing.open("kid", "id", &stored).unwrap(), b"secret");
        assert_eq!(sealing.derive_all("x").unwrap().len(), 2);
        let stranger = SealingKey::generate(&SystemRandom);
        let stored = stranger.seal("kid", "id", b"secret").unwrap();
        assert_eq!(sealing.open("kid", "id", &stored), Err(SealError::Open));
    }
}
