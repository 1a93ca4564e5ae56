//! The roles claim: a token pinned to role ARNs.

use serde_json::{Map, Value};

use super::Refusal;
use crate::domain::RoleArn;

const CLAIM: &str = "https://aws.amazon.com/roles";

/// Whether the claim names `role`, an ARN. `false` without the claim (null is without); an error
/// where it is there and does not.
///
/// A list, or a string split at `;`. Entries that are not role ARNs are skipped.
pub(super) fn check(claims: &Map<String, Value>, role: &str) -> Result<bool, Refusal> {
    let entries: Vec<&str> = match claims.get(CLAIM) {
        None | Some(Value::Null) => return Ok(false),
        Some(Value::String(text)) => text.split(';').map(str::trim).collect(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(_) => {
            return Err(Refusal::token(
                "The roles claim is not in a supported format",
                format!("{CLAIM} is neither a list nor a string"),
            ));
        }
    };
    let arns: Vec<_> = entries.into_iter().filter(|entry| is_role(entry)).collect();
    if arns.is_empty() {
        return Err(Refusal::token(
            "The roles claim contains no valid role ARNs",
            format!("{CLAIM} holds no ARN like arn:aws:iam::123456789012:role/NAME"),
        ));
    }
    if !arns.contains(&role) {
        return Err(Refusal::token(
            "The target role ARN is not present in the roles claim of the identity token",
            format!("{CLAIM} holds {}, not {role}", arns.join(", ")),
        ));
    }
    Ok(true)
}

/// A colon in the resource, which a path could have, was seen not to pass.
fn is_role(text: &str) -> bool {
    text.parse::<RoleArn>().is_ok() && text.matches(':').count() == 5
}
