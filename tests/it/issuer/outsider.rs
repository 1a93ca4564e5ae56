//! A keystore outside the process that does what it is told to.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use idp::{
    domain::SigningAlgorithm,
    jose::PrivateKey,
    ports::{ExternalKey, ExternalKeys, SignError},
};

/// A keystore in memory that stands for one outside the process.
pub(super) struct Outsider {
    keys: Mutex<Vec<(String, Option<PrivateKey>)>>,
    /// Whether it destroys no keys.
    pub(super) stuck: AtomicBool,
    /// How many keys it can have.
    pub(super) room: AtomicUsize,
    /// How often it was asked for a key.
    pub(super) asked: AtomicUsize,
    /// Before it was asked that often nobody gets a key.
    pub(super) crowd: AtomicUsize,
}

impl Default for Outsider {
    fn default() -> Self {
        Self {
            keys: Mutex::default(),
            stuck: AtomicBool::new(false),
            room: AtomicUsize::new(usize::MAX),
            asked: AtomicUsize::new(0),
            crowd: AtomicUsize::new(0),
        }
    }
}

impl Outsider {
    /// The keys that it has.
    pub(super) fn alive(&self) -> Vec<String> {
        let keys = self.keys.lock().unwrap();
        let alive = keys.iter().filter(|(_, key)| key.is_some());
        alive.map(|(reference, _)| reference.clone()).collect()
    }
}

#[async_trait]
impl ExternalKeys for Outsider {
    async fn create(
        &self,
        algorithm: SigningAlgorithm,
        label: &str,
    ) -> Result<ExternalKey, SignError> {
        assert!(label.starts_with("idp https://"), "{label}");
        self.asked.fetch_add(1, Ordering::SeqCst);
        while self.asked.load(Ordering::SeqCst) < self.crowd.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        if self.alive().len() >= self.room.load(Ordering::SeqCst) {
            return Err(SignError::Failed("the quota of keys is used up".to_owned()));
        }
        let key = PrivateKey::generate(algorithm).unwrap();
        let mut keys = self.keys.lock().unwrap();
        let made = ExternalKey {
            public: key.public().clone(),
            reference: format!("outside-{}", keys.len()),
        };
        keys.push((made.reference.clone(), Some(key)));
        Ok(made)
    }

    async fn sign(
        &self,
        reference: &str,
        _algorithm: SigningAlgorithm,
        input: &[u8],
    ) -> Result<Vec<u8>, SignError> {
        let keys = self.keys.lock().unwrap();
        let key = keys.iter().find(|(known, _)| known == reference);
        key.and_then(|(_, key)| key.as_ref())
            .map(|key| key.sign(input).unwrap())
            .ok_or_else(|| SignError::Failed("no such key".to_owned()))
    }

    async fn destroy(&self, reference: &str) -> Result<(), SignError> {
        if self.stuck.load(Ordering::SeqCst) {
            return Err(SignError::Failed("out of reach".to_owned()));
        }
        for (known, key) in &mut *self.keys.lock().unwrap() {
            if known == reference {
                *key = None;
            }
        }
        Ok(())
    }
}
