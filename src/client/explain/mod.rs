//! Why STS refuses, or would: everything about a login that has to agree, put side by side.

mod claims;
mod keys;
mod refusal;
mod report;
mod text;

use std::net::IpAddr;

use serde_json::{Map, Value};

pub use self::{
    keys::{Presented, check as check_keys, header as check_header},
    report::{ConditionReport, Report, StatementReport, Suggestion},
};
use super::last_refusal::LastRefusal;
use crate::{
    domain::{Issuer, Partition, RoleArn, Timestamp},
    iam::{Cause, Document, PrincipalKind, Principals, WebIdentityRequest},
};

/// What is asked about.
pub struct Question<'a> {
    /// The role's trust policy.
    pub document: &'a Document,
    /// The token's claims.
    pub claims: &'a Map<String, Value>,
    /// The role, where it is known; else the one that the document describes.
    pub role: Option<RoleArn>,
    /// The session's name.
    pub session_name: Option<String>,
    /// The session's length in seconds.
    pub duration_seconds: Option<u32>,
    /// Where the request comes from, as AWS sees it.
    pub source_ip: Option<IpAddr>,
    /// The audiences of the OIDC provider in IAM.
    pub registered_audiences: Option<Vec<String>>,
    /// What STS said, where it was asked.
    pub refusal: Option<&'a LastRefusal>,
    /// What a look at the token's header and at the issuer's keys brought up.
    pub token_causes: Vec<Cause>,
    /// What nobody looked at, and how it would be looked at.
    pub not_checked: Vec<String>,
    /// The time that the token is judged by.
    pub now: Timestamp,
}

/// The claims of a token that nobody has yet, of this issuer, subject and audience.
#[must_use]
pub fn imagined_claims(
    issuer: &str,
    subject: &str,
    audience: &str,
    now: Timestamp,
) -> Map<String, Value> {
    [
        ("iss", Value::from(issuer)),
        ("sub", subject.into()),
        ("aud", audience.into()),
        ("iat", now.secs().into()),
        ("exp", (now.secs() + 300).into()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// The issuer of the first OIDC provider that a policy names, which is an `https` one unless it is on
/// loopback.
#[must_use]
pub fn issuer_in(document: &Document) -> Option<String> {
    let provider =
        providers(document).find_map(|arn| Some(arn.split_once(":oidc-provider/")?.1))?;
    let plain = format!("http://{provider}");
    let local = plain
        .parse::<Issuer>()
        .is_ok_and(|issuer| issuer.is_loopback());
    Some(if local {
        plain
    } else {
        format!("https://{provider}")
    })
}

fn providers(document: &Document) -> impl Iterator<Item = &str> {
    document
        .policy
        .statements
        .iter()
        .filter_map(|statement| match &statement.principals {
            Principals::Only(listed) => Some(listed),
            _ => None,
        })
        .flatten()
        .filter(|(kind, _)| *kind == PrincipalKind::Federated)
        .map(|(_, name)| name.as_str())
}

/// Partition and account of role and provider: the role's, else the first provider's.
fn account(document: &Document, role: Option<&RoleArn>) -> (String, String) {
    if let Some(role) = role {
        return (
            role.partition().as_str().to_owned(),
            role.account().to_owned(),
        );
    }
    let of_arn = |arn: &str| {
        let mut fields = arn.split(':');
        let partition = fields.nth(1)?.to_owned();
        let account = fields.nth(2)?;
        (account.len() == 12).then(|| (partition, account.to_owned()))
    };
    providers(document).find_map(of_arn).unwrap_or_else(|| {
        (
            Partition::Aws.as_str().to_owned(),
            "000000000000".to_owned(),
        )
    })
}

/// Answers the question.
#[must_use]
pub fn explain(question: Question<'_>) -> Report {
    let document = question.document;
    let described = document.role.as_ref();
    let role = question
        .role
        .or_else(|| described.map(|role| role.arn.clone()));
    let issuer = question
        .claims
        .get("iss")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let reading = claims::read(
        question.claims,
        role.as_ref(),
        question.registered_audiences.as_deref(),
        question.now,
    );
    let (partition, account) = account(document, role.as_ref());
    let provider = issuer
        .split_once("://")
        .map_or(issuer, |(_, provider)| provider);
    let request = WebIdentityRequest {
        provider: provider.to_owned(),
        provider_arn: format!("arn:{partition}:iam::{account}:oidc-provider/{provider}"),
        account,
        subject: reading.subject,
        audience: reading.audience,
        methods: reading.methods,
        tags: reading.tags,
        transitive_tag_keys: reading.transitive_tag_keys,
        source_identity: reading.source_identity,
        authorized_by_idp: reading.authorized_by_idp,
        session_name: question.session_name.clone(),
        source_ip: question.source_ip,
        now: question.now,
    };
    let trust = document.policy.explain(&request);

    let policy_characters = question
        .refusal
        .map_or(0, |refusal| refusal.policy_characters);
    let mut causes = refusal::of_parameters(
        question.session_name.as_deref(),
        question.duration_seconds,
        policy_characters,
    );
    let outside = question.refusal.map_or_else(Vec::new, |refusal| {
        refusal::of_answer(refusal, issuer, &request.audience)
    });
    causes.extend(question.token_causes);
    causes.extend(reading.causes);
    // What STS said counts for more than what was worked out, but says less of it.
    for cause in outside {
        match causes.iter().position(|known| is_same(known, &cause)) {
            Some(at) => causes[..=at].rotate_right(1),
            None => causes.insert(0, cause),
        }
    }
    let about_aud = format!("{provider}:aud");
    let refused_audience = |cause: &Cause| cause.place.ends_with(&about_aud);
    let told = causes.iter().any(|cause| cause.code == "azp");
    if !told && trust.causes.iter().any(refused_audience) {
        causes.extend(claims::instead_of_aud(question.claims));
    }
    causes.extend(trust.causes.iter().cloned());
    let maximum = described.and_then(|role| role.max_session_duration);
    if !causes
        .iter()
        .any(|cause| cause.code.starts_with("duration"))
    {
        causes.extend(refusal::of_duration(question.duration_seconds, maximum));
    }
    if causes.is_empty()
        && let Some(refusal) = question.refusal
    {
        causes.push(Cause::new(
            "role-or-policy",
            refusal.role_arn.clone(),
            "this policy lets the token in, and STS refused: the role does not exist, has another \
             policy than this one, or was made or changed just then",
            "compare with `aws iam get-role`, and try again in half a minute",
        ));
    }
    let mut not_checked = question.not_checked;
    if question.registered_audiences.is_none() {
        not_checked
            .push("the audiences of the OIDC provider in IAM (--provider reads them)".to_owned());
    }
    Report {
        not_checked,
        ..Report::new(
            document,
            &request,
            role.as_ref(),
            question.refusal,
            causes,
            trust,
        )
    }
}

/// Whether the answer of STS and the causes found speak of the same.
fn is_same(known: &Cause, said: &Cause) -> bool {
    known.code == said.code
        || match said.code {
            "clock" => known.code == "token-expired",
            "issuer-unreachable" => {
                matches!(
                    known.code,
                    "kid-not-published"
                        | "no-usable-key"
                        | "too-many-keys"
                        | "issuer-slow"
                        | "issuer-documents"
                )
            }
            "signature" => matches!(known.code, "kid-not-published" | "algorithm" | "not-a-jwt"),
            _ => false,
        }
}

#[cfg(test)]
#[path = "complaints_test.rs"]
mod complaints;
