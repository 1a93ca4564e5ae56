//! Login: a fresh token, the exchange at STS, and again where a refusal may pass.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    decode::DecodedToken,
    server::ServerError,
    token::{AccessToken, TokenSource},
};
use crate::{
    domain::{Audience, ExposeSecret as _, Random, TokenLifetime},
    ports::{Sts, StsCredentials, StsError, StsRefusal, StsRequest},
};

/// How long a token for one try lives, in seconds.
const TOKEN_LIFE: u64 = 300;

/// How often, and after which waits, an exchange is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    /// All tries, the first one too.
    pub tries: u32,
    /// The first wait; it doubles from try to try, and a random half of it is taken off.
    pub first_wait: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            tries: 5,
            first_wait: Duration::from_millis(500),
        }
    }
}

/// A try that failed in a way that may pass.
#[derive(Debug)]
pub struct Waiting<'a> {
    /// What STS said.
    pub error: &'a StsError,
    /// How long it is waited for now.
    pub wait: Duration,
    /// The number of the next try.
    pub next_try: u32,
    /// All tries.
    pub tries: u32,
}

/// What a refused token says of itself, for comparing it with a trust policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenFacts {
    /// Its `iss`.
    pub issuer: String,
    /// Its `sub`.
    pub subject: String,
    /// Its `aud`.
    pub audience: String,
    /// Whether it carries session tags, which a trust policy has to allow apart.
    pub has_session_tags: bool,
    /// Whether it carries a source identity, which a trust policy has to allow apart.
    pub has_source_identity: bool,
    /// The `kid` in its header.
    pub kid: Option<String>,
    /// All of its claims, without the signature.
    pub claims: Map<String, Value>,
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No token.
    #[error(transparent)]
    Token(#[from] ServerError),
    /// No answer from STS: [`StsError::Unreachable`] or [`StsError::NotSts`].
    #[error(transparent)]
    NoAnswer(StsError),
    /// STS refused, and goes on refusing.
    #[error("AWS STS refused: {}: {}", .refusal.code, .refusal.message)]
    Refused {
        /// What it said.
        refusal: StsRefusal,
        /// What the token says.
        facts: TokenFacts,
    },
}

/// Everything that a login needs from outside.
pub struct Login<'a> {
    /// Where tokens come from.
    pub tokens: &'a dyn TokenSource,
    /// Where they are exchanged.
    pub sts: &'a dyn Sts,
    /// For the waits.
    pub random: &'a dyn Random,
    /// How often it is tried.
    pub retries: Retries,
    /// Hears of every wait.
    pub on_wait: &'a (dyn Fn(&Waiting<'_>) + Sync),
}

impl Login<'_> {
    /// Exchanges a token for `audience` at STS; every try has a token of its own.
    pub async fn run(
        &self,
        audience: &Audience,
        request: &StsRequest,
    ) -> Result<StsCredentials, LoginError> {
        let ttl = TokenLifetime::from_secs(TOKEN_LIFE);
        // The server pins tokens for AWS STS only.
        let role = Some(&request.role).filter(|_| *audience == Audience::sts());
        let mut attempt = 1;
        loop {
            let AccessToken { token, .. } = self.tokens.token(audience, ttl, role).await?;
            tracing::debug!(role = %request.role, attempt, "asking AWS STS for credentials");
            let error = match self
                .sts
                .assume_role_with_web_identity(request, &token)
                .await
            {
                Ok(credentials) => return Ok(credentials),
                Err(error) => error,
            };
            if attempt >= self.retries.tries || !is_transient(&error) {
                return Err(match error {
                    StsError::Refused(refusal) => LoginError::Refused {
                        refusal,
                        facts: facts(token.expose_secret()),
                    },
                    no_answer => LoginError::NoAnswer(no_answer),
                });
            }
            let wait = self.wait_after(attempt);
            attempt += 1;
            (self.on_wait)(&Waiting {
                error: &error,
                wait,
                next_try: attempt,
                tries: self.retries.tries,
            });
            tokio::time::sleep(wait).await;
        }
    }

    /// Exponential, between half and all of it, so that many environments that were refused
    /// together do not come back together.
    fn wait_after(&self, attempt: u32) -> Duration {
        let full = self
            .retries
            .first_wait
            .saturating_mul(2_u32.saturating_pow(attempt - 1));
        let mut byte = [0];
        self.random.fill(&mut byte);
        full / 2 + full / 2 * u32::from(byte[0]) / 255
    }
}

/// Whether the same exchange with a fresh token may succeed in a moment.
#[must_use]
pub fn is_transient(error: &StsError) -> bool {
    let refusal = match error {
        StsError::Refused(refusal) => refusal,
        StsError::Unreachable { .. } => return true,
        // A gateway in front of STS says so in its own words; any other stranger stays one.
        StsError::NotSts { status, .. } => return *status >= 500 || *status == 429,
    };
    refusal.status >= 500
        || refusal.code.starts_with("Throttling")
        || match refusal.code.as_str() {
            "IDPCommunicationError"
            | "InternalFailure"
            | "RequestLimitExceeded"
            | "ServiceUnavailable" => true,
            // STS says this also where the issuer did not answer it in time.
            "InvalidIdentityToken" => refusal
                .message
                .starts_with("Couldn't retrieve verification key"),
            _ => false,
        }
}

