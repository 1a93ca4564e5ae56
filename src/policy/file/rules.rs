//! The rules and presets of a rules file.

use std::{collections::HashMap, sync::Arc};

use http::Method;

use super::{
    hosts,
    reader::{Findings, Section, Text, nearest, shown},
    settings::role_arn,
};
use crate::policy::{
    Effect, Severity,
    glob::Glob,
    preset,
    resource::ResourcePattern,
    rule::{ActionPattern, ActionPatterns, Facets, Rule},
    vocabulary,
};

/// All rules and presets, in the order in which they stand in the file.
pub(super) fn read(root: &mut Section<'_, '_>, findings: &mut Findings<'_>) -> Vec<Rule> {
    let mut found: Vec<(usize, Rule)> = Vec::new();
    let mut names: HashMap<String, usize> = HashMap::new();
    for section in root.tables("rule", "[[rule]]", findings) {
        let at = section.at;
        found.extend(rule(section, &mut names, findings).map(|rule| (at, rule)));
    }
    for section in root.tables("use", "[[use]]", findings) {
        let at = section.at;
        found.extend(preset_rule(section, &mut names, findings).map(|rule| (at, rule)));
    }
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, rule)| rule).collect()
}

fn rule(
    mut section: Section<'_, '_>,
    names: &mut HashMap<String, usize>,
    findings: &mut Findings<'_>,
) -> Option<Rule> {
    let line = findings.line(section.at);
    let name = section
        .required("name", "\"what it is for\"", findings)
        .and_then(|text| name(&text, names, findings));
    let effect = section
        .required("effect", "\"allow\"", findings)
        .and_then(|text| effect(&text, findings));
    let written = section.list("actions", findings);
    let names_actions = !written.is_empty();
    let patterns: Vec<ActionPattern> = written
        .into_iter()
        .filter_map(|text| action(&text, effect, findings))
        .collect();
    let resources = resources(&mut section, findings);
    let facets = facets(&mut section, findings);
    let role = section
        .text("role", findings)
        .and_then(|text| role_arn("role", &text, findings).map(|arn| (arn, text.at)));
    let at = section.at;
    section.finish(findings);
    if let Some((_, at)) = &role
        && effect == Some(Effect::Block)
    {
        findings.error(
            *at,
            "a rule that blocks signs with no role",
            "take role out",
        );
    }
    let about_anything = !names_actions && resources.is_none() && facets.is_empty();
    if effect == Some(Effect::Allow) && about_anything {
        findings.error(
            at,
            "this rule would allow everything",
            "say what it is about; actions = [\"*\"] if it is to be every action",
        );
    }
    Some(Rule {
        name: name?,
        line,
        effect: effect?,
        actions: names_actions.then(|| ActionPatterns::new(patterns)),
        resources,
        facets,
        role: role.map(|(arn, _)| arn),
    })
}

/// The name that refusals and records give, which is free.
fn name(
    text: &Text,
    names: &mut HashMap<String, usize>,
    findings: &mut Findings<'_>,
) -> Option<Arc<str>> {
    let is_name = !text.text.trim().is_empty()
        && text.text.chars().count() <= 100
        && !text.text.chars().any(char::is_control);
    if !is_name {
        findings.error(
            text.at,
            format!("name {} is no rule's name", shown(&text.text)),
            "write 1 to 100 characters in one line",
        );
        return None;
    }
    if let Some(line) = names.insert(text.text.clone(), findings.line(text.at)) {
        findings.error(
            text.at,
            format!(
                "the rule in line {line} has the name {} too",
                shown(&text.text)
            ),
            "give each rule a name of its own, since refusals and records tell rules by it",
        );
        return None;
    }
    Some(text.text.as_str().into())
}

