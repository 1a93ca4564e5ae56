//! Issuing a token: authenticate, build the claims, record durably, sign, in that order.

use std::time::Instant;

use serde_json::json;

use super::{
    RequestContext, Service,
    assertion::{self, Assertion},
    authenticate_client::{Client, not_authenticated},
    aws_claims,
    known_refusals::Known,
    limits::{Caller, Limited},
    metrics::Metrics,
    pool::Overloaded,
    quarantine::{KeyUse, quarantined},
};
use crate::{
    domain::{
        Actor, Audience, AuditEvent, AwsTokenClaims, Credential, RoleArn, Subject, TokenClaims,
        TokenLifetime,
    },
    jose::{base64url_encode, signing_input},
    ports::{MintOutcome, MintRequest, SignError, Signer, StoreError},
};

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The `client_id` parameter, where there is one; it must agree with the assertion.
    pub client_id: Option<String>,
    /// The client assertion.
    pub assertion: String,
    /// The one audience.
    pub audience: String,
    /// The `ttl` parameter: the token's life in seconds.
    pub ttl: Option<String>,
    /// The `role_arn` parameter: the role that the token is meant for.
    pub role_arn: Option<String>,
}

/// A minted token.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: String,
    /// Its life.
    pub lifetime: TokenLifetime,
    /// The roles that it is pinned to; empty where it is not.
    pub roles: Vec<RoleArn>,
}

/// Why there is no token. The texts name the parameter, and hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// A parameter is missing or malformed.
    #[error("{0}")]
    InvalidRequest(String),
    /// The client did not prove who it is, or its assertion does not hold.
    #[error("{0}")]
    InvalidClient(String),
    /// The assertion was used before: somebody has a copy, or the client repeats itself.
    #[error("{0}")]
    Replayed(String),
    /// The client proved who it is and gets no tokens.
    #[error("{0}")]
    UnauthorizedClient(String),
    /// An audience that the organisation does not allow (RFC 8707 §2).
    #[error("{0}")]
    InvalidTarget(String),
    /// The client proved who it is and comes too often.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// Not now; the client may try again with a fresh assertion.
    #[error("{0}")]
    Unavailable(String),
}

impl TokenRefusal {
    /// The kind of refusal as one word, for counting.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient(_) => "invalid_client",
            Self::Replayed(_) => "replayed",
            Self::UnauthorizedClient(_) => "unauthorized_client",
            Self::InvalidTarget(_) => "invalid_target",
            Self::Limited(_) => "rate_limited",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// Whether the client proved its key, with an assertion that holds. Whoever saw one go by proves
    /// nothing with it.
    #[must_use]
    pub const fn is_of_proven_client(&self) -> bool {
        match self {
            // Parameters are judged after the assertion.
            Self::InvalidRequest(_)
            | Self::UnauthorizedClient(_)
            | Self::InvalidTarget(_)
            | Self::Limited(_) => true,
            Self::InvalidClient(_) | Self::Replayed(_) | Self::Unavailable(_) => false,
        }
    }
}

impl From<StoreError> for TokenRefusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a token was refused because of the database");
        Self::Unavailable("the identity provider cannot record tokens at present".to_owned())
    }
}

