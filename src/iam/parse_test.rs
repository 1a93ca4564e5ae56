use proptest::prelude::*;

use super::*;

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
        "Condition":{"StringLike":{"k":["a*","b"]},"Bool":{"t":true},"StringEquals":{"n":7}}}}"#,
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
            ("StringLike".to_owned(), "k", 2),
            ("Bool".to_owned(), "t", 1),
            ("StringEquals".to_owned(), "n", 1)
        ]
    );
}

#[test]
fn errors_name_the_place_and_the_cure() {
    for (text, says) in [
        ("{", "line 1, column 1: not JSON"),
        ("{\n\"Version\": x}", "line 2, column 12: not JSON"),
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
            &with(r#","NotAction":"sts:x""#),
            "Statement[0].NotAction: Action is there too",
        ),
        (
            &with(r#","Resource":"*""#),
            "Statement[0].Resource: a trust policy cannot have it; remove it",
        ),
        (
            &with(r#","Conditions":{}"#),
            "Statement[0].Conditions: there is no such element",
        ),
        (
            &with(r#","Condition":{"StringEqual":{"a":"b"}}"#),
            "Statement[0].Condition.StringEqual: this operator is not understood; understood here",
        ),
        (
            &with(r#","Condition":{"ArnLike":{"a":"b"}}"#),
            "Statement[0].Condition.ArnLike: this operator is not understood",
        ),
        (
            &with(r#","Condition":{"StringEquals":{"a":"b","a":"c"}}"#),
            "Statement[0].Condition.StringEquals.a: it is there twice",
        ),
        (
            &with(r#","Condition":{"StringEquals":{"a":"b"},"StringEquals":{"c":"d"}}"#),
            "Statement[0].Condition.StringEquals: it is there twice",
        ),
        (
            &with(r#","Condition":{"StringEquals":{"a":[]}}"#),
            "Statement[0].Condition.StringEquals.\"a\": the list is empty",
        ),
        (
            &with(r#","Condition":{"StringEquals":{"a":null}}"#),
            "null is not a value",
        ),
        (
            &with(r#","Condition":{"Bool":{"a":"yes"}}"#),
            "\"yes\" is neither true nor false",
        ),
        (
            &with(r#","Condition":{"StringLike":{"a":"${aws:userid}"}}"#),
            "the policy variable ${aws:userid} is not understood",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::*:x"},"Action":"sts:x"}}"#,
            "Statement.Principal.Federated: \"arn:aws:iam::*:x\" has a wildcard",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Principal":{"Human":"a"},"Action":"sts:x"}}"#,
            "Statement.Principal.Human: there is no such kind",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Principal":"me","Action":"sts:x"}}"#,
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
