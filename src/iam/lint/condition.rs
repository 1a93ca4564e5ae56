//! One condition, and two on one key.

use super::{Hit, rule, statement::Trusted, subject};
use crate::iam::{Condition, Element, SetOperator, Test, Value, Version};

/// Keys that AWS was seen not to give a request with a web identity, or that belong to other
/// actions only.
const NEVER: [&str; 6] = [
    "aws:principalarn",
    "aws:multifactorauthpresent",
    "aws:multifactorauthage",
    "sts:externalid",
    "aws:sourcearn",
    "aws:sourceaccount",
];

pub(super) fn lint<'a>(
    index: usize,
    condition: &'a Condition,
    version: Version,
    trusted: &Trusted<'_>,
    hits: &mut Vec<Hit<'a>>,
) {
    let here = Element::Condition(index, condition);
    let (operator, key) = (condition.operator, condition.key.as_str());
    let present = trusted.is_claim(key, "sub") || trusted.is_claim(key, "aud");
    missing_keys(here, condition, present, hits);
    if operator.test == Test::Null && present && operator.is_met_by_missing(&condition.values) {
        hits.push(Hit::new(
            rule::NULL_PRESENT,
            here,
            key,
            "remove this condition",
        ));
    }
    if let Some(absent) = never_there(key, trusted) {
        let met = operator.is_met_by_missing(&condition.values);
        let fix = "condition on sub and aud of the principal's provider";
        if met && operator.test.is_negated() {
            hits.push(Hit::new(rule::ALWAYS_MET, here, key, fix));
        } else if !met {
            hits.push(Hit::new(absent, here, key, fix));
        }
        return;
    }
    for value in &condition.values {
        values(here, condition, value, version, hits);
    }
    if present && !operator.test.is_negated() {
        let (rule, fix) = if trusted.is_claim(key, "sub") {
            let fix = "write the subject out: \"org:ORG_ID/prj:PROJECT_ID/env:ENVIRONMENT_ID\"";
            (rule::SUB_VARIABLE, fix)
        } else {
            let fix = "write the audience out, such as \"sts.amazonaws.com\"";
            (rule::AUD_VARIABLE, fix)
        };
        let variable = condition.values.iter().find(|value| value.has_variables());
        hits.extend(variable.map(|value| Hit::new(rule, here, value.as_written(), fix)));
    }
    if trusted.is_claim(key, "sub") && !operator.test.is_negated() {
        if operator.test == Test::StringEqualsIgnoreCase {
            hits.push(Hit::new(rule::IGNORES_CASE, here, "", "write StringEquals"));
        }
        if operator.test.has_wildcards() {
            for value in condition
                .values
                .iter()
                .filter(|value| !value.has_variables())
            {
                subject::lint(here, value, hits);
            }
        }
    }
    if trusted.is_claim(key, "aud")
        && operator.test.has_wildcards()
        && !operator.test.is_negated()
        && let Some(wild) = condition.values.iter().find(|value| value.has_wildcard())
    {
        let fix = "write StringEquals and the whole audience, such as \"sts.amazonaws.com\"";
        hits.push(Hit::new(rule::AUD_WILDCARD, here, wild.as_written(), fix));
    }
}

fn missing_keys<'a>(
    here: Element<'a>,
    condition: &Condition,
    present: bool,
    hits: &mut Vec<Hit<'a>>,
) {
    let operator = condition.operator;
    let multi = crate::iam::Context::is_multi_valued(&condition.key);
    if operator.set == Some(SetOperator::ForAllValues) {
        let fix = if multi {
            "add \"Null\": {KEY: \"false\"}, so that the key has to be there"
        } else {
            "leave ForAllValues: out; the key has one value"
        };
        hits.push(Hit::new(
            rule::FOR_ALL_VALUES,
            here,
            condition.key.as_str(),
            fix,
        ));
    } else if operator.if_exists && !present && !operator.test.is_negated() {
        let fix = format!("write {} without IfExists", operator.test.name());
        hits.push(Hit::new(rule::IF_EXISTS, here, condition.key.as_str(), fix));
    }
}

/// Which rule forbids a key that no request has.
fn never_there(key: &str, trusted: &Trusted<'_>) -> Option<rule::Rule> {
    let lower = key.to_ascii_lowercase();
    if NEVER.contains(&lower.as_str()) || lower.starts_with("aws:principaltag/") {
        return Some(rule::NEVER_PRESENT);
    }
    if lower.starts_with("aws:") || lower.starts_with("sts:") {
        return None;
    }
    let (prefix, claim) = key.rsplit_once(':')?;
    if !trusted
        .providers
        .iter()
        .any(|provider| provider.eq_ignore_ascii_case(prefix))
    {
        return Some(rule::FOREIGN_KEY);
    }
    let known = ["aud", "sub", "amr"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(claim));
    (!known && !trusted.is_shared()).then_some(rule::CLAIM)
}

fn values<'a>(
    here: Element<'a>,
    condition: &Condition,
    value: &Value,
    version: Version,
    hits: &mut Vec<Hit<'a>>,
) {
    let test = condition.operator.test;
    let written = value.as_written();
    let equals = matches!(test, Test::StringEquals | Test::StringEqualsIgnoreCase);
    if equals && value.has_wildcard() {
        let fix = "write StringLike, or the whole value";
        hits.push(Hit::new(rule::WILDCARD_EQUALS, here, written, fix));
    }
    if written.trim() != written && !test.is_negated() {
        let fix = format!("write {:?}", written.trim());
        hits.push(Hit::new(
            rule::WHITE_SPACE,
            here,
            format!("{written:?}"),
            fix,
        ));
    }
    if version == Version::V2008 && written.contains("${") {
        let fix = "write \"Version\": \"2012-10-17\"";
        hits.push(Hit::new(rule::OLD_VARIABLE, here, written, fix));
    }
    if test == Test::IpAddress && written.ends_with("/0") {
        let fix = "write the networks that requests come from, or remove this condition";
        hits.push(Hit::new(rule::NETWORK_ANY, here, written, fix));
    }
}

/// An exact value that the other condition on the same key does not take.
pub(super) fn contradictions<'a>(
    index: usize,
    conditions: &'a [Condition],
    hits: &mut Vec<Hit<'a>>,
) {
    let exact = |condition: &&Condition| {
        condition.operator.set.is_none()
            && condition.operator.test == Test::StringEquals
            && condition.values.iter().all(|value| !value.has_variables())
    };
    for first in conditions.iter().filter(exact) {
        for other in conditions {
            let text = other.operator.test.name().starts_with("String");
            if std::ptr::eq(first, other)
                || !text
                || other.operator.set.is_some()
                || !first.key.eq_ignore_ascii_case(&other.key)
                || other.values.iter().any(Value::has_variables)
            {
                continue;
            }
            let context = crate::iam::Context::new();
            let possible = first.values.iter().any(|value| {
                let got = [value.text().to_owned()];
                other.operator.is_met(&other.values, Some(&got), &context)
            });
            if !possible {
                hits.push(Hit::new(
                    rule::CONTRADICTION,
                    Element::Condition(index, other),
                    format!("{} and {} on {}", first.operator, other.operator, other.key),
                    "keep one of the two; values that are alternatives go into one list",
                ));
            }
        }
    }
}
