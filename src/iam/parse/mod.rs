//! Reading a policy, strictly: an element that is not understood is an error.
//!
//! IAM's own words for what it refuses are given where they are known from its answers; the checks
//! follow the [grammar of the policy language].
//!
//! [grammar of the policy language]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html

mod conditions;
mod members;
mod principals;
mod session;

use self::members::{Members, Place, show, strings};
use super::{
    Actions, Effect, Policy, PolicyError, Statement, Value, Version,
    error::Problem,
    json::{self, Kind, Node},
};

/// The longest text that is read: what `CreateRole` takes for `AssumeRolePolicyDocument`, in
/// characters. IAM's quota for what is stored is far lower (2,048 unless raised).
pub const MAX_TEXT: usize = 131_072;

/// What a role's trust policy can be about.
const STS_ACTIONS: [&str; 6] = [
    "sts:AssumeRole",
    "sts:AssumeRoleWithSAML",
    "sts:AssumeRoleWithWebIdentity",
    "sts:TagSession",
    "sts:SetSourceIdentity",
    "sts:SetContext",
];

impl Policy {
    /// Reads a role trust policy.
    pub fn parse_trust(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_TEXT {
            return Err(PolicyError::TooLong {
                bytes: text.len(),
                limit: MAX_TEXT,
            });
        }
        json::parse(text)
            .and_then(trust_policy)
            .map_err(|problem| problem.within(text))
    }
}

/// Reads a role trust policy that is JSON already.
pub(super) fn trust_policy(node: Node) -> Result<Policy, Problem> {
    let mut members = Members::of(Place::document(&node), node)?;
    let version = version(members.take("Version"))?;
    let id = members.take_string("Id")?;
    let statements = match members.take("Statement") {
        Some((
            place,
            Node {
                kind: Kind::Array(items),
                ..
            },
        )) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| statement(place.item(index, item.at), item, version))
            .collect::<Result<Vec<_>, _>>()?,
        Some((place, single)) => vec![statement(place, single, version)?],
        None => Vec::new(),
    };
    if statements.is_empty() {
        return Err(members
            .missing("Statement")
            .wrong("there is none", "write at least one statement")
            .aws("Syntax errors in policy."));
    }
    members.nothing_left(
        "a policy has Version, Id and Statement",
        &["Version", "Id", "Statement"],
    )?;
    let mut policy = Policy {
        version,
        id,
        statements: Vec::with_capacity(statements.len()),
    };
    for (place, statement) in statements {
        let repeated = |earlier: &Statement| earlier.sid.is_some() && earlier.sid == statement.sid;
        if policy.statements.iter().any(repeated) {
            return Err(place
                .wrong(
                    "its Sid is that of another statement",
                    "give each a Sid of its own, or none",
                )
                .aws("Statement IDs (SID) in a single policy must be unique."));
        }
        policy.statements.push(statement);
    }
    Ok(policy)
}

fn version(member: Option<(Place, Node)>) -> Result<Version, Problem> {
    match member {
        None => Ok(Version::V2008),
        Some((place, node)) => match node.text() {
            Some("2012-10-17") => Ok(Version::V2012),
            Some("2008-10-17") => Ok(Version::V2008),
            _ => Err(place
                .wrong(
                    format!("{} is not a version of the language", show(&node)),
                    "write \"2012-10-17\"",
                )
                .aws("The policy must contain a valid version string.")),
        },
    }
}

fn statement(place: Place, node: Node, version: Version) -> Result<(Place, Statement), Problem> {
    let mut members = Members::of(place, node)?;
    let sid = sid(&mut members)?;
    let effect = effect(&mut members)?;
    for name in ["Resource", "NotResource"] {
        if let Some((place, _)) = members.take(name) {
            return Err(place
                .wrong(
                    "a trust policy cannot have it",
                    "remove it: the role itself is the resource",
                )
                .aws("Has prohibited field Resource"));
        }
    }
    let (place, node, all_but) = members.take_one_of(
        "Principal",
        "NotPrincipal",
        "Missing required field Principal",
    )?;
    let principals = principals::read(&place, node, all_but)?;
    let (place, node, all_but) =
        members.take_one_of("Action", "NotAction", "Missing required field Action")?;
    let actions = if all_but {
        Actions::AllBut(actions(&place, node)?)
    } else {
        Actions::Only(actions(&place, node)?)
    };
    let conditions = match members.take("Condition") {
        None => Vec::new(),
        Some((place, node)) => conditions::read(place, node, version)?,
    };
    members.nothing_left(
        "a statement has Sid, Effect, Principal or NotPrincipal, Action or NotAction, Condition",
        &[
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Condition",
        ],
    )?;
    Ok((
        members.place,
        Statement {
            sid,
            effect,
            principals,
            actions,
            conditions,
        },
    ))
}

fn sid(members: &mut Members) -> Result<Option<String>, Problem> {
    let Some((place, node)) = members.take("Sid") else {
        return Ok(None);
    };
    match node.kind {
        // The console writes empty ones, and as many as it likes.
        Kind::String(text) if text.is_empty() => Ok(None),
        Kind::String(text) => Ok(Some(text)),
        _ => Err(place
            .wrong(format!("it is {}", node.kind_name()), "write a string")
            .aws("Syntax errors in policy.")),
    }
}

fn effect(members: &mut Members) -> Result<Effect, Problem> {
    match members.take("Effect") {
        None => Err(members
            .missing("Effect")
            .wrong("it is missing", "write \"Allow\" or \"Deny\"")
            .aws("Syntax errors in policy.")),
        Some((place, node)) => match node.text() {
            Some("Allow") => Ok(Effect::Allow),
            Some("Deny") => Ok(Effect::Deny),
            _ => Err(place
                .wrong(
                    format!("{} is no effect", show(&node)),
                    "write \"Allow\" or \"Deny\"",
                )
                .aws("Syntax errors in policy.")),
        },
    }
}

fn actions(place: &Place, node: Node) -> Result<Vec<Value>, Problem> {
    strings(place, node)?
        .into_iter()
        .map(|(place, text)| action(&place, &text))
        .collect()
}

fn action(place: &Place, text: &str) -> Result<Value, Problem> {
    let fields = text.split_once(':').filter(|(vendor, name)| {
        !vendor.is_empty() && !name.is_empty() && !name.contains([':', ' ', '$'])
    });
    let Some(value) = Value::pattern(text).filter(|_| text == "*" || fields.is_some()) else {
        return Err(place
            .wrong(
                format!("{text:?} is not an action"),
                "write one like \"sts:AssumeRoleWithWebIdentity\"",
            )
            .aws("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."));
    };
    if STS_ACTIONS
        .iter()
        .any(|name| value.matches_ignore_case(name))
    {
        return Ok(value);
    }
    let near = STS_ACTIONS
        .iter()
        .min_by_key(|name| super::operator::distance(name, text))
        .filter(|name| super::operator::distance(name, text) <= 3);
    Err(place
        .wrong(
            format!("{text:?} is not an action of a trust policy"),
            near.map_or_else(
                || format!("it can be about {}", STS_ACTIONS.join(", ")),
                |name| format!("write {name:?}"),
            ),
        )
        .aws("AssumeRole policy may only specify STS AssumeRole actions."))
}

#[cfg(test)]
#[path = "../parse_test.rs"]
mod tests;
