//! Tokens as a relying party reads them: unverified at first, verified against a key set after.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    errors::ErrorKind,
    jwk::{Jwk, JwkSet},
};
use serde_json::{Map, Value};

use super::jws::{Jws, JwsError};
use crate::domain::Timestamp;

/// A token that nobody has verified. It gives away who claims to have issued it and with which key,
/// and no more; [`UnverifiedToken::for_display`] is for a person's eyes.
#[derive(Debug)]
pub struct UnverifiedToken<'a> {
    text: &'a str,
    jws: Jws,
}

impl<'a> UnverifiedToken<'a> {
    /// Takes a compact JWS apart.
    ///
    /// # Errors
    /// As [`Jws::parse`].
    pub fn parse(text: &'a str) -> Result<Self, JwsError> {
        Ok(Self {
            text,
            jws: Jws::parse(text)?,
        })
    }

    /// The issuer that it names.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.jws.unverified_issuer()
    }

    /// The key that it names.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.jws.header().kid.as_deref()
    }

    /// Header and claims for printing. Nothing may be decided on them.
    #[must_use]
    pub const fn for_display(&self) -> (&super::JwsHeader, &Map<String, Value>) {
        (self.jws.header(), self.jws.unverified_claims())
    }
}

/// Claims that a key of the issuer has signed and whose times hold.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    /// The claims.
    pub claims: Map<String, Value>,
}

/// Why a token does not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a JWS.
    #[error("the token cannot be read: {0}")]
    Malformed(#[from] JwsError),
    /// The key set is not one.
    #[error("the issuer's key set cannot be read: {0}")]
    KeySet(String),
    /// The key set lacks the token's key.
    #[error(
        "the issuer's key set has no key {kid:?} (it has {known}): the token was signed by another \
         issuer's key, or by one that was withdrawn"
    )]
    UnknownKey {
        /// The token's `kid`.
        kid: String,
        /// The key ids that are there.
        known: String,
    },
    /// The header has no `kid`.
    #[error("the token's header names no key (\"kid\")")]
    NoKeyId,
    /// Not RS256, ES256 …
    #[error("the token's algorithm is {0:?}, which no issuer's key verifies")]
    Algorithm(String),
    /// The signature is not the key's.
    #[error("the token's signature is not that of the issuer's key {0:?}")]
    Signature(String),
    /// Another issuer.
    #[error("the token's issuer is {found:?}, not {expected:?}")]
    Issuer {
        /// What the token says.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// Past `exp`.
    #[error("the token expired at {0}")]
    Expired(Timestamp),
    /// Before `nbf`.
    #[error("the token is not valid before {0}; compare this machine's clock with the issuer's")]
    NotYetValid(Timestamp),
    /// A required claim is missing or of the wrong type.
    #[error("the token's claim {0:?} is missing or not of the right type")]
    Claim(&'static str),
}

/// Verifies tokens against an issuer's JWKS, with jsonwebtoken: a second implementation beside the
/// one that makes the tokens.
#[derive(Debug)]
pub struct TokenVerifier {
    issuer: String,
    keys: JwkSet,
}

/// The algorithms that AWS STS takes.
const ALGORITHMS: [(&str, Algorithm); 5] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
];

impl TokenVerifier {
    /// A verifier for `issuer`, from the body of its JWKS.
    ///
    /// # Errors
    /// [`TokenError::KeySet`].
    pub fn new(issuer: &str, jwks: Value) -> Result<Self, TokenError> {
        Ok(Self {
            issuer: issuer.to_owned(),
            keys: serde_json::from_value(jwks)
                .map_err(|error| TokenError::KeySet(error.to_string()))?,
        })
    }