impl From<Overloaded> for TokenRefusal {
    fn from(error: Overloaded) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl Service {
    /// Mints a token for the environment that the assertion proves.
    ///
    /// # Errors
    /// See [`TokenRefusal`]. No refusal leaves a token behind, and no token is signed before its
    /// audit record is durable.
    pub async fn issue_token(
        &self,
        request: TokenRequest,
        context: RequestContext,
    ) -> Result<IssuedToken, TokenRefusal> {
        let result = self.try_issue_token(request, context).await;
        self.metrics.mint(&result);
        result
    }

    /// Whether there is room for one more request for a token. Who asks first is spared taking it apart.
    ///
    /// # Errors
    /// [`TokenRefusal::Unavailable`].
    pub fn has_room_for_token(&self) -> Result<(), TokenRefusal> {
        if self.gate.inside() < self.gate.most() {
            return Ok(());
        }
        let refused = Err(Overloaded.into());
        self.metrics.mint(&refused);
        refused.map(drop)
    }

    async fn try_issue_token(
        &self,
        request: TokenRequest,
        context: RequestContext,
    ) -> Result<IssuedToken, TokenRefusal> {
        let _place = self.gate.enter().ok_or(Overloaded)?;
        let _visit = self.pool.visit();
        let client = match self
            .authenticate_client(&request.assertion, request.client_id.as_deref())
            .await
        {
            Ok(client) => client,
            Err(refusal) => {
                if !matches!(refusal, TokenRefusal::Unavailable(_)) {
                    self.refusals.count("token.mint", context);
                }
                return Err(refusal);
            }
        };
        let caller = Caller::Environment(client.known.credential.subject.environment);
        self.limits.admits_caller(caller)?;
        let result = self.mint(&client, &request, context).await;
        // An assertion that does not hold is nobody's request: whoever saw one go by could lock the
        // client out with it.
        if !matches!(
            result,
            Err(TokenRefusal::InvalidClient(_) | TokenRefusal::Replayed(_))
        ) {
            self.limits.charge_caller(caller);
        }
        match result {
            Err(refusal) if !matches!(refusal, TokenRefusal::Unavailable(_)) => {
                let subject = &client.known.credential.subject;
                self.record_refusal(subject, &request, &refusal, context)
                    .await?;
                Err(refusal)
            }
            result => result,
        }
    }

    /// Everything after the client has proved its key.
    async fn mint(
        &self,
        client: &Client,
        request: &TokenRequest,
        context: RequestContext,
    ) -> Result<IssuedToken, TokenRefusal> {
        let credential = &client.known.credential;
        let id = credential.subject.environment;
        let assertion = assertion::check(&client.claims, id, &self.issuer, self.clock.now())
            .map_err(TokenRefusal::InvalidClient)?;
        let standing = client.known.standing;
        match self
            .judge_key_use(credential, standing, assertion.issued_at, context)
            .await?
        {
            KeyUse::Accepted => {}
            KeyUse::Late { ended_at } => {
                return Err(TokenRefusal::InvalidClient(format!(
                    "client_assertion: its key was replaced by a newer one and ended at {ended_at}; \
                     sign with the newer key"
                )));
            }
            KeyUse::Quarantined => {
                return Err(TokenRefusal::UnauthorizedClient(quarantined(id)));
            }
        }
        let audience = allowed_audience(&request.audience, credential)?;
        let lifetime = self.lifetime(request.ttl.as_deref())?;
        let aws = aws_claims::claims(
            &credential.subject,
            &credential.aws,
            &audience,
            request.role_arn.as_deref(),
        )?;
        // A stop waits for mints that were recorded before it, until they are signed.
        let _in_flight = self.in_flight.read().await;
        // A rotation between reading the ring and the commit is seen by the transaction; the second
        // try has the new key.
        for _ in 0..2 {
            let token = self
                .record_and_sign(credential, &assertion, &audience, &aws, lifetime, context)
                .await?;
            if let Some(token) = token {
                return Ok(IssuedToken {
                    token,
                    lifetime,
                    roles: aws.roles,
                });
            }
            self.keys.reload(&*self.store).await?;
        }
        Err(TokenRefusal::Unavailable(
            "the issuer's key is being changed; try again".to_owned(),
        ))
    }

    /// `None` where the signing key ceased to be active in between.
    async fn record_and_sign(
        &self,
        credential: &Credential,
        assertion: &Assertion,
        audience: &Audience,
        aws: &AwsTokenClaims,
        lifetime: TokenLifetime,
        context: RequestContext,
    ) -> Result<Option<String>, TokenRefusal> {
        let signer = self.keys.signer();
        signer.available().map_err(|error| {
            tracing::debug!(%error, "a token was refused because of the signer");
            TokenRefusal::Unavailable("the token could not be signed at present".to_owned())
        })?;
        let mut claims = TokenClaims::v2(
            self.issuer.clone(),
            &credential.subject,
            audience.clone(),
            lifetime,
            self.clock.now(),
            self.fresh_jti(),
        );
        claims.aws.clone_from(aws);
        let mut event = self.mint_event(&credential.subject, context);
        event.details = json!({
            "jti": claims.jti, "sub": claims.sub, "aud": claims.aud, "exp": claims.exp,
            "kid": signer.kid(),
        });
        if !aws.roles.is_empty() {
            event.details["roles"] = json!(aws.roles);
        }
        let mint = MintRequest {
            environment_id: credential.subject.environment,
            credential_kid: credential.kid.clone(),
            assertion_jti: assertion.jti.clone(),
            jti_expires_at: assertion.replayable_until,
            signing_kid: signer.kid().to_owned(),
            event,
            patience: self.pool.patience(),
        };
        let begun = Instant::now();
        let outcome = self.store.record_mint(mint).await?;
        self.metrics.committed(begun.elapsed());
        match outcome {
            MintOutcome::Recorded => sign(&*signer, &claims, self.metrics).await.map(Some),
            MintOutcome::SigningKeyInactive => Ok(None),
            refused => Err(self.refused_by_the_record(refused, credential)),
        }
    }

    fn fresh_jti(&self) -> String {
        let mut jti = [0; 16];
        self.random.fill(&mut jti);
        base64url_encode(jti)
    }

    fn refused_by_the_record(&self, outcome: MintOutcome, credential: &Credential) -> TokenRefusal {
        let id = credential.subject.environment;
        match outcome {
            MintOutcome::Replayed => TokenRefusal::Replayed(
                "client_assertion: its jti was used before; make a fresh assertion for each request"
                    .to_owned(),
            ),
            MintOutcome::Stopped => TokenRefusal::UnauthorizedClient(format!(
                "environment {id} is stopped and gets no tokens any more"
            )),
            MintOutcome::Quarantined => {
                TokenRefusal::UnauthorizedClient(quarantined(credential.subject.environment))
            }
            // Its key was replaced between authentication and record: it is nobody's key now.
            _ => {
                self.credentials.forget(id);
                not_authenticated()
            }
        }
    }

    fn lifetime(&self, ttl: Option<&str>) -> Result<TokenLifetime, TokenRefusal> {
        let Some(ttl) = ttl else {
            return Ok(self.tokens.default_ttl);
        };
        ttl.parse()
            .ok()
            .and_then(TokenLifetime::from_secs)
            .filter(|lifetime| *lifetime <= self.tokens.max_ttl)
            .ok_or_else(|| {
                TokenRefusal::InvalidRequest(format!(
                    "ttl must be a whole number of seconds from {} to {}",
                    TokenLifetime::MIN,
                    self.tokens.max_ttl.secs()
                ))
            })
    }

    fn mint_event(&self, subject: &Subject, context: RequestContext) -> AuditEvent {
        let mut event = self.event("token.mint", subject.environment.to_string());
        event.organization_id = Some(subject.organization);
        event.actor = Actor::Environment(subject.environment);
        event.request_id = Some(context.id);
        event.source = context.source;
        event
    }

    /// A refusal of somebody who proved the key is recorded, or counted where there are many.
    async fn record_refusal(
        &self,
        subject: &Subject,
        request: &TokenRequest,
        refusal: &TokenRefusal,
        context: RequestContext,
    ) -> Result<(), StoreError> {
        let mut event = self.mint_event(subject, context);
        let audience: String = request.audience.chars().take(255).collect();
        let says: String = refusal.to_string().chars().take(500).collect();
        event.details = json!({ "reason": says, "aud": audience });
        let who = Known::Environment(subject.environment);
        self.record_refusal_of(who, refusal.reason(), event).await
    }
}

/// The token, signed. Its record is durable by now.
async fn sign(
    signer: &dyn Signer,
    claims: &TokenClaims,
    metrics: &Metrics,
) -> Result<String, TokenRefusal> {
    let payload = serde_json::to_vec(claims)
        .map_err(|_| TokenRefusal::Unavailable("the claims cannot be written".to_owned()))?;
    let mut token = signing_input(signer.algorithm().as_str(), "JWT", signer.kid(), &payload);
    let begun = Instant::now();
    let answer = signer.sign(token.clone().into_bytes()).await;
    metrics.signed(begun.elapsed(), answer.is_err());
    let signature = answer.map_err(|error| {
        if matches!(error, SignError::Failed(_)) {
            tracing::error!(%error, kid = signer.kid(), "a recorded token was not signed");
        }
        TokenRefusal::Unavailable("the token could not be signed at present".to_owned())
    })?;
    token.push('.');
    token.push_str(&base64url_encode(signature));
    Ok(token)
}

fn allowed_audience(asked: &str, credential: &Credential) -> Result<Audience, TokenRefusal> {
    let audience: Audience = asked
        .parse()
        .map_err(|error| TokenRefusal::InvalidTarget(format!("audience: {error}")))?;
    let allowed = &credential.audiences;
    if allowed.contains(&audience) {
        return Ok(audience);
    }
    let list: Vec<&str> = allowed.iter().map(Audience::as_str).collect();
    Err(TokenRefusal::InvalidTarget(format!(
        "audience: {audience} is not one that the organisation allows ({}); an administrator can add it",
        list.join(", ")
    )))
}
