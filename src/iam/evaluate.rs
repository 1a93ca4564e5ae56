//! The decision, with a reason for every statement and condition.

use std::fmt;

use super::{
    Actions, Condition, Context, Effect, Policy, Principal, PrincipalKind, Principals, Request,
    Statement,
};

/// What a policy says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it (its index) and none denies it.
    Allowed(usize),
    /// A statement denies it (its index).
    Denied(usize),
    /// No statement that applies.
    NotAllowed,
}

impl Decision {
    /// Whether the request may go on.
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed(_))
    }
}

/// A decision and what led to it.
#[derive(Clone, Debug)]
pub struct Evaluation<'a> {
    /// The decision.
    pub decision: Decision,
    /// Every statement, in the policy's order.
    pub statements: Vec<StatementOutcome<'a>>,
}

/// What became of one statement.
#[derive(Clone, Debug)]
pub struct StatementOutcome<'a> {
    /// The statement.
    pub statement: &'a Statement,
    /// Whether it concerns this principal.
    pub principal: bool,
    /// Whether it concerns this action.
    pub action: bool,
    /// Every condition, whether principal and action fit or not.
    pub conditions: Vec<ConditionOutcome<'a>>,
}

impl StatementOutcome<'_> {
    /// Whether the statement's effect counts.
    #[must_use]
    pub fn applies(&self) -> bool {
        self.principal
            && self.action
            && self
                .conditions
                .iter()
                .all(|outcome| outcome.holds(self.statement.effect))
    }
}

/// What became of one condition; its `Display` is a sentence with both sides' values.
#[derive(Clone, Debug)]
pub struct ConditionOutcome<'a> {
    /// The condition, with the policy's values.
    pub condition: &'a Condition,
    /// The request's values, `None` where it has no such key.
    pub got: Option<&'a [String]>,
    /// Whether it is met.
    pub met: bool,
    /// Whether STS will know the key's value though it is not known here.
    pub unknown: bool,
}

impl ConditionOutcome<'_> {
    /// Whether it stands in the way of the statement's effect no more. What is not known here counts
    /// in favour of the request: as met in an allow, as not met in a deny.
    #[must_use]
    pub fn holds(&self, effect: Effect) -> bool {
        if self.unknown {
            effect == Effect::Allow
        } else {
            self.met
        }
    }
}

impl fmt::Display for ConditionOutcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Condition {
            operator,
            key,
            values,
        } = self.condition;
        let state = match (self.unknown, self.met) {
            (true, _) => "not known here",
            (false, true) => "met",
            (false, false) => "not met",
        };
        write!(f, "{operator} on {key} is {state}: the policy has ")?;
        list(f, values.iter().map(super::Value::as_written))?;
        match self.got {
            None if self.unknown => f.write_str(", only STS knows the request's"),
            None => f.write_str(", the request has no such key"),
            Some(got) => {
                f.write_str(", the request has ")?;
                list(f, got.iter().map(String::as_str))
            }
        }
    }
}

fn list<'a>(f: &mut fmt::Formatter<'_>, values: impl Iterator<Item = &'a str>) -> fmt::Result {
    for (index, value) in values.enumerate() {
        write!(f, "{}{value:?}", if index == 0 { "" } else { ", " })?;
    }
    Ok(())
}

impl Policy {
    /// Decides a request: a deny that applies, else an allow that applies, else nothing allows it.
    #[must_use]
    pub fn evaluate<'a>(&'a self, request: &Request<'a>) -> Evaluation<'a> {
        let statements: Vec<_> = self
            .statements
            .iter()
            .map(|statement| statement.outcome(request))
            .collect();
        let find = |effect| {
            statements
                .iter()
                .position(|outcome| outcome.statement.effect == effect && outcome.applies())
        };
        let decision = find(Effect::Deny).map_or_else(
            || find(Effect::Allow).map_or(Decision::NotAllowed, Decision::Allowed),
            Decision::Denied,
        );
        Evaluation {
            decision,
            statements,
        }
    }
}

impl Policy {
    /// The decision alone, without the reasons: the same as [`Policy::evaluate`]'s, and cheap enough
    /// to ask for a million principals.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let find = |effect| {
            self.statements
                .iter()
                .position(|statement| statement.effect == effect && statement.applies(request))
        };
        find(Effect::Deny).map_or_else(
            || find(Effect::Allow).map_or(Decision::NotAllowed, Decision::Allowed),
            Decision::Denied,
        )
    }
}

impl Statement {
    fn applies(&self, request: &Request<'_>) -> bool {
        self.principals.concern(request.principal, self.effect)
            && self.actions.concern(request.action)
            && self
                .conditions
                .iter()
                .all(|condition| condition.outcome(request.context).holds(self.effect))
    }

    fn outcome<'a>(&'a self, request: &Request<'a>) -> StatementOutcome<'a> {
        StatementOutcome {
            statement: self,
            principal: self.principals.concern(request.principal, self.effect),
            action: self.actions.concern(request.action),
            conditions: self
                .conditions
                .iter()
                .map(|condition| condition.outcome(request.context))
                .collect(),
        }
    }
}

impl Condition {
    pub(super) fn outcome<'a>(&'a self, context: &'a Context) -> ConditionOutcome<'a> {
        let got = context.get(&self.key);
        ConditionOutcome {
            condition: self,
            got,
            met: self.operator.is_met(&self.values, got, context),
            unknown: got.is_none() && context.is_unknown(&self.key),
        }
    }
}

impl Principals {
    /// `"*"` and `{"AWS": "*"}` mean the same to IAM, and the latter was seen not to admit a
    /// federated principal. Whether a deny reaches one is not established; here it does, so that
    /// both doubts end with a refusal.
    fn concern(&self, principal: &Principal, effect: Effect) -> bool {
        let denies = effect == Effect::Deny;
        let is_federated = matches!(principal, Principal::Federated(_));
        let known_as = |name: &String| match principal {
            Principal::Federated(provider) => name == provider,
            Principal::Aws(names) => names.contains(name),
        };
        let names = |(kind, name): &(PrincipalKind, String)| match kind {
            PrincipalKind::Federated => is_federated && (name == "*" || known_as(name)),
            PrincipalKind::Aws if is_federated => name == "*" && denies,
            PrincipalKind::Aws => name == "*" || known_as(name),
            PrincipalKind::Service | PrincipalKind::CanonicalUser => false,
        };
        match self {
            Self::Everyone => denies || !is_federated,
            Self::Only(listed) => listed.iter().any(names),
            Self::AllBut(listed) => !listed.iter().any(|(kind, name)| {
                matches!(kind, PrincipalKind::Federated | PrincipalKind::Aws)
                    && (name == "*" || known_as(name))
            }),
        }
    }
}

impl Actions {
    pub(super) fn concern(&self, action: &str) -> bool {
        let among =
            |patterns: &[super::Value]| patterns.iter().any(|p| p.matches_ignore_case(action));
        match self {
            Self::Only(patterns) => among(patterns),
            Self::AllBut(patterns) => !among(patterns),
        }
    }
}

#[cfg(test)]
#[path = "corpus_test.rs"]
mod corpus;
