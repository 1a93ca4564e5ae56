//! One statement: whom it trusts, for what, under which conditions at all.

use super::{Hit, condition, rule, subject};
use crate::iam::{
    ASSUME, Actions, Condition, DescribedRole, Effect, Element, Policy, PrincipalKind, Principals,
    Statement, Value,
};

/// Providers that AWS knows by their host.
const BUILT_IN: [&str; 4] = [
    "accounts.google.com",
    "www.amazon.com",
    "graph.facebook.com",
    "cognito-identity.amazonaws.com",
];

/// Issuers that many tenants share and of whose claims AWS may know more.
const SHARED: [&str; 4] = [
    "token.actions.githubusercontent.com",
    "gitlab.com",
    "accounts.google.com",
    "cognito-identity.amazonaws.com",
];

/// What the conditions of a statement are judged against.
pub(super) struct Trusted<'a> {
    /// The OIDC providers, by the prefix of their condition keys.
    pub(super) providers: Vec<&'a str>,
}

impl Trusted<'_> {
    /// Whether the key is that claim of a trusted provider.
    pub(super) fn is_claim(&self, key: &str, claim: &str) -> bool {
        key.rsplit_once(':').is_some_and(|(prefix, name)| {
            name.eq_ignore_ascii_case(claim)
                && self
                    .providers
                    .iter()
                    .any(|p| p.eq_ignore_ascii_case(prefix))
        })
    }

    /// Whether AWS may know further claims of one of the providers.
    pub(super) fn is_shared(&self) -> bool {
        self.providers
            .iter()
            .any(|provider| SHARED.contains(provider))
    }
}

pub(super) fn lint<'a>(
    index: usize,
    statement: &'a Statement,
    policy: &'a Policy,
    role: Option<&DescribedRole>,
    hits: &mut Vec<Hit<'a>>,
) {
    if statement.effect == Effect::Deny {
        return;
    }
    let trusted = principals(index, &statement.principals, role, hits);
    let Some(trusted) = trusted else { return };
    let web = actions(index, &statement.actions, &trusted, hits);
    if !web {
        return;
    }
    for condition in &statement.conditions {
        condition::lint(index, condition, policy.version, &trusted, hits);
    }
    condition::contradictions(index, &statement.conditions, hits);
    guards(index, statement, &trusted, hits);
}

/// The trusted providers; `None` where the statement is not about web identities.
fn principals<'a>(
    index: usize,
    principals: &'a Principals,
    role: Option<&DescribedRole>,
    hits: &mut Vec<Hit<'a>>,
) -> Option<Trusted<'a>> {
    const FIX: &str = "write {\"Federated\": \"arn:aws:iam::ACCOUNT:oidc-provider/HOST\"}";
    let here = Element::Member(index, "Principal");
    let listed = match principals {
        Principals::Everyone => {
            hits.push(Hit::new(rule::PRINCIPAL_ANY, here, "", FIX));
            return None;
        }
        Principals::AllBut(_) => {
            let here = Element::Member(index, "NotPrincipal");
            hits.push(Hit::new(rule::NOT_PRINCIPAL, here, "", FIX));
            return None;
        }
        Principals::Only(listed) => listed,
    };
    let mut providers = Vec::new();
    for (kind, name) in listed {
        match kind {
            PrincipalKind::Aws if name == "*" => {
                hits.push(Hit::new(rule::PRINCIPAL_ANY, here, "AWS: \"*\"", FIX));
            }
            PrincipalKind::Federated if name == "*" => {
                hits.push(Hit::new(rule::PROVIDER_ANY, here, "", FIX));
            }
            PrincipalKind::Federated if !name.contains(":saml-provider/") => {
                providers.push(provider(index, name, role, hits));
            }
            _ => {}
        }
    }
    if providers.is_empty() {
        return None;
    }
    if listed
        .iter()
        .any(|(kind, _)| *kind != PrincipalKind::Federated)
    {
        hits.push(Hit::new(
            rule::MIXED,
            here,
            "",
            "write a statement of its own for the other principals",
        ));
    }
    Some(Trusted { providers })
}

