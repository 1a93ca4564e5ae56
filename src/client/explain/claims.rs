//! What STS checks of a token's claims before it looks at any policy, all of it at once.
//!
//! The rules are those of the recorded answers of the real STS: 300 s of leeway, one audience, `azp`
//! in place of `aud`, the forms of AWS's own claims.

use serde_json::{Map, Value};

use crate::{
    domain::{RoleArn, Timestamp},
    iam::Cause,
};

const LEEWAY: i64 = 300;
const TAGS: &str = "https://aws.amazon.com/tags";
const FLAT_TAG: &str = "https://aws.amazon.com/tags/principal_tags/";
const FLAT_TRANSITIVE: &str = "https://aws.amazon.com/tags/transitive_tag_keys";
const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";
const ROLES: &str = "https://aws.amazon.com/roles";

/// What the claims say to a trust policy.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) subject: String,
    pub(super) audience: String,
    pub(super) methods: Vec<String>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) transitive_tag_keys: Vec<String>,
    pub(super) source_identity: Option<String>,
    pub(super) authorized_by_idp: bool,
    pub(super) causes: Vec<Cause>,
}

/// Reads the claims as STS does. `registered`: the provider's audiences, where they are known.
pub(super) fn read(
    claims: &Map<String, Value>,
    role: Option<&RoleArn>,
    registered: Option<&[String]>,
    now: Timestamp,
) -> Reading {
    let mut reading = Reading::default();
    let causes = &mut reading.causes;
    for name in ["iss", "sub", "aud", "exp", "iat"] {
        if !claims.contains_key(name) {
            causes.push(Cause::new(
                "claim-missing",
                format!("claim {name}"),
                format!("the token has no {name}, which AWS requires"),
                "take a token from `idp token`, which has every claim",
            ));
        }
    }
    match claims.get("sub") {
        Some(Value::String(text)) => reading.subject.clone_from(text),
        Some(Value::Number(number)) => reading.subject = number.to_string(),
        Some(_) => causes.push(Cause::new(
            "claim-malformed",
            "claim sub",
            "sub is neither a string nor a number",
            "have the issuer write a string",
        )),
        None => {}
    }
    times(claims, now, causes);
    reading.audience = audience(claims, registered, causes);
    reading.methods = strings(claims.get("amr"));
    reading.authorized_by_idp = role_pin(claims, role, causes);
    source_identity(claims, &mut reading);
    tags(claims, &mut reading);
    reading
}

fn times(claims: &Map<String, Value>, now: Timestamp, causes: &mut Vec<Cause>) {
    let mut read = |name: &str| {
        let value = claims.get(name)?;
        let seconds = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        if seconds.is_none() {
            causes.push(Cause::new(
                "time-malformed",
                format!("claim {name}"),
                format!("{name} is not a whole number of seconds"),
                "have the issuer write seconds since 1970 without a fraction",
            ));
        }
        seconds
    };
    let (exp, iat, nbf) = (read("exp"), read("iat"), read("nbf"));
    let now = now.secs();
    let at = |seconds: i64| Timestamp::from_secs(seconds).to_string();
    if let Some(exp) = exp.filter(|exp| now - LEEWAY >= *exp) {
        // A token that expires before it was young was written by a clock that is behind.
        let young = iat.is_some_and(|iat| (now - iat).abs() <= LEEWAY);
        let (code, cure) = if young {
            (
                "clock",
                "set the issuer's clock by a time server: it is behind",
            )
        } else {
            (
                "token-expired",
                "take a fresh token (`idp token`), and exchange it before it expires",
            )
        };
        causes.push(
            Cause::new(
                code,
                "claim exp",
                format!("the token expired {} s ago; AWS tolerates 300 s", now - exp),
                cure,
            )
            .with_values(format!("after {}", at(now - LEEWAY)), at(exp)),
        );
    }
    for (name, value) in [("iat", iat), ("nbf", nbf)] {
        if let Some(value) = value.filter(|value| *value > now + LEEWAY) {
            causes.push(
                Cause::new(
                    "token-early",
                    format!("claim {name}"),
                    format!(
                        "{name} is {} s ahead of this machine's clock; AWS tolerates 300 s",
                        value - now
                    ),
                    "set the issuer's clock by a time server: it is ahead",
                )
                .with_values(format!("up to {}", at(now + LEEWAY)), at(value)),
            );
        }
    }
}

fn audience(
    claims: &Map<String, Value>,
    registered: Option<&[String]>,
    causes: &mut Vec<Cause>,
) -> String {
    let aud = claims.get("aud");
    let azp = claims.get("azp").filter(|azp| !azp.is_null());
    let listed = strings(aud);
    let audience = match (azp, aud) {
        (Some(Value::String(azp)), _) => azp.clone(),
        (Some(_), _) => {
            causes.push(Cause::new(
                "claim-malformed",
                "claim azp",
                "azp is not a string",
                "leave it out",
            ));
            String::new()
        }
        (None, Some(Value::Array(all))) => {
            if all.len() != 1 {
                causes.push(
                    Cause::new(
                        "audience-list",
                        "claim aud",
                        "aud is a list, and AWS takes exactly one audience",
                        "ask for one audience: `idp token --audience sts.amazonaws.com`",
                    )
                    .with_values("one", listed.join(", ")),
                );
            }
            listed.first().cloned().unwrap_or_default()
        }
        (None, Some(Value::String(text))) => text.clone(),
        (None, Some(_)) => {
            causes.push(Cause::new(
                "claim-malformed",
                "claim aud",
                "aud is not a string",
                "write one audience",
            ));
            String::new()
        }
        (None, None) => String::new(),
    };
    if let Some(registered) = registered
        && aud.is_some()
        && !registered.contains(&audience)
    {
        causes.push(match instead_of_aud(claims) {
            Some(cause) => cause,
            None => not_registered(&audience).with_values(registered.join(", "), &audience),
        });
    }
    audience
}

