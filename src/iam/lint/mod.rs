//! Policies that admit more than their author meant, or nobody at all.
//!
//! Every finding is true of the language as the evaluator reads it; what is only a matter of taste is
//! left out.

mod condition;
mod rule;
mod sarif;
mod statement;
mod subject;

pub use rule::{RULES, Rule, Severity};
pub use sarif::to_sarif;

use serde::Serialize;

use super::{Document, Element, Position, Version};

/// What the quota of a trust policy is unless it was raised, in characters without white space.
const DEFAULT_QUOTA: usize = 2048;

/// Something that the author should look at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The rule's stable code.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The statement's index, of a finding that is about one.
    pub statement: Option<usize>,
    /// Where it begins, from 1.
    pub line: usize,
    /// The same within the line, in characters.
    pub column: usize,
    /// What is wrong and why it matters.
    pub reason: String,
    /// What to write instead.
    pub fix: String,
}

/// A finding before it has a place.
pub(super) struct Hit<'a> {
    pub(super) rule: Rule,
    pub(super) element: Element<'a>,
    pub(super) detail: String,
    pub(super) fix: String,
}

impl<'a> Hit<'a> {
    pub(super) fn new(
        rule: Rule,
        element: Element<'a>,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            element,
            detail: detail.into(),
            fix: fix.into(),
        }
    }
}

impl Document {
    /// Every finding, in the order of the policy.
    #[must_use]
    pub fn lint(&self) -> Vec<Finding> {
        let mut hits = Vec::new();
        self.whole(&mut hits);
        for (index, statement) in self.policy.statements.iter().enumerate() {
            statement::lint(
                index,
                statement,
                &self.policy,
                self.role.as_ref(),
                &mut hits,
            );
        }
        hits.into_iter().map(|hit| self.located(hit)).collect()
    }

    fn whole<'a>(&'a self, hits: &mut Vec<Hit<'a>>) {
        if self.policy.version == Version::V2008 {
            hits.push(Hit::new(
                rule::OLD_VERSION,
                Element::Policy,
                "",
                "write \"Version\": \"2012-10-17\"",
            ));
        }
        let size = self.size();
        if size > DEFAULT_QUOTA {
            hits.push(Hit::new(
                rule::OVER_QUOTA,
                Element::Policy,
                format!("it has {size}"),
                "merge statements that differ in a value only, or raise the quota \"Role trust \
                 policy length\"",
            ));
        }
    }

    fn located(&self, hit: Hit<'_>) -> Finding {
        let Position { line, column } = self.position(hit.element);
        let reason = if hit.detail.is_empty() {
            hit.rule.summary.to_owned()
        } else {
            format!("{} ({})", hit.rule.summary, hit.detail)
        };
        Finding {
            code: hit.rule.code,
            severity: hit.rule.severity,
            statement: match hit.element {
                Element::Policy => None,
                Element::Statement(index)
                | Element::Member(index, _)
                | Element::Condition(index, _) => Some(index),
            },
            line,
            column,
            reason,
            fix: hit.fix,
        }
    }
}

#[cfg(test)]
#[path = "corpus_test.rs"]
mod tests;
