//! `Condition`.

use super::members::{Members, Place};
use crate::iam::{
    Condition, Operator, Value, Version,
    error::Problem,
    json::{Kind, Node},
};

pub(super) fn read(place: Place, node: Node, version: Version) -> Result<Vec<Condition>, Problem> {
    let mut conditions = Vec::new();
    for (place, name, keys) in Members::of(place, node)?.rest() {
        let operator = Operator::parse(&name).map_err(|unknown| {
            let problem = place.wrong("there is no such operator", unknown.cure);
            problem.aws("Invalid Condition type")
        })?;
        for (place, key, node) in Members::of(place, keys)?.rest() {
            check_key(&place, &key)?;
            conditions.push(Condition {
                operator,
                values: values(&place, node, operator, version)?,
                key,
            });
        }
    }
    Ok(conditions)
}

fn check_key(place: &Place, key: &str) -> Result<(), Problem> {
    if key.contains(':') && !key.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Ok(());
    }
    Err(place
        .wrong(
            format!("{key:?} is not a condition key"),
            "write one like \"idp.example.com:sub\"",
        )
        .aws("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."))
}

fn values(
    place: &Place,
    node: Node,
    operator: Operator,
    version: Version,
) -> Result<Vec<Value>, Problem> {
    match node.kind {
        Kind::Array(items) if items.is_empty() => {
            Err(place.wrong("the list is empty", "write at least one value"))
        }
        Kind::Array(items) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| value(&place.item(index, item.at), item, operator, version))
            .collect(),
        _ => Ok(vec![value(place, node, operator, version)?]),
    }
}

fn value(
    place: &Place,
    node: Node,
    operator: Operator,
    version: Version,
) -> Result<Value, Problem> {
    let kind_name = node.kind_name();
    let text = match node.kind {
        Kind::String(text) | Kind::Number(text) => text,
        Kind::Bool(value) => value.to_string(),
        _ => {
            return Err(place
                .wrong(format!("{kind_name} is not a value"), "write a string")
                .aws("Syntax errors in policy."));
        }
    };
    if let Err(wanted) = operator.test.check(&text) {
        let variable = if text.contains("${") {
            ", and policy variables count under the operators of strings and ARNs only"
        } else {
            ""
        };
        return Err(place.wrong(
            format!("{operator} cannot compare {text:?}{variable}"),
            format!("write {wanted}"),
        ));
    }
    let variables = version == Version::V2012 && operator.test.has_variables();
    Value::parse(&text, variables).map_err(|unknown| {
        place.wrong(
            format!("{} is not a policy variable", unknown.0),
            "write ${prefix:key} or ${prefix:key, 'default'}; for the characters * ? $ themselves \
             write ${*} ${?} ${$}",
        )
    })
}