/// Judges a provider's name; the prefix of its condition keys.
fn provider<'a>(
    index: usize,
    name: &'a str,
    role: Option<&DescribedRole>,
    hits: &mut Vec<Hit<'a>>,
) -> &'a str {
    let here = Element::Member(index, "Principal");
    let Some((arn, host)) = name.split_once(":oidc-provider/") else {
        if !BUILT_IN.contains(&name) {
            hits.push(Hit::new(
                rule::PROVIDER_NOT_ARN,
                here,
                name,
                format!("write \"arn:aws:iam::ACCOUNT:oidc-provider/{name}\""),
            ));
        }
        return name;
    };
    if host.ends_with('/') {
        let fix = format!(
            "write \"{}\", and the issuer without a slash too",
            name.trim_end_matches('/')
        );
        hits.push(Hit::new(rule::PROVIDER_SLASH, here, name, fix));
    }
    let domain = host.split('/').next().unwrap_or_default();
    if domain.contains(':') {
        let fix = "serve the issuer at port 443 and leave the port out";
        hits.push(Hit::new(rule::PROVIDER_PORT, here, domain, fix));
    }
    let account = arn.rsplit(':').next().unwrap_or_default();
    if let Some(role) = role
        && role.arn.account() != account
    {
        hits.push(Hit::new(
            rule::PROVIDER_ACCOUNT,
            here,
            format!("{account}, and the role in {}", role.arn.account()),
            format!(
                "make the provider in account {} as well and name that one",
                role.arn.account()
            ),
        ));
    }
    host
}

/// Judges the actions; whether web identities are let in at all.
fn actions<'a>(
    index: usize,
    actions: &'a Actions,
    trusted: &Trusted<'_>,
    hits: &mut Vec<Hit<'a>>,
) -> bool {
    let fix = format!("write \"{ASSUME}\"");
    let listed = match actions {
        Actions::AllBut(_) => {
            hits.push(Hit::new(
                rule::NOT_ACTION,
                Element::Member(index, "NotAction"),
                "",
                fix,
            ));
            return true;
        }
        Actions::Only(listed) => listed,
    };
    let here = Element::Member(index, "Action");
    if let Some(wild) = listed.iter().find(|value| value.has_wildcard()) {
        hits.push(Hit::new(
            rule::ACTION_WILDCARD,
            here,
            wild.as_written(),
            fix.clone(),
        ));
    }
    let allows = |name| {
        listed
            .iter()
            .any(|value: &Value| value.matches_ignore_case(name))
    };
    let helps = allows(super::super::TAG_SESSION) || allows(super::super::SET_SOURCE_IDENTITY);
    if !allows(ASSUME) && !helps {
        let detail = trusted.providers.join(", ");
        hits.push(Hit::new(rule::NO_WEB_IDENTITY, here, detail, fix));
    }
    allows(ASSUME)
}

/// What a statement for web identities lacks.
fn guards<'a>(
    index: usize,
    statement: &'a Statement,
    trusted: &Trusted<'_>,
    hits: &mut Vec<Hit<'a>>,
) {
    let provider = trusted.providers.first().copied().unwrap_or_default();
    let on = |claim: &str| -> Vec<&'a Condition> {
        let conditions = statement.conditions.iter();
        conditions
            .filter(|condition| trusted.is_claim(&condition.key, claim))
            .collect()
    };
    let chooses = |conditions: &[&Condition]| {
        conditions.iter().any(|condition| {
            let missing = condition.operator.is_met_by_missing(&condition.values);
            !condition.operator.test.is_negated()
                && condition.operator.test != crate::iam::Test::Null
                && (!missing || condition.operator.if_exists)
        })
    };
    let subs = on("sub");
    if !chooses(&subs) && !names_who_asks(statement) {
        let fix = format!(
            "add \"StringEquals\": {{\"{provider}:sub\": \"org:ORG_ID/prj:PROJECT_ID/env:ENVIRONMENT_ID\"}}"
        );
        match subs
            .iter()
            .find(|condition| condition.operator.test.is_negated())
        {
            Some(negated) => hits.push(Hit::new(
                rule::SUB_EXCLUDED,
                Element::Condition(index, negated),
                "",
                fix,
            )),
            None => hits.push(Hit::new(rule::NO_SUB, Element::Statement(index), "", fix)),
        }
    }
    if !chooses(&on("aud")) {
        let fix = format!("add \"StringEquals\": {{\"{provider}:aud\": \"sts.amazonaws.com\"}}");
        hits.push(Hit::new(rule::NO_AUD, Element::Statement(index), "", fix));
    }
}

/// Whether something other than `sub` says who asks: the token's source identity or session tags are
/// chosen. That the issuer pinned the token to this role (`sts:RoleAuthorizedByIdp`) does not: an
/// environment without a list of roles gets a pin for whichever role it asks for.
fn names_who_asks(statement: &Statement) -> bool {
    statement.conditions.iter().any(|condition| {
        let key = condition.key.to_ascii_lowercase();
        let who = key == "sts:sourceidentity" || key.starts_with("aws:requesttag/");
        let test = condition.operator.test;
        let chosen = |value: &Value| {
            let any = test.has_wildcards() && subject::takes_any_id(value);
            !value.has_variables() && !any
        };
        who && !test.is_negated()
            && !condition.operator.is_met_by_missing(&condition.values)
            && condition.values.iter().all(chosen)
            && test != crate::iam::Test::Null
    })
}
