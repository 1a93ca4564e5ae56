//! What can be wrong with a token's header and signature and with its issuer's published keys, as AWS
//! reads them.

use std::time::Duration;

use serde_json::Value;

use crate::{
    domain::{Clock, Issuer},
    iam::Cause,
    jose::{WebIdentityError, WebIdentityKeys, WebIdentityToken, discovery_flaw},
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

/// What is at hand of a token besides its claims.
#[derive(Clone, Copy, Debug)]
pub enum Presented<'a> {
    /// All of it, as it would be sent.
    Token(&'a str),
    /// The `kid` at most: the rest was not kept, or there is no token yet.
    Kid(Option<&'a str>),
}

/// What is wrong with a token before its issuer is asked for keys: its form and its header.
#[must_use]
pub fn header(token: &str) -> Vec<Cause> {
    let flaw = WebIdentityToken::parse(token).and_then(|token| token.key_type().map(drop));
    match flaw {
        Ok(()) => Vec::new(),
        Err(WebIdentityError::Algorithm(why)) => vec![Cause::new(
            "algorithm",
            "header, alg",
            why,
            "sign the token with RS256 or ES256, as `idp token` does",
        )],
        Err(why) => vec![Cause::new(
            "not-a-jwt",
            "token",
            why.to_string(),
            "send a token as its issuer made it: three parts of unpadded base64url, no crit, alg and \
             kid strings",
        )],
    }
}

/// Fetches the issuer's documents as AWS does and says what is wrong with them, and, where the
/// token is there, whether its signature is that of the published key.
pub async fn check(
    issuer: &Issuer,
    presented: Presented<'_>,
    keys: &dyn KeyFetch,
    clock: &dyn Clock,
) -> Vec<Cause> {
    let start = clock.now();
    let documents = |problem: String| {
        Cause::new(
            "issuer-documents",
            issuer.as_str(),
            problem,
            "publish discovery and JWKS as OpenID Connect Discovery 1.0 has them",
        )
    };
    match keys.fetch(issuer).await {
        Err(error @ (FetchError::Unreachable { .. } | FetchError::Forbidden { .. })) => {
            let mut cause = unreachable(issuer.as_str());
            cause.problem = error.to_string();
            vec![cause]
        }
        Err(error) => vec![documents(error.to_string())],
        Ok(fetched) => {
            if let Some(flaw) = discovery_flaw(issuer.as_str(), &fetched.discovery) {
                return vec![documents(format!("the discovery document: {flaw}"))];
            }
            let took = clock.now().since(start);
            judge(&fetched.jwks, presented, took, issuer.as_str())
        }
    }
}

/// What is wrong with a key set for a token.
pub(super) fn judge(
    jwks: &Value,
    presented: Presented<'_>,
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
    // What is wrong with its form and header, `header` says.
    let token = match presented {
        Presented::Token(text) => WebIdentityToken::parse(text).ok(),
        Presented::Kid(_) => None,
    };
    let kid = match (&token, presented) {
        (Some(token), _) => token.kid(),
        (None, Presented::Kid(kid)) => kid,
        (None, Presented::Token(_)) => None,
    };
    let key_type = token
        .as_ref()
        .map_or(Ok("RSA"), WebIdentityToken::key_type)
        .unwrap_or("RSA");
    let keys = jwks.get("keys").and_then(Value::as_array);
    let keys = keys.map_or(&[][..], Vec::as_slice);
    let of_set = of_set(keys, key_type, kid, issuer);
    if let (true, Some(token)) = (of_set.is_empty(), &token) {
        causes.extend(of_signature(token, jwks, issuer));
    }
    causes.extend(of_set);
    causes
}

/// What is wrong with the set, whatever the signature.
fn of_set(keys: &[Value], key_type: &str, kid: Option<&str>, issuer: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let count = keys.iter().filter(|key| key["kty"] == key_type).count();
    if count > MOST_KEYS {
        causes.push(
            Cause::new(
                "too-many-keys",
                issuer,
                format!(
                    "the key set has more {key_type} keys than AWS reads, and then it reads none"
                ),
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

/// Whether the token's signature is that of its key in the set, as AWS sees it.
fn of_signature(token: &WebIdentityToken<'_>, jwks: &Value, issuer: &str) -> Option<Cause> {
    let Some(keys) = WebIdentityKeys::parse(jwks) else {
        return Some(Cause::new(
            "issuer-documents",
            issuer,
            "the JWKS has no list of keys",
            "publish the JWKS as RFC 7517 has it",
        ));
    };
    match token.verify(&keys) {
        // An algorithm is a matter of the header.
        Ok(_) | Err(WebIdentityError::Algorithm(_)) => None,
        Err(WebIdentityError::NoKey(why)) => Some(Cause::new(
            "no-usable-key",
            issuer,
            why,
            "publish keys with kid, use \"sig\" and their own members, and name the kid in the token's \
             header",
        )),
        Err(why) => {
            let mut cause = signature(issuer);
            cause.problem = why.to_string();
            "take a token that came from this issuer unchanged: `idp token` gets one; \
                          compare with `idp token --decode --verify FILE`"
                .clone_into(&mut cause.cure);
            Some(cause)
        }
    }
}
