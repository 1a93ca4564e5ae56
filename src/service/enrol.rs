//! Enrolment: an environment registers a key that it proves to hold, with a join token as its ticket.

use serde_json::{Map, Value, json};

use super::{
    RequestContext, Service,
    known_refusals::Known,
    limits::{Caller, Limited},
    pool::Overloaded,
};
use crate::{
    domain::{
        Actor, AuditEvent, EnvironmentId, ExposeSecret as _, Issuer, JOIN_TOKEN_LIFE,
        JOIN_TOKEN_PREFIX, JoinToken, PublicJwk, SecretString,
    },
    jose::{Jws, VerifyingKey, base64url_encode, sha256, thumbprint},
    ports::{EnrolOutcome, StoreError},
};

/// The `typ` of a proof of possession.
const PROOF_TYPE: &str = "enrolment+jwt";

/// What an environment sends.
#[derive(Debug)]
pub struct EnrolRequest {
    /// The join token.
    pub join_token: SecretString,
    /// The public half of the environment's new key.
    pub jwk: PublicJwk,
    /// A JWS by that key over `nonce`, `aud` (the issuer) and `token_sha256`.
    pub proof: String,
}

/// What it is now.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// Its id, which is its client id.
    pub environment_id: EnvironmentId,
    /// The issuer that its assertions name.
    pub issuer: Issuer,
    /// The thumbprint of its key.
    pub kid: String,
}

/// Why it is not enrolled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolRefusal {
    /// A member is missing or malformed.
    #[error("{0}")]
    InvalidRequest(String),
    /// The nonce is not one of this issuer's, or too old.
    #[error(
        "the proof's nonce is not a fresh one of this issuer; fetch /enroll/nonce and try again"
    )]
    InvalidNonce,
    /// The proof does not prove.
    #[error("{0}")]
    InvalidProof(String),
    /// The join token is unknown.
    #[error("{0}")]
    InvalidJoinToken(String),
    /// The join token is one of this issuer's and does not admit.
    #[error("{0}")]
    UnusableJoinToken(String),
    /// The key is, or was, an environment's. Who is told so showed a join token or a key of theirs.
    #[error("jwk is, or was, an environment's key; make a fresh key pair")]
    KeyInUse,
    /// Who holds that join token or that key comes too often.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// The environment did not prove one of its keys, or that key has ended.
    #[error("{0}")]
    InvalidClient(String),
    /// The environment proved its key and may not.
    #[error("{0}")]
    UnauthorizedClient(String),
    /// Not now.
    #[error("{0}")]
    Unavailable(String),
}

impl EnrolRefusal {
    /// A word for it in metrics.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) | Self::KeyInUse => "invalid_request",
            Self::InvalidNonce => "invalid_nonce",
            Self::InvalidProof(_) => "invalid_proof",
            Self::InvalidJoinToken(_) | Self::UnusableJoinToken(_) => "invalid_grant",
            Self::Limited(_) => "rate_limited",
            Self::InvalidClient(_) => "invalid_client",
            Self::UnauthorizedClient(_) => "unauthorized_client",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// Whether the sender showed a join token or a key of this issuer's.
    #[must_use]
    pub const fn is_of_known_sender(&self) -> bool {
        matches!(
            self,
            Self::UnusableJoinToken(_)
                | Self::KeyInUse
                | Self::UnauthorizedClient(_)
                | Self::Limited(_)
        )
    }
}

impl From<StoreError> for EnrolRefusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "an enrolment was refused because of the database");
        Self::Unavailable("the identity provider cannot record enrolments at present".to_owned())
    }
}

