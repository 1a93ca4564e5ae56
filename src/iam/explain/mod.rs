//! Why a trust policy refuses a request, and the smallest change with which it would not.
//!
//! The change is not guessed at: it is carried out on a copy of the policy, and the evaluator has to
//! let the request in afterwards.

mod cause;
mod condition;
mod edit;
mod near_miss;
mod principal;

pub use cause::Cause;

use self::{
    condition::Unmet,
    edit::{Edit, spare, statement_for},
};
use super::{
    ASSUME, Actions, Decision, Effect, Evaluation, Policy, Request, StatementOutcome, Value,
    WebIdentityRequest,
};

/// More steps than a statement has elements are never needed; this only bounds the loop.
const MOST_STEPS: usize = 40;
/// How many statements are tried.
const MOST_WAYS: usize = 16;

/// A change of policy or token after which the request is let in.
#[derive(Clone, Debug)]
pub struct Change {
    /// What to do, an order each.
    pub steps: Vec<String>,
    /// The policy afterwards.
    pub policy: Policy,
    /// Whether the policy was changed at all, and not only the token.
    pub changes_policy: bool,
    /// The request afterwards.
    pub request: WebIdentityRequest,
}

/// The outcome for a request and what led to it.
#[derive(Clone, Debug)]
pub struct TrustExplanation {
    /// Whether every action that the token needs is allowed.
    pub allowed: bool,
    /// The causes, the first one that stands in the way first.
    pub causes: Vec<Cause>,
    /// The smallest change; `None` where nothing has to be changed.
    pub change: Option<Change>,
}

impl Policy {
    /// Whether the policy lets a request in, for every action that the request needs.
    #[must_use]
    pub fn admits(&self, request: &WebIdentityRequest) -> bool {
        let (principal, context) = (request.principal(), request.context_from_afar());
        request.actions().into_iter().all(|action| {
            let request = Request {
                action,
                principal: &principal,
                context: &context,
            };
            self.decide(&request).is_allowed()
        })
    }

    /// Why the policy lets a request in or not. What only STS can know counts in the request's
    /// favour ([`WebIdentityRequest::context_from_afar`]).
    #[must_use]
    pub fn explain(&self, request: &WebIdentityRequest) -> TrustExplanation {
        if self.admits(request) {
            return TrustExplanation {
                allowed: true,
                causes: Vec::new(),
                change: None,
            };
        }
        let mut repair = Repair {
            policy: self.clone(),
            request: request.clone(),
            steps: Vec::new(),
            causes: Vec::new(),
            cost: 0,
            changes_policy: false,
        };
        repair.finish();
        let proved = repair.policy.admits(&repair.request);
        TrustExplanation {
            allowed: false,
            causes: repair.causes,
            change: proved.then_some(Change {
                steps: repair.steps,
                policy: repair.policy,
                changes_policy: repair.changes_policy,
                request: repair.request,
            }),
        }
    }
}

/// A policy and a request on their way to each other.
#[derive(Clone)]
struct Repair {
    policy: Policy,
    request: WebIdentityRequest,
    steps: Vec<String>,
    causes: Vec<Cause>,
    cost: usize,
    changes_policy: bool,
}

impl Repair {
    fn finish(&mut self) {
        for _ in 0..MOST_STEPS {
            let Some((action, decision)) = self.refused() else {
                return;
            };
            if let Decision::Denied(index) = decision {
                self.lift_deny(index, action);
            } else {
                self.allow(action);
            }
        }
    }

    /// The first action that is not allowed.
    fn refused(&self) -> Option<(&'static str, Decision)> {
        let (principal, context) = (self.request.principal(), self.request.context_from_afar());
        self.request.actions().into_iter().find_map(|action| {
            let decision = self.policy.decide(&Request {
                action,
                principal: &principal,
                context: &context,
            });
            (!decision.is_allowed()).then_some((action, decision))
        })
    }

    fn take(&mut self, (cause, edit, cost): (Cause, Edit, usize)) {
        self.steps
            .push(edit.describe(&self.policy, &self.request.provider_arn));
        self.changes_policy |= edit.is_of_policy();
        edit.apply(&mut self.policy, &mut self.request);
        self.causes.push(cause);
        self.cost += cost;
    }

    fn lift_deny(&mut self, index: usize, action: &str) {
        let edit = spare(&self.policy, index, &self.request);
        let cause = Cause::new(
            "denied",
            format!("statement {index}, Effect Deny"),
            format!("it denies {action} to this token, whatever other statements allow"),
            "narrow the deny, or exempt this subject from it",
        );
        self.take((cause, edit, 2));
    }

