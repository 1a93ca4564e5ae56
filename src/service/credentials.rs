//! Environments' credentials, parsed once and kept for a few seconds.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use quick_cache::sync::Cache;

use super::Service;
use crate::{
    domain::{Credential, EnvironmentId},
    jose::VerifyingKey,
    ports::{KeyStanding, StoreError},
};

/// How long a credential is kept. The state of the environment and its key are read again in each
/// mint's own transaction; this bounds how long a change of the allowed audiences goes unseen by a
/// replica that did not make it.
const LIFE: Duration = Duration::from_secs(5);

/// How many are kept: some 500 bytes each.
const CAPACITY: usize = 10_000;

/// A credential whose key is ready to verify.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) credential: Credential,
    /// Whether it is the environment's present key.
    pub(super) standing: KeyStanding,
    pub(super) key: VerifyingKey,
}

pub(super) struct Credentials(Cache<EnvironmentId, (Instant, Arc<Known>)>);

impl Credentials {
    pub(super) fn new() -> Self {
        Self(Cache::new(CAPACITY))
    }

    fn get(&self, id: EnvironmentId) -> Option<Arc<Known>> {
        let (since, known) = self.0.get(&id)?;
        (since.elapsed() < LIFE).then_some(known)
    }

    fn keep(&self, id: EnvironmentId, known: Arc<Known>) {
        self.0.insert(id, (Instant::now(), known));
    }

    pub(super) fn forget(&self, id: EnvironmentId) {
        self.0.remove(&id);
    }

    pub(super) fn forget_all(&self) {
        self.0.clear();
    }
}

impl Service {
    /// The credential of an environment under the key `kid`, from the cache or the database. Any
    /// other environment's answer, and that of one that does not exist, takes as many queries as
    /// that to a `kid` that is not the environment's.
    pub(super) async fn credential(
        &self,
        id: EnvironmentId,
        kid: &str,
    ) -> Result<Option<Arc<Known>>, StoreError> {
        if let Some(known) = self.credentials.get(id)
            && known.credential.kid == kid
        {
            return Ok(Some(known));
        }
        if let Some(credential) = self.store.credential(id).await?
            && credential.kid == kid
        {
            let known = Arc::new(Known::new(credential, KeyStanding::Present)?);
            self.credentials.keep(id, known.clone());
            return Ok(Some(known));
        }
        // Seldom: a key that was replaced, or nobody's.
        let found = self.store.credential_under(id, kid).await?;
        let known = found.map(|(credential, standing)| Known::new(credential, standing));
        Ok(known.transpose()?.map(Arc::new))
    }
}

impl Known {
    fn new(credential: Credential, standing: KeyStanding) -> Result<Self, StoreError> {
        let key = VerifyingKey::from_jwk(&credential.public).map_err(|error| {
            let id = credential.subject.environment;
            StoreError::Corrupt(format!("the key of environment {id}: {error}"))
        })?;
        Ok(Self {
            credential,
            standing,
            key,
        })
    }
}
