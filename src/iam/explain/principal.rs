//! Why a statement's principal is not the token's provider.

use super::{Cause, edit::Edit};
use crate::iam::{PrincipalKind, Principals, WebIdentityRequest};

/// What is wrong, the change that mends it, and how much that changes.
pub(super) fn diagnose(
    statement: usize,
    principals: &Principals,
    request: &WebIdentityRequest,
) -> (Cause, Edit, usize) {
    let place = format!("statement {statement}, Principal");
    let want = &request.provider_arn;
    let add = || Edit::Principal {
        statement,
        instead_of: None,
    };
    let other = |code, problem: &str| {
        let cure = format!("write {{\"Federated\": \"{want}\"}}");
        Cause::new(code, place.clone(), problem, cure)
    };
    let listed = match principals {
        Principals::Everyone => {
            return (
                other(
                    "principal-star",
                    "\"*\" admits no web identity: those are admitted by their provider's ARN only",
                ),
                add(),
                6,
            );
        }
        Principals::AllBut(_) => {
            return (
                other("principal-excluded", "NotPrincipal excludes the provider"),
                add(),
                6,
            );
        }
        Principals::Only(listed) => listed,
    };
    let nearest = listed
        .iter()
        .filter(|(kind, _)| *kind == PrincipalKind::Federated)
        .map(|(_, name)| (compare(name, request), name))
        .min_by_key(|((_, _, cost), _)| *cost);
    let Some(((code, problem, cost), name)) = nearest else {
        let star = listed
            .iter()
            .any(|(kind, name)| *kind == PrincipalKind::Aws && name == "*");
        let (code, problem) = if star {
            ("principal-star", "{\"AWS\": \"*\"} admits no web identity")
        } else {
            ("principal-kind", "it names no identity provider")
        };
        return (other(code, problem), add(), 7);
    };
    let cause = Cause::new(
        code,
        place,
        problem,
        format!("write {want} instead of {name}"),
    )
    .with_values(name, want);
    let edit = Edit::Principal {
        statement,
        instead_of: Some(name.clone()),
    };
    (cause, edit, cost)
}

/// The account and what follows `oidc-provider/` of a provider's ARN.
fn parts(arn: &str) -> Option<(&str, &str, &str)> {
    let mut fields = arn.splitn(6, ':');
    let (scheme, partition) = (fields.next()?, fields.next()?);
    let (service, _region, account) = (fields.next()?, fields.next()?, fields.next()?);
    let name = fields.next()?.strip_prefix("oidc-provider/")?;
    (scheme == "arn" && service == "iam").then_some((partition, account, name))
}

fn compare(name: &str, request: &WebIdentityRequest) -> (&'static str, String, usize) {
    let want = &request.provider_arn;
    if name.contains(":saml-provider/") {
        return (
            "principal-saml",
            "it is a SAML provider, and the token is OIDC's".to_owned(),
            6,
        );
    }
    let (Some((partition, account, host)), Some((want_partition, want_account, want_host))) =
        (parts(name), parts(want))
    else {
        return (
            "principal-not-arn",
            "it is not the ARN of an OIDC provider; only AWS's built-in providers are named by host"
                .to_owned(),
            3,
        );
    };
    let (slashless, want_slashless) = (host.trim_end_matches('/'), want_host.trim_end_matches('/'));
    if host == want_host {
        if partition != want_partition {
            return (
                "principal-partition",
                format!("it is in the partition {partition}, the role in {want_partition}"),
                1,
            );
        }
        return (
            "principal-account",
            format!(
                "it is in account {account}, and role and provider must be in one account, {want_account}"
            ),
            1,
        );
    }
    if slashless == want_slashless {
        return (
            "principal-trailing-slash",
            "only one of provider and issuer ends with a slash, and to AWS these are two providers"
                .to_owned(),
            1,
        );
    }
    if slashless.eq_ignore_ascii_case(want_slashless) {
        return (
            "principal-case",
            "upper and lower case differ, and they count".to_owned(),
            1,
        );
    }
    let domain = |text: &str| text.split('/').next().unwrap_or_default().to_owned();
    if domain(host) == domain(want_host) {
        return (
            "principal-path",
            format!("the host is right, the path is not: the token's provider is {want_host}"),
            2,
        );
    }
    let bare = |text: &str| {
        domain(text)
            .split(':')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    if bare(host) == bare(want_host) {
        return (
            "principal-port",
            "only one of them has that port".to_owned(),
            2,
        );
    }
    (
        "principal-host",
        format!("it is another provider: the token's is {want_host}"),
        5,
    )
}