fn facts(token: &str) -> TokenFacts {
    let Ok(token) = DecodedToken::parse(token) else {
        return TokenFacts::default();
    };
    let text = |name| token.claim(name).unwrap_or_default().to_owned();
    TokenFacts {
        issuer: text("iss"),
        subject: text("sub"),
        audience: text("aud"),
        has_session_tags: token.has_claim("https://aws.amazon.com/tags"),
        has_source_identity: token.has_claim("https://aws.amazon.com/source_identity"),
        kid: token.header("kid").map(str::to_owned),
        claims: token.claims().clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::domain::{RoleArn, SecretString, SystemRandom, Timestamp};

    #[derive(Default)]
    struct Numbered(Mutex<u32>);

    #[async_trait]
    impl TokenSource for Numbered {
        async fn token(
            &self,
            _audience: &Audience,
            ttl: Option<TokenLifetime>,
            role: Option<&RoleArn>,
        ) -> Result<AccessToken, ServerError> {
            assert_eq!(role.unwrap().name(), "demo");
            assert_eq!(ttl.unwrap().secs(), 300);
            let mut count = self.0.lock().unwrap();
            *count += 1;
            Ok(AccessToken {
                token: format!("token-{count}").into(),
                expires_in: 300,
            })
        }
    }

    /// Answers with these errors first, then with credentials; remembers the tokens.
    struct Scripted(Mutex<Vec<StsError>>, Mutex<Vec<String>>);

    #[async_trait]
    impl Sts for Scripted {
        async fn assume_role_with_web_identity(
            &self,
            _request: &StsRequest,
            token: &SecretString,
        ) -> Result<StsCredentials, StsError> {
            self.1
                .lock()
                .unwrap()
                .push(token.expose_secret().to_owned());
            let mut script = self.0.lock().unwrap();
            if script.is_empty() {
                return Ok(StsCredentials {
                    access_key_id: "ASIA".to_owned(),
                    secret_access_key: "s".into(),
                    session_token: "t".into(),
                    expires_at: Timestamp::from_secs(1),
                    assumed_role_arn: String::new(),
                });
            }
            Err(script.remove(0))
        }
    }

    fn refused(code: &str, message: &str, status: u16) -> StsError {
        StsError::Refused(StsRefusal {
            code: code.to_owned(),
            message: message.to_owned(),
            status,
            request_id: None,
        })
    }

    async fn login(
        script: Vec<StsError>,
    ) -> (Result<StsCredentials, LoginError>, Vec<String>, u32) {
        let sts = Scripted(Mutex::new(script), Mutex::default());
        let waits = Mutex::new(0);
        let result = Login {
            tokens: &Numbered::default(),
            sts: &sts,
            random: &SystemRandom,
            retries: Retries {
                tries: 5,
                first_wait: Duration::from_millis(1),
            },
            on_wait: &|_| *waits.lock().unwrap() += 1,
        }
        .run(
            &Audience::sts(),
            &StsRequest {
                role: "arn:aws:iam::123456789012:role/demo".parse().unwrap(),
                session_name: "me".to_owned(),
                duration_secs: 3600,
                policy: None,
                policy_arns: vec![],
            },
        )
        .await;
        let tokens = sts.1.into_inner().unwrap();
        let waits = *waits.lock().unwrap();
        (result, tokens, waits)
    }

    #[tokio::test]
    async fn tries_again_with_a_fresh_token_where_it_may_pass() {
        let (result, tokens, waits) = login(vec![
            refused("IDPCommunicationError", "", 400),
            refused(
                "InvalidIdentityToken",
                "Couldn't retrieve verification key from your identity provider",
                400,
            ),
            refused("ThrottlingException", "", 400),
            StsError::Unreachable {
                endpoint: String::new(),
                reason: String::new(),
            },
        ])
        .await;
        result.unwrap();
        assert_eq!(
            tokens,
            ["token-1", "token-2", "token-3", "token-4", "token-5"]
        );
        assert_eq!(waits, 4);
    }

    #[tokio::test]
    async fn strangers_are_asked_once_and_gateways_again() {
        for (status, tries) in [(200, 1), (404, 1), (429, 5), (502, 5)] {
            let script = (0..5)
                .map(|_| StsError::NotSts {
                    endpoint: String::new(),
                    status,
                    problem: String::new(),
                })
                .collect();
            let (result, tokens, _) = login(script).await;
            assert!(matches!(result, Err(LoginError::NoAnswer(_))), "{status}");
            assert_eq!(tokens.len(), tries, "{status}");
        }
    }

    #[tokio::test]
    async fn gives_up_after_five_tries() {
        let script = (0..9)
            .map(|_| refused("InternalFailure", "", 500))
            .collect();
        let (result, tokens, waits) = login(script).await;
        assert!(matches!(result, Err(LoginError::Refused { .. })));
        assert_eq!((tokens.len(), waits), (5, 4));
    }

    #[tokio::test]
    async fn lasting_refusals_are_not_repeated() {
        for code in [
            "AccessDenied",
            "ExpiredTokenException",
            "IDPRejectedClaim",
            "InvalidIdentityToken",
            "MalformedPolicyDocument",
            "PackedPolicyTooLarge",
            "RegionDisabledException",
            "ValidationError",
            "SomethingNew",
        ] {
            let (result, tokens, _) = login(vec![refused(code, "no", 400)]).await;
            assert!(matches!(result, Err(LoginError::Refused { .. })), "{code}");
            assert_eq!(tokens.len(), 1, "{code}");
        }
    }

    #[test]
    fn waits_grow_and_stay_within_bounds() {
        let login = Login {
            tokens: &Numbered::default(),
            sts: &Scripted(Mutex::default(), Mutex::default()),
            random: &SystemRandom,
            retries: Retries::default(),
            on_wait: &|_| {},
        };
        for attempt in 1..5 {
            let full = Duration::from_millis(500 << (attempt - 1));
            for _ in 0..50 {
                let wait = login.wait_after(attempt);
                assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
            }
        }
    }
}
