//! Reading a session policy.

use super::{
    MAX_TEXT, conditions, effect,
    members::{Members, Place, strings},
    sid, version,
};
use crate::iam::{
    Actions, PolicyError, Resources, SessionPolicy, SessionStatement, Value, Version,
    error::Problem,
    json::{self, Kind, Node},
};

impl SessionPolicy {
    /// Reads a session policy.
    ///
    /// # Errors
    /// What STS would refuse as a `MalformedPolicyDocument`, with its place.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_TEXT {
            return Err(PolicyError::TooLong {
                bytes: text.len(),
                limit: MAX_TEXT,
            });
        }
        json::parse(text)
            .and_then(policy)
            .map_err(|problem| problem.within(text))
    }
}

fn policy(node: Node) -> Result<SessionPolicy, Problem> {
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
    Ok(SessionPolicy {
        version,
        id,
        statements,
    })
}

fn statement(place: Place, node: Node, version: Version) -> Result<SessionStatement, Problem> {
    let mut members = Members::of(place, node)?;
    let sid = sid(&mut members)?;
    let effect = effect(&mut members)?;
    for name in ["Principal", "NotPrincipal"] {
        if let Some((place, _)) = members.take(name) {
            return Err(place
                .wrong("a session policy concerns its session", "remove it")
                .aws("Policy document should not specify a principal."));
        }
    }
    let missing = "Policy statement must contain actions.";
    let (place, node, all_but) = members.take_one_of("Action", "NotAction", missing)?;
    let patterns = actions(&place, node)?;
    let actions = if all_but {
        Actions::AllBut(patterns)
    } else {
        Actions::Only(patterns)
    };
    let missing = "Policy statement must contain resources.";
    let (place, node, all_but) = members.take_one_of("Resource", "NotResource", missing)?;
    let patterns = resources(&place, node, version)?;
    let resources = if all_but {
        Resources::AllBut(patterns)
    } else {
        Resources::Only(patterns)
    };
    let conditions = match members.take("Condition") {
        None => Vec::new(),
        Some((place, node)) => conditions::read(place, node, version)?,
    };
    members.nothing_left(
        "a statement has Sid, Effect, Action or NotAction, Resource or NotResource, Condition",
        &[
            "Sid",
            "Effect",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ],
    )?;
    Ok(SessionStatement {
        sid,
        effect,
        actions,
        resources,
        conditions,
    })
}

fn actions(place: &Place, node: Node) -> Result<Vec<Value>, Problem> {
    strings(place, node)?
        .into_iter()
        .map(|(place, text)| {
            let is_action = text == "*"
                || text.split_once(':').is_some_and(|(vendor, name)| {
                    !vendor.is_empty()
                        && !vendor.contains(['*', '?'])
                        && !name.is_empty()
                        && !name.contains([':', ' ', '$'])
                });
            Value::pattern(&text).filter(|_| is_action).ok_or_else(|| {
                place
                    .wrong(
                        format!("{text:?} is not an action"),
                        "write one like \"s3:GetObject\", or \"*\"",
                    )
                    .aws("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
            })
        })
        .collect()
}

fn resources(place: &Place, node: Node, version: Version) -> Result<Vec<Value>, Problem> {
    strings(place, node)?
        .into_iter()
        .map(|(place, text)| {
            let is_arn = text == "*" || (text.starts_with("arn:") && text.split(':').count() >= 6);
            Value::parse(&text, version == Version::V2012)
                .ok()
                .filter(|_| is_arn)
                .ok_or_else(|| {
                    place
                        .wrong(
                            format!("{text:?} is neither an ARN nor \"*\""),
                            "write all six fields of an ARN, with wildcards where they do not matter",
                        )
                        .aws("Resource must be in ARN format or \"*\".")
                })
        })
        .collect()
}
