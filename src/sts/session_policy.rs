//! Session policies: what STS refuses as malformed.
//!
//! Only the form is checked. What such a policy permits is decided by the services that a session
//! talks to, and this STS stands in for none of them.

use serde_json::{Map, Value};

use super::Refusal;

/// Checks an inline session policy, in the words of IAM's policy grammar.
pub(super) fn check(text: &str) -> Result<(), Refusal> {
    let Ok(Value::Object(policy)) = serde_json::from_str(text) else {
        return Err(malformed(
            "This policy contains invalid Json",
            "the session policy is not a JSON object",
        ));
    };
    let known = ["Version", "Id", "Statement"];
    if let Some(stray) = policy.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(syntax(&format!("{stray} is not a member of a policy")));
    }
    match policy.get("Version").map(Value::as_str) {
        None | Some(Some("2012-10-17" | "2008-10-17")) => {}
        Some(_) => return Err(syntax("Version is neither 2012-10-17 nor 2008-10-17")),
    }
    let statements: Vec<&Value> = match policy.get("Statement") {
        Some(Value::Array(list)) if !list.is_empty() => list.iter().collect(),
        Some(one @ Value::Object(_)) => vec![one],
        _ => return Err(syntax("Statement is missing or empty")),
    };
    statements.into_iter().try_for_each(|statement| {
        statement
            .as_object()
            .ok_or_else(|| syntax("a statement is not an object"))
            .and_then(check_statement)
    })
}

fn check_statement(statement: &Map<String, Value>) -> Result<(), Refusal> {
    let known = [
        "Sid",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
        "Principal",
        "NotPrincipal",
    ];
    if let Some(stray) = statement.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(syntax(&format!("{stray} is not a member of a statement")));
    }
    if statement.contains_key("Principal") || statement.contains_key("NotPrincipal") {
        return Err(malformed(
            "Policy document should not specify a principal.",
            "a session policy concerns its session; leave Principal out",
        ));
    }
    if !matches!(
        statement.get("Effect").and_then(Value::as_str),
        Some("Allow" | "Deny")
    ) {
        return Err(syntax("Effect is neither Allow nor Deny"));
    }
    for (names, message) in [
        (
            ["Action", "NotAction"],
            "Policy statement must contain actions.",
        ),
        (
            ["Resource", "NotResource"],
            "Policy statement must contain resources.",
        ),
    ] {
        let given: Vec<_> = names
            .iter()
            .filter_map(|name| statement.get(*name))
            .collect();
        match given.as_slice() {
            [] => return Err(malformed(message, message)),
            [one] if are_strings(one) => {}
            _ => {
                return Err(syntax(&format!(
                    "{} and {} are one string or a list of them, and not both",
                    names[0], names[1]
                )));
            }
        }
    }
    match statement.get("Condition") {
        None => Ok(()),
        Some(Value::Object(operators)) if operators.values().all(Value::is_object) => Ok(()),
        Some(_) => Err(syntax("Condition is not an object of operators")),
    }
}

fn are_strings(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty() && list.iter().all(Value::is_string),
        _ => false,
    }
}

fn syntax(reason: &str) -> Refusal {
    malformed("Syntax errors in policy.", reason)
}

fn malformed(message: &str, reason: &str) -> Refusal {
    Refusal::new(
        "MalformedPolicyDocument",
        400,
        message,
        format!("session policy: {reason}"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_a_policy_passes() {
        for text in [
            r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#,
            r#"{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"A","Effect":"Deny",
                "NotAction":["s3:*"],"NotResource":["*"],"Condition":{"Bool":{"a:b":"true"}}}]}"#,
        ] {
            check(text).unwrap();
        }
    }

    #[test]
    fn what_is_none_is_refused_in_iams_words() {
        for (text, message) in [
            ("", "invalid Json"),
            ("[]", "invalid Json"),
            ("{}", "Syntax errors"),
            (r#"{"Statement":[]}"#, "Syntax errors"),
            (r#"{"Statement":[7]}"#, "Syntax errors"),
            (
                r#"{"Version":"2020-01-01","Statement":{"Effect":"Allow","Action":"a:b","Resource":"*"}}"#,
                "Syntax errors",
            ),
            (
                r#"{"Statement":{"Effect":"allow","Action":"a:b","Resource":"*"}}"#,
                "Syntax errors",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#,
                "must contain actions",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"a:b"}}"#,
                "must contain resources",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","Principal":"*"}}"#,
                "should not specify a principal",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":[],"Resource":"*"}}"#,
                "Syntax errors",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","X":1}}"#,
                "Syntax errors",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"Bool":1}}}"#,
                "Syntax errors",
            ),
        ] {
            let refusal = check(text).unwrap_err();
            assert_eq!(refusal.code, "MalformedPolicyDocument");
            assert!(refusal.message.contains(message), "{text}: {refusal:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            drop(check(&text));
        }
    }
}
