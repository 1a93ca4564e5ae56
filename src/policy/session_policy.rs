//! The allow rules as a session policy, so that AWS enforces them as well.
//!
//! The policy allows at least what the rules allow, for AWS must not refuse what a rule lets through. It
//! allows more where IAM has no words for a rule: of hosts, methods, paths and services it knows nothing.

use std::{collections::HashMap, sync::Arc};

use super::{
    Effect, Finding, Role, Rules, Severity,
    rule::{ActionPattern, Rule},
    vocabulary,
};
use crate::{
    domain::RoleArn,
    iam::{
        Actions, Condition, Effect as IamEffect, Resources, SessionPolicy, SessionStatement, Test,
        Value,
    },
};

/// Why there is no session policy that says what the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotCompiled {
    /// A rule names no actions, so the policy would have to allow everything.
    TooWide(Arc<str>),
    /// It has so many characters.
    TooLong(usize),
}

impl Rules {
    /// Makes the session policies of the roles that have none.
    pub(super) fn compile_session_policies(&mut self) {
        let mut roles = std::mem::take(&mut self.roles);
        for role in &mut roles {
            self.give_policy(role, false);
        }
        let mut rule_roles = std::mem::take(&mut self.rule_roles);
        for role in &mut rule_roles {
            self.give_policy(role, true);
        }
        self.roles = roles;
        self.rule_roles = rule_roles;
    }

    /// A role that signs what no role of the file is for.
    pub(super) fn add_default_role(&mut self, arn: RoleArn) {
        let mut role = Arc::new(Role {
            arn,
            accounts: Vec::new(),
            buckets: Vec::new(),
            facets: super::rule::Facets::default(),
            session_policy: self.settings.session_policy.clone(),
            line: None,
        });
        self.give_policy(&mut role, false);
        self.roles.push(role);
    }

    fn give_policy(&mut self, role: &mut Arc<Role>, of_rules: bool) {
        if !self.settings.compile_session_policy || role.session_policy.is_some() {
            return;
        }
        let arn = role.arn().clone();
        let signs = |rule: &&Rule| match &rule.role {
            Some(own) => of_rules && *own == arn,
            None => !of_rules,
        };
        match compile(&self.rules, signs) {
            Ok(policy) => Arc::make_mut(role).session_policy = policy.map(Into::into),
            Err(why) => {
                let (problem, cure) = match why {
                    NotCompiled::TooWide(rule) => (
                        format!(
                            "sessions of {arn} get no session policy, because the rule {rule:?} \
                             allows what IAM has no actions for"
                        ),
                        "the rules count all the same; for AWS to enforce them as well, name actions",
                    ),
                    NotCompiled::TooLong(length) => (
                        format!(
                            "sessions of {arn} get no session policy, because that of these rules \
                             has {length} characters and STS takes {}",
                            SessionPolicy::MOST_CHARACTERS
                        ),
                        "the rules count all the same; for AWS to enforce them as well, write a \
                         shorter one and name it as session_policy_file",
                    ),
                };
                self.findings.push(Finding {
                    severity: Severity::Note,
                    line: role.line().unwrap_or(1),
                    column: 1,
                    problem,
                    cure: cure.to_owned(),
                });
            }
        }
    }
}

/// What statements are gathered by: resources, and regions.
type Scope = (Vec<String>, Vec<String>);

/// Writes the policy of the allowing rules that `signs` chooses; `None` where there are none.
pub(super) fn compile(
    rules: &[Rule],
    signs: impl Fn(&&Rule) -> bool,
) -> Result<Option<String>, NotCompiled> {
    let granting: Vec<&Rule> = rules
        .iter()
        .filter(|rule| rule.effect != Effect::Block)
        .filter(&signs)
        .collect();
    if granting.is_empty() {
        return Ok(None);
    }
    let mut allowed = Gathered::default();
    for rule in &granting {
        let Some(actions) = &rule.actions else {
            return Err(NotCompiled::TooWide(Arc::clone(&rule.name)));
        };
        if actions.are_everything() && rule.resources.is_none() {
            return Err(NotCompiled::TooWide(Arc::clone(&rule.name)));
        }
        allowed.add(scope(rule), actions.iter());
    }
    let mut statements = allowed.statements(IamEffect::Allow);
    let allows_only = statements.clone();
    statements.extend(left_out(&granting));
    statements.extend(blocked(rules, &granting));
    let whole = SessionPolicy::new(statements).to_json();
    if fits(&whole) {
        return Ok(Some(whole));
    }
    let short = SessionPolicy::new(allows_only).to_json();
    if fits(&short) {
        Ok(Some(short))
    } else {
        Err(NotCompiled::TooLong(short.chars().count()))
    }
}

fn fits(json: &str) -> bool {
    json.chars().count() <= SessionPolicy::MOST_CHARACTERS
}

fn scope(rule: &Rule) -> Scope {
    let resources = rule.resources.as_ref().map_or_else(
        || vec!["*".to_owned()],
        |patterns| patterns.iter().map(|one| one.as_str().to_owned()).collect(),
    );
    let regions = rule
        .facets
        .regions
        .iter()
        .map(|one| one.as_str().to_owned());
    (resources, regions.collect())
}

/// Denies what hands out credentials and is covered by a wildcard only.
fn left_out(granting: &[&Rule]) -> Option<SessionStatement> {
    let mut denied: Vec<String> = Vec::new();
    for pattern in granting
        .iter()
        .filter_map(|rule| rule.actions.as_ref())
        .flat_map(|all| all.iter())
    {
        let Some(prefix) = pattern.prefix.as_deref().filter(|_| !pattern.is_literal()) else {
            continue;
        };
        for action in vocabulary::credential_actions(prefix) {
            let is_named = granting.iter().any(|rule| rule.names_literally(action));
            let name = action.to_string();
            if pattern.names(action) && !is_named && !denied.contains(&name) {
                denied.push(name);
            }
        }
    }
    (!denied.is_empty()).then(|| statement(IamEffect::Deny, &denied, &["*".to_owned()], &[]))
}

