//! Policies and what is found in them, as data.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Document, RULES};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    policy: Value,
    codes: Vec<String>,
    role_account: Option<String>,
}

#[test]
fn every_policy_has_these_findings_and_no_others() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("corpus.json")).unwrap();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for case in cases {
        let text = match &case.role_account {
            None => case.policy.to_string(),
            Some(account) => json!({
                "Arn": format!("arn:aws:iam::{account}:role/demo"),
                "AssumeRolePolicyDocument": case.policy,
            })
            .to_string(),
        };
        let findings = Document::parse(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", case.id))
            .lint();
        let codes: BTreeSet<_> = findings.iter().map(|finding| finding.code).collect();
        let wanted: BTreeSet<_> = case.codes.iter().map(String::as_str).collect();
        if codes != wanted {
            wrong.push(format!("{}: wanted {wanted:?}, found {codes:?}", case.id));
        }
        for finding in &findings {
            assert!(!finding.fix.is_empty() && finding.line >= 1, "{}", case.id);
        }
        seen.extend(codes);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unseen: Vec<_> = RULES
        .iter()
        .map(|rule| rule.code)
        .filter(|code| !seen.contains(code))
        .collect();
    assert!(unseen.is_empty(), "rules without a case: {unseen:?}");
}

#[test]
fn every_rule_is_documented() {
    let page = include_str!("../../../docs/LINT.md");
    for rule in RULES {
        let row = format!("| `{}` | {} |", rule.code, rule.severity.as_str());
        assert!(page.contains(&row), "{row}");
    }
    assert_eq!(page.matches("\n| `").count(), RULES.len());
}
