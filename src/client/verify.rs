//! Verifying a token as a relying party would: against the keys that its issuer publishes.

use crate::{
    domain::{Clock, Issuer, IssuerError},
    jose::{JwsError, TokenError, TokenVerifier, UnverifiedToken},
    ports::{FetchError, KeyFetch},
    upstream::guard::Allow,
};

/// Why a token does not count as verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be taken apart.
    #[error("the token cannot be read: {0}")]
    Malformed(#[from] JwsError),
    /// It names no issuer.
    #[error("the token names no issuer (\"iss\")")]
    NoIssuer,
    /// It names something that no issuer can be.
    #[error("the token's issuer cannot be asked: {0}")]
    Issuer(#[from] IssuerError),
    /// The issuer's keys could not be had.
    #[error("the issuer's keys could not be had: {0}")]
    Keys(#[from] FetchError),
    /// Signature or times do not hold.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// The issuer that a token names.
pub fn issuer_of(token: &str) -> Result<Issuer, VerifyError> {
    let token = UnverifiedToken::parse(token.trim())?;
    let issuer = token.issuer().ok_or(VerifyError::NoIssuer)?;
    Ok(issuer.parse()?)
}

/// Which addresses may be asked for the keys of `issuer`: the environment's `own` issuer was chosen
/// by whoever enrolled it; any other was chosen by whoever wrote the token.
#[must_use]
pub fn allowance(issuer: &Issuer, own: Option<&Issuer>) -> Allow {
    if own == Some(issuer) {
        Allow::AnyAddress
    } else if issuer.is_loopback() && issuer.as_str().starts_with("http://") {
        Allow::LoopbackToo
    } else {
        Allow::PublicOnly
    }
}

/// Verifies signature, issuer and times of `token` with the keys that `issuer` publishes.
pub async fn verify(
    token: &str,
    issuer: &Issuer,
    keys: &dyn KeyFetch,
    clock: &dyn Clock,
) -> Result<(), VerifyError> {
    let fetched = keys.fetch(issuer).await?;
    TokenVerifier::new(issuer.as_str(), fetched.jwks)?
        .verify(&UnverifiedToken::parse(token.trim())?, clock.now())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        domain::{SigningAlgorithm, SimulatedClock, Timestamp},
        jose::{PrivateKey, sign_compact, thumbprint},
        ports::FetchedKeys,
    };

    struct Published(Value);

    #[async_trait]
    impl KeyFetch for Published {
        async fn fetch(&self, _issuer: &Issuer) -> Result<FetchedKeys, FetchError> {
            Ok(FetchedKeys {
                discovery: Value::Null,
                jwks: self.0.clone(),
                max_age: Duration::ZERO,
            })
        }
    }

    fn signed(claims: &Value) -> (String, Published) {
        let key = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        let kid = thumbprint(key.public());
        let mut jwk = serde_json::to_value(key.public()).unwrap();
        jwk["kid"] = kid.clone().into();
        (
            sign_compact(&key, "JWT", &kid, claims.to_string().as_bytes()).unwrap(),
            Published(json!({"keys": [jwk]})),
        )
    }

    const ISSUER: &str = "https://idp.example.com";

    #[tokio::test]
    async fn tells_good_tokens_from_others() {
        let clock = SimulatedClock::new(Timestamp::from_secs(1000));
        let (good, keys) = signed(&json!({"iss": ISSUER, "exp": 2000}));
        let issuer = issuer_of(&good).unwrap();
        assert_eq!(issuer.as_str(), ISSUER);
        verify(&format!("{good}\n"), &issuer, &keys, &clock)
            .await
            .unwrap();

        let (_, others) = signed(&json!({}));
        let error = verify(&good, &issuer, &others, &clock).await.unwrap_err();
        assert!(matches!(
            error,
            VerifyError::Token(TokenError::UnknownKey { .. })
        ));

        clock.set(Timestamp::from_secs(3000));
        let error = verify(&good, &issuer, &keys, &clock).await.unwrap_err();
        assert!(error.to_string().contains("expired"), "{error}");
    }

    #[test]
    fn issuers_are_named_and_judged() {
        let (none, _) = signed(&json!({}));
        assert!(matches!(issuer_of(&none), Err(VerifyError::NoIssuer)));
        let (plain, _) = signed(&json!({"iss": "http://169.254.169.254"}));
        assert!(matches!(issuer_of(&plain), Err(VerifyError::Issuer(_))));

        let issuer = |text: &str| text.parse::<Issuer>().unwrap();
        let own = issuer(ISSUER);
        assert_eq!(allowance(&own, Some(&own)), Allow::AnyAddress);
        assert_eq!(allowance(&own, None), Allow::PublicOnly);
        let other = issuer("https://other.example.com");
        assert_eq!(allowance(&other, Some(&own)), Allow::PublicOnly);
        let local = issuer("http://127.0.0.1:1");
        assert_eq!(allowance(&local, Some(&own)), Allow::LoopbackToo);
        let tls = issuer("https://localhost:1");
        assert_eq!(allowance(&tls, Some(&own)), Allow::PublicOnly);
    }
}
