//! Where the private halves of an issuer's keys are made, kept and destroyed: sealed in the database
//! and opened into memory, or in a keystore outside the process.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::spawn_blocking;

use super::{KeyRingError, Pool, Sealing};
use crate::{
    domain::{Clock, Issuer, IssuerKey, KeyFacts, KeyId, PublicJwk, Random, SigningAlgorithm},
    jose::{PrivateKey, SealError, UnsignedCertificate, thumbprint},
    ports::{ExternalKeys, KeyStep, SignError, Signer, UnkeptKey},
};

/// What makes an issuer's keys, and signers of stored keys.
pub struct Keystore {
    /// Whose keys.
    pub issuer: Issuer,
    /// What new keys sign with.
    pub algorithm: SigningAlgorithm,
    /// What seals private halves in the database.
    pub sealing: Arc<Sealing>,
    /// Where new keys are made and kept if not in the database. Keys that are sealed go on signing
    /// until their time is over.
    pub external: Option<Arc<dyn ExternalKeys>>,
    /// Where sealed keys sign.
    pub pool: Arc<Pool>,
}

/// A key that was made and is not stored yet. Dropped, its external half is destroyed.
#[derive(Debug)]
pub struct NewKey {
    /// What is to be stored.
    pub record: IssuerKey,
    /// Watches over a private half outside the process.
    pub unkept: Option<UnkeptKey>,
}

impl std::fmt::Debug for Keystore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keystore")
            .field("issuer", &self.issuer)
            .field("algorithm", &self.algorithm)
            .field("external", &self.external.is_some())
            .finish_non_exhaustive()
    }
}

impl Keystore {
    /// The external keystore in which new keys are made, if they are.
    #[must_use]
    pub fn maker(&self) -> Option<&Arc<dyn ExternalKeys>> {
        let external = self.external.as_ref();
        external.filter(|external| external.makes_keys())
    }

    /// Makes a key, with a certificate that it signed itself. It is pending, of now, and not stored
    /// yet.
    ///
    /// # Errors
    /// No key could be made, sealed, or used for a first signature. An external key that cannot be
    /// used is destroyed again.
    pub async fn make(
        &self,
        clock: &dyn Clock,
        random: &dyn Random,
    ) -> Result<NewKey, KeyRingError> {
        let Some(external) = self.maker() else {
            let algorithm = self.algorithm;
            // Takes far longer than what the pool's threads are for.
            let made = spawn_blocking(move || PrivateKey::generate(algorithm));
            let made = made.await.map_err(KeyRingError::Generation)??;
            let record = self.seal(&made, clock, random).await?;
            return Ok(NewKey {
                record,
                unkept: None,
            });
        };
        let label = format!("idp {}", self.issuer);
        let made = external.create(self.algorithm, &label).await?;
        // Whatever fails and whoever ceases to wait, until it is stored.
        let unkept = UnkeptKey::new(external.clone(), made.reference.clone());
        let signer = ExternalSigner {
            kid: thumbprint(&made.public),
            algorithm: self.algorithm,
            reference: made.reference.clone(),
            keys: external.clone(),
        };
        let mut key = self.record(made.public, clock, random);
        match self.certificate(&key, &signer, random).await {
            Ok(certificate) => key.certificate = certificate,
            Err(error) => {
                unkept.destroy().await;
                return Err(error);
            }
        }
        key.reference = Some(made.reference);
        key.mac = Some(self.sealing.vouch(&key)?);
        Ok(NewKey {
            record: key,
            unkept: Some(unkept),
        })
    }

    /// The record of a private key that is to be kept sealed, pending, of now.
    ///
    /// # Errors
    /// It cannot be sealed or does not sign.
    pub async fn seal(
        &self,
        private: &PrivateKey,
        clock: &dyn Clock,
        random: &dyn Random,
    ) -> Result<IssuerKey, KeyRingError> {
        let mut key = self.record(private.public().clone(), clock, random);
        let pkcs8 = private.to_pkcs8()?;
        let private = PrivateKey::from_pkcs8(private.algorithm(), &pkcs8)?;
        let signer = LocalSigner::new(&key.kid, private, self.pool.clone());
        key.certificate = self.certificate(&key, &signer, random).await?;
        key.sealed = Some(self.sealing.seal(&key.kid, &key.id.to_string(), &pkcs8)?);
        key.mac = Some(self.sealing.vouch(&key)?);
        Ok(key)
    }

    /// A signer of a stored key; the reason why there is none is for an operator's eyes.
    ///
    /// # Errors
    /// The private half is destroyed, out of reach, or does not open.
    pub fn signer(&self, key: &IssuerKey) -> Result<Arc<dyn Signer>, String> {
        if let Some(reference) = &key.reference {
            let keys = self.external.clone().ok_or_else(|| {
                format!(
                    "key {} is in an external keystore, and the settings name none",
                    key.kid
                )
            })?;
            return Ok(Arc::new(ExternalSigner {
                kid: key.kid.clone(),
                algorithm: key.algorithm,
                reference: reference.clone(),
                keys,
            }));
        }
        let private = self.open(key)?;
        Ok(Arc::new(LocalSigner::new(
            &key.kid,
            private,
            self.pool.clone(),
        )))
    }

