//! Keys that are derived from a secret access key, kept for the next signature.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, PoisonError, RwLock},
};

use aws_lc_rs::{hmac, rand::SystemRandom, signature::EcdsaKeyPair};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{SigningCredentials, SigningError, SigningSettings, v4a};
use crate::{
    domain::{ExposeSecret as _, SecretString},
    sigv4::SignatureVersion,
};

/// How many keys are kept. When there are more, all are dropped: those of yesterday and of ended sessions
/// go with them, and deriving one costs some microseconds.
const KEPT: usize = 512;

/// For what a key is.
pub(super) struct Wanted<'a> {
    pub(super) credentials: &'a SigningCredentials,
    pub(super) settings: &'a SigningSettings<'a>,
    /// `YYYYMMDD`.
    pub(super) day: &'a [u8],
}

/// A key that signs strings. aws-lc overwrites it when it is dropped.
#[expect(
    clippy::large_enum_variant,
    reason = "each is alone behind an Arc, and nearly all are the large one"
)]
pub(super) enum DerivedKey {
    V4(hmac::Key),
    V4a(EcdsaKeyPair),
}

impl DerivedKey {
    /// The signature in hexadecimal.
    #[expect(
        clippy::disallowed_methods,
        reason = "aws-lc takes the numbers of an ECDSA signature from its own generator"
    )]
    pub(super) fn sign(&self, text: &[u8]) -> Result<String, SigningError> {
        match self {
            Self::V4(key) => Ok(hex::encode(hmac::sign(key, text))),
            Self::V4a(pair) => pair
                .sign(&SystemRandom::new(), text)
                .map(hex::encode)
                .map_err(|_| SigningError::KeyPair),
        }
    }
}

/// Derived keys by what they are for.
#[derive(Default)]
pub(super) struct SigningKeys {
    kept: RwLock<HashMap<u64, Kept>>,
    hasher: RandomState,
}

struct Kept {
    access_key_id: String,
    secret: SecretString,
    version: SignatureVersion,
    day: Vec<u8>,
    region: String,
    name: String,
    key: Arc<DerivedKey>,
}

impl SigningKeys {
    pub(super) fn get(&self, wanted: &Wanted<'_>) -> Result<Arc<DerivedKey>, SigningError> {
        let (day, region, name) = wanted.scope();
        let version = wanted.settings.version;
        let place = self.hasher.hash_one((
            wanted.credentials.access_key_id(),
            version,
            day,
            region,
            name,
        ));
        if let Some(kept) = self
            .kept
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&place)
            .filter(|kept| kept.is(wanted))
        {
            return Ok(Arc::clone(&kept.key));
        }
        let key = Arc::new(wanted.derive()?);
        let mut all = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEPT {
            all.clear();
        }
        all.insert(
            place,
            Kept {
                access_key_id: wanted.credentials.access_key_id().to_owned(),
                secret: wanted.credentials.secret().clone(),
                version,
                day: day.to_vec(),
                region: region.to_owned(),
                name: name.to_owned(),
                key: Arc::clone(&key),
            },
        );
        Ok(key)
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").finish_non_exhaustive()
    }
}

impl Kept {
    fn is(&self, wanted: &Wanted<'_>) -> bool {
        let (day, region, name) = wanted.scope();
        self.access_key_id == wanted.credentials.access_key_id()
            && self.version == wanted.settings.version
            && self.day == day
            && self.region == region
            && self.name == name
            && bool::from(
                self.secret
                    .expose_secret()
                    .as_bytes()
                    .ct_eq(wanted.credentials.secret().expose_secret().as_bytes()),
            )
    }
}

impl Wanted<'_> {
    /// Day, region and name. A key of Version 4a is for all of them.
    fn scope(&self) -> (&[u8], &str, &str) {
        match self.settings.version {
            SignatureVersion::V4 => (self.day, self.settings.region, self.settings.name),
            SignatureVersion::V4a => (&[], "", ""),
        }
    }

    fn derive(&self) -> Result<DerivedKey, SigningError> {
        let secret = self.credentials.secret().expose_secret();
        match self.settings.version {
            SignatureVersion::V4a => {
                v4a::key_pair(self.credentials.access_key_id(), secret).map(DerivedKey::V4a)
            }
            SignatureVersion::V4 => {
                let first = Zeroizing::new(format!("AWS4{secret}"));
                let mut key = hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes());
                let mut bytes = Zeroizing::new([0; 32]);
                for text in [
                    self.day,
                    self.settings.region.as_bytes(),
                    self.settings.name.as_bytes(),
                    b"aws4_request",
                ] {
                    hmac::sign_to_buffer(&key, text, bytes.as_mut())
                        .map_err(|_| SigningError::KeyPair)?;
                    key = hmac::Key::new(hmac::HMAC_SHA256, bytes.as_ref());
                }
                Ok(DerivedKey::V4(key))
            }
        }
    }
}
