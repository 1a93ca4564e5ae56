//! Environments' credentials, parsed once and kept for a few seconds.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;

use super::Service;
use crate::{
    domain::{Credential, EnvironmentId},
    jose::VerifyingKey,
    ports::StoreError,
};

/// How long a credential is kept. The state of the environment and its key are read again in each
/// mint's own transaction; this bounds how long a change of the allowed audiences goes unseen by a
/// replica that did not make it.
const LIFE: Duration = Duration::from_secs(5);

/// How many are kept: some 500 bytes each.
const CAPACITY: u64 = 10_000;

/// A credential whose key is ready to verify.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) credential: Credential,
    pub(super) key: VerifyingKey,
}

pub(super) struct Credentials(Cache<EnvironmentId, Arc<Known>>);

impl Credentials {
    pub(super) fn new() -> Self {
        Self(
            Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_live(LIFE)
                .build(),
        )
    }

    pub(super) fn forget(&self, id: EnvironmentId) {
        self.0.invalidate(&id);
    }

    pub(super) fn forget_all(&self) {
        self.0.invalidate_all();
    }
}

impl Service {
    /// The credential of an environment, from the cache or the database.
    pub(super) async fn credential(
        &self,
        id: EnvironmentId,
    ) -> Result<Option<Arc<Known>>, StoreError> {
        if let Some(known) = self.credentials.0.get(&id) {
            return Ok(Some(known));
        }
        let Some(credential) = self.store.credential(id).await? else {
            return Ok(None);
        };
        let key = VerifyingKey::from_jwk(&credential.public).map_err(|error| {
            StoreError::Corrupt(format!("the key of environment {id}: {error}"))
        })?;
        let known = Arc::new(Known { credential, key });
        self.credentials.0.insert(id, known.clone());
        Ok(Some(known))
    }
}
