//! Whether a role's trust policy lets an identity in.

use std::{fmt::Write as _, net::IpAddr};

use super::{
    Refusal,
    claims::WebIdentity,
    roles::{Provider, Role},
};
use crate::{
    domain::Timestamp,
    iam::{Decision, Effect, Evaluation, Request, WebIdentityRequest},
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
    let request = request(role, provider, identity, facts);
    let (principal, context) = (request.principal(), request.context());
    for action in request.actions() {
        let request = Request {
            action,
            principal: &principal,
            context: &context,
        };
        if !role.trust_policy().decide(&request).is_allowed() {
            let evaluation = role.trust_policy().evaluate(&request);
            let why = clauses(role, provider.arn(), action, &evaluation);
            return Err(Refusal::not_authorised(why));
        }
    }
    Ok(())
}

/// The request as the policy language sees it.
fn request(
    role: &Role,
    provider: &Provider,
    identity: &WebIdentity,
    facts: &Facts<'_>,
) -> WebIdentityRequest {
    WebIdentityRequest {
        provider: provider.issuer().provider().to_owned(),
        provider_arn: provider.arn().to_owned(),
        account: role.arn().account().to_owned(),
        subject: identity.subject.clone(),
        audience: identity.audience.clone(),
        methods: identity.methods.clone(),
        tags: identity.tags.tags.clone(),
        transitive_tag_keys: identity.tags.transitive.clone(),
        source_identity: identity.source_identity.clone(),
        authorized_by_idp: identity.role_pinned,
        session_name: Some(facts.session_name.to_owned()),
        source_ip: facts.source_ip,
        now: facts.now,
    }
}

/// One clause a statement that could have let the request in, or the one that shut it out.
pub(super) fn clauses(
    role: &Role,
    principal: &str,
    action: &str,
    evaluation: &Evaluation<'_>,
) -> String {
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
            reasons.push(format!("its principal is not {principal}"));
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
