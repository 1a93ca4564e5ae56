//! Small changes of a policy, or of the request where the policy is right.

use crate::iam::{
    Actions, Condition, Effect, Operator, Policy, PrincipalKind, Principals, Statement, Test,
    Value, WebIdentityRequest,
};

/// One change. Statements and conditions are named by their index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// Writes this provider in place of that one, or beside what is there.
    Principal {
        statement: usize,
        instead_of: Option<String>,
    },
    /// Adds an action, in place of another where that was meant.
    Action {
        statement: usize,
        action: &'static str,
        instead_of: Option<String>,
    },
    /// Changes a condition, or takes it away.
    Condition {
        statement: usize,
        condition: usize,
        change: ConditionEdit,
    },
    /// Adds a condition.
    AddCondition {
        statement: usize,
        condition: Condition,
    },
    /// Adds a statement.
    AddStatement(Box<Statement>),
    /// Has the token carry a session tag.
    TokenTag { key: String, value: String },
    /// Has the token carry a source identity.
    TokenSourceIdentity(String),
    /// Has the token name the role.
    TokenRolePin,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConditionEdit {
    Key(String),
    Operator(Operator),
    Replace { index: usize, with: Value },
    Add(Value),
    Drop(Vec<usize>),
    Remove,
}

impl Edit {
    /// Carries it out.
    pub(super) fn apply(&self, policy: &mut Policy, request: &mut WebIdentityRequest) {
        match self {
            Self::Principal {
                statement,
                instead_of,
            } => set_principal(
                &mut policy.statements[*statement],
                instead_of.as_deref(),
                &request.provider_arn,
            ),
            Self::Action {
                statement,
                action,
                instead_of,
            } => add_action(
                &mut policy.statements[*statement],
                action,
                instead_of.as_deref(),
            ),
            Self::Condition {
                statement,
                condition,
                change,
            } => change.apply(&mut policy.statements[*statement].conditions, *condition),
            Self::AddCondition {
                statement,
                condition,
            } => policy.statements[*statement]
                .conditions
                .push(condition.clone()),
            Self::AddStatement(statement) => policy.statements.push((**statement).clone()),
            Self::TokenTag { key, value } => request.tags.push((key.clone(), value.clone())),
            Self::TokenSourceIdentity(value) => request.source_identity = Some(value.clone()),
            Self::TokenRolePin => request.authorized_by_idp = true,
        }
    }

    /// Whether it changes the policy, and not the token.
    pub(super) const fn is_of_policy(&self) -> bool {
        !matches!(
            self,
            Self::TokenTag { .. } | Self::TokenSourceIdentity(_) | Self::TokenRolePin
        )
    }

    /// The change as an order, given the policy before it.
    pub(super) fn describe(&self, policy: &Policy, provider_arn: &str) -> String {
        match self {
            Self::Principal {
                statement,
                instead_of: Some(old),
            } => format!(
                "in statement {statement}, write the provider {provider_arn} instead of {old}"
            ),
            Self::Principal { statement, .. } => format!(
                "in statement {statement}, add the principal {{\"Federated\": \"{provider_arn}\"}}"
            ),
            Self::Action {
                statement,
                action,
                instead_of: Some(old),
            } => format!("in statement {statement}, write the action {action} instead of {old}"),
            Self::Action {
                statement, action, ..
            } => format!("in statement {statement}, add the action {action}"),
            Self::Condition {
                statement,
                condition,
                change,
            } => change.describe(
                *statement,
                &policy.statements[*statement].conditions[*condition],
            ),
            Self::AddCondition {
                statement,
                condition,
            } => format!(
                "in statement {statement}, add {} {}: {:?}",
                condition.operator,
                condition.key,
                written(&condition.values)
            ),
            Self::AddStatement(_) => {
                format!(
                    "add a statement that allows the provider {provider_arn} with this token's aud and sub"
                )
            }
            Self::TokenTag { key, value } => format!(
                "have the issuer put the session tag {key} = {value:?} into the token (an \
                 organisation turns session tags on)"
            ),
            Self::TokenSourceIdentity(value) => format!(
                "have the issuer put the source identity {value:?} into the token (an organisation \
                 turns it on)"
            ),
            Self::TokenRolePin => {
                "have the issuer name the role in the token (an organisation turns the role pin on)"
                    .to_owned()
            }
        }
    }
}

