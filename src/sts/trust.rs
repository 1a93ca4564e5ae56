//! Whether a role's trust policy lets an identity in.

use std::{fmt::Write as _, net::IpAddr};

use super::{
    Refusal,
    claims::WebIdentity,
    roles::{Provider, Role},
};
use crate::{
    domain::Timestamp,
    iam::{Context, Decision, Effect, Evaluation, Principal, Request},
};

/// What the request itself says.
pub(super) struct Facts<'a> {
    pub(super) session_name: &'a str,
    pub(super) source_ip: Option<IpAddr>,
    pub(super) now: Timestamp,
}

/// Asks the trust policy for `sts:AssumeRoleWithWebIdentity`, and for `sts:TagSession` and
/// `sts:SetSourceIdentity` where the token carries such claims.
pub(super) fn authorise(
    role: &Role,
    provider: &Provider,
    identity: &WebIdentity,
    facts: &Facts<'_>,
) -> Result<(), Refusal> {
    let principal = Principal::Federated(provider.arn().to_owned());
    let context = context(role, provider, identity, facts);
    let actions = [
        ("sts:AssumeRoleWithWebIdentity", true),
        ("sts:TagSession", !identity.tags.is_empty()),
        ("sts:SetSourceIdentity", identity.source_identity.is_some()),
    ];
    for (action, _) in actions.into_iter().filter(|(_, asked)| *asked) {
        let evaluation = role.trust_policy().evaluate(&Request {
            action,
            principal: &principal,
            context: &context,
        });
        if !evaluation.decision.is_allowed() {
            return Err(Refusal::not_authorised(why(
                role,
                provider,
                action,
                &evaluation,
            )));
        }
    }
    Ok(())
}

/// The condition keys of a web-identity request. That `aws:PrincipalArn` is missing,
/// `aws:PrincipalType` is `User` and `aws:userid` the provider's ARN was seen so; `HOST:aud`, `sub`
/// and `amr` are what a private issuer's claims are known by.
fn context(role: &Role, provider: &Provider, identity: &WebIdentity, facts: &Facts<'_>) -> Context {
    let issuer = provider.issuer().provider();
    let mut context = Context::new();
    context.set(format!("{issuer}:aud"), &identity.audience);
    context.set(format!("{issuer}:sub"), &identity.subject);
    context.set_all(format!("{issuer}:amr"), identity.methods.clone());
    context.set("sts:RoleSessionName", facts.session_name);
    context.set(
        "sts:RoleAuthorizedByIdp",
        if identity.role_pinned {
            "true"
        } else {
            "false"
        },
    );
    context.set("aws:PrincipalAccount", role.arn().account());
    context.set("aws:PrincipalType", "User");
    context.set("aws:userid", provider.arn());
    context.set("aws:CurrentTime", facts.now.to_string());
    context.set("aws:EpochTime", facts.now.secs().to_string());
    if let Some(source_ip) = facts.source_ip {
        context.set("aws:SourceIp", source_ip.to_string());
    }
    if let Some(source_identity) = &identity.source_identity {
        context.set("sts:SourceIdentity", source_identity);
    }
    for (key, value) in &identity.tags.tags {
        context.set(format!("aws:RequestTag/{key}"), value);
    }
    let keys = identity.tags.tags.iter().map(|(key, _)| key.clone());
    context.set_all("aws:TagKeys", keys.collect());
    context.set_all("sts:TransitiveTagKeys", identity.tags.transitive.clone());
    context
}

/// One clause a statement that could have let the request in, or the one that shut it out.
fn why(role: &Role, provider: &Provider, action: &str, evaluation: &Evaluation<'_>) -> String {
    let name = role.arn().name();
    if let Decision::Denied(index) = evaluation.decision {
        return format!("statement {index} of role {name}'s trust policy denies {action}");
    }
    let mut why = format!("no statement of role {name}'s trust policy allows {action}");
    for (index, outcome) in evaluation.statements.iter().enumerate() {
        if outcome.statement.effect == Effect::Deny {
            continue;
        }
        let mut reasons = Vec::new();
        if !outcome.principal {
            reasons.push(format!("its principal is not {}", provider.arn()));
        }
        if !outcome.action {
            reasons.push("it is not about this action".to_owned());
        }
        reasons.extend(
            outcome
                .conditions
                .iter()
                .filter(|condition| !condition.met)
                .map(ToString::to_string),
        );
        let _ = write!(why, "; statement {index}: {}", reasons.join(", "));
    }
    why
}
