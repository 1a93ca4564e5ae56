//! Sessions of roles for the signing proxy: each is kept until it nears its end, renewed before that,
//! and asked for once, however many requests need it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::{
    assume::assume_request,
    decode::DecodedToken,
    login::{Login, LoginError, Retries, is_transient},
    server::ServerError,
    token::{AccessToken, TokenSource},
};
use crate::{
    domain::{Audience, Clock, ExposeSecret as _, Random, RoleArn, Timestamp, TokenLifetime},
    ports::{AwsSession, CredentialError, CredentialSource, Sts, StsRequest, WantedSession},
};

/// A session is renewed when no more than this is left of it, and a random part more.
const RENEW: Duration = Duration::from_mins(5);
/// A session of which no more than this is left is not given out.
const LEAST: Duration = Duration::from_secs(30);
/// For so long a refusal is not asked for again.
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// For so long a failure that may pass is not tried again.
const FAILED_FOR: Duration = Duration::from_secs(1);
/// Sessions that are kept. Each is a role and a session policy of the rules, so few are ever needed.
const MOST: usize = 256;

/// How sessions are asked for.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// The role session name: 2–64 of `[\w+=,.@-]`.
    pub session_name: String,
    /// How long a session lasts, in seconds: 900–43200, and not over the role's maximum.
    pub duration_secs: u32,
    /// How often an exchange is tried that failed in a way that may pass.
    pub retries: Retries,
}

/// Sessions against tokens of an environment, by `AssumeRoleWithWebIdentity`.
#[derive(Clone)]
pub struct WebIdentitySessions(Arc<Inner>);

struct Inner {
    tokens: Arc<dyn TokenSource>,
    sts: Arc<dyn Sts>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    settings: SessionSettings,
    slots: RwLock<HashMap<WantedSession, Arc<Slot>>>,
}

/// The place of one session.
#[derive(Default)]
struct Slot {
    held: RwLock<Held>,
    /// Held by the one who asks.
    asking: Arc<AsyncMutex<()>>,
}

/// What is known of a session.
#[derive(Clone, Default)]
struct Held {
    session: Option<Arc<AwsSession>>,
    /// From when on the session is renewed.
    renew_at: Option<Timestamp>,
    /// The last failure, and until when it stands.
    failure: Option<(CredentialError, Timestamp)>,
}

impl WebIdentitySessions {
    /// No session yet.
    #[must_use]
    pub fn new(
        tokens: Arc<dyn TokenSource>,
        sts: Arc<dyn Sts>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        settings: SessionSettings,
    ) -> Self {
        Self(Arc::new(Inner {
            tokens,
            sts,
            clock,
            random,
            settings,
            slots: RwLock::default(),
        }))
    }
}

#[async_trait]
impl CredentialSource for WebIdentitySessions {
    async fn session(&self, wanted: &WantedSession) -> Result<Arc<AwsSession>, CredentialError> {
        let inner = &self.0;
        let slot = inner.slot(wanted);
        let held = slot.held();
        let now = inner.clock.now();
        if let Some(session) = held.usable(now) {
            if held.is_due(now) {
                inner.renew(wanted, &slot);
            }
            return Ok(session);
        }
        if let Some(error) = held.failure_at(now) {
            return Err(error);
        }
        let asking = Arc::clone(&slot.asking).lock_owned().await;
        // Whoever held it before may have brought a session, or learnt that there is none.
        let held = slot.held();
        let now = inner.clock.now();
        if let Some(session) = held.usable(now) {
            return Ok(session);
        }
        if let Some(error) = held.failure_at(now) {
            return Err(error);
        }
        // A task of its own: others wait for it too, and its caller may go away.
        let asked = tokio::spawn(Arc::clone(inner).ask(wanted.clone(), slot, asking));
        match asked.await {
            Ok(answer) => answer,
            Err(_) => Err(CredentialError::Unavailable {
                role: wanted.role.clone(),
                reason: "the exchange was broken off".to_owned(),
            }),
        }
    }

    fn forget(&self, wanted: &WantedSession, session: &AwsSession) {
        let slot = self.0.slot(wanted);
        let mut held = slot.held.write().unwrap_or_else(PoisonError::into_inner);
        let same = |held: &Arc<AwsSession>| held.access_key_id == session.access_key_id;
        if held.session.as_ref().is_some_and(same) {
            held.session = None;
        }
    }
}

