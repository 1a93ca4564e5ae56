//! The way of a request through this STS.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::{
    Answer, Refusal,
    answer::{Granted, Outcome},
    claims::WebIdentity,
    keys::ProviderKeys,
    params::{AssumeRole, Operation, Params},
    roles::{Provider, Roles},
    session::{Session, SessionSeal},
    token::UnverifiedToken,
    trust::{self, Facts},
};
use crate::{
    domain::{Clock, Random, RequestId, RoleArn},
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
    keys: HashMap<String, ProviderKeys>,
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
        let keys = roles
            .providers()
            .map(Provider::issuer)
            .map(|issuer| {
                (
                    issuer.as_str().to_owned(),
                    ProviderKeys::new(issuer.clone()),
                )
            })
            .collect();
        let seal = SessionSeal::new(&*random);
        Self {
            roles,
            keys,
            seal,
            fetch,
            clock,
            random,
        }
    }

    /// What this STS knows.
    #[must_use]
    pub const fn roles(&self) -> &Roles {
        &self.roles
    }

    /// Answers a request of the AWS query protocol: `AssumeRoleWithWebIdentity`, unsigned, and
    /// `GetCallerIdentity`, signed with the credentials of a session of this STS.
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
            Operation::GetCallerIdentity => self.caller(request),
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
        let session = Session::new(role.arn(), asked.session_name, expires, &*self.random);
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
        let token = UnverifiedToken::parse(asked.token)?;
        let issuer = token.issuer()?;
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
        token.algorithm()?;
        let keys = keys
            .with_key(token.kid(), &*self.fetch, &*self.clock)
            .await?;
        let claims = token.verify(&keys)?;
        let identity = WebIdentity::check(&claims, provider, asked.role_arn, self.clock.now())?;
        Ok((provider, identity))
    }

    fn caller(&self, request: &StsHttpRequest<'_>) -> Result<Outcome<'_>, Refusal> {
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
        Ok(Outcome::Caller(verified.identity))
    }
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

/// How much of a session's room policies, tags and source identity take, in percent. AWS packs
/// them in a binary form of its own; this counts their characters against the 2,048 that the
/// policies' plaintext may have.
fn packed_size(asked: &AssumeRole<'_>, identity: &WebIdentity) -> Result<usize, Refusal> {
    const ROOM: usize = 2048;
    let policies = asked.policy.map_or(0, str::len)
        + asked.policy_arns.iter().map(|arn| arn.len()).sum::<usize>();
    let tags: usize = identity
        .tags
        .tags
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    let source_identity = identity.source_identity.as_deref().map_or(0, str::len);
    let percent = ((policies + tags + source_identity) * 100).div_ceil(ROOM);
    if percent > 100 {
        return Err(Refusal::new(
            "PackedPolicyTooLarge",
            400,
            format!(
                "Packed policy consumes {percent}% of allotted space, please use smaller policy."
            ),
            "session policies, tags and source identity are too long together",
        ));
    }
    Ok(percent)
}