fn effect(text: &Text, findings: &mut Findings<'_>) -> Option<Effect> {
    let effects = [Effect::Allow, Effect::Ask, Effect::Block];
    let found = effects
        .into_iter()
        .find(|effect| effect.as_str() == text.text);
    if found.is_none() {
        let cure = match &*text.text.to_ascii_lowercase() {
            "deny" => "did you mean block?".to_owned(),
            other => nearest(other, effects.iter().map(|effect| effect.as_str())).map_or_else(
                || "write allow, ask or block".to_owned(),
                |near| format!("did you mean {near}?"),
            ),
        };
        findings.error(text.at, format!("{} is no effect", shown(&text.text)), cure);
    }
    found
}

fn action(
    text: &Text,
    effect: Option<Effect>,
    findings: &mut Findings<'_>,
) -> Option<ActionPattern> {
    let written = shown(&text.text);
    let Some(pattern) = ActionPattern::parse(&text.text) else {
        findings.error(
            text.at,
            format!("{written} is no IAM action"),
            "write SERVICE:ACTION, such as s3:GetObject, or * for every action",
        );
        return None;
    };
    let Some(prefix) = pattern.prefix.as_deref() else {
        note_credentials(text, &pattern, effect, findings);
        return Some(pattern);
    };
    if prefix.contains(['*', '?']) {
        findings.error(
            text.at,
            format!("{written} has a wildcard before the colon, which IAM knows not"),
            "name the service; * alone is every action of every service",
        );
        return None;
    }
    let Some(actions) = vocabulary::actions(prefix) else {
        let cure = nearest(prefix, vocabulary::prefixes()).map_or_else(
            || "look it up in AWS's Service Authorization Reference".to_owned(),
            |near| format!("did you mean {near}:{}?", rest(&text.text)),
        );
        let problem = format!("{written}: no service has actions that begin with {prefix}:");
        findings.error(text.at, problem, cure);
        return None;
    };
    if !actions.iter().any(|action| pattern.names(action)) {
        let near = nearest(rest(&text.text), actions.iter().map(|action| action.name()));
        let cure = match near {
            Some(near) => format!("did you mean {prefix}:{near}?"),
            None if pattern.is_literal() => {
                format!("look it up in AWS's Service Authorization Reference, or write {prefix}:*")
            }
            None => "widen the pattern".to_owned(),
        };
        findings.error(text.at, format!("{written} is no action of {prefix}"), cure);
        return None;
    }
    note_credentials(text, &pattern, effect, findings);
    Some(pattern)
}

/// What stands behind the colon, as it is written.
fn rest(text: &str) -> &str {
    text.split_once(':').map_or(text, |(_, rest)| rest)
}

/// Says that a wildcard leaves out what hands out credentials.
fn note_credentials(
    text: &Text,
    pattern: &ActionPattern,
    effect: Option<Effect>,
    findings: &mut Findings<'_>,
) {
    if pattern.is_literal() || effect.is_none_or(|effect| effect == Effect::Block) {
        return;
    }
    let problem = match pattern.prefix.as_deref() {
        None => {
            "\"*\" leaves out the actions whose answers hold credentials, such as sts:AssumeRole"
                .to_owned()
        }
        Some(prefix) => {
            let covered: Vec<String> = vocabulary::credential_actions(prefix)
                .filter(|action| pattern.names(action))
                .map(ToString::to_string)
                .collect();
            if covered.is_empty() {
                return;
            }
            let left_out = covered.join(", ");
            format!(
                "{} leaves out {left_out}: their answers hold credentials",
                shown(&text.text)
            )
        }
    };
    findings.add(
        Severity::Note,
        text.at,
        problem,
        "they stay blocked unless a rule names them without a wildcard",
    );
}

/// The patterns of resources; `None` where every resource is meant.
fn resources(
    section: &mut Section<'_, '_>,
    findings: &mut Findings<'_>,
) -> Option<Vec<ResourcePattern>> {
    let texts = section.list("resources", findings);
    if texts.is_empty() || texts.iter().any(|text| text.text == "*") {
        return None;
    }
    let patterns = texts
        .iter()
        .filter_map(|text| {
            ResourcePattern::parse(&text.text)
                .map_err(|wrong| {
                    let problem = format!("{} {}", shown(&text.text), wrong.problem);
                    findings.error(text.at, problem, wrong.cure);
                })
                .ok()
        })
        .collect();
    Some(patterns)
}

