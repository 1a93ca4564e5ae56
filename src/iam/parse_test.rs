use proptest::prelude::*;

use crate::iam::{Effect, Policy, PrincipalKind, Principals, Version};

const FEDERATED: &str = r#""Principal":{"Federated":"arn:aws:iam::000000000000:oidc-provider/i"}"#;
const ACTION: &str = r#""Action":"sts:AssumeRoleWithWebIdentity""#;

fn with(rest: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",{FEDERATED},{ACTION}{rest}}}]}}"#
    )
}

fn error(text: &str) -> String {
    Policy::parse_trust(text).unwrap_err().to_string()
}

#[test]
fn reads_every_element() {
    let policy = Policy::parse_trust(
        r#"{"Version":"2012-10-17","Id":"id","Statement":{"Sid":"s","Effect":"Deny",
        "NotPrincipal":{"AWS":["a","b"],"Service":"c"},"NotAction":["sts:*"],
        "Condition":{"StringLike":{"i:k":["a*","b"]},"Bool":{"i:t":true},"StringEquals":{"i:n":7}}}}"#,
    )
    .unwrap();
    assert_eq!(policy.version, Version::V2012);
    assert_eq!(policy.id.as_deref(), Some("id"));
    let [statement] = policy.statements.as_slice() else {
        panic!("one statement")
    };
    assert_eq!(statement.sid.as_deref(), Some("s"));
    assert_eq!(statement.effect, Effect::Deny);
    assert_eq!(
        statement.principals,
        Principals::AllBut(vec![
            (PrincipalKind::Aws, "a".to_owned()),
            (PrincipalKind::Aws, "b".to_owned()),
            (PrincipalKind::Service, "c".to_owned()),
        ])
    );
    let shown: Vec<_> = statement
        .conditions
        .iter()
        .map(|c| (c.operator.to_string(), c.key.as_str(), c.values.len()))
        .collect();
    assert_eq!(
        shown,
        [
            ("StringLike".to_owned(), "i:k", 2),
            ("Bool".to_owned(), "i:t", 1),
            ("StringEquals".to_owned(), "i:n", 1)
        ]
    );
}

#[test]
fn what_cannot_be_a_policy_is_refused_at_once() {
    let nested = format!("{}1{}", "{\"a\":".repeat(10), "}".repeat(10));
    assert!(error(&nested).contains("it nests deeper than 8 levels"));
    let long = "x".repeat(10 * 1024 * 1024);
    assert!(error(&long).contains("10485760 bytes"));
    let deep = "[".repeat(100_000);
    assert!(error(&deep).contains("line 1, column 9: not JSON: it nests deeper"));
}

