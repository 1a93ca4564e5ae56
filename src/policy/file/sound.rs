//! Rules that can never match, as far as that is plain.

use super::reader::Findings;
use crate::policy::{
    Effect, Severity,
    rule::{ActionPattern, Rule},
};

/// Prefixes whose actions act on ARNs of a service of the same name alone.
const OWN_RESOURCES: [&str; 6] = ["dynamodb", "kms", "lambda", "s3", "secretsmanager", "sqs"];

/// Warns of every rule that can never match.
pub(super) fn check(rules: &[Rule], findings: &mut Findings<'_>) {
    for rule in rules {
        if let Some((problem, cure)) = overruled(rule, rules)
            .or_else(|| foreign_resources(rule))
            .or_else(|| bucket_or_object(rule))
        {
            findings.add_in_line(
                Severity::Warning,
                rule.line,
                format!("the rule {:?} can never match: {problem}", rule.name),
                cure,
            );
        }
    }
}

/// Another rule that is severer, or stands before with the same effect, and fits whenever it does.
fn overruled(rule: &Rule, rules: &[Rule]) -> Option<(String, &'static str)> {
    let other = rules.iter().find(|other| {
        let wins = other.effect > rule.effect
            || (other.effect == rule.effect && other.line < rule.line && other.role.is_none());
        wins && rule.role.is_none() && other.includes(rule) && is_usable(other, rule)
    })?;
    Some((
        format!(
            "all that it is about is {} by the rule {:?} in line {}",
            match other.effect {
                Effect::Allow => "allowed",
                Effect::Ask => "held back",
                Effect::Block => "blocked",
            },
            other.name,
            other.line
        ),
        "narrow that one, or take this one out",
    ))
}

/// A wildcard does not stand for an action that hands out credentials, so a rule that names one is not
/// idle beside it.
fn is_usable(other: &Rule, rule: &Rule) -> bool {
    if other.effect == Effect::Block {
        return true;
    }
    let literal = |rule: &Rule| {
        rule.actions
            .as_ref()
            .is_some_and(|actions| actions.iter().any(ActionPattern::is_literal))
    };
    !literal(rule) || rule.actions == other.actions
}

fn foreign_resources(rule: &Rule) -> Option<(String, &'static str)> {
    let (actions, resources) = (rule.actions.as_ref()?, rule.resources.as_ref()?);
    let mut prefixes = Vec::new();
    for pattern in actions.iter() {
        let prefix = pattern.prefix.as_deref()?;
        if !OWN_RESOURCES.contains(&prefix) {
            return None;
        }
        prefixes.push(prefix);
    }
    let stranger = resources.iter().all(|resource| {
        !prefixes
            .iter()
            .any(|prefix| resource.service().starts_with(prefix))
    });
    stranger.then(|| {
        let shown = resources.first().map_or("", |resource| resource.as_str());
        (
            format!("none of its actions acts on {shown}"),
            "name resources of the service that the actions are of",
        )
    })
}

/// `arn:aws:s3:::bucket` is the bucket and `arn:aws:s3:::bucket/*` what is in it.
fn bucket_or_object(rule: &Rule) -> Option<(String, &'static str)> {
    let (actions, resources) = (rule.actions.as_ref()?, rule.resources.as_ref()?);
    let all = |fits: &dyn Fn(&str) -> bool| {
        actions.iter().all(|pattern| {
            pattern.is_literal()
                && pattern.prefix.as_deref() == Some("s3")
                && fits(pattern.name.as_str())
        })
    };
    let on_buckets = |name: &str| name.starts_with("listbucket") || name == "getbucketlocation";
    let on_objects = |name: &str| {
        matches!(
            name,
            "getobject" | "putobject" | "deleteobject" | "restoreobject"
        ) || name.starts_with("getobjecttag")
            || name.starts_with("getobjectversion")
    };
    let is_s3 = resources.iter().all(|resource| resource.service() == "s3");
    let has_slash = |text: &str| text.contains('/');
    if is_s3
        && all(&on_objects)
        && resources
            .iter()
            .all(|one| !has_slash(one.resource().as_str()) && one.resource().is_literal())
    {
        return Some((
            "its actions act on objects, and its resources are buckets".to_owned(),
            "write arn:aws:s3:::BUCKET/*",
        ));
    }
    let only_objects = resources
        .iter()
        .all(|one| has_slash(one.resource().literal_prefix()));
    if is_s3 && all(&on_buckets) && only_objects {
        return Some((
            "its actions act on buckets, and its resources are objects".to_owned(),
            "write arn:aws:s3:::BUCKET without a slash",
        ));
    }
    None
}