impl From<Overloaded> for EnrolRefusal {
    fn from(error: Overloaded) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl Service {
    /// Registers the key and consumes the join token, both or neither.
    ///
    /// # Errors
    /// See [`EnrolRefusal`].
    pub async fn enrol(
        &self,
        request: EnrolRequest,
        context: RequestContext,
    ) -> Result<Enrolled, EnrolRefusal> {
        let result = self.try_enrol(&request, context).await;
        if let Err(refusal) = &result {
            self.metrics.enrolment(refusal);
        }
        result
    }

    async fn try_enrol(
        &self,
        request: &EnrolRequest,
        context: RequestContext,
    ) -> Result<Enrolled, EnrolRefusal> {
        let _place = self.gate.enter().ok_or(Overloaded)?;
        let (hash, token) = match self.find_token(request).await {
            Ok(found) => found,
            Err(refusal) => {
                if !matches!(refusal, EnrolRefusal::Unavailable(_)) {
                    self.refusals.count("environment.enrol", context);
                }
                return Err(refusal);
            }
        };
        let id = token.id;
        let environment = token.environment_id;
        let caller = Caller::JoinToken(id);
        self.limits.admits_caller(caller)?;
        self.limits.charge_caller(caller);
        match self.enrol_with(token, &hash, request, context).await {
            Err(refusal) if !matches!(refusal, EnrolRefusal::Unavailable(_)) => {
                let mut event = self.enrol_event(environment, context).await?;
                event.actor = Actor::Anonymous;
                event.details = json!({ "reason": refusal.to_string(), "join_token": id });
                self.record_refusal_of(Known::JoinToken(id), "invalid_grant", event)
                    .await?;
                Err(refusal)
            }
            result => result,
        }
    }

    /// The join token and its hash, once the proof holds. Who gets here holds a secret of ours.
    async fn find_token(
        &self,
        request: &EnrolRequest,
    ) -> Result<([u8; 32], JoinToken), EnrolRefusal> {
        let text = request.join_token.expose_secret();
        if !text.starts_with(JOIN_TOKEN_PREFIX) {
            return Err(EnrolRefusal::InvalidRequest(format!(
                "join_token is not a join token: those begin with {JOIN_TOKEN_PREFIX}"
            )));
        }
        let hash = sha256(text.as_bytes());
        let claims = self.verify_proof(request).await?;
        self.check_proof(&claims, &hash)?;
        match self.store.join_token(&hash).await? {
            Some(token) => Ok((hash, token)),
            None => Err(EnrolRefusal::InvalidJoinToken(ask_for_another(
                "the join token is unknown",
            ))),
        }
    }

    async fn enrol_with(
        &self,
        token: JoinToken,
        hash: &[u8; 32],
        request: &EnrolRequest,
        context: RequestContext,
    ) -> Result<Enrolled, EnrolRefusal> {
        let token = self.usable(token, context)?;
        let kid = thumbprint(&request.jwk);
        let mut event = self.enrol_event(token.environment_id, context).await?;
        event.details = json!({ "kid": kid, "join_token": token.id });
        let outcome = self
            .store
            .enrol(hash, &kid, &request.jwk, self.clock.now(), event)
            .await?;
        match outcome {
            EnrolOutcome::Enrolled(environment) => {
                self.credentials.forget(environment.id);
                Ok(Enrolled {
                    environment_id: environment.id,
                    issuer: self.issuer.clone(),
                    kid,
                })
            }
            EnrolOutcome::Refused => Err(EnrolRefusal::UnusableJoinToken(
                "the join token was used, or its environment is stopped; ask an administrator for a new one"
                    .to_owned(),
            )),
            EnrolOutcome::KeyInUse => Err(EnrolRefusal::KeyInUse),
        }
    }

    /// An event in the chain of the environment's organisation.
    async fn enrol_event(
        &self,
        environment: EnvironmentId,
        context: RequestContext,
    ) -> Result<AuditEvent, StoreError> {
        let found = self.store.environment(environment).await?;
        let mut event = self.event("environment.enrol", environment.to_string());
        event.actor = Actor::Environment(environment);
        event.organization_id = found.map(|environment| environment.organization_id);
        event.request_id = Some(context.id);
        event.source = context.source;
        Ok(event)
    }

    /// The proof's claims, once the key that is to be enrolled has verified them.
    async fn verify_proof(
        &self,
        request: &EnrolRequest,
    ) -> Result<Map<String, Value>, EnrolRefusal> {
        if matches!(request.jwk, PublicJwk::Rsa { .. }) {
            return Err(EnrolRefusal::InvalidRequest(
                "jwk must be a P-256 (ES256) or Ed25519 (EdDSA) key".to_owned(),
            ));
        }
        let key = VerifyingKey::from_jwk(&request.jwk)
            .map_err(|error| EnrolRefusal::InvalidRequest(format!("jwk: {error}")))?;
        let invalid = |error: &str| EnrolRefusal::InvalidProof(format!("proof: {error}"));
        let proof = request.proof.clone();
        self.pool
            .run(move || {
                let jws = Jws::parse(&proof).map_err(|error| error.to_string())?;
                if jws.header().typ.as_deref() != Some(PROOF_TYPE) {
                    return Err("its header's typ must be \"enrolment+jwt\"".to_owned());
                }
                jws.verified_claims(&key)
                    .ok_or_else(|| "it is not signed by the key in jwk".to_owned())
            })
            .await?
            .map_err(|error| invalid(&error))
    }

    fn check_proof(
        &self,
        claims: &Map<String, Value>,
        hash: &[u8; 32],
    ) -> Result<(), EnrolRefusal> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("aud") != Some(self.issuer.as_str()) {
            return Err(EnrolRefusal::InvalidProof(format!(
                "proof: aud must be the issuer, {:?}",
                self.issuer
            )));
        }
        if text("token_sha256") != Some(&base64url_encode(hash)) {
            return Err(EnrolRefusal::InvalidProof(
                "proof: token_sha256 must be the base64url SHA-256 of the join token".to_owned(),
            ));
        }
        let fresh = text("nonce").is_some_and(|nonce| self.nonces.accepts(nonce, self.clock.now()));
        if fresh {
            Ok(())
        } else {
            Err(EnrolRefusal::InvalidNonce)
        }
    }

    /// Who holds a join token holds its secret, and may know why it does not admit.
    fn usable(&self, token: JoinToken, context: RequestContext) -> Result<JoinToken, EnrolRefusal> {
        if let Some(at) = token.used_at {
            return unusable(&format!("the join token was used at {at}"));
        }
        if token.expires_at <= self.clock.now() {
            return unusable(&format!(
                "the join token ended at {}, {} minutes after it was made or when a newer one was made",
                token.expires_at,
                JOIN_TOKEN_LIFE.as_secs() / 60
            ));
        }
        if !context.source.is_some_and(|source| token.admits(source)) && token.cidr.is_some() {
            return unusable("the join token may not be used from this address");
        }
        Ok(token)
    }
}

fn unusable<T>(why: &str) -> Result<T, EnrolRefusal> {
    Err(EnrolRefusal::UnusableJoinToken(ask_for_another(why)))
}

fn ask_for_another(why: &str) -> String {
    format!("{why}; ask an administrator for a new one (idp admin join-token create)")
}