    /// Opens the statement that is nearest to allowing the action, or a new one.
    fn allow(&mut self, action: &'static str) {
        let ways = self.nearest_statements(action).into_iter().map(|index| {
            let mut way = self.clone();
            way.open(index, action);
            way
        });
        let nearest = ways.min_by_key(|way| way.cost);
        match nearest {
            Some(way) if way.cost < self.cost + 9 => *self = way,
            nearest => {
                let statement = statement_for(&self.request);
                let cause = nearest.and_then(|way| way.causes.get(self.causes.len()).cloned());
                let cause = cause.unwrap_or_else(|| {
                    Cause::new(
                        "no-allow",
                        "Statement",
                        "no statement allows anything",
                        "add one that does",
                    )
                });
                self.take((cause, Edit::AddStatement(Box::new(statement)), 9));
            }
        }
    }

    /// The allowing statements with the fewest elements that do not fit, a handful of them.
    fn nearest_statements(&self, action: &str) -> Vec<usize> {
        let (principal, context) = (self.request.principal(), self.request.context_from_afar());
        let evaluation = self.policy.evaluate(&Request {
            action,
            principal: &principal,
            context: &context,
        });
        let misses = |outcome: &StatementOutcome<'_>| {
            let conditions = outcome.conditions.iter();
            let unmet = conditions.filter(|c| !c.holds(Effect::Allow)).count();
            unmet + usize::from(!outcome.principal) + usize::from(!outcome.action)
        };
        let mut found: Vec<_> = evaluation
            .statements
            .iter()
            .enumerate()
            .filter(|(_, outcome)| outcome.statement.effect == Effect::Allow)
            .map(|(index, outcome)| (misses(outcome), index))
            .collect();
        found.sort_unstable();
        found.truncate(MOST_WAYS);
        found.into_iter().map(|(_, index)| index).collect()
    }

    /// Changes one statement until it applies.
    fn open(&mut self, index: usize, action: &'static str) {
        for _ in 0..MOST_STEPS {
            let Some(step) = self.next_step(index, action) else {
                return;
            };
            self.take(step);
        }
    }

    fn next_step(&self, index: usize, action: &'static str) -> Option<(Cause, Edit, usize)> {
        let (principal, context) = (self.request.principal(), self.request.context_from_afar());
        let evaluation: Evaluation<'_> = self.policy.evaluate(&Request {
            action,
            principal: &principal,
            context: &context,
        });
        let outcome: &StatementOutcome<'_> = evaluation.statements.get(index)?;
        if !outcome.principal {
            let principals = &outcome.statement.principals;
            return Some(principal::diagnose(index, principals, &self.request));
        }
        if !outcome.action {
            return Some(missing_action(index, &outcome.statement.actions, action));
        }
        let (condition_index, unmet) = outcome
            .conditions
            .iter()
            .enumerate()
            .find(|(_, outcome)| !outcome.holds(Effect::Allow))?;
        let unmet = Unmet {
            index,
            statement: outcome.statement,
            condition_index,
            outcome: unmet,
            request: &self.request,
            context: &context,
        };
        let (cause, edit, cost) = unmet.diagnose();
        Some((cause, edit, cost))
    }
}

