//! The one place that signs.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use http::{HeaderMap, Method};

use crate::{
    catalog::{Recognised, SigningMethod},
    domain::{Clock, ExposeSecret as _, RequestTarget},
    policy::Allowed,
    ports::{AwsSession, CredentialSource, WantedSession},
    proxy::answer::{Kind, Refusal},
    sigv4::{
        PayloadHash, Signable, SignatureVersion, Signer, SigningCredentials, SigningError,
        SigningSettings,
    },
};

/// Sessions and signatures.
pub(super) struct Signing {
    credentials: Arc<dyn CredentialSource>,
    clock: Arc<dyn Clock>,
    signer: Signer,
    /// Credentials in the form that the signer takes, by access key id.
    ready: RwLock<HashMap<String, Arc<SigningCredentials>>>,
}

/// How many are kept; when there are more, those of ended sessions go with all others.
const KEPT: usize = 64;

/// What is signed.
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a Method,
    pub(super) target: &'a RequestTarget,
    pub(super) recognised: &'a Recognised,
    pub(super) payload: PayloadHash,
}

impl Signing {
    pub(super) fn new(credentials: Arc<dyn CredentialSource>, clock: Arc<dyn Clock>) -> Self {
        Self {
            credentials,
            clock,
            signer: Signer::new(),
            ready: RwLock::default(),
        }
    }

    /// A session of the role that something was allowed for.
    pub(super) async fn session(&self, allowed: &Allowed) -> Result<Arc<AwsSession>, Refusal> {
        Ok(self.credentials.session(&wanted(allowed)).await?)
    }

    /// Signs with a session of the role that the request was allowed for.
    pub(super) fn sign(
        &self,
        session: &AwsSession,
        request: &Unsigned<'_>,
        headers: &mut HeaderMap,
    ) -> Result<(), Refusal> {
        let credentials = self.ready(session).map_err(failed)?;
        let signing = &request.recognised.signing;
        let settings = SigningSettings {
            name: signing.name,
            region: &signing.region,
            version: match signing.algorithm {
                SigningMethod::V4 => SignatureVersion::V4,
                SigningMethod::V4a => SignatureVersion::V4a,
            },
        };
        let signable = Signable {
            method: request.method,
            host: &request.recognised.host,
            target: request.target,
            payload: request.payload,
        };
        let now = self.clock.now();
        self.signer
            .sign(&signable, headers, &settings, &credentials, now)
            .map_err(failed)
    }

    /// AWS does not take this session any more.
    pub(super) fn forget(&self, allowed: &Allowed, session: &AwsSession) {
        self.credentials.forget(&wanted(allowed), session);
    }

    fn ready(&self, session: &AwsSession) -> Result<Arc<SigningCredentials>, SigningError> {
        let ready = self.ready.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(credentials) = ready.get(&session.access_key_id) {
            return Ok(Arc::clone(credentials));
        }
        drop(ready);
        let credentials = Arc::new(SigningCredentials::new(
            session.access_key_id.clone(),
            session.secret_access_key.clone(),
            Some(session.session_token.expose_secret()),
        )?);
        let mut ready = self.ready.write().unwrap_or_else(PoisonError::into_inner);
        if ready.len() >= KEPT {
            ready.clear();
        }
        ready.insert(session.access_key_id.clone(), Arc::clone(&credentials));
        Ok(credentials)
    }
}

fn wanted(allowed: &Allowed) -> WantedSession {
    WantedSession {
        role: allowed.role().clone(),
        session_policy: allowed.session_policy().cloned(),
    }
}

fn failed(error: SigningError) -> Refusal {
    tracing::error!(%error, "a request was not sent");
    Refusal::new(Kind::Internal, error.to_string())
}
