//! All keystores that the settings name, as one. A stored reference says which of them has the key, so
//! that an installation can move from one to another: keys stay where they are until they retire.

use std::sync::Arc;

use async_trait::async_trait;

use super::{GuardedKeys, KmsKeys, Pkcs11Keys, SignerLimits, SignerReport, kms, pkcs11};
use crate::{
    config::{KeyBackend, SignerSettings},
    domain::{Clock, Random, SigningAlgorithm},
    ports::{ExternalKey, ExternalKeys, SignError},
};

/// The keystores of an installation.
#[derive(Clone)]
pub struct Keystores {
    backend: KeyBackend,
    kms: Option<Arc<GuardedKeys>>,
    pkcs11: Option<Arc<GuardedKeys>>,
}

impl std::fmt::Debug for Keystores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keystores")
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

impl Keystores {
    /// What the settings name, with limits around each; `None` where they name none. At most `queue`
    /// signatures wait for one of them. Nothing is asked yet.
    pub async fn load(
        settings: &SignerSettings,
        queue: usize,
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
    ) -> Option<Self> {
        let limits = SignerLimits {
            timeout: settings.timeout,
            concurrency: settings.concurrency,
            queue,
        };
        let guarded = |keys: Arc<dyn ExternalKeys>, name| {
            Arc::new(GuardedKeys::new(keys, name, limits, clock.clone()))
        };
        let kms = match &settings.kms {
            Some(kms) => Some(guarded(
                Arc::new(KmsKeys::load(kms, settings.timeout).await),
                KeyBackend::AwsKms.as_str(),
            )),
            None => None,
        };
        let pkcs11 = settings.pkcs11.as_ref().map(|token| {
            guarded(
                Arc::new(Pkcs11Keys::new(token, random.clone())),
                KeyBackend::Pkcs11.as_str(),
            )
        });
        (kms.is_some() || pkcs11.is_some()).then_some(Self {
            backend: settings.backend,
            kms,
            pkcs11,
        })
    }

    /// How each has been, since the start, and how it is.
    #[must_use]
    pub fn reports(&self) -> Vec<SignerReport> {
        let all = [&self.kms, &self.pkcs11];
        all.into_iter()
            .flatten()
            .map(|keys| keys.report())
            .collect()
    }

    /// The keystore that has a key.
    fn of(&self, reference: &str) -> Result<&GuardedKeys, SignError> {
        let (found, section) = if reference.starts_with(kms::PREFIX) {
            (&self.kms, "[aws_kms]")
        } else if reference.starts_with(pkcs11::PREFIX) {
            (&self.pkcs11, "[pkcs11]")
        } else {
            return Err(SignError::Failed(format!(
                "no keystore of this version has the key {reference:?}"
            )));
        };
        found.as_deref().ok_or_else(|| {
            SignError::Failed(format!(
                "the key {reference:?} is in a keystore that the settings do not name: add the section \
                 {section}"
            ))
        })
    }
}

#[async_trait]
impl ExternalKeys for Keystores {
    fn makes_keys(&self) -> bool {
        self.backend != KeyBackend::SealedFile
    }

    fn available(&self, reference: &str) -> Result<(), SignError> {
        self.of(reference)?.available(reference)
    }

    async fn create(
        &self,
        algorithm: SigningAlgorithm,
        label: &str,
    ) -> Result<ExternalKey, SignError> {
        let keys = match self.backend {
            KeyBackend::AwsKms => &self.kms,
            KeyBackend::Pkcs11 => &self.pkcs11,
            KeyBackend::SealedFile => &None,
        };
        let keys = keys.as_deref().ok_or_else(|| {
            SignError::Failed("the settings name no keystore for new keys".to_owned())
        })?;
        keys.create(algorithm, label).await
    }

    async fn sign(
        &self,
        reference: &str,
        algorithm: SigningAlgorithm,
        input: &[u8],
    ) -> Result<Vec<u8>, SignError> {
        self.of(reference)?.sign(reference, algorithm, input).await
    }

    async fn destroy(&self, reference: &str) -> Result<(), SignError> {
        self.of(reference)?.destroy(reference).await
    }
}