    /// Opens a sealed private half; the reason why it does not open is for an operator's eyes.
    ///
    /// # Errors
    /// It is destroyed, was sealed under another key-encryption key or for another record, or is no
    /// such key.
    pub fn open(&self, key: &IssuerKey) -> Result<PrivateKey, String> {
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

    /// Whether somebody with the key-encryption key wrote the record. Others are not published.
    #[must_use]
    pub fn vouches(&self, key: &IssuerKey) -> bool {
        self.sealing.vouches(key)
    }

    /// The step that takes a retiring key out of the JWKS.
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn expire(&self, key: &IssuerKey) -> Result<KeyStep, SealError> {
        Ok(KeyStep::Expire(key.id, self.mac_once_retired(key)?))
    }

    /// The step that takes a key of whatever state out of the JWKS.
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn withdraw(&self, key: &IssuerKey) -> Result<KeyStep, SealError> {
        Ok(KeyStep::Withdraw(key.id, self.mac_once_retired(key)?))
    }

    /// The step that notes that a key is gone from its external keystore.
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn forget(&self, key: &IssuerKey) -> Result<KeyStep, SealError> {
        let mut after = key.clone();
        after.reference = None;
        Ok(KeyStep::Forget(key.id, Some(self.sealing.vouch(&after)?)))
    }

    /// A retired record has a MAC of its own, so that the one from before does not bring it back. Nobody
    /// vouches for a record that nobody vouched for before.
    fn mac_once_retired(&self, key: &IssuerKey) -> Result<Option<String>, SealError> {
        if !self.sealing.vouches(key) {
            return Ok(None);
        }
        let mut after = key.clone();
        after.retired_at = Some(key.created_at);
        Ok(Some(self.sealing.vouch(&after)?))
    }

    /// Whether somebody with the key-encryption key wrote what the record says of an external key.
    #[must_use]
    pub fn knows_reference(&self, key: &IssuerKey) -> bool {
        if self.sealing.vouches(key) {
            return true;
        }
        // A program that knew of no MAC may have retired it.
        let mut before = key.clone();
        before.retired_at = None;
        self.sealing.vouches(&before)
    }

    /// Destroys an external private half. Whether it succeeded; a failure is logged, and the reference
    /// is to be kept so that it can be tried again.
    pub async fn destroy(&self, reference: &str) -> bool {
        let Some(external) = &self.external else {
            tracing::warn!(
                reference,
                "an external key cannot be destroyed: the settings name no external keystore"
            );
            return false;
        };
        match external.destroy(reference).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, reference, "an external key was not destroyed yet");
                false
            }
        }
    }

    pub(super) async fn certificate(
        &self,
        key: &IssuerKey,
        signer: &dyn Signer,
        random: &dyn Random,
    ) -> Result<String, KeyRingError> {
        let unsigned = UnsignedCertificate::new(
            &key.public,
            key.algorithm,
            &self.issuer,
            key.created_at,
            random,
        )?;
        let signature = signer.sign(unsigned.to_sign()?).await?;
        Ok(unsigned.signed(&signature)?)
    }

    fn record(&self, public: PublicJwk, clock: &dyn Clock, random: &dyn Random) -> IssuerKey {
        IssuerKey {
            id: KeyId::new(clock, random),
            issuer: self.issuer.clone(),
            kid: thumbprint(&public),
            algorithm: self.algorithm,
            public,
            certificate: String::new(),
            sealed: None,
            reference: None,
            mac: None,
            created_at: clock.now(),
            activated_at: None,
            retiring_at: None,
            retired_at: None,
            facts: KeyFacts::default(),
        }
    }
}

/// A private key in memory. RSA signatures are made on the pool; those of ES256 are brief.
struct LocalSigner {
    kid: String,
    key: Arc<PrivateKey>,
    pool: Arc<Pool>,
}

impl LocalSigner {
    fn new(kid: &str, key: PrivateKey, pool: Arc<Pool>) -> Self {
        Self {
            kid: kid.to_owned(),
            key: Arc::new(key),
            pool,
        }
    }
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
        let work = move || key.sign(&input);
        let signed = match self.algorithm() {
            SigningAlgorithm::Rs256 => self.pool.run(work).await,
            SigningAlgorithm::Es256 => self.pool.run_brief(work).await,
        };
        signed
            .map_err(|_| SignError::Overloaded)?
            .map_err(|error| SignError::Failed(error.to_string()))
    }
}

/// A private key in an external keystore.
struct ExternalSigner {
    kid: String,
    algorithm: SigningAlgorithm,
    reference: String,
    keys: Arc<dyn ExternalKeys>,
}

#[async_trait]
impl Signer for ExternalSigner {
    fn kid(&self) -> &str {
        &self.kid
    }

    fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    fn available(&self) -> Result<(), SignError> {
        self.keys.available(&self.reference)
    }

    async fn sign(&self, input: Vec<u8>) -> Result<Vec<u8>, SignError> {
        self.keys
            .sign(&self.reference, self.algorithm, &input)
            .await
    }
}
