//! Reading a policy, strictly: an element that is not understood is an error.

use super::{
    Actions, Condition, Effect, Operator, Policy, PolicyError, PrincipalKind, Principals,
    Statement, Value, Version, json::Node,
};

type Members = Vec<(String, Node)>;

impl Policy {
    /// Reads a role trust policy.
    pub fn parse_trust(text: &str) -> Result<Self, PolicyError> {
        let node: Node = serde_json::from_str(text)?;
        let mut members = object("the policy", node)?;
        no_repeats("", &members)?;
        let version = version(take(&mut members, "Version"))?;
        let id = optional_string("Id", take(&mut members, "Id"))?;
        let statements = match take(&mut members, "Statement") {
            Some(Node::Array(items)) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| statement(&format!("Statement[{index}]"), item, version))
                .collect::<Result<Vec<_>, _>>()?,
            Some(single) => vec![statement("Statement", single, version)?],
            None => Vec::new(),
        };
        if statements.is_empty() {
            return Err(PolicyError::element(
                "Statement",
                "there is none",
                "write at least one statement",
            ));
        }
        nothing_left("", &members, "a policy has Version, Id and Statement")?;
        Ok(Self {
            version,
            id,
            statements,
        })
    }
}

fn version(node: Option<Node>) -> Result<Version, PolicyError> {
    match node {
        None => Ok(Version::V2008),
        Some(Node::String(text)) if text == "2012-10-17" => Ok(Version::V2012),
        Some(Node::String(text)) if text == "2008-10-17" => Ok(Version::V2008),
        Some(other) => Err(PolicyError::element(
            "Version",
            format!("{} is not a version of the language", show(&other)),
            "write \"2012-10-17\"",
        )),
    }
}

fn statement(path: &str, node: Node, version: Version) -> Result<Statement, PolicyError> {
    let mut members = object(path, node)?;
    no_repeats(path, &members)?;
    let at = |name: &str| join(path, name);
    let sid = optional_string(&at("Sid"), take(&mut members, "Sid"))?;
    let effect = match take(&mut members, "Effect") {
        Some(Node::String(text)) if text == "Allow" => Effect::Allow,
        Some(Node::String(text)) if text == "Deny" => Effect::Deny,
        other => {
            return Err(PolicyError::element(
                &at("Effect"),
                other.map_or_else(
                    || "it is missing".to_owned(),
                    |node| format!("{} is no effect", show(&node)),
                ),
                "write \"Allow\" or \"Deny\"",
            ));
        }
    };
    let principals = match one_of(path, &mut members, "Principal", "NotPrincipal")? {
        (node, false) => principals(&at("Principal"), node, false)?,
        (node, true) => principals(&at("NotPrincipal"), node, true)?,
    };
    let actions = match one_of(path, &mut members, "Action", "NotAction")? {
        (node, false) => Actions::Only(actions(&at("Action"), node)?),
        (node, true) => Actions::AllBut(actions(&at("NotAction"), node)?),
    };
    let conditions = match take(&mut members, "Condition") {
        None => Vec::new(),
        Some(node) => conditions(&at("Condition"), node, version)?,
    };
    for name in ["Resource", "NotResource"] {
        if take(&mut members, name).is_some() {
            return Err(PolicyError::element(
                &at(name),
                "a trust policy cannot have it",
                "remove it: the role itself is the resource",
            ));
        }
    }
    nothing_left(
        path,
        &members,
        "a statement has Sid, Effect, Principal or NotPrincipal, Action or NotAction, Condition",
    )?;
    Ok(Statement {
        sid,
        effect,
        principals,
        actions,
        conditions,
    })
}

fn principals(path: &str, node: Node, all_but: bool) -> Result<Principals, PolicyError> {
    const CURE: &str = "write {\"Federated\": \"arn:aws:iam::ACCOUNT:oidc-provider/HOST\"}";
    let members = match node {
        Node::String(text) if text == "*" && !all_but => return Ok(Principals::Everyone),
        Node::Object(members) if !members.is_empty() => members,
        other => {
            return Err(PolicyError::element(
                path,
                format!("{} names no principal", show(&other)),
                CURE,
            ));
        }
    };
    no_repeats(path, &members)?;
    let mut listed = Vec::new();
    for (name, node) in members {
        let at = join(path, &name);
        let kind = match name.as_str() {
            "AWS" => PrincipalKind::Aws,
            "Federated" => PrincipalKind::Federated,
            "Service" => PrincipalKind::Service,
            "CanonicalUser" => PrincipalKind::CanonicalUser,
            _ => {
                return Err(PolicyError::element(
                    &at,
                    "there is no such kind of principal",
                    "the kinds are AWS, Federated, Service and CanonicalUser",
                ));
            }
        };
        for text in strings(&at, node)? {
            if text != "*" && text.contains(['*', '?']) {
                return Err(PolicyError::element(
                    &at,
                    format!("{text:?} has a wildcard, which a principal cannot have"),
                    "write the whole ARN, and narrow it with a condition",
                ));
            }
            listed.push((kind, text));
        }
    }
    Ok(if all_but {
        Principals::AllBut(listed)
    } else {
        Principals::Only(listed)
    })
}

fn actions(path: &str, node: Node) -> Result<Vec<Value>, PolicyError> {
    strings(path, node)?
        .into_iter()
        .map(|text| {
            let well_formed = text == "*"
                || text.split_once(':').is_some_and(|(service, name)| {
                    !service.is_empty() && !name.is_empty() && !name.contains(':')
                });
            match Value::parse(&text, true) {
                Ok(value) if well_formed => Ok(value),
                _ => Err(PolicyError::element(
                    path,
                    format!("{text:?} is not an action"),
                    "write one like \"sts:AssumeRoleWithWebIdentity\"",
                )),
            }
        })
        .collect()
}

