//! What a verified token's claims must be, in AWS's words.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    Refusal, role_pin,
    roles::Provider,
    tags::{self, SessionTags},
};
use crate::domain::Timestamp;

/// How far the issuer's clock may be off.
pub(super) const LEEWAY: Duration = Duration::from_mins(5);

const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";

/// What a token says of who holds it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WebIdentity {
    /// The `sub`.
    pub(super) subject: String,
    /// The `aud`, or the `azp` in its place.
    pub(super) audience: String,
    /// The `amr`.
    pub(super) methods: Vec<String>,
    /// The session tags.
    pub(super) tags: SessionTags,
    /// The source identity.
    pub(super) source_identity: Option<String>,
    /// Whether the token names the role in its roles claim; without the claim it does not.
    pub(super) role_pinned: bool,
}

impl WebIdentity {
    /// Checks the claims of a token of `provider` that asks for `role`, an ARN.
    pub(super) fn check(
        claims: &Map<String, Value>,
        provider: &Provider,
        role: &str,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        for name in ["iss", "sub", "aud", "exp", "iat"] {
            if !claims.contains_key(name) {
                return Err(Refusal::missing(name));
            }
        }
        let subject = subject(&claims["sub"])?;
        check_times(claims, now)?;
        let audience = audience(claims, provider)?;
        let role_pinned = role_pin::check(claims, role)?;
        Ok(Self {
            subject,
            audience,
            methods: methods(claims.get("amr")),
            tags: tags::read(claims)?,
            source_identity: source_identity(claims.get(SOURCE_IDENTITY))?,
            role_pinned,
        })
    }
}

fn subject(sub: &Value) -> Result<String, Refusal> {
    match sub {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        // AWS breaks on it, and its client retries.
        Value::Null => Err(Refusal::new(
            "InternalFailure",
            500,
            "Unknown error validating third-party token",
            "sub is null",
        )),
        _ => Err(Refusal::general("sub is neither a string nor a number")),
    }
}

fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), Refusal> {
    let (exp, iat) = (time("exp", &claims["exp"])?, time("iat", &claims["iat"])?);
    let earlier = now.minus(LEEWAY).secs();
    let later = now.plus(LEEWAY).secs();
    if earlier >= exp {
        return Err(Refusal::new(
            "ExpiredTokenException",
            400,
            format!(
                "Token expired: current date/time {earlier} must be before the expiration \
                 date/time {exp}"
            ),
            format!(
                "the token expired at {}, over 300 s ago",
                Timestamp::from_secs(exp)
            ),
        ));
    }
    if iat > later {
        return Err(Refusal::token(
            format!("Token issued in the future: {iat}"),
            format!(
                "iat is {}, over 300 s ahead of this clock",
                Timestamp::from_secs(iat)
            ),
        ));
    }
    match claims.get("nbf").map(|nbf| time("nbf", nbf)).transpose()? {
        Some(nbf) if nbf > later => Err(Refusal::token(
            format!(
                "Token not yet valid: current date/time {later} must be after or equal to the \
                 not-before date/time {nbf}"
            ),
            format!(
                "nbf is {}, over 300 s ahead of this clock",
                Timestamp::from_secs(nbf)
            ),
        )),
        _ => Ok(()),
    }
}

/// Whole seconds since the epoch, as a number or as a string.
fn time(name: &str, value: &Value) -> Result<i64, Refusal> {
    let seconds = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    seconds.ok_or_else(|| {
        Refusal::token(
            "Invalid timestamp in token claims.",
            format!("{name} is not a whole number of seconds"),
        )
    })
}

/// The audience that counts: `azp` where it is there, else the only `aud`. It must be one of the
/// provider's client ids.
fn audience(claims: &Map<String, Value>, provider: &Provider) -> Result<String, Refusal> {
    let text = |name: &str, value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(Refusal::general(format!("{name} is not a string"))),
    };
    let audience = match (claims.get("azp"), &claims["aud"]) {
        (Some(azp), _) if !azp.is_null() => text("azp", azp)?,
        (_, Value::Array(list)) => match list.as_slice() {
            [] => return Err(Refusal::missing("aud")),
            [only] => text("aud", only)?,
            _ => {
                return Err(Refusal::token(
                    "Token audience contains more than one audience while authorized party is \
                     not present",
                    format!("aud is a list of {}, and there is no azp", list.len()),
                ));
            }
        },
        (_, aud) => text("aud", aud)?,
    };
    if provider.client_ids().contains(&audience) {
        return Ok(audience);
    }
    Err(Refusal::general(format!(
        "{audience:?} is not among the client ids of provider {}: {}",
        provider.issuer(),
        provider.client_ids().join(", ")
    )))
}

/// A bare string or the strings of a list; anything else says nothing.
fn methods(amr: Option<&Value>) -> Vec<String> {
    match amr {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

/// 2–64 of `[\w+=,.@-]`. What AWS says to others is not in the record.
fn source_identity(claim: Option<&Value>) -> Result<Option<String>, Refusal> {
    match claim {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text))
            if (2..=64).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)) =>
        {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(Refusal::token(
            "source_identity passed in claim is not in correct format.",
            "the source identity is not 2-64 characters of [A-Za-z0-9_+=,.@-]",
        )),
    }
}

#[cfg(test)]
#[path = "claims_test.rs"]
mod tests;