#[test]
fn errors_name_the_place_and_the_cure() {
    for (text, says) in [
        (
            "{",
            "line 1, column 2: not JSON: a name in \"\" is missing: the text ends here",
        ),
        (
            "{\n\"Version\": x}",
            "line 2, column 12: not JSON: a value is missing: 'x' stands here",
        ),
        ("[]", "the policy: it is an array, not an object"),
        ("{}", "Statement: there is none"),
        (
            r#"{"Version":"2012-10-18","Statement":[]}"#,
            "Version: \"2012-10-18\" is not a version",
        ),
        (
            r#"{"Statement":[7]}"#,
            "Statement[0]: it is a number, not an object",
        ),
        (
            r#"{"Statement":[{"Effect":"allow"}]}"#,
            "Statement[0].Effect: \"allow\" is no effect; write \"Allow\"",
        ),
        (
            r#"{"Statement":{"Effect":"Allow"}}"#,
            "Statement.Principal: it is missing",
        ),
        (
            &format!(r#"{{"Statement":[{{"Effect":"Allow",{FEDERATED}}}]}}"#),
            "Statement[0].Action: it is missing; write Action or NotAction",
        ),
        (
            &with(r#","NotAction":"sts:AssumeRole""#),
            "Statement[0].NotAction: Action is there too",
        ),
        (
            &with(r#","Resource":"*""#),
            "Statement[0].Resource: a trust policy cannot have it; remove it",
        ),
        (
            &with(r#","Conditions":{}"#),
            "Statement[0].Conditions: there is no such element; write Condition",
        ),
        (
            &with(r#","Condition":{"StringEqual":{"i:a":"b"}}"#),
            "Statement[0].Condition.StringEqual: there is no such operator; write StringEquals (line 1, column 180; IAM says \"MalformedPolicyDocument: Invalid Condition type\")",
        ),
        (
            &with(r#","Condition":{"IpAddress":{"aws:SourceIp":"here"}}"#),
            "aws:SourceIp: IpAddress cannot compare \"here\"; write an address or a network",
        ),
        (
            &with(r#","Condition":{"StringEquals":{"i:a":"b","i:a":"c"}}"#),
            "Statement[0].Condition.StringEquals.i:a: it is there twice",
        ),
        (
            &with(r#","Condition":{"StringEquals":{"i:a":"b"},"StringEquals":{"i:c":"d"}}"#),
            "Statement[0].Condition.StringEquals: it is there twice",
        ),
        (
            &with(r#","Condition":{"StringEquals":{"i:a":[]}}"#),
            "Statement[0].Condition.StringEquals.i:a: the list is empty",
        ),
        (
            &with(r#","Condition":{"StringEquals":{"i:a":null}}"#),
            "null is not a value",
        ),
        (
            &with(r#","Condition":{"Bool":{"i:a":"yes"}}"#),
            "Bool cannot compare \"yes\"; write \"true\" or \"false\"",
        ),
        (
            &with(r#","Condition":{"StringLike":{"i:a":"${userid}"}}"#),
            "${userid} is not a policy variable",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::*:x"},"Action":"sts:AssumeRole"}}"#,
            "Statement.Principal.Federated: \"arn:aws:iam::*:x\" has a wildcard",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Principal":{"Human":"a"},"Action":"sts:AssumeRole"}}"#,
            "Statement.Principal.Human: there is no such kind",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Principal":"me","Action":"sts:AssumeRole"}}"#,
            "Statement.Principal: \"me\" names no principal",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"AssumeRole"}}"#,
            "Statement.Action: \"AssumeRole\" is not an action",
        ),
    ] {
        let error = error(text);
        assert!(error.contains(says), "{text}\n  {error}\n  {says}");
    }
}

#[test]
fn what_iam_refuses_is_refused_in_its_words() {
    for (text, says) in [
        (
            r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRoleWithWebIdendity"}}"#,
            "write \"sts:AssumeRoleWithWebIdentity\" (line 1, column 48; IAM says \"MalformedPolicyDocument: AssumeRole policy may only specify STS AssumeRole actions.\")",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":["sts:AssumeRole","s3:GetObject"]}}"#,
            "Statement.Action[1]: \"s3:GetObject\" is not an action of a trust policy",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Principal":{"Federated":"https://i.example"},"Action":"sts:*"}}"#,
            "without https://",
        ),
        (
            r#"{"Statement":[{"Sid":"a","Effect":"Allow","Principal":"*","Action":"sts:*"},{"Sid":"a","Effect":"Allow","Principal":"*","Action":"sts:*"}]}"#,
            "Statement[1]: its Sid is that of another statement",
        ),
        (
            &with(r#","Condition":{"StringEquals":{"sub":"a"}}"#),
            "\"sub\" is not a condition key",
        ),
        (
            &with(r#","Condition":{"NumericLessThan":{"i:a":"${aws:EpochTime}"}}"#),
            "policy variables count under the operators of strings and ARNs only",
        ),
    ] {
        let error = error(text);
        assert!(error.contains(says), "{text}\n  {error}\n  {says}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,80}") {
        drop(Policy::parse_trust(&text));
    }

    #[test]
    fn no_condition_panics(operator in "[A-Za-z:]{0,20}", key in ".{0,10}", value in ".{0,20}") {
        let condition = serde_json::json!({ operator: { key: value } });
        drop(Policy::parse_trust(&with(&format!(",\"Condition\":{condition}"))));
    }
}