fn conditions(path: &str, node: Node, version: Version) -> Result<Vec<Condition>, PolicyError> {
    let operators = object(path, node)?;
    no_repeats(path, &operators)?;
    let mut conditions = Vec::new();
    for (name, keys) in operators {
        let at = join(path, &name);
        let operator = Operator::parse(&name).map_err(|unknown| {
            PolicyError::element(&at, "this operator is not understood", unknown.cure)
        })?;
        let keys = object(&at, keys)?;
        no_repeats(&at, &keys)?;
        for (key, node) in keys {
            let at = format!("{at}.{key:?}");
            if key.is_empty() || key.contains(char::is_whitespace) {
                return Err(PolicyError::element(
                    &at,
                    "this is not a condition key",
                    "write one like \"idp.example.com:sub\"",
                ));
            }
            conditions.push(Condition {
                operator,
                values: condition_values(&at, node, operator, version)?,
                key,
            });
        }
    }
    Ok(conditions)
}

fn condition_values(
    path: &str,
    node: Node,
    operator: Operator,
    version: Version,
) -> Result<Vec<Value>, PolicyError> {
    let nodes = match node {
        Node::Array(nodes) if !nodes.is_empty() => nodes,
        Node::Array(_) => {
            return Err(PolicyError::element(
                path,
                "the list is empty",
                "write at least one value",
            ));
        }
        single => vec![single],
    };
    nodes
        .into_iter()
        .map(|node| {
            let text = match node {
                Node::String(text) | Node::Number(text) => text,
                Node::Bool(value) => value.to_string(),
                other => {
                    return Err(PolicyError::element(
                        path,
                        format!("{} is not a value", other.kind()),
                        "write a string",
                    ));
                }
            };
            let is_boolean =
                text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
            if operator.test.wants_boolean() && !is_boolean {
                return Err(PolicyError::element(
                    path,
                    format!("{text:?} is neither true nor false, and {operator} knows no other"),
                    "write \"true\" or \"false\"",
                ));
            }
            Value::parse(&text, version == Version::V2012).map_err(|unknown| {
                PolicyError::element(
                    path,
                    format!("the policy variable {} is not understood", unknown.0),
                    "write the value out; for the characters * ? $ themselves write ${*} ${?} ${$}",
                )
            })
        })
        .collect()
}

fn object(path: &str, node: Node) -> Result<Members, PolicyError> {
    match node {
        Node::Object(members) => Ok(members),
        other => Err(PolicyError::element(
            path,
            format!("it is {}, not an object", other.kind()),
            "write {\"name\": value, …}",
        )),
    }
}

/// A string or a non-empty list of them.
fn strings(path: &str, node: Node) -> Result<Vec<String>, PolicyError> {
    let wrong = |problem: String| {
        Err(PolicyError::element(
            path,
            problem,
            "write a string or a list of strings",
        ))
    };
    match node {
        Node::String(text) => Ok(vec![text]),
        Node::Array(items) if items.is_empty() => wrong("the list is empty".to_owned()),
        Node::Array(items) => {
            let mut texts = Vec::with_capacity(items.len());
            for item in items {
                match item {
                    Node::String(text) => texts.push(text),
                    other => return wrong(format!("the list holds {}", other.kind())),
                }
            }
            Ok(texts)
        }
        other => wrong(format!("it is {}", other.kind())),
    }
}

fn optional_string(path: &str, node: Option<Node>) -> Result<Option<String>, PolicyError> {
    match node {
        None => Ok(None),
        Some(Node::String(text)) => Ok(Some(text)),
        Some(other) => Err(PolicyError::element(
            path,
            format!("it is {}", other.kind()),
            "write a string",
        )),
    }
}

/// Exactly one of two members; `true` where it is the second.
fn one_of(
    path: &str,
    members: &mut Members,
    plain: &str,
    negated: &str,
) -> Result<(Node, bool), PolicyError> {
    match (take(members, plain), take(members, negated)) {
        (Some(node), None) => Ok((node, false)),
        (None, Some(node)) => Ok((node, true)),
        (None, None) => Err(PolicyError::element(
            &join(path, plain),
            "it is missing",
            format!("write {plain} or {negated}"),
        )),
        (Some(_), Some(_)) => Err(PolicyError::element(
            &join(path, negated),
            format!("{plain} is there too"),
            "keep one of the two",
        )),
    }
}

fn take(members: &mut Members, name: &str) -> Option<Node> {
    let at = members.iter().position(|(member, _)| member == name)?;
    Some(members.remove(at).1)
}

fn no_repeats(path: &str, members: &Members) -> Result<(), PolicyError> {
    for (index, (name, _)) in members.iter().enumerate() {
        if members[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(PolicyError::element(
                &join(path, name),
                "it is there twice, and only one would count",
                "merge the two into one",
            ));
        }
    }
    Ok(())
}

fn nothing_left(path: &str, members: &Members, cure: &str) -> Result<(), PolicyError> {
    match members.first() {
        None => Ok(()),
        Some((name, _)) => Err(PolicyError::element(
            &join(path, name),
            "there is no such element",
            cure,
        )),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn show(node: &Node) -> String {
    match node {
        Node::String(text) => format!("{text:?}"),
        other => other.kind().to_owned(),
    }
}

#[cfg(test)]
#[path = "parse_test.rs"]
mod tests;
