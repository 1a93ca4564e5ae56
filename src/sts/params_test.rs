use super::*;

const TOKEN: &str = "secret.secret.secret";
const POLICY_OF_SESSION: &str =
    r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;

fn params(changes: &[(&str, Option<&str>)]) -> Params {
    let mut pairs = vec![
        ("RoleArn", "arn:aws:iam::000000000000:role/demo"),
        ("RoleSessionName", "session"),
        ("WebIdentityToken", TOKEN),
    ];
    for (name, value) in changes {
        pairs.retain(|(other, _)| other != name);
        pairs.extend(value.map(|value| (*name, value)));
    }
    Params(
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    )
}

fn refusal(changes: &[(&str, Option<&str>)]) -> Refusal {
    AssumeRole::read(&params(changes)).unwrap_err()
}

#[test]
fn what_the_model_forbids_is_said_in_its_words() {
    for (changes, message) in [
        (
            &[("RoleSessionName", Some("a"))][..],
            "1 validation error detected: Value 'a' at 'roleSessionName' failed to satisfy \
             constraint: Member must have length greater than or equal to 2",
        ),
        (
            &[("RoleSessionName", Some("a b"))],
            "1 validation error detected: Value 'a b' at 'roleSessionName' failed to satisfy \
             constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*",
        ),
        (
            &[("RoleArn", None), ("RoleSessionName", None)],
            "2 validation errors detected: Value null at 'roleArn' failed to satisfy constraint: \
             Member must not be null; Value null at 'roleSessionName' failed to satisfy \
             constraint: Member must not be null",
        ),
        (
            &[("RoleArn", Some("short"))],
            "1 validation error detected: Value 'short' at 'roleArn' failed to satisfy \
             constraint: Member must have length greater than or equal to 20",
        ),
        (
            &[("WebIdentityToken", Some("abc"))],
            "1 validation error detected: Value at 'webIdentityToken' failed to satisfy \
             constraint: Member must have length greater than or equal to 4",
        ),
        (
            &[("DurationSeconds", Some("899"))],
            "1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy \
             constraint: Member must have value greater than or equal to 900",
        ),
        (
            &[("DurationSeconds", Some("43201"))],
            "1 validation error detected: Value '43201' at 'durationSeconds' failed to satisfy \
             constraint: Member must have value less than or equal to 43200",
        ),
        (
            &[("ProviderId", Some("abc"))],
            "1 validation error detected: Value 'abc' at 'providerId' failed to satisfy \
             constraint: Member must have length greater than or equal to 4",
        ),
    ] {
        let refusal = refusal(changes);
        assert_eq!((refusal.code, refusal.status), ("ValidationError", 400));
        assert_eq!(refusal.message, message);
    }
}

#[test]
fn limits_are_inclusive() {
    for changes in [
        [("RoleSessionName", "ab".to_owned())],
        [("RoleSessionName", "a".repeat(64))],
        [("WebIdentityToken", "a".repeat(20_000))],
        [("DurationSeconds", "900".to_owned())],
        [("DurationSeconds", "43200".to_owned())],
        [("Policy", POLICY_OF_SESSION.to_owned())],
    ] {
        let changes = changes
            .each_ref()
            .map(|(name, value)| (*name, Some(value.as_str())));
        AssumeRole::read(&params(&changes)).unwrap();
    }
    for changes in [
        [("RoleSessionName", "a".repeat(65))],
        [("WebIdentityToken", "a".repeat(20_001))],
    ] {
        let changes = changes
            .each_ref()
            .map(|(name, value)| (*name, Some(value.as_str())));
        assert_eq!(refusal(&changes).code, "ValidationError");
    }
}

#[test]
fn a_token_is_never_shown() {
    let long = TOKEN.repeat(2_000);
    let refusal = refusal(&[("WebIdentityToken", Some(&long))]);
    assert!(!refusal.message.contains("secret") && !refusal.reason.contains("secret"));
}

#[test]
fn session_policies_have_limits() {
    for (changes, code) in [
        (vec![("Policy", "{")], "MalformedPolicyDocument"),
        (vec![("Policy", "[]")], "MalformedPolicyDocument"),
        (vec![("Policy", "{}")], "MalformedPolicyDocument"),
        (vec![("Policy", "\u{20AC}")], "ValidationError"),
        (vec![("Policy", "")], "ValidationError"),
        (vec![("DurationSeconds", "an hour")], "MalformedInput"),
        (vec![("DurationSeconds", "99999999999")], "MalformedInput"),
    ] {
        let changes: Vec<_> = changes
            .into_iter()
            .map(|(name, value)| (name, Some(value)))
            .collect();
        assert_eq!(refusal(&changes).code, code);
    }
    let arn = format!("arn:aws:iam::aws:policy/{}", "a".repeat(400));
    let names: Vec<_> = (1..=11)
        .map(|n| format!("PolicyArns.member.{n}.arn"))
        .collect();
    let with = |count: usize, arn: &str| {
        let changes: Vec<_> = names[..count]
            .iter()
            .map(|name| (name.as_str(), Some(arn)))
            .collect();
        AssumeRole::read(&params(&changes)).map(|read| read.policy_arns.len())
    };
    let short = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    assert_eq!(with(10, short).unwrap(), 10);
    assert_eq!(with(11, short).unwrap_err().code, "ValidationError");
    assert_eq!(with(5, &arn).unwrap_err().code, "PackedPolicyTooLarge");
    assert_eq!(with(1, "arn").unwrap_err().code, "ValidationError");
}

#[test]
fn operations_are_found_by_action_and_version() {
    let find = |query: &str| Params::parse(query, b"").unwrap().operation();
    assert_eq!(
        find("Action=GetCallerIdentity&Version=2011-06-15").unwrap(),
        Operation::GetCallerIdentity
    );
    for (query, code, message) in [
        (
            "",
            "MissingAction",
            "The request is missing an Action parameter",
        ),
        (
            "Action=AssumeNothing&Version=2011-06-15",
            "InvalidAction",
            "Could not find operation AssumeNothing for version 2011-06-15",
        ),
        (
            "Action=GetCallerIdentity",
            "InvalidAction",
            "Could not find operation GetCallerIdentity for version NO_VERSION_SPECIFIED",
        ),
    ] {
        let refusal = find(query).unwrap_err();
        assert_eq!((refusal.code, refusal.message.as_str()), (code, message));
    }
}

#[test]
fn a_parameter_counts_once() {
    for (query, body) in [("a=1&a=2", ""), ("a=1", "a=1"), ("", "a&a")] {
        let Err(refusal) = Params::parse(query, body.as_bytes()).map(drop) else {
            panic!("{query} {body}")
        };
        assert_eq!(refusal.code, "MalformedQueryString");
    }
    let many: Vec<_> = (0..193).map(|n| n.to_string()).collect();
    assert!(Params::parse(&many.join("&"), b"").is_err());
    assert!(Params::parse(&many[..192].join("&"), b"").is_ok());
}