/// That `azp` counts in place of another `aud`, where the token has one: what lies behind a refused
/// audience.
pub(super) fn instead_of_aud(claims: &Map<String, Value>) -> Option<Cause> {
    let azp = claims.get("azp")?.as_str()?;
    let listed = strings(claims.get("aud"));
    if listed.first().is_some_and(|aud| aud == azp) {
        return None;
    }
    let cause = Cause::new(
        "azp",
        "claim azp",
        "AWS takes azp in place of aud, so that both the provider's audiences and the policy's aud \
         condition have to name it",
        "have the issuer leave azp out, or register it and condition on it",
    );
    Some(cause.with_values(listed.join(", "), azp))
}

/// The provider does not know the token's audience.
pub(super) fn not_registered(audience: &str) -> Cause {
    Cause::new(
        "audience-not-registered",
        "the OIDC provider in IAM, its audiences (client ids)",
        format!(
            "{audience:?} is not registered there, and AWS says no more than that the token could not be validated"
        ),
        format!(
            "aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn ARN \
             --client-id {audience}"
        ),
    )
}

/// Whether the token names the role; a cause where it names others.
fn role_pin(claims: &Map<String, Value>, role: Option<&RoleArn>, causes: &mut Vec<Cause>) -> bool {
    let named: Vec<String> = match claims.get(ROLES) {
        None | Some(Value::Null) => return false,
        Some(Value::String(text)) => text.split(';').map(|arn| arn.trim().to_owned()).collect(),
        Some(Value::Array(_)) => strings(claims.get(ROLES)),
        Some(_) => {
            causes.push(Cause::new(
                "role-pin-malformed",
                "claim roles",
                "the roles claim is neither a list nor a string",
                "have the issuer write a list of role ARNs",
            ));
            return false;
        }
    };
    let is_role = |arn: &String| arn.parse::<RoleArn>().is_ok() && arn.matches(':').count() == 5;
    let arns: Vec<String> = named.into_iter().filter(is_role).collect();
    if arns.is_empty() {
        causes.push(Cause::new(
            "role-pin-malformed",
            "claim roles",
            "the roles claim holds no role ARN",
            "have the issuer write ARNs like arn:aws:iam::123456789012:role/NAME",
        ));
        return false;
    }
    let Some(role) = role.map(ToString::to_string) else {
        return true;
    };
    if arns.contains(&role) {
        return true;
    }
    causes.push(
        Cause::new(
            "role-pin",
            "claim roles",
            "the token is pinned to other roles than this one",
            format!("assume one of those, or ask for a token for {role}"),
        )
        .with_values(role, arns.join(", ")),
    );
    false
}

fn source_identity(claims: &Map<String, Value>, reading: &mut Reading) {
    match claims.get(SOURCE_IDENTITY) {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) if is_session_name(text) => {
            reading.source_identity = Some(text.clone());
        }
        Some(_) => reading.causes.push(Cause::new(
            "source-identity-malformed",
            "claim source_identity",
            "the source identity is not 2 to 64 characters of a-z, A-Z, 0-9 and _+=,.@-",
            "have the issuer send the environment's id",
        )),
    }
}

/// 2–64 of `[\w+=,.@-]`, as session names and source identities have to be.
pub(super) fn is_session_name(text: &str) -> bool {
    (2..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}

fn tags(claims: &Map<String, Value>, reading: &mut Reading) {
    let mut malformed = |key: &str| {
        reading.causes.push(Cause::new(
            "tags-malformed",
            format!("session tag {key}"),
            "a tag is a list of one string: 1 to 128 characters for the key, up to 256 for the value, \
             letters, digits, spaces and _.:/=+-@; at most 50 of them",
            "have the issuer correct its session tags",
        ));
    };
    let tag_char = |c: char| {
        c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
    };
    let fits = |key: &str, value: &str| {
        (1..=128).contains(&key.chars().count())
            && value.chars().count() <= 256
            && key.chars().chain(value.chars()).all(tag_char)
    };
    let mut found = Vec::new();
    match claims.get(TAGS) {
        None | Some(Value::Null) => {}
        Some(Value::Object(members)) => {
            let tags = match members.get("principal_tags") {
                None => None,
                Some(Value::Object(tags)) => Some(tags),
                Some(_) => {
                    malformed("principal_tags");
                    None
                }
            };
            for (key, value) in tags.into_iter().flatten() {
                match value.as_array().map(Vec::as_slice) {
                    Some([Value::String(text)]) if fits(key, text) => {
                        found.push((key.clone(), text.clone()));
                    }
                    _ => malformed(key),
                }
            }
            reading.transitive_tag_keys = strings(members.get("transitive_tag_keys"));
        }
        Some(_) => malformed(TAGS),
    }
    for (name, value) in claims {
        if let Some(key) = name.strip_prefix(FLAT_TAG) {
            match strings(Some(value)).as_slice() {
                [text] if fits(key, text) => found.push((key.to_owned(), text.clone())),
                _ => malformed(key),
            }
        } else if name == FLAT_TRANSITIVE {
            reading.transitive_tag_keys = strings(Some(value));
        }
    }
    let known = |key: &String| found.iter().any(|(tag, _)| tag == key);
    if found.len() > 50 {
        malformed("number 51");
    }
    for key in reading.transitive_tag_keys.iter().filter(|key| !known(key)) {
        malformed(key);
    }
    reading.tags = found;
}

/// A string, or the strings of a list.
fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}
