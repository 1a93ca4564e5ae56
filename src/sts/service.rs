//! The way of a request through this STS.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use serde_json::Value;

use super::{
    Answer, Refusal,
    answer::{ChainGranted, Granted, Outcome},
    chain::{self, ChainRequest},
    claims::WebIdentity,
    keys::ProviderKeys,
    other, packed,
    params::{AssumeRole, Operation, Params},
    roles::{Provider, Roles},
    session::{Session, SessionSeal},
    trust::{self, Facts},
};
use crate::{
    domain::{Clock, Random, RequestId, RoleArn},
    jose::WebIdentityToken,
    ports::KeyFetch,
    sigv4::{self, SignedRequest},
};

/// A session's length where none is asked for, in seconds.
const DEFAULT_DURATION: u32 = 3600;

/// A request as it came over the wire.
#[derive(Clone, Copy, Debug)]
pub struct StsHttpRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The path as the client sent it; only a signature looks at it.
    pub path: &'a str,
    /// The query as the client sent it, without `?`.
    pub query: Option<&'a str>,
    /// The headers, `Host` among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
    /// Who sent it.
    pub source_ip: Option<IpAddr>,
}

impl StsHttpRequest<'_> {
    fn has_form(&self) -> bool {
        let content_type = self
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        content_type.is_none_or(|(_, value)| {
            let essence = value.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
    }
}

/// An STS for one account.
pub struct LocalSts {
    roles: Roles,
    /// By issuer; one for each provider of `roles`.
    keys: HashMap<String, Arc<ProviderKeys>>,
    seal: SessionSeal,
    fetch: Arc<dyn KeyFetch>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl std::fmt::Debug for LocalSts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalSts")
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

impl LocalSts {
    /// An STS that knows `roles` and fetches their providers' keys through `fetch`. Sessions of
    /// another `LocalSts` mean nothing to it.
    #[must_use]
    pub fn new(
        roles: Roles,
        fetch: Arc<dyn KeyFetch>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let seal = SessionSeal::new(&*random);
        Self {
            keys: provider_keys(&roles, &HashMap::new()),
            roles,
            seal,
            fetch,
            clock,
            random,
        }
    }

    /// The same STS with other roles: sessions and fetched keys stay.
    #[must_use]
    pub fn with_roles(&self, roles: Roles) -> Self {
        Self {
            keys: provider_keys(&roles, &self.keys),
            roles,
            seal: self.seal.clone(),
            fetch: Arc::clone(&self.fetch),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
        }
    }

    /// What this STS knows.
    #[must_use]
    pub const fn roles(&self) -> &Roles {
        &self.roles
    }

    /// Answers a request of the AWS query protocol: `AssumeRoleWithWebIdentity`, unsigned; `AssumeRole`,
    /// `GetCallerIdentity` and `GetAccessKeyInfo`, signed with the credentials of a session of this
    /// STS. The other operations are refused as AWS refuses them to such a session.
    pub async fn handle(&self, request: &StsHttpRequest<'_>) -> Answer {
        let request_id = RequestId::new(&*self.clock, &*self.random).to_string();
        Answer::new(self.answer(request).await, request_id)
    }

    /// The answer to a request whose body could not be read whole.
    #[must_use]
    pub fn too_large(&self) -> Answer {
        let message = "The request body is too large";
        let refusal = Refusal::new("RequestEntityTooLarge", 413, message, message);
        let request_id = RequestId::new(&*self.clock, &*self.random).to_string();
        Answer::new(Err(refusal), request_id)
    }

    async fn answer(&self, request: &StsHttpRequest<'_>) -> Result<Outcome<'_>, Refusal> {
        let body = match request.method {
            "POST" if request.has_form() => request.body,
            "GET" | "POST" => &[],
            _ => {
                let message = "STS answers GET and POST only";
                return Err(Refusal::new("MethodNotAllowed", 405, message, message));
            }
        };
        let params = Params::parse(request.query.unwrap_or_default(), body)?;
        match params.operation()? {
            Operation::AssumeRoleWithWebIdentity => {
                let asked = AssumeRole::read(&params)?;
                self.assume_role(&asked, request.source_ip).await
            }
            Operation::AssumeRoleWithSaml => Err(other::assume_role_with_saml(&params)),
            signed => {
                let caller = self.caller(request)?;
                self.answer_caller(signed, &params, caller, request.source_ip)
            }
        }
    }

    async fn assume_role(
        &self,
        asked: &AssumeRole<'_>,
        source_ip: Option<IpAddr>,
    ) -> Result<Outcome<'_>, Refusal> {
        if let Some(provider_id) = asked.provider_id {
            return Err(oauth_provider(provider_id));
        }
        if asked.role_arn.parse::<RoleArn>().is_err() {
            return Err(Refusal::new(
                "ValidationError",
                400,
                "Request ARN is invalid",
                format!("{:?} is not the ARN of a role", asked.role_arn),
            ));
        }
        let (provider, identity) = self.verify(asked).await?;
        let now = self.clock.now();
        let role = self.roles.role(asked.role_arn).ok_or_else(|| {
            Refusal::not_authorised(format!(
                "this STS has no role {}; it has {}",
                asked.role_arn,
                self.roles.role_arns().join(", ")
            ))
        })?;
        let facts = Facts {
            session_name: asked.session_name,
            source_ip,
            now,
        };
        trust::authorise(role, provider, &identity, &facts)?;
        let duration = asked.duration.unwrap_or(DEFAULT_DURATION);
        if duration > role.max_session_duration() {
            return Err(Refusal::validation(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            ));
        }
        let expires = now.secs() + i64::from(duration);
        let mut session = Session::new(role.arn(), asked.session_name, expires, &*self.random);
        session
            .source_identity
            .clone_from(&identity.source_identity);
        session.tags.clone_from(&identity.tags.tags);
        session.transitive.clone_from(&identity.tags.transitive);
        let (token, secret) = self.seal.issue(&session);
        Ok(Outcome::Granted(Box::new(Granted {
            packed: packed_size(asked, &identity)?,
            session,
            token,
            secret,
            identity,
            provider: provider.arn(),
        })))
    }

    /// Finds the token's provider and key, and verifies signature and claims.
    async fn verify(&self, asked: &AssumeRole<'_>) -> Result<(&Provider, WebIdentity), Refusal> {
        let token = WebIdentityToken::parse(asked.token)?;
        let issuer = match token.issuer() {
            None => return Err(Refusal::missing("iss")),
            Some(Value::String(issuer)) => issuer,
            Some(_) => return Err(Refusal::general("iss is not a string")),
        };
        let (Some(provider), Some(keys)) = (self.roles.provider(issuer), self.keys.get(issuer))
        else {
            let message = format!("No OpenIDConnect provider found in your account for {issuer}");
            let known: Vec<_> = self.keys.keys().map(String::as_str).collect();
            return Err(Refusal::token(
                message.clone(),
                format!("{message}; this STS knows {}", known.join(", ")),
            ));
        };
        // Before anything is fetched for it.
        token.key_type()?;
        let keys = keys
            .with_key(token.kid(), &*self.fetch, &*self.clock)
            .await?;
        let claims = token.verify(&keys)?;
        let identity = WebIdentity::check(claims, provider, asked.role_arn, self.clock.now())?;
        Ok((provider, identity))
    }

    /// Answers what only a session may ask.
    fn answer_caller(
        &self,
        operation: Operation,
        params: &Params,
        caller: Session,
        source_ip: Option<IpAddr>,
    ) -> Result<Outcome<'_>, Refusal> {
        match operation {
            Operation::GetCallerIdentity => Ok(Outcome::Caller(caller)),
            Operation::AssumeRole => self.chain(params, &caller, source_ip),
            Operation::GetAccessKeyInfo => {
                other::access_key_info(params)?;
                Ok(Outcome::Account(caller.account))
            }
            refused => Err(other::refuse(refused, params, &caller)),
        }
    }

    /// `AssumeRole` by a session of this STS.
    fn chain(
        &self,
        params: &Params,
        caller: &Session,
        source_ip: Option<IpAddr>,
    ) -> Result<Outcome<'_>, Refusal> {
        let asked = ChainRequest::read(params)?;
        let facts = Facts {
            session_name: asked.session_name,
            source_ip,
            now: self.clock.now(),
        };
        let chained = chain::assume(&self.roles, &asked, caller, &facts, &*self.random)?;
        let (token, secret) = self.seal.issue(&chained.session);
        Ok(Outcome::Chained(Box::new(ChainGranted {
            session: chained.session,
            token,
            secret,
            packed: chained.packed,
        })))
    }

    /// The session whose credentials signed the request.
    fn caller(&self, request: &StsHttpRequest<'_>) -> Result<Session, Refusal> {
        let now = self.clock.now();
        let signed = SignedRequest {
            method: request.method,
            path: request.path,
            query: request.query,
            headers: request.headers,
            body: request.body,
        };
        let verified = sigv4::verify(&signed, "sts", now, |access_key_id, token| {
            self.seal.open(access_key_id, token, now)
        })?;
        Ok(verified.identity)
    }
}

