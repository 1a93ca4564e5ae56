//! What people complain of, as data: explain has to name the cause first, and its cure, carried out,
//! has to work. Times in the data are seconds from now.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Presented, Question, Report, explain, keys};
use crate::{
    client::last_refusal::LastRefusal,
    domain::Timestamp,
    iam::{Document, Policy},
};

const NOW: Timestamp = Timestamp::from_secs(1_795_334_400);
const ROLE: &str = "arn:aws:iam::123456789012:role/demo";

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    /// Where the complaint is from.
    source: String,
    statements: Value,
    claims: Map<String, Value>,
    cause: String,
    /// A text that the suggested change must hold.
    step: Option<String>,
    /// A text that the first cause's cure must hold.
    cure: Option<String>,
    /// What the cure changes, where that is not the policy alone.
    mended: Option<Map<String, Value>>,
    audiences: Option<Vec<String>>,
    duration: Option<u32>,
    maximum: Option<u32>,
    session_name: Option<String>,
    source_ip: Option<std::net::IpAddr>,
    refusal: Option<Said>,
    kid: Option<String>,
    jwks: Option<Value>,
    many_keys: Option<usize>,
    took_ms: Option<u64>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    code: String,
    message: String,
}

impl Case {
    fn claims(&self) -> Map<String, Value> {
        let mut claims = self.claims.clone();
        for name in ["iat", "exp", "nbf"] {
            if let Some(offset) = claims.get(name).and_then(Value::as_i64) {
                claims.insert(name.to_owned(), (NOW.secs() + offset).into());
            }
        }
        claims
    }

    fn key_causes(&self) -> Vec<crate::iam::Cause> {
        let keys = match (self.many_keys, &self.jwks) {
            (Some(count), _) => (0..count)
                .map(|n| json!({ "kty": "RSA", "kid": format!("k{n}") }))
                .collect(),
            (None, Some(keys)) => keys.clone(),
            (None, None) => return Vec::new(),
        };
        keys::judge(
            &json!({ "keys": keys }),
            Presented::Kid(self.kid.as_deref()),
            Duration::from_millis(self.took_ms.unwrap_or(100)),
            "https://idp.example.com",
        )
    }

    fn explain(&self, policy: Option<&Policy>) -> Report {
        let written = json!({ "Version": "2012-10-17", "Statement": self.statements });
        let policy = policy.map_or(written, |policy| json!(policy));
        let text = json!({ "Role": {
            "Arn": ROLE, "AssumeRolePolicyDocument": policy, "MaxSessionDuration": self.maximum } });
        let document = Document::parse(&text.to_string()).unwrap();
        let claims = self.claims();
        let refusal = self.refusal.as_ref().map(|said| LastRefusal {
            at: NOW,
            role_arn: ROLE.to_owned(),
            session_name: "env".to_owned(),
            duration_seconds: 3600,
            policy_characters: 0,
            code: said.code.clone(),
            message: said.message.clone(),
            request_id: None,
            kid: None,
            claims: claims.clone(),
        });
        explain(Question {
            document: &document,
            claims: &claims,
            role: None,
            session_name: self.session_name.clone(),
            duration_seconds: self.duration,
            source_ip: self.source_ip,
            registered_audiences: self.audiences.clone(),
            refusal: refusal.as_ref(),
            token_causes: self.key_causes(),
            not_checked: Vec::new(),
            now: NOW,
        })
    }

    /// The case after its cure.
    fn mended(&self, changes: &Map<String, Value>) -> Self {
        let mut case = self.clone();
        for (name, value) in changes {
            let text = || serde_json::from_value(value.clone()).unwrap();
            match name.as_str() {
                "claims" => {
                    for (claim, value) in value.as_object().unwrap() {
                        if value.is_null() {
                            case.claims.remove(claim);
                        } else {
                            case.claims.insert(claim.clone(), value.clone());
                        }
                    }
                }
                "audiences" => case.audiences = serde_json::from_value(value.clone()).unwrap(),
                "duration" => case.duration = serde_json::from_value(value.clone()).unwrap(),
                "session_name" => case.session_name = text(),
                "refusal" => case.refusal = None,
                "jwks" => case.jwks = Some(value.clone()),
                "many_keys" => case.many_keys = serde_json::from_value(value.clone()).unwrap(),
                "took_ms" => case.took_ms = serde_json::from_value(value.clone()).unwrap(),
                other => panic!("{}: {other}", self.id),
            }
        }
        case
    }
}

#[test]
fn the_right_cause_comes_first_and_its_cure_works() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("complaints.json")).unwrap();
    assert!(cases.len() >= 40, "the complaints are there");
    for case in cases {
        let name = format!("{} ({})", case.id, case.source);
        let report = case.explain(None);
        assert!(!report.allowed, "{name}");
        let codes: Vec<_> = report.causes.iter().map(|cause| cause.code).collect();
        assert_eq!(codes[0], case.cause, "{name}: {report}");
        let first = &report.causes[0];
        assert!(
            !first.cure.is_empty() && !first.problem.is_empty(),
            "{name}"
        );

        if let Some(cure) = &case.cure {
            assert!(first.cure.contains(cure), "{name}: {}", first.cure);
        }
        let change = report.change.as_ref();
        if case.mended.is_none() {
            let change = change.unwrap_or_else(|| panic!("{name}: {report}"));
            assert!(change.proved && !change.steps.is_empty(), "{name}");
        }
        if let Some(step) = &case.step {
            let steps = change.map(|change| change.steps.join("\n"));
            let steps = steps.unwrap_or_else(|| panic!("{name}: {report}"));
            assert!(steps.contains(step), "{name}: {steps}");
        }
        // Where only what STS said stands in the way, nothing of policy and token may.
        if is_outside(&case) {
            assert_eq!(report.causes.len(), 1, "{name}: {report}");
            assert!(change.is_none() && case.cure.is_some(), "{name}: {report}");
        }
        let cured = case.mended.as_ref().map(|changes| case.mended(changes));
        let policy = change.and_then(|change| change.policy.as_ref());
        let after = cured.as_ref().unwrap_or(&case).explain(policy);
        assert!(after.allowed, "{name}: {after}");
    }
}

/// Whether the cure changes nothing that explain could know beside STS's answer.
fn is_outside(case: &Case) -> bool {
    let changes = case.mended.as_ref();
    changes.is_some_and(|changes| changes.keys().all(|name| name == "refusal"))
}

#[test]
fn the_answer_puts_both_sides_below_each_other() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("complaints.json")).unwrap();
    let text = cases[0].explain(None).to_string();
    for part in [
        "refused: STS answers AccessDenied",
        "cause [case]: statement 0, StringEquals token.actions.githubusercontent.com:sub",
        "    wanted  repo:jarvisprestidge/app:ref:refs/heads/main\n    \
         has     repo:JarvisPrestidge/app:ref:refs/heads/main\n                 ^",
        "NOT MET  StringEquals token.actions.githubusercontent.com:sub",
        "met      StringEquals token.actions.githubusercontent.com:aud",
        "smallest change that lets this token in (tried out):",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}
