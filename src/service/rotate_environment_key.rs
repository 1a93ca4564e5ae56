//! An environment replaces its key by a newer one, with the word of both.

use serde_json::{Map, Value, json};

use super::{
    Enrolled, RequestContext, Service,
    authenticate_client::{Client, verify},
    enrol::EnrolRefusal,
    limits::Caller,
    quarantine::{KeyUse, quarantined},
};
use crate::{
    domain::{
        Actor, AuditEvent, Credential, EnvironmentId, EnvironmentState, Outcome, PublicJwk,
        Subject, Timestamp,
    },
    jose::{Jws, VerifyingKey, thumbprint},
    ports::{KeyRotation, RotationOutcome},
};

/// The `typ` of both proofs.
const PROOF_TYPE: &str = "key-rotation+jwt";

/// What an environment sends. Each proof is a JWS over `nonce`, `aud` (the issuer), `sub` (the
/// environment's id), `old_kid` and `new_kid` (thumbprints), so that neither can be combined with
/// another one.
#[derive(Debug)]
pub struct RotateKeyRequest {
    /// Whose key.
    pub environment_id: EnvironmentId,
    /// The public half of the new key.
    pub jwk: PublicJwk,
    /// By the old key, which its header names.
    pub proof_by_old_key: String,
    /// By the new key.
    pub proof_by_new_key: String,
}

/// A proof whose signature holds and whose claims do.
struct Proven {
    client: Client,
    new_kid: String,
    /// When the nonce was issued: the old key has signed since.
    asked_at: Timestamp,
}

impl Service {
    /// Puts a new key in the place of an environment's key. The old key is accepted until a minute
    /// after the new one's first use. A request that is repeated, because its answer was lost, is
    /// answered again; one that is replayed later changes nothing.
    ///
    /// # Errors
    /// See [`EnrolRefusal`].
    pub async fn rotate_environment_key(
        &self,
        request: RotateKeyRequest,
        context: RequestContext,
    ) -> Result<Enrolled, EnrolRefusal> {
        let proven = match self.prove_both(&request).await {
            Ok(proven) => proven,
            Err(refusal) => {
                if !matches!(refusal, EnrolRefusal::Unavailable(_)) {
                    self.refusals.count("environment.rotate_key", context);
                }
                return Err(refusal);
            }
        };
        let credential = &proven.client.known.credential;
        let caller = Caller::Environment(credential.subject.environment);
        self.limits.admits_caller(caller)?;
        let result = self.replace_key(&request, &proven, context).await;
        match &result {
            Ok(_) => self.credentials.forget(request.environment_id),
            Err(EnrolRefusal::Unavailable(_)) => {}
            Err(refusal) => {
                // A request that was seen going by, and is sent again, is not the client's doing.
                if refusal.is_of_known_sender() {
                    self.limits.charge_caller(caller);
                }
                let mut event = self.rotation_event(&credential.subject, context);
                event.outcome = Outcome::Refused;
                event.details = json!({
                    "reason": refusal.to_string(),
                    "kid": proven.new_kid, "former_kid": credential.kid,
                });
                self.store.append(event).await?;
            }
        }
        result
    }

    async fn replace_key(
        &self,
        request: &RotateKeyRequest,
        proven: &Proven,
        context: RequestContext,
    ) -> Result<Enrolled, EnrolRefusal> {
        let known = &proven.client.known;
        let credential = &known.credential;
        match self
            .judge_key_use(credential, known.standing, proven.asked_at, context)
            .await?
        {
            KeyUse::Accepted => {}
            KeyUse::Late { .. } => return Err(ended(credential)),
            KeyUse::Quarantined => {
                let told = quarantined(request.environment_id);
                return Err(EnrolRefusal::UnauthorizedClient(told));
            }
        }
        let rotation = KeyRotation {
            environment_id: request.environment_id,
            old_kid: credential.kid.clone(),
            new_kid: proven.new_kid.clone(),
            public: request.jwk.clone(),
            at: self.clock.now(),
        };
        let mut event = self.rotation_event(&credential.subject, context);
        event.details = json!({ "kid": rotation.new_kid, "former_kid": rotation.old_kid });
        let id = request.environment_id;
        match self.store.rotate_environment_key(&rotation, event).await? {
            RotationOutcome::Rotated(_) | RotationOutcome::AlreadyRotated(_) => Ok(Enrolled {
                environment_id: id,
                issuer: self.issuer.clone(),
                kid: rotation.new_kid,
            }),
            RotationOutcome::KeyInUse => Err(EnrolRefusal::KeyInUse),
            RotationOutcome::OldKeyEnded => Err(ended(credential)),
            RotationOutcome::NotEnrolled(EnvironmentState::Quarantined) => {
                Err(EnrolRefusal::UnauthorizedClient(quarantined(id)))
            }
            RotationOutcome::NotEnrolled(_) | RotationOutcome::Missing => {
                Err(EnrolRefusal::UnauthorizedClient(format!(
                    "environment {id} is stopped and gets no tokens any more"
                )))
            }
        }
    }

