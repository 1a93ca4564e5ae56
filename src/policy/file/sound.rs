//! Rules that can never match, as far as that is plain.

use std::collections::HashMap;

use super::reader::Findings;
use crate::policy::{
    Effect, Severity,
    rule::{ActionPattern, Rule},
};

/// Prefixes whose actions act on ARNs of a service of the same name alone.
const OWN_RESOURCES: [&str; 6] = ["dynamodb", "kms", "lambda", "s3", "secretsmanager", "sqs"];

/// Warns of every rule that can never match.
pub(super) fn check(rules: &[Rule], findings: &mut Findings<'_>) {
    let wider = Wider::new(rules);
    for rule in rules {
        if let Some((problem, cure)) = overruled(rule, wider.than(rule))
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

/// The rules of a file, found by what a rule has to begin with that they include.
struct Wider<'r> {
    rules: &'r [Rule],
    /// Those that name no resources, by the prefix of one of their actions, if they name any, and by what
    /// its name begins with.
    anywhere: HashMap<(Option<&'r str>, &'r str), Vec<usize>>,
    /// The others, by what the last field of their resources begins with.
    somewhere: HashMap<&'r str, Vec<usize>>,
}

impl<'r> Wider<'r> {
    fn new(rules: &'r [Rule]) -> Self {
        let mut found = Self {
            rules,
            anywhere: HashMap::new(),
            somewhere: HashMap::new(),
        };
        for (at, rule) in rules.iter().enumerate() {
            match (&rule.resources, &rule.actions) {
                (Some(resources), _) => {
                    for pattern in resources {
                        let list = found.somewhere.entry(pattern.resource().literal_prefix());
                        list.or_default().push(at);
                    }
                }
                (None, Some(actions)) => {
                    for pattern in actions.iter() {
                        let key = (pattern.prefix.as_deref(), pattern.name.literal_prefix());
                        found.anywhere.entry(key).or_default().push(at);
                    }
                }
                (None, None) => found.anywhere.entry((None, "")).or_default().push(at),
            }
        }
        found
    }

    /// The rules that may include this one, in their order: one of their patterns has to include its first
    /// action, and one its first resource, so it begins as those do.
    fn than(&self, rule: &Rule) -> Vec<&'r Rule> {
        let mut places: Vec<usize> = Vec::new();
        let mut take = |list: Option<&Vec<usize>>| places.extend(list.into_iter().flatten());
        take(self.anywhere.get(&(None, "")));
        let action = rule
            .actions
            .as_ref()
            .and_then(|actions| actions.iter().next());
        if let Some(action) = action {
            for front in fronts(action.name.literal_prefix()) {
                take(self.anywhere.get(&(action.prefix.as_deref(), front)));
            }
        }
        let resource = rule
            .resources
            .as_ref()
            .and_then(|resources| resources.first());
        if let Some(resource) = resource {
            for front in fronts(resource.resource().literal_prefix()) {
                take(self.somewhere.get(front));
            }
        }
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|at| &self.rules[at]).collect()
    }
}

/// All that a text begins with, from nothing to the whole.
fn fronts(text: &str) -> impl Iterator<Item = &str> {
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.map(|end| &text[..end])
}

/// Another rule that is severer, or stands before with the same effect, and fits whenever it does.
fn overruled(rule: &Rule, wider: Vec<&Rule>) -> Option<(String, &'static str)> {
    let other = wider.into_iter().find(|other| {
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

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::policy::Rules;

    fn rules(text: &str) -> Vec<Rule> {
        Rules::parse(text, "rules.toml", &|_| Err(String::new()))
            .unwrap()
            .rules
    }

    /// A file of rules about these actions and resources.
    fn file(list: &[(&str, Option<&str>)]) -> String {
        let mut text = String::new();
        for (at, (action, resource)) in list.iter().enumerate() {
            writeln!(text, "[[rule]]\nname = \"r{at}\"\neffect = \"block\"").unwrap();
            writeln!(text, "actions = [\"{action}\"]").unwrap();
            if let Some(resource) = resource {
                writeln!(text, "resources = [\"arn:aws:s3:::{resource}\"]").unwrap();
            }
        }
        text
    }

    #[test]
    fn few_rules_are_compared_with_each_other() {
        let buckets: Vec<String> = (0..200).map(|at| format!("bucket-{at:03}/*")).collect();
        let list: Vec<(&str, Option<&str>)> = buckets
            .iter()
            .map(|bucket| ("s3:GetObject", Some(bucket.as_str())))
            .collect();
        let rules = rules(&file(&list));
        let wider = Wider::new(&rules);
        assert!(rules.iter().all(|rule| wider.than(rule).len() == 1));
    }

    proptest! {
        #[test]
        fn no_rule_that_includes_another_is_missed(
            list in prop::collection::vec((
                prop::sample::select(&["*", "s3:*", "s3:Get*", "s3:*Object", "s3:GetObject", "s3:PutObject"][..]),
                prop::option::of(prop::sample::select(&["*", "a", "a/*", "a/b*", "a/b/c", "*/b", "?/b"][..])),
            ), 1..8),
        ) {
            let rules = rules(&file(&list));
            let wider = Wider::new(&rules);
            for rule in &rules {
                let found: Vec<usize> = wider.than(rule).iter().map(|one| one.line).collect();
                for other in rules.iter().filter(|other| other.includes(rule)) {
                    prop_assert!(found.contains(&other.line), "{:?} {:?}", other.name, rule.name);
                }
            }
        }
    }
}
