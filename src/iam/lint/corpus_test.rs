//! Policies and what is found in them, as data.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Document, RULES};
use crate::{
    domain::Timestamp,
    iam::{ASSUME, Request, WebIdentityRequest},
};

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

/// Spellings that come near to a subject.
fn spelling() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "org:",
        "o",
        "rg",
        "/",
        "prj:",
        "env:",
        ":",
        "*",
        "?",
        "0",
        "01",
        "019",
        "-",
        "0191e223-1c3c-7607-badf-303c98b52d2f",
        "${idp.example.com:sub}",
        "${sts:RoleSessionName}",
        "${aws:CurrentTime, 'org:'}",
    ]);
    prop::collection::vec(part, 1..6).prop_map(|parts| parts.concat())
}

proptest! {
    /// Where nothing is found, nobody of an organisation that the policy does not name gets in.
    #[test]
    fn what_is_clean_admits_no_strange_organisation(
        spelling in spelling(),
        operator in prop::sample::select(vec!["StringEquals", "StringLike", "StringEqualsIgnoreCase"]),
        // Made at any time of these years.
        organization in (0x018f_0000_0000_u64..0x01a0_0000_0000, any::<u64>()),
        below in prop::sample::select(vec!["/env:", "/prj:019527e4-75d5-704d-a5a4-a2b52cf56198/env:"]),
        name in "[a-z:/]{2,20}",
    ) {
        let (at, random) = organization;
        let id = format!(
            "{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}",
            at >> 16, at & 0xffff, random & 0xfff, random >> 12 & 0xfff, random >> 16,
        );
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": { "Federated": "arn:aws:iam::123456789012:oidc-provider/idp.example.com" },
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": { "idp.example.com:aud": "sts.amazonaws.com" },
                operator: { "idp.example.com:sub": spelling },
            },
        }] });
        // Twice the same operator is one object in JSON.
        let policy = if operator == "StringEquals" {
            let both = json!({ "idp.example.com:aud": "sts.amazonaws.com", "idp.example.com:sub": spelling });
            let mut policy = policy;
            policy["Statement"][0]["Condition"]["StringEquals"] = both;
            policy
        } else {
            policy
        };
        let document = Document::parse(&policy.to_string()).unwrap();
        if document.lint().is_empty() {
            let request = WebIdentityRequest {
                provider: "idp.example.com".to_owned(),
                provider_arn: "arn:aws:iam::123456789012:oidc-provider/idp.example.com".to_owned(),
                account: "123456789012".to_owned(),
                subject: format!("org:{id}{below}019527e4-75d5-704d-a5a4-a2b52cf56196"),
                audience: "sts.amazonaws.com".to_owned(),
                methods: Vec::new(),
                tags: Vec::new(),
                transitive_tag_keys: Vec::new(),
                source_identity: None,
                authorized_by_idp: true,
                session_name: Some(name),
                source_ip: None,
                now: Timestamp::from_secs(1_795_334_400),
            };
            let (principal, context) = (request.principal(), request.context());
            let admitted = document.policy.evaluate(&Request {
                action: ASSUME,
                principal: &principal,
                context: &context,
            });
            prop_assert!(!admitted.decision.is_allowed(), "{operator} {spelling} admits {}", request.subject);
        }
    }
}