    /// Believes nothing before both signatures hold.
    async fn prove_both(&self, request: &RotateKeyRequest) -> Result<Proven, EnrolRefusal> {
        if matches!(request.jwk, PublicJwk::Rsa { .. }) {
            return Err(EnrolRefusal::InvalidRequest(
                "jwk must be a P-256 (ES256) or Ed25519 (EdDSA) key".to_owned(),
            ));
        }
        let new_key = VerifyingKey::from_jwk(&request.jwk)
            .map_err(|error| EnrolRefusal::InvalidRequest(format!("jwk: {error}")))?;
        let by_new = parse("proof_by_new_key", &request.proof_by_new_key)?;
        let by_old = parse("proof_by_old_key", &request.proof_by_old_key)?;
        let old_kid = by_old.header().kid.clone().ok_or_else(|| {
            invalid(
                "proof_by_old_key",
                "its header lacks \"kid\", the thumbprint of that key",
            )
        })?;
        let found = self.credential(request.environment_id, &old_kid).await?;
        let keys = self.keys.clone();
        let (new_claims, client) = self
            .pool
            .run(move || {
                let new_claims = by_new.verified_claims(&new_key);
                (new_claims, verify(found, by_old, keys.decoys()))
            })
            .await?;
        let new_claims = new_claims
            .ok_or_else(|| invalid("proof_by_new_key", "it is not signed by the key in jwk"))?;
        // One answer for an unknown environment and a bad signature.
        let client = client.map_err(|_| {
            EnrolRefusal::InvalidClient(
                "proof_by_old_key: the environment is unknown, or this is not signed by a key of it"
                    .to_owned(),
            )
        })?;
        let new_kid = thumbprint(&request.jwk);
        let expected = [
            ("aud", self.issuer.as_str()),
            ("sub", &request.environment_id.to_string()),
            ("old_kid", &old_kid),
            ("new_kid", &new_kid),
        ];
        check("proof_by_old_key", &client.claims, &expected)?;
        check("proof_by_new_key", &new_claims, &expected)?;
        let nonce = client.claims.get("nonce").and_then(Value::as_str);
        if new_claims.get("nonce").and_then(Value::as_str) != nonce {
            return Err(invalid(
                "proof_by_new_key",
                "its nonce is not that of proof_by_old_key",
            ));
        }
        let asked_at = nonce
            .and_then(|nonce| self.nonces.issued_at(nonce, self.clock.now()))
            .ok_or(EnrolRefusal::InvalidNonce)?;
        Ok(Proven {
            client,
            new_kid,
            asked_at,
        })
    }

    fn rotation_event(&self, subject: &Subject, context: RequestContext) -> AuditEvent {
        let mut event = self.event("environment.rotate_key", subject.environment.to_string());
        event.organization_id = Some(subject.organization);
        event.actor = Actor::Environment(subject.environment);
        event.request_id = Some(context.id);
        event.source = context.source;
        event
    }
}

fn parse(name: &str, proof: &str) -> Result<Jws, EnrolRefusal> {
    let jws = Jws::parse(proof).map_err(|error| invalid(name, &error.to_string()))?;
    if jws.header().typ.as_deref() == Some(PROOF_TYPE) {
        Ok(jws)
    } else {
        Err(invalid(
            name,
            "its header's typ must be \"key-rotation+jwt\"",
        ))
    }
}

fn check(
    name: &str,
    claims: &Map<String, Value>,
    expected: &[(&str, &str)],
) -> Result<(), EnrolRefusal> {
    for (claim, value) in expected {
        if claims.get(*claim).and_then(Value::as_str) != Some(*value) {
            return Err(invalid(name, &format!("{claim} must be {value:?}")));
        }
    }
    Ok(())
}

fn invalid(name: &str, error: &str) -> EnrolRefusal {
    EnrolRefusal::InvalidProof(format!("{name}: {error}"))
}

fn ended(credential: &Credential) -> EnrolRefusal {
    EnrolRefusal::InvalidClient(format!(
        "proof_by_old_key: key {} was replaced by a newer one already, which is in use",
        credential.kid
    ))
}