/// Denies what rules block that IAM has words for, as far as something allows it.
fn blocked(rules: &[Rule], granting: &[&Rule]) -> Vec<SessionStatement> {
    let mut gathered = Gathered::default();
    for rule in rules {
        let Some(actions) = &rule.actions else {
            continue;
        };
        let meets = |mine: &ActionPattern| {
            granting
                .iter()
                .filter_map(|rule| rule.actions.as_ref())
                .flat_map(|all| all.iter())
                .any(|theirs| mine.meets(theirs))
        };
        if rule.effect == Effect::Block && rule.facets.are_iams() {
            gathered.add(scope(rule), actions.iter().filter(|one| meets(one)));
        }
    }
    gathered.statements(IamEffect::Deny)
}

/// Actions by scope, in the order in which they came.
#[derive(Default)]
struct Gathered<'r> {
    order: Vec<Scope>,
    actions: HashMap<Scope, Vec<&'r ActionPattern>>,
}

impl<'r> Gathered<'r> {
    fn add(&mut self, scope: Scope, actions: impl Iterator<Item = &'r ActionPattern>) {
        let mut actions = actions.peekable();
        if actions.peek().is_none() {
            return;
        }
        let list = self.actions.entry(scope.clone()).or_insert_with(|| {
            self.order.push(scope);
            Vec::new()
        });
        list.extend(actions);
    }

    fn statements(&self, effect: IamEffect) -> Vec<SessionStatement> {
        self.order
            .iter()
            .map(|scope| {
                let actions = shorten(&self.actions[scope]);
                statement(effect, &actions, &scope.0, &scope.1)
            })
            .collect()
    }
}

fn statement(
    effect: IamEffect,
    actions: &[String],
    resources: &[String],
    regions: &[String],
) -> SessionStatement {
    let values = |texts: &[String]| {
        texts
            .iter()
            .filter_map(|text| Value::pattern(text))
            .collect()
    };
    let conditions = if regions.is_empty() {
        Vec::new()
    } else {
        let test = if regions.iter().any(|region| region.contains(['*', '?'])) {
            Test::StringLike
        } else {
            Test::StringEquals
        };
        vec![Condition::new(test, "aws:RequestedRegion", values(regions))]
    };
    SessionStatement {
        sid: None,
        effect,
        actions: Actions::Only(values(actions)),
        resources: Resources::Only(values(resources)),
        conditions,
    }
}

/// The actions without those that a wildcard among them covers; of a preset's, those that begin alike
/// as one wildcard where that covers no other action that there is.
fn shorten(patterns: &[&ActionPattern]) -> Vec<String> {
    let mut written: Vec<String> = Vec::new();
    let wide: Vec<&&ActionPattern> = patterns.iter().filter(|one| !one.is_literal()).collect();
    let mut generated: Vec<(&str, Vec<&str>)> = Vec::new();
    for (at, pattern) in patterns.iter().enumerate() {
        let covered = wide
            .iter()
            .any(|other| !std::ptr::eq(**other, *pattern) && other.includes(pattern));
        let repeated = patterns[..at]
            .iter()
            .any(|other| other.prefix == pattern.prefix && other.name == pattern.name);
        let mutual = !pattern.is_literal()
            && wide
                .iter()
                .any(|other| pattern.includes(other) && other.includes(pattern));
        if repeated || (covered && !mutual) {
            continue;
        }
        match pattern.prefix.as_deref() {
            Some(prefix) if pattern.generated => {
                match generated.iter_mut().find(|(known, _)| *known == prefix) {
                    Some((_, names)) => names.push(pattern.name.as_str()),
                    None => generated.push((prefix, vec![pattern.name.as_str()])),
                }
            }
            _ => written.push(pattern.written.to_string()),
        }
    }
    for (prefix, names) in generated {
        written.extend(alike(prefix, &names));
    }
    written
}

/// The actions of one prefix (`names` in lower case) in as few patterns as cover no other action.
fn alike(prefix: &str, names: &[&str]) -> Vec<String> {
    let all: Vec<&str> = vocabulary::actions(prefix)
        .unwrap_or_default()
        .into_iter()
        .map(crate::catalog::Action::name)
        .collect();
    let wanted = |name: &str| names.contains(&&*name.to_ascii_lowercase());
    let mut patterns: Vec<String> = Vec::new();
    let mut done: Vec<&str> = Vec::new();
    for name in all.iter().copied().filter(|name| wanted(name)) {
        if done.contains(&name) {
            continue;
        }
        let stem = words(name).find(|stem| {
            let mut like = all.iter().filter(|other| other.starts_with(*stem));
            like.clone().count() > 1 && like.all(|other| wanted(other))
        });
        match stem {
            Some(stem) => {
                done.extend(all.iter().filter(|other| other.starts_with(stem)));
                patterns.push(format!("{prefix}:{stem}*"));
            }
            None => patterns.push(format!("{prefix}:{name}")),
        }
    }
    patterns
}

/// What a name begins with, word by word: `Get`, `GetObject`, `GetObjectAcl`.
fn words(name: &str) -> impl Iterator<Item = &str> {
    let ends = name
        .char_indices()
        .skip(1)
        .filter(|(_, c)| c.is_ascii_uppercase())
        .map(|(at, _)| at)
        .chain(std::iter::once(name.len()));
    ends.map(|end| &name[..end])
}
