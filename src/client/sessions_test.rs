use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;
use crate::{
    domain::{SecretString, SimulatedClock, SystemRandom},
    ports::{StsCredentials, StsError, StsRefusal},
};

struct Tokens;

#[async_trait]
impl TokenSource for Tokens {
    async fn token(
        &self,
        _audience: &Audience,
        _ttl: Option<TokenLifetime>,
        role: Option<&RoleArn>,
    ) -> Result<AccessToken, ServerError> {
        assert!(role.is_some());
        Ok(AccessToken {
            // {"alg":"RS256"} and {"sub":"org:o/env:e"}
            token: "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJvcmc6by9lbnY6ZSJ9.AA".into(),
            expires_in: 300,
        })
    }
}

/// Answers each call with the next of a list, and after it with sessions of an hour.
struct Sts {
    calls: AtomicUsize,
    refusals: Mutex<Vec<StsError>>,
    clock: Arc<SimulatedClock>,
    open: Semaphore,
    policies: Mutex<Vec<Option<String>>>,
}

#[async_trait]
impl crate::ports::Sts for Sts {
    async fn assume_role_with_web_identity(
        &self,
        request: &StsRequest,
        _token: &SecretString,
    ) -> Result<StsCredentials, StsError> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        drop(self.open.acquire().await.unwrap());
        self.policies.lock().unwrap().push(request.policy.clone());
        let refusal = self.refusals.lock().unwrap().pop();
        refusal.map_or_else(
            || {
                Ok(StsCredentials {
                    access_key_id: format!("ASIA{number}"),
                    secret_access_key: "s".into(),
                    session_token: "t".into(),
                    expires_at: self.clock.now().plus(Duration::from_hours(1)),
                    assumed_role_arn: "arn:aws:sts::123456789012:assumed-role/demo/env".to_owned(),
                })
            },
            Err,
        )
    }
}

struct World {
    sessions: WebIdentitySessions,
    sts: Arc<Sts>,
    clock: Arc<SimulatedClock>,
}

fn world(refusals: Vec<StsError>) -> World {
    let clock = Arc::new(SimulatedClock::new(Timestamp::from_secs(1_740_514_245)));
    let sts = Arc::new(Sts {
        calls: AtomicUsize::new(0),
        refusals: Mutex::new(refusals),
        clock: Arc::clone(&clock),
        open: Semaphore::new(100),
        policies: Mutex::default(),
    });
    let sessions = WebIdentitySessions::new(
        Arc::new(Tokens),
        Arc::clone(&sts) as Arc<dyn crate::ports::Sts>,
        Arc::clone(&clock) as Arc<dyn Clock>,
        Arc::new(SystemRandom),
        SessionSettings {
            session_name: "env".to_owned(),
            duration_secs: 3600,
            retries: Retries {
                tries: 1,
                first_wait: Duration::ZERO,
            },
        },
    );
    World {
        sessions,
        sts,
        clock,
    }
}

fn wanted(policy: Option<&str>) -> WantedSession {
    WantedSession {
        role: "arn:aws:iam::123456789012:role/demo".parse().unwrap(),
        session_policy: policy.map(Into::into),
    }
}

impl World {
    fn calls(&self) -> usize {
        self.sts.calls.load(Ordering::SeqCst)
    }

    async fn key(&self) -> Result<String, CredentialError> {
        let session = self.sessions.session(&wanted(None)).await;
        session.map(|session| session.access_key_id.clone())
    }
}

fn refused(code: &str, status: u16) -> StsError {
    StsError::Refused(StsRefusal {
        code: code.to_owned(),
        message: "no".to_owned(),
        status,
        request_id: None,
    })
}

#[tokio::test]
async fn a_hundred_cold_requests_make_one_call() {
    let world = world(Vec::new());
    let closed = world.sts.open.acquire_many(100).await.unwrap();
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let sessions = world.sessions.clone();
            tokio::spawn(async move { sessions.session(&wanted(None)).await.unwrap() })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(closed);
    for task in tasks {
        let session = task.await.unwrap();
        assert_eq!(session.access_key_id, "ASIA0");
        assert_eq!(session.session_name(), "env");
        assert_eq!(session.subject.as_deref(), Some("org:o/env:e"));
    }
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn who_goes_away_does_not_take_the_call_along() {
    let world = world(Vec::new());
    let closed = world.sts.open.acquire_many(100).await.unwrap();
    let first = tokio::spawn({
        let sessions = world.sessions.clone();
        async move { sessions.session(&wanted(None)).await }
    });
    while world.calls() == 0 {
        tokio::task::yield_now().await;
    }
    first.abort();
    drop(closed);
    assert_eq!(world.key().await.unwrap(), "ASIA0");
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn a_session_is_renewed_before_its_end_without_a_wait() {
    let world = world(Vec::new());
    assert_eq!(world.key().await.unwrap(), "ASIA0");
    world.clock.advance(Duration::from_mins(52));
    assert_eq!(world.key().await.unwrap(), "ASIA0");
    assert_eq!(world.calls(), 1);
    world.clock.advance(Duration::from_mins(4));
    // The old one is still good, and given out while the new one is fetched.
    assert_eq!(world.key().await.unwrap(), "ASIA0");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.key().await.unwrap(), "ASIA1");
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn an_ended_session_is_never_given_out() {
    let world = world(vec![refused("AccessDenied", 403)]);
    assert!(world.key().await.is_err());
    world.clock.advance(Duration::from_secs(11));
    assert_eq!(world.key().await.unwrap(), "ASIA1");
    world.clock.advance(Duration::from_secs(3600 - 29));
    assert_eq!(world.key().await.unwrap(), "ASIA2");
}

#[tokio::test]
async fn failures_stand_for_a_while_and_longer_where_they_will_not_pass() {
    let world = world(vec![
        refused("InternalFailure", 500),
        refused("AccessDenied", 403),
    ]);
    let error = world.key().await.unwrap_err();
    assert!(matches!(error, CredentialError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("AccessDenied: no"), "{error}");
    world.clock.advance(Duration::from_secs(9));
    assert!(world.key().await.is_err());
    assert_eq!(world.calls(), 1);
    world.clock.advance(Duration::from_secs(1));
    let error = world.key().await.unwrap_err();
    assert!(
        matches!(error, CredentialError::Unavailable { .. }),
        "{error}"
    );
    assert!(world.key().await.is_err());
    assert_eq!(world.calls(), 2);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.key().await.unwrap(), "ASIA2");
}

#[tokio::test]
async fn sessions_with_other_policies_are_other_sessions() {
    let world = world(Vec::new());
    let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let plain = world.sessions.session(&wanted(None)).await.unwrap();
    let narrow = world.sessions.session(&wanted(Some(policy))).await.unwrap();
    assert_ne!(plain.access_key_id, narrow.access_key_id);
    let policies = world.sts.policies.lock().unwrap().clone();
    assert_eq!(policies, [None, Some(policy.to_owned())]);
}

#[tokio::test]
async fn a_forgotten_session_is_fetched_anew_and_only_once() {
    let world = world(Vec::new());
    let wanted = wanted(None);
    let old = world.sessions.session(&wanted).await.unwrap();
    world.sessions.forget(&wanted, &old);
    assert_eq!(world.key().await.unwrap(), "ASIA1");
    // Another request that still had the old one says so later.
    world.sessions.forget(&wanted, &old);
    assert_eq!(world.key().await.unwrap(), "ASIA1");
    assert_eq!(world.calls(), 2);
}
