//! The language's semantics as data: `corpus.json`, one case a line.

use serde::Deserialize;

use super::super::{Context, Policy, Principal, Request};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    statements: serde_json::Value,
    #[serde(default)]
    context: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    action: Option<String>,
    expect: String,
    /// Texts that the reasons of the conditions must hold, in order.
    #[serde(default)]
    reasons: Vec<String>,
}

const PROVIDER: &str = "arn:aws:iam::000000000000:oidc-provider/idp.example.com";

/// Fills in what a case leaves out: effect, principal and action.
fn policy(statements: &serde_json::Value) -> Policy {
    let mut statements = statements.as_array().expect("a list").clone();
    for statement in &mut statements {
        let members = statement.as_object_mut().expect("an object");
        members.entry("Effect").or_insert_with(|| "Allow".into());
        if !members.contains_key("NotPrincipal") {
            members
                .entry("Principal")
                .or_insert_with(|| serde_json::json!({ "Federated": PROVIDER }));
        }
        if !members.contains_key("NotAction") {
            members
                .entry("Action")
                .or_insert_with(|| "sts:AssumeRoleWithWebIdentity".into());
        }
    }
    let text = serde_json::json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    Policy::parse_trust(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn context(members: &serde_json::Map<String, serde_json::Value>) -> Context {
    let mut context = Context::new();
    for (key, value) in members {
        match value {
            serde_json::Value::String(one) => context.set(key, one),
            list => context.set_all(key, serde_json::from_value(list.clone()).expect("strings")),
        }
    }
    context
}

#[test]
fn every_case_ends_as_written() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("corpus.json")).unwrap();
    assert!(cases.len() >= 150, "the corpus is there");
    let principal = Principal::Federated(PROVIDER.to_owned());
    for case in cases {
        let policy = policy(&case.statements);
        let context = context(&case.context);
        let evaluation = policy.evaluate(&Request {
            action: case
                .action
                .as_deref()
                .unwrap_or("sts:AssumeRoleWithWebIdentity"),
            principal: &principal,
            context: &context,
        });
        assert_eq!(
            format!("{:?}", evaluation.decision),
            case.expect,
            "{}",
            case.id
        );
        let reasons: Vec<_> = evaluation
            .statements
            .iter()
            .flat_map(|statement| &statement.conditions)
            .map(ToString::to_string)
            .collect();
        if !case.reasons.is_empty() {
            assert_eq!(reasons.len(), case.reasons.len(), "{}", case.id);
        }
        for (reason, wanted) in reasons.iter().zip(&case.reasons) {
            assert!(reason.contains(wanted), "{}: {reason}", case.id);
        }
    }
}
