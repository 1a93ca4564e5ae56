//! The answer, for people and programs.

use serde::Serialize;

use crate::{
    client::last_refusal::LastRefusal,
    domain::RoleArn,
    iam::{
        Cause, ConditionOutcome, Document, Effect, Policy, Request, StatementOutcome,
        TrustExplanation, Value, WebIdentityRequest,
    },
};

/// Why STS lets a token in, or not.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether it would.
    pub allowed: bool,
    /// The code of its refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sts_code: Option<String>,
    /// The role, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The provider's ARN, made of the token's issuer and the role's account.
    pub provider_arn: String,
    /// The token's `sub`.
    pub subject: String,
    /// The audience that counts.
    pub audience: String,
    /// What was not looked at, and so may still be wrong.
    pub not_checked: Vec<String>,
    /// The causes, what to look at first before the rest.
    pub causes: Vec<Cause>,
    /// Every statement for every action that the token needs.
    pub statements: Vec<StatementReport>,
    /// The smallest change of the policy that would let the token in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Suggestion>,
}

/// A statement, asked for one action.
#[derive(Debug, Serialize)]
pub struct StatementReport {
    /// Its index.
    pub statement: usize,
    /// Its `Sid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// `Allow` or `Deny`.
    pub effect: &'static str,
    /// The action that it was asked for.
    pub action: &'static str,
    /// Whether its effect counts.
    pub applies: bool,
    /// Whether it is about the token's provider.
    pub principal_met: bool,
    /// Whether it is about the action.
    pub action_met: bool,
    /// Its conditions.
    pub conditions: Vec<ConditionReport>,
}

/// A condition with both sides' values.
#[derive(Debug, Serialize)]
pub struct ConditionReport {
    /// The operator.
    pub operator: String,
    /// The key.
    pub key: String,
    /// `met`, `not_met`, or `unknown` where only STS knows the key's value.
    pub outcome: &'static str,
    /// The policy's values.
    pub policy: Vec<String>,
    /// The request's values, `None` where it has no such key.
    pub request: Option<Vec<String>>,
    /// Which of the policy's values comes nearest, of a condition that is not met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<usize>,
}

/// A change that was tried out.
#[derive(Debug, Serialize)]
pub struct Suggestion {
    /// What to do, an order each.
    pub steps: Vec<String>,
    /// The whole policy afterwards, where the policy was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// That the evaluator lets the token in afterwards; other suggestions are not made.
    pub proved: bool,
}

impl Report {
    pub(super) fn new(
        document: &Document,
        request: &WebIdentityRequest,
        role: Option<&RoleArn>,
        refusal: Option<&LastRefusal>,
        causes: Vec<Cause>,
        trust: TrustExplanation,
    ) -> Self {
        let code = refusal.map(|refusal| refusal.code.clone());
        Self {
            allowed: causes.is_empty(),
            sts_code: causes
                .first()
                .map(|first| code.unwrap_or_else(|| sts_code(first).to_owned())),
            role_arn: role.map(ToString::to_string),
            provider_arn: request.provider_arn.clone(),
            subject: request.subject.clone(),
            audience: request.audience.clone(),
            not_checked: Vec::new(),
            causes,
            statements: statements(document, request),
            change: trust.change.map(|change| Suggestion {
                steps: change.steps,
                policy: change.changes_policy.then_some(change.policy),
                proved: true,
            }),
        }
    }
}

/// What STS answers to a cause.
fn sts_code(cause: &Cause) -> &'static str {
    match cause.code {
        "clock" | "token-expired" => "ExpiredTokenException",
        "session-name" | "duration" | "duration-too-long" => "ValidationError",
        "policy-size" => "PackedPolicyTooLarge",
        "session-policy-malformed" => "MalformedPolicyDocument",
        "region-disabled" => "RegionDisabledException",
        "claim-missing"
        | "claim-malformed"
        | "time-malformed"
        | "token-early"
        | "azp"
        | "audience-list"
        | "audience-not-registered"
        | "role-pin"
        | "role-pin-malformed"
        | "tags-malformed"
        | "source-identity-malformed"
        | "provider-missing"
        | "signature"
        | "algorithm"
        | "not-a-jwt"
        | "no-usable-key"
        | "issuer-unreachable"
        | "issuer-slow"
        | "issuer-documents"
        | "kid-not-published"
        | "too-many-keys" => "InvalidIdentityToken",
        _ => "AccessDenied",
    }
}

fn statements(document: &Document, request: &WebIdentityRequest) -> Vec<StatementReport> {
    let (principal, context) = (request.principal(), request.context_from_afar());
    let mut reports = Vec::new();
    for action in request.actions() {
        let evaluation = document.policy.evaluate(&Request {
            action,
            principal: &principal,
            context: &context,
        });
        for (index, outcome) in evaluation.statements.iter().enumerate() {
            reports.push(statement(index, action, outcome));
        }
    }
    reports
}

fn statement(
    index: usize,
    action: &'static str,
    outcome: &StatementOutcome<'_>,
) -> StatementReport {
    StatementReport {
        statement: index,
        sid: outcome.statement.sid.clone(),
        effect: outcome.statement.effect.as_str(),
        action,
        applies: outcome.applies(),
        principal_met: outcome.principal,
        action_met: outcome.action,
        conditions: outcome
            .conditions
            .iter()
            .map(|condition| self::condition(condition, outcome.statement.effect))
            .collect(),
    }
}

fn condition(outcome: &ConditionOutcome<'_>, effect: Effect) -> ConditionReport {
    let values = &outcome.condition.values;
    let nearest = match outcome.got {
        Some([got, ..]) if !outcome.met && effect == Effect::Allow => nearest(values, got),
        _ => None,
    };
    ConditionReport {
        operator: outcome.condition.operator.to_string(),
        key: outcome.condition.key.clone(),
        outcome: match (outcome.unknown, outcome.met) {
            (true, _) => "unknown",
            (false, true) => "met",
            (false, false) => "not_met",
        },
        policy: values
            .iter()
            .map(|value| value.as_written().to_owned())
            .collect(),
        request: outcome.got.map(<[String]>::to_vec),
        nearest,
    }
}

fn nearest(values: &[Value], got: &str) -> Option<usize> {
    let distance = |value: &Value| value.miss(got);
    (0..values.len()).min_by_key(|index| distance(&values[*index]))
}
