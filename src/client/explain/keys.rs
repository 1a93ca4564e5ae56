//! What can be wrong with an issuer's published keys, as AWS reads them.

use std::time::Duration;

use serde_json::Value;

use crate::{
    domain::{Clock, Issuer},
    iam::Cause,
    ports::{FetchError, KeyFetch},
};

/// As many keys of a kind as AWS takes.
const MOST_KEYS: usize = 100;
/// What AWS waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// AWS cannot get at the documents.
pub(super) fn unreachable(issuer: &str) -> Cause {
    Cause::new(
        "issuer-unreachable",
        issuer,
        "AWS could not get the issuer's keys: it did not answer within 5 s, or not over public https \
         with a certificate of a known authority",
        format!(
            "open {issuer}/.well-known/openid-configuration and the jwks_uri in it to the internet; \
             `idp publish` writes both as files for any https host"
        ),
    )
}

/// The signature does not hold.
pub(super) fn signature(issuer: &str) -> Cause {
    Cause::new(
        "signature",
        issuer,
        "the token may not verify with the keys that AWS has",
        "compare: `idp token --decode --verify`; keys that were replaced just now take minutes",
    )
}

/// Fetches the issuer's documents as AWS does and says what is wrong with them.
pub async fn check(
    issuer: &Issuer,
    kid: Option<&str>,
    algorithm: Option<&str>,
    keys: &dyn KeyFetch,
    clock: &dyn Clock,
) -> Vec<Cause> {
    let start = clock.now();
    match keys.fetch(issuer).await {
        Err(error @ (FetchError::Unreachable { .. } | FetchError::Forbidden { .. })) => {
            let mut cause = unreachable(issuer.as_str());
            cause.problem = error.to_string();
            vec![cause]
        }
        Err(error) => vec![Cause::new(
            "issuer-documents",
            issuer.as_str(),
            error.to_string(),
            "publish discovery and JWKS as OpenID Connect Discovery 1.0 has them",
        )],
        Ok(fetched) => judge(
            &fetched.jwks,
            kid,
            algorithm,
            clock.now().since(start),
            issuer.as_str(),
        ),
    }
}

/// What is wrong with a key set for a token with that `kid`.
pub(super) fn judge(
    jwks: &Value,
    kid: Option<&str>,
    algorithm: Option<&str>,
    took: Duration,
    issuer: &str,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    if took >= PATIENCE {
        causes.push(
            Cause::new(
                "issuer-slow",
                issuer,
                "AWS gives up after 5 s",
                "serve the documents from a cache or as files (`idp publish`)",
            )
            .with_values("under 5 s", format!("{:.1} s", took.as_secs_f32())),
        );
    }
    let keys = jwks.get("keys").and_then(Value::as_array);
    let keys = keys.map_or(&[][..], Vec::as_slice);
    let kty = match algorithm {
        Some(name) if name.starts_with("ES") => "EC",
        _ => "RSA",
    };
    let count = keys.iter().filter(|key| key["kty"] == kty).count();
    if count > MOST_KEYS {
        causes.push(
            Cause::new(
                "too-many-keys",
                issuer,
                format!("the key set has more {kty} keys than AWS reads, and then it reads none"),
                "retire old keys: `idp admin key list` shows them",
            )
            .with_values(format!("up to {MOST_KEYS}"), count.to_string()),
        );
    }
    if let Some(kid) = kid
        && !keys.iter().any(|key| key["kid"] == kid)
    {
        let published: Vec<_> = keys
            .iter()
            .filter_map(|key| key["kid"].as_str())
            .take(5)
            .collect();
        causes.push(
            Cause::new(
                "kid-not-published",
                issuer,
                "the key that signed the token is not in the published key set",
                "publish the present keys (`idp publish` again, where they are files), and wait some \
                 minutes for caches",
            )
            .with_values(published.join(", "), kid),
        );
    }
    causes
}