impl ConditionEdit {
    fn apply(&self, conditions: &mut Vec<Condition>, index: usize) {
        let condition = &mut conditions[index];
        match self {
            Self::Key(key) => condition.key.clone_from(key),
            Self::Operator(operator) => condition.operator = *operator,
            Self::Replace { index, with } => condition.values[*index] = with.clone(),
            Self::Add(value) => condition.values.push(value.clone()),
            Self::Drop(indexes) => {
                let mut at = 0;
                condition.values.retain(|_| {
                    at += 1;
                    !indexes.contains(&(at - 1))
                });
            }
            Self::Remove => {
                conditions.remove(index);
            }
        }
    }

    fn describe(&self, statement: usize, condition: &Condition) -> String {
        let Condition {
            operator,
            key,
            values,
        } = condition;
        let place = format!("in statement {statement}, {operator} {key}");
        match self {
            Self::Key(new) => format!("{place}: write the key {new} instead"),
            Self::Operator(new) => format!("{place}: write {new} instead of {operator}"),
            Self::Replace { index, with } => format!(
                "{place}: write {:?} instead of {:?}",
                with.as_written(),
                values[*index].as_written()
            ),
            Self::Add(value) => format!("{place}: add the value {:?}", value.as_written()),
            Self::Drop(indexes) => {
                let dropped: Vec<_> = indexes.iter().map(|at| values[*at].as_written()).collect();
                format!("{place}: take out {dropped:?}")
            }
            Self::Remove => format!("{place}: remove this condition"),
        }
    }
}

fn written(values: &[Value]) -> Vec<&str> {
    values.iter().map(Value::as_written).collect()
}

fn set_principal(statement: &mut Statement, instead_of: Option<&str>, arn: &str) {
    let new = (PrincipalKind::Federated, arn.to_owned());
    match (&mut statement.principals, instead_of) {
        (Principals::Only(listed), Some(old)) => {
            for principal in listed {
                if principal.0 == PrincipalKind::Federated && principal.1 == old {
                    arn.clone_into(&mut principal.1);
                }
            }
        }
        (Principals::Only(listed), None) => listed.push(new),
        (other, _) => *other = Principals::Only(vec![new]),
    }
}

fn add_action(statement: &mut Statement, action: &str, instead_of: Option<&str>) {
    let new = Value::literal(action);
    match &mut statement.actions {
        Actions::Only(actions) => {
            match instead_of.and_then(|old| actions.iter_mut().find(|a| a.as_written() == old)) {
                Some(old) => *old = new,
                None => actions.push(new),
            }
        }
        Actions::AllBut(excluded) => {
            excluded.retain(|value| !value.matches_ignore_case(action));
            if excluded.is_empty() {
                statement.actions = Actions::Only(vec![new]);
            }
        }
    }
}

/// A statement that lets in exactly this request's subject.
pub(super) fn statement_for(request: &WebIdentityRequest) -> Statement {
    Statement::allow_federated(
        &request.provider_arn,
        &request.actions(),
        vec![
            Condition::equals(format!("{}:aud", request.provider), &request.audience),
            Condition::equals(format!("{}:sub", request.provider), &request.subject),
        ],
    )
}

/// The change that keeps this request's subject out of a deny.
pub(super) fn spare(policy: &Policy, index: usize, request: &WebIdentityRequest) -> Edit {
    let key = format!("{}:sub", request.provider);
    let subject = Value::literal(&request.subject);
    let operator = Operator::new(Test::StringNotEquals);
    let statement = &policy.statements[index];
    debug_assert_eq!(statement.effect, Effect::Deny);
    match statement
        .conditions
        .iter()
        .position(|c| c.operator == operator && c.key.eq_ignore_ascii_case(&key))
    {
        Some(condition) => Edit::Condition {
            statement: index,
            condition,
            change: ConditionEdit::Add(subject),
        },
        None => Edit::AddCondition {
            statement: index,
            condition: Condition::new(Test::StringNotEquals, key, vec![subject]),
        },
    }
}