fn missing_action(
    statement: usize,
    actions: &Actions,
    action: &'static str,
) -> (Cause, Edit, usize) {
    let listed: Vec<&str> = match actions {
        Actions::Only(listed) | Actions::AllBut(listed) => {
            listed.iter().map(Value::as_written).collect()
        }
    };
    let (code, problem) = match action {
        super::TAG_SESSION => (
            "tag-session-missing",
            "the token carries session tags, and the policy does not allow sts:TagSession",
        ),
        super::SET_SOURCE_IDENTITY => (
            "set-source-identity-missing",
            "the token carries a source identity, and the policy does not allow \
             sts:SetSourceIdentity",
        ),
        _ => (
            "action-missing",
            "it does not allow sts:AssumeRoleWithWebIdentity, the one action for OIDC tokens",
        ),
    };
    // Another way of assuming the role, in a statement for this provider, is a slip.
    let slip = ["sts:AssumeRole", "sts:AssumeRoleWithSAML"]
        .into_iter()
        .find(|slip| action == ASSUME && listed.iter().any(|name| name.eq_ignore_ascii_case(slip)));
    let cause = Cause::new(
        code,
        format!("statement {statement}, Action"),
        problem,
        format!("add {action}"),
    )
    .with_values(listed.join(", "), action);
    let edit = Edit::Action {
        statement,
        action,
        instead_of: slip.and_then(|slip| {
            listed
                .iter()
                .find(|name| name.eq_ignore_ascii_case(slip))
                .map(|name| (*name).to_owned())
        }),
    };
    (cause, edit, 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::Timestamp;

    fn request() -> WebIdentityRequest {
        WebIdentityRequest {
            provider: "idp.example.com".to_owned(),
            provider_arn: "arn:aws:iam::123456789012:oidc-provider/idp.example.com".to_owned(),
            account: "123456789012".to_owned(),
            subject: "org:1/prj:2/env:3".to_owned(),
            audience: "sts.amazonaws.com".to_owned(),
            methods: Vec::new(),
            tags: Vec::new(),
            transitive_tag_keys: Vec::new(),
            source_identity: None,
            authorized_by_idp: false,
            session_name: Some("me".to_owned()),
            source_ip: None,
            now: Timestamp::from_secs(1_795_334_400),
        }
    }

    fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
        proptest::sample::select(texts)
    }

    fn condition() -> impl Strategy<Value = (String, &'static str, Vec<&'static str>)> {
        let operator = (
            one_of(&["", "ForAllValues:", "ForAnyValue:"]),
            one_of(&[
                "StringEquals",
                "StringNotEquals",
                "StringLike",
                "StringNotLike",
                "StringEqualsIgnoreCase",
                "ArnLike",
            ]),
            one_of(&["", "IfExists"]),
        )
            .prop_map(|(set, test, if_exists)| format!("{set}{test}{if_exists}"));
        let key = one_of(&[
            "idp.example.com:sub",
            "idp.example.com:aud",
            "idp.example.org:sub",
            "https://idp.example.com:sub",
            "idp.example.com:actor",
            "aws:RequestTag/Team",
            "aws:TagKeys",
            "sts:SourceIdentity",
            "aws:PrincipalArn",
            "sts:RoleSessionName",
            "aws:SourceVpce",
        ]);
        let value = one_of(&[
            "org:1/prj:2/env:3",
            "ORG:1/prj:2/env:3",
            "org:1/*",
            "*",
            "sts.amazonaws.com",
            "org:1/prj:2",
            "x",
            " ",
            "arn:aws:iam::*:role/a",
            "${sts:RoleSessionName}",
            "${aws:none}",
            "me",
        ]);
        (operator, key, proptest::collection::vec(value, 1..4))
    }

    proptest! {
        /// Every refusal has a cause, and a change that is suggested works, as JSON too.
        #[test]
        fn what_is_suggested_works(
            statements in proptest::collection::vec(
                (
                    any::<bool>(),
                    one_of(&["arn:aws:iam::123456789012:oidc-provider/idp.example.com", "arn:aws:iam::123456789012:oidc-provider/idp.example.com/", "idp.example.org"]),
                    one_of(&["sts:AssumeRoleWithWebIdentity", "sts:AssumeRole", "sts:*", "sts:TagSession"]),
                    proptest::collection::vec(condition(), 0..4),
                ),
                1..4,
            ),
        ) {
            let statements: Vec<_> = statements
                .into_iter()
                .map(|(deny, provider, action, conditions)| {
                    let mut operators = serde_json::Map::new();
                    for (operator, key, values) in conditions {
                        operators.entry(operator).or_insert_with(|| json!({}))[key] = json!(values);
                    }
                    json!({
                        "Effect": if deny { "Deny" } else { "Allow" },
                        "Principal": { "Federated": provider },
                        "Action": action,
                        "Condition": operators,
                    })
                })
                .collect();
            let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
            let policy = Policy::parse_trust(&text).unwrap();
            let explanation = policy.explain(&request());
            prop_assert_eq!(explanation.allowed, policy.admits(&request()));
            prop_assert_eq!(explanation.allowed, explanation.causes.is_empty());
            if !explanation.allowed {
                let change = explanation.change.expect("a change is always found");
                let text = change.policy.to_json_pretty().unwrap();
                let again = Policy::parse_trust(&text).unwrap();
                prop_assert!(again.admits(&change.request), "{}", text);
            }
        }

        /// The short way to a decision is the same as the long one.
        #[test]
        fn decide_agrees_with_evaluate(conditions in proptest::collection::vec(condition(), 0..3), deny in any::<bool>()) {
            let mut operators = serde_json::Map::new();
            for (operator, key, values) in conditions {
                operators.entry(operator).or_insert_with(|| json!({}))[key] = json!(values);
            }
            let text = json!({ "Version": "2012-10-17", "Statement": {
                "Effect": if deny { "Deny" } else { "Allow" },
                "Principal": { "Federated": request().provider_arn }, "Action": "sts:*", "Condition": operators,
            } }).to_string();
            let policy = Policy::parse_trust(&text).unwrap();
            let (principal, context) = (request().principal(), request().context_from_afar());
            let request = Request { action: ASSUME, principal: &principal, context: &context };
            prop_assert_eq!(policy.decide(&request), policy.evaluate(&request).decision);
        }
    }
}