/// What rules and roles have in common.
pub(super) fn facets(section: &mut Section<'_, '_>, findings: &mut Findings<'_>) -> Facets {
    let services = section
        .list("services", findings)
        .into_iter()
        .filter_map(|text| service(&text, findings))
        .collect();
    let regions = section
        .list("regions", findings)
        .into_iter()
        .filter(|text| is_region("regions", text, true, findings))
        .map(|text| Glob::new(&text.text))
        .collect();
    let hosts = hosts::of_rule(section.list("hosts", findings), findings);
    let methods = section
        .list("methods", findings)
        .into_iter()
        .filter_map(|text| method(&text, findings))
        .collect();
    let paths = hosts::paths(section.list("paths", findings), findings);
    Facets {
        services,
        regions,
        hosts,
        methods,
        paths,
    }
}

fn service(text: &Text, findings: &mut Findings<'_>) -> Option<Box<str>> {
    let lower = text.text.to_ascii_lowercase();
    if vocabulary::is_service(&lower) {
        return Some(lower.into());
    }
    let cure = nearest(&lower, vocabulary::services()).map_or_else(
        || "write the prefix of its IAM actions, or boto3's name of it".to_owned(),
        |near| format!("did you mean {near}?"),
    );
    findings.error(
        text.at,
        format!("services has {}, which is none", shown(&text.text)),
        cure,
    );
    None
}

fn method(text: &Text, findings: &mut Findings<'_>) -> Option<Method> {
    let upper = text.text.to_ascii_uppercase();
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    if known.contains(&&*text.text) {
        return Method::from_bytes(upper.as_bytes()).ok();
    }
    let cure = nearest(&upper, known).map_or_else(
        || format!("write one of {}", known.join(", ")),
        |near| format!("did you mean {near}?"),
    );
    findings.error(
        text.at,
        format!("methods has {}, which is none", shown(&text.text)),
        cure,
    );
    None
}

/// Whether the text can be a region's name, or a pattern of one.
pub(super) fn is_region(
    field: &str,
    text: &Text,
    wildcards: bool,
    findings: &mut Findings<'_>,
) -> bool {
    let wild = wildcards && text.text.contains(['*', '?']);
    let letters = text.text.bytes().all(|b| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || (wild && b"*?".contains(&b))
    });
    let parts: Vec<&str> = text.text.split('-').collect();
    let is_whole = parts.len() >= 3
        && parts.iter().all(|part| !part.is_empty())
        && parts
            .last()
            .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if !text.text.is_empty() && letters && (wild || is_whole) {
        return true;
    }
    findings.error(
        text.at,
        format!("{field} {} is no region", shown(&text.text)),
        if wildcards {
            "write regions such as eu-west-1, or eu-*"
        } else {
            "write one such as eu-west-1"
        },
    );
    false
}

/// The rule that a `[[use]]` stands for.
fn preset_rule(
    mut section: Section<'_, '_>,
    names: &mut HashMap<String, usize>,
    findings: &mut Findings<'_>,
) -> Option<Rule> {
    let line = findings.line(section.at);
    let preset = section.required("preset", "\"read-only:s3\"", findings);
    let own_name = section.text("name", findings);
    let resources = resources(&mut section, findings);
    let facets = facets(&mut section, findings);
    let role = section
        .text("role", findings)
        .and_then(|text| role_arn("role", &text, findings));
    section.finish(findings);
    let text = preset?;
    let patterns = preset::actions(&text.text)
        .map_err(|wrong| findings.error(text.at, wrong.problem, wrong.cure))
        .ok()?;
    Some(Rule {
        name: name(own_name.as_ref().unwrap_or(&text), names, findings)?,
        line,
        effect: Effect::Allow,
        actions: Some(ActionPatterns::new(patterns)),
        resources,
        facets,
        role,
    })
}
