//! `Principal` and `NotPrincipal`.

use super::members::{Members, Place, show, strings};
use crate::iam::{
    PrincipalKind, Principals,
    error::Problem,
    json::{Kind, Node},
};

const CURE: &str = "write {\"Federated\": \"arn:aws:iam::ACCOUNT:oidc-provider/HOST\"}";
const AWS: &str = "Invalid principal in policy";

pub(super) fn read(place: &Place, node: Node, all_but: bool) -> Result<Principals, Problem> {
    match &node.kind {
        Kind::String(text) if text == "*" && !all_but => return Ok(Principals::Everyone),
        Kind::Object(members) if !members.is_empty() => {}
        _ => {
            return Err(place
                .wrong(format!("{} names no principal", show(&node)), CURE)
                .aws(AWS));
        }
    }
    let mut listed = Vec::new();
    for (place, name, node) in Members::of(place.clone(), node)?.rest() {
        let kind = kind(&place, &name)?;
        for (place, text) in strings(&place, node)? {
            check(&place, kind, &text)?;
            listed.push((kind, text));
        }
    }
    Ok(if all_but {
        Principals::AllBut(listed)
    } else {
        Principals::Only(listed)
    })
}

fn kind(place: &Place, name: &str) -> Result<PrincipalKind, Problem> {
    match name {
        "AWS" => Ok(PrincipalKind::Aws),
        "Federated" => Ok(PrincipalKind::Federated),
        "Service" => Ok(PrincipalKind::Service),
        "CanonicalUser" => Ok(PrincipalKind::CanonicalUser),
        _ => Err(place
            .wrong(
                "there is no such kind of principal",
                "the kinds are AWS, Federated, Service and CanonicalUser",
            )
            .aws(AWS)),
    }
}

fn check(place: &Place, kind: PrincipalKind, text: &str) -> Result<(), Problem> {
    if text != "*" && text.contains(['*', '?']) {
        return Err(place
            .wrong(
                format!("{text:?} has a wildcard, which a principal cannot have"),
                "write the whole ARN, and narrow it with a condition",
            )
            .aws(AWS));
    }
    if text.is_empty() {
        return Err(place.wrong("it is empty", CURE).aws(AWS));
    }
    if kind == PrincipalKind::Federated && text.contains("://") {
        return Err(place
            .wrong(
                format!("{text:?} is a URL"),
                "write the provider's ARN, in which the host stands without https://",
            )
            .aws("Federated principals must be valid domain names or SAML metadata ARNs"));
    }
    Ok(())
}