impl Inner {
    fn slot(&self, wanted: &WantedSession) -> Arc<Slot> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(wanted) {
            return Arc::clone(slot);
        }
        drop(slots);
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST {
            slots.clear();
        }
        Arc::clone(slots.entry(wanted.clone()).or_default())
    }

    /// Renews a session that is still good, without anybody waiting.
    fn renew(self: &Arc<Self>, wanted: &WantedSession, slot: &Arc<Slot>) {
        let Ok(asking) = Arc::clone(&slot.asking).try_lock_owned() else {
            return;
        };
        // Somebody may have renewed it since the caller looked.
        let held = slot.held();
        let now = self.clock.now();
        if !held.is_due(now) || held.failure_at(now).is_some() {
            return;
        }
        tokio::spawn(Arc::clone(self).ask(wanted.clone(), Arc::clone(slot), asking));
    }

    async fn ask(
        self: Arc<Self>,
        wanted: WantedSession,
        slot: Arc<Slot>,
        asking: OwnedMutexGuard<()>,
    ) -> Result<Arc<AwsSession>, CredentialError> {
        let asked = self.exchange(&wanted).await;
        let now = self.clock.now();
        let mut held = slot.held.write().unwrap_or_else(PoisonError::into_inner);
        match &asked {
            Ok(session) => {
                tracing::info!(
                    role = %wanted.role,
                    expires_at = %session.expires_at,
                    "has a session"
                );
                *held = Held {
                    renew_at: Some(self.renew_at(session, now)),
                    session: Some(Arc::clone(session)),
                    failure: None,
                };
            }
            Err(error) => {
                tracing::warn!(%error, "has no session");
                let stands = match error {
                    CredentialError::Refused { .. } => REFUSED_FOR,
                    CredentialError::Unavailable { .. } => FAILED_FOR,
                };
                held.failure = Some((error.clone(), now.plus(stands)));
            }
        }
        drop(held);
        drop(asking);
        asked
    }

    async fn exchange(&self, wanted: &WantedSession) -> Result<Arc<AwsSession>, CredentialError> {
        let request = assume_request(
            wanted.role.clone(),
            self.settings.session_name.clone(),
            self.settings.duration_secs,
            wanted.session_policy.as_deref().map(str::to_owned),
            Vec::new(),
        )
        .map_err(|error| CredentialError::Refused {
            role: wanted.role.clone(),
            reason: error.to_string(),
        })?;
        let subject = Subject {
            tokens: &*self.tokens,
            seen: Mutex::default(),
        };
        let login = Login {
            tokens: &subject,
            sts: &*self.sts,
            random: &*self.random,
            retries: self.settings.retries,
            on_wait: &|waiting| {
                tracing::info!(error = %waiting.error, wait = ?waiting.wait, "asks STS again");
            },
        };
        let credentials = login
            .run(&Audience::sts(), &request)
            .await
            .map_err(|error| failure(&request, &error))?;
        Ok(Arc::new(AwsSession {
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key,
            session_token: credentials.session_token,
            expires_at: credentials.expires_at,
            assumed_role_arn: credentials.assumed_role_arn,
            subject: subject.into_inner(),
        }))
    }

    /// Some time before the end, a random part of it earlier, so that many proxies that were started
    /// together do not come back together. A session shorter than that is renewed half way.
    fn renew_at(&self, session: &AwsSession, now: Timestamp) -> Timestamp {
        let mut byte = [0];
        self.random.fill(&mut byte);
        let jitter = RENEW / 2 * u32::from(byte[0]) / 255;
        let left = session.expires_at.since(now);
        session.expires_at.minus((RENEW + jitter).min(left / 2))
    }
}

impl Slot {
    fn held(&self) -> Held {
        self.held
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Held {
    fn usable(&self, now: Timestamp) -> Option<Arc<AwsSession>> {
        self.session
            .clone()
            .filter(|session| session.expires_at > now.plus(LEAST))
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.renew_at.is_some_and(|at| at <= now)
    }

    fn failure_at(&self, now: Timestamp) -> Option<CredentialError> {
        let (error, until) = self.failure.as_ref()?;
        // A clock that was set back does not make a failure stand for longer.
        (now < *until && until.since(now) <= REFUSED_FOR).then(|| error.clone())
    }
}

/// Remembers whom the tokens speak of.
struct Subject<'a> {
    tokens: &'a dyn TokenSource,
    seen: Mutex<Option<String>>,
}

impl Subject<'_> {
    fn into_inner(self) -> Option<String> {
        self.seen
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenSource for Subject<'_> {
    async fn token(
        &self,
        audience: &Audience,
        ttl: Option<TokenLifetime>,
        role: Option<&RoleArn>,
    ) -> Result<AccessToken, ServerError> {
        let token = self.tokens.token(audience, ttl, role).await?;
        if let Ok(decoded) = DecodedToken::parse(token.token.expose_secret()) {
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
                decoded.claim("sub").map(str::to_owned);
        }
        Ok(token)
    }
}

fn failure(request: &StsRequest, error: &LoginError) -> CredentialError {
    let role = request.role.clone();
    let reason = error.to_string();
    let passes = match error {
        LoginError::Token(error) => !matches!(error, ServerError::Refused(_)),
        LoginError::NoAnswer(error) => is_transient(error),
        LoginError::Refused { refusal, .. } => {
            is_transient(&crate::ports::StsError::Refused(refusal.clone()))
        }
    };
    if passes {
        CredentialError::Unavailable { role, reason }
    } else {
        CredentialError::Refused { role, reason }
    }
}

#[cfg(test)]
#[path = "sessions_test.rs"]
mod tests;