    /// Verifies signature, issuer and times (with no leeway) as of `now`.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn verify(
        &self,
        token: &UnverifiedToken<'_>,
        now: Timestamp,
    ) -> Result<VerifiedToken, TokenError> {
        let key = self.key(token)?;
        let alg = &token.jws.header().alg;
        let algorithm = ALGORITHMS
            .iter()
            .find(|(name, _)| name == alg)
            .map(|(_, algorithm)| *algorithm)
            .ok_or_else(|| TokenError::Algorithm(alg.chars().take(32).collect()))?;
        let mut validation = Validation::new(algorithm);
        // Times and issuer are compared below, against the clock that was passed in.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let decoding =
            DecodingKey::from_jwk(key).map_err(|error| TokenError::KeySet(error.to_string()))?;
        let claims = jsonwebtoken::decode::<Map<String, Value>>(token.text, &decoding, &validation)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => {
                    TokenError::Signature(token.kid().unwrap_or_default().to_owned())
                }
                other => TokenError::KeySet(format!("{other:?}")),
            })?
            .claims;
        self.check(&claims, now)?;
        Ok(VerifiedToken { claims })
    }

    fn key(&self, token: &UnverifiedToken<'_>) -> Result<&Jwk, TokenError> {
        let kid = token.kid().ok_or(TokenError::NoKeyId)?;
        self.keys.find(kid).ok_or_else(|| TokenError::UnknownKey {
            kid: kid.chars().take(64).collect(),
            known: self
                .keys
                .keys
                .iter()
                .filter_map(|key| key.common.key_id.as_deref())
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    fn check(&self, claims: &Map<String, Value>, now: Timestamp) -> Result<(), TokenError> {
        let issuer = claims.get("iss").and_then(Value::as_str);
        if issuer != Some(&self.issuer) {
            return Err(TokenError::Issuer {
                found: issuer.unwrap_or_default().chars().take(255).collect(),
                expected: self.issuer.clone(),
            });
        }
        let time = |name| claims.get(name).and_then(Value::as_i64);
        let expires = time("exp").ok_or(TokenError::Claim("exp"))?;
        if now.secs() >= expires {
            return Err(TokenError::Expired(Timestamp::from_secs(expires)));
        }
        if claims.contains_key("nbf") {
            let from = time("nbf").ok_or(TokenError::Claim("nbf"))?;
            if now.secs() < from {
                return Err(TokenError::NotYetValid(Timestamp::from_secs(from)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        domain::SigningAlgorithm,
        jose::{PrivateKey, sign_compact, thumbprint},
    };

    const NOW: Timestamp = Timestamp::from_secs(1_740_514_245);

    fn key_and_set(algorithm: SigningAlgorithm) -> (PrivateKey, String, Value) {
        let key = PrivateKey::generate(algorithm).unwrap();
        let kid = thumbprint(key.public());
        let mut jwk = serde_json::to_value(key.public()).unwrap();
        jwk["kid"] = kid.clone().into();
        jwk["alg"] = algorithm.as_str().into();
        jwk["use"] = "sig".into();
        (key, kid, json!({ "keys": [jwk] }))
    }

    #[test]
    fn verifies_both_algorithms() {
        for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256] {
            let (key, kid, set) = key_and_set(algorithm);
            let claims =
                json!({"iss":"https://i.example","exp":NOW.secs() + 1,"nbf":NOW.secs(),"sub":"s"});
            let text = sign_compact(&key, "JWT", &kid, claims.to_string().as_bytes()).unwrap();
            let token = UnverifiedToken::parse(&text).unwrap();
            assert_eq!(token.issuer(), Some("https://i.example"));
            let verifier = TokenVerifier::new("https://i.example", set).unwrap();
            assert_eq!(verifier.verify(&token, NOW).unwrap().claims["sub"], "s");
        }
    }

    #[test]
    fn says_what_does_not_hold() {
        let (key, kid, set) = key_and_set(SigningAlgorithm::Es256);
        let (other, ..) = key_and_set(SigningAlgorithm::Es256);
        let good = json!({"iss":"https://i.example","exp":NOW.secs() + 1});
        let sign = |key: &PrivateKey, kid: &str, claims: &Value| {
            sign_compact(key, "JWT", kid, claims.to_string().as_bytes()).unwrap()
        };
        let verifier = TokenVerifier::new("https://i.example", set).unwrap();
        let error = |text: &str| {
            verifier
                .verify(&UnverifiedToken::parse(text).unwrap(), NOW)
                .unwrap_err()
        };
        assert_eq!(
            error(&sign(&other, &kid, &good)),
            TokenError::Signature(kid.clone())
        );
        assert!(matches!(
            error(&sign(&key, "x", &good)),
            TokenError::UnknownKey { .. }
        ));
        for (claims, expected) in [
            (
                json!({"iss":"https://i.example","exp":NOW.secs()}),
                "expired at 2025-02-25T20:10:45Z",
            ),
            (json!({"iss":"https://i.example"}), "claim \"exp\""),
            (
                json!({"iss":"https://i.example","exp":"x"}),
                "claim \"exp\"",
            ),
            (
                json!({"iss":"https://j.example","exp":NOW.secs() + 1}),
                "issuer is \"https://j.example\"",
            ),
            (
                json!({"iss":"https://i.example","exp":NOW.secs() + 9,"nbf":NOW.secs() + 1}),
                "not valid before",
            ),
        ] {
            let said = error(&sign(&key, &kid, &claims)).to_string();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_public_key_is_no_hmac_secret_and_none_is_no_algorithm() {
        let (_, kid, set) = key_and_set(SigningAlgorithm::Rs256);
        let verifier = TokenVerifier::new("https://i.example", set).unwrap();
        for alg in ["none", "HS256", "PS256"] {
            let header = json!({"alg":alg,"kid":kid}).to_string();
            let claims = json!({"iss":"https://i.example","exp":NOW.secs() + 1}).to_string();
            let encode = |text: String| crate::jose::base64url_encode(text);
            let text = format!("{}.{}.AA", encode(header), encode(claims));
            assert_eq!(
                verifier
                    .verify(&UnverifiedToken::parse(&text).unwrap(), NOW)
                    .unwrap_err(),
                TokenError::Algorithm(alg.to_owned())
            );
        }
    }
}