/// A place for the keys of every provider; those that `known` has are kept.
fn provider_keys(
    roles: &Roles,
    known: &HashMap<String, Arc<ProviderKeys>>,
) -> HashMap<String, Arc<ProviderKeys>> {
    roles
        .providers()
        .map(Provider::issuer)
        .map(|issuer| {
            let keys = known
                .get(issuer.as_str())
                .map_or_else(|| Arc::new(ProviderKeys::new(issuer.clone())), Arc::clone);
            (issuer.as_str().to_owned(), keys)
        })
        .collect()
}

/// `ProviderId` names an OAuth 2.0 provider of old; an OIDC token must come without.
fn oauth_provider(provider_id: &str) -> Refusal {
    match provider_id {
        "www.amazon.com" => Refusal::token(
            "Provided Token is not a Login With Amazon token",
            "ProviderId is www.amazon.com; leave it out for an OIDC token",
        ),
        // Its message is not in the record.
        "graph.facebook.com" => Refusal::token(
            "Provided Token is not a Facebook token",
            "ProviderId is graph.facebook.com; leave it out for an OIDC token",
        ),
        other => Refusal::new(
            "AccessDenied",
            403,
            "Unrecognized OAuth provider. Do not include a provider parameter when submitting \
             OpenIDConnect ID tokens",
            format!("ProviderId is {other:?}; leave it out for an OIDC token"),
        ),
    }
}

/// The packed size of what a request and its token bring along.
fn packed_size(asked: &AssumeRole<'_>, identity: &WebIdentity) -> Result<usize, Refusal> {
    packed::size(
        asked.policy,
        &asked.policy_arns,
        &identity.tags.tags,
        identity.source_identity.as_deref(),
    )
}
