//! Refusals in words.

use std::fmt::Write as _;

use super::{Effect, Question, Recognition, Rules, file::toml_text};
use crate::catalog::{Action, Resource};

/// Why a request is not simply allowed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal<'a> {
    /// A rule blocks it: because of this action on this resource, where any is known.
    Blocks {
        rule: usize,
        what: Option<(&'static Action, &'a Resource)>,
    },
    /// A rule wants an approval.
    Asks { rule: usize },
    /// No rule allows this action on this resource, or anything at all that it may be.
    Nothing {
        what: Option<(&'static Action, &'a Resource)>,
    },
    /// Its actions are not known, and no rule names host, method and path.
    Unmapped,
    /// It is allowed, and no role is for it.
    NoRole { rule: usize },
    /// Two rules allow it together and sign with different roles.
    TwoRoles { rule: usize, other: usize },
}

/// The most characters of a resource that a message shows.
const SHOWN: usize = 300;

impl Refusal<'_> {
    /// The rule that refuses it.
    pub(super) const fn rule(&self) -> Option<usize> {
        match self {
            Self::Blocks { rule, .. } | Self::Asks { rule } => Some(*rule),
            _ => None,
        }
    }

    /// What was asked for, which rule decided, and what to change; in one line.
    pub(super) fn text(&self, rules: &Rules, question: &Question<'_>) -> String {
        let named = |rule: usize| {
            let rule = &rules.rules[rule];
            format!("the rule {:?} ({}:{})", rule.name, rules.file, rule.line)
        };
        let request = request(question);
        let text = match self {
            Self::Blocks { rule, what } => format!(
                "{} is blocked by {}; change that rule if it should be allowed",
                what.map_or(request, subject),
                named(*rule)
            ),
            Self::Asks { rule } => {
                format!("{request} needs an approval: {} asks for one", named(*rule))
            }
            Self::Nothing { what: None } => format!(
                "no rule allows anything that {request} could be; add a rule to {} that does",
                rules.file
            ),
            Self::Nothing {
                what: Some((action, resource)),
            } => {
                let hands_out = question
                    .recognised()
                    .is_some_and(|known| known.operation.returns_credentials());
                let why = if hands_out {
                    " (its answer holds credentials, so that only a rule allows it that names it \
                     without a wildcard)"
                } else {
                    ""
                };
                let change = suggestion(action, resource).replace('\n', ", ");
                format!(
                    "no rule allows {}{why}; to allow it, add to {} a [[rule]] with {change}",
                    subject((*action, resource)),
                    rules.file,
                )
            }
            Self::Unmapped => {
                let known = question.recognised();
                let what = match known {
                    Some(known) if known.operation.returns_credentials() => {
                        return clean(&format!(
                            "{request} hands out credentials and its IAM actions are not known, so \
                             that no rule can allow it"
                        ));
                    }
                    Some(_) => "its IAM actions are not known",
                    None => "it is no operation that is known",
                };
                format!(
                    "{request} is not allowed: {what}; only a rule in {} allows it that names hosts, \
                     methods and paths, and no actions",
                    rules.file
                )
            }
            Self::NoRole { rule } => format!(
                "{request} is allowed by {}, but no role is for it; add a [[role]] to {} or start \
                 the proxy with --role-arn",
                named(*rule),
                rules.file
            ),
            Self::TwoRoles { rule, other } => format!(
                "{request} is allowed by {} and {} together, which sign with different roles; let \
                 one rule allow all of its actions",
                named(*rule),
                named(*other)
            ),
        };
        clean(&text)
    }
}

/// The request in a few words.
fn request(question: &Question<'_>) -> String {
    match question.recognition {
        Recognition::Known(known) => {
            format!("{}:{}", known.service.id(), known.operation.name())
        }
        Recognition::Body | Recognition::Unknown => format!(
            "{} {}{}",
            question.method,
            question.host,
            question.target.path()
        ),
    }
}

/// An action on a resource.
pub(super) fn subject((action, resource): (&'static Action, &Resource)) -> String {
    if is_nothing(resource) {
        return action.to_string();
    }
    format!("{action} on {}", short(resource.arn()))
}

/// The members of a rule that would allow the action on the resource, a line each.
pub(super) fn suggestion(action: &Action, resource: &Resource) -> String {
    let mut lines = format!(
        "name = {}\neffect = {}\nactions = [{}]",
        toml_text(&format!("allow {action}")),
        toml_text(Effect::Allow.as_str()),
        toml_text(&action.to_string())
    );
    if !is_nothing(resource) && resource.arn() != "*" {
        // Writing to a string cannot fail.
        let _ = write!(
            lines,
            "\nresources = [{}]",
            toml_text(&short(resource.arn()))
        );
    }
    lines
}

fn is_nothing(resource: &Resource) -> bool {
    resource.arn() == "*" && resource.unknown().is_empty()
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('*');
    }
    short
}

/// Control characters, which keys of objects may hold, would break the headers and lines that show the
/// text.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect()
}
