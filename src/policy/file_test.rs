//! What is said of a rules file.

use crate::policy::{Rules, Severity};

fn read(text: &str) -> Result<Rules, crate::policy::RulesError> {
    Rules::parse(text, "r.toml", &|name| {
        match name {
        "small.json" => Ok(r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#.to_owned()),
        "broken.json" => Ok("{".to_owned()),
        _ => Err("no such file".to_owned()),
    }
    })
}

#[test]
fn every_mistake_is_reported_with_its_place_and_cure() {
    let text = r#"default_region = "europe"
sesion_name = "x"
ask_hold = "2m"
customer_hosts = ["evil.example.com"]
tunnel_hosts = ["*", "s3.amazonaws.com", "10.0.0.1"]
session_policy_file = "broken.json"

[[role]]
arn = "arn:aws:iam::123:role/x"
accounts = ["1"]
buckets = ["arn:aws:s3:::b"]

[[rule]]
name = "a"
effect = "deny"
actions = ["s3:GetObjct", "s33:Get*", "GetObject", "s*:Get"]
resources = ["arn:aws:s3", "bucket", "arn:aws:s3:us-east-1:123456789012:b/*", "arn:amazon:s3:::b", "arn:aws:dynamodb:*:12:table/t"]
methods = ["get"]
regions = ["useast1"]
paths = ["a"]
services = ["dynamo-db"]
hosts = ["https://x"]
colour = "red"

[[rule]]
name = "a"
effect = "allow"

[[rule]]
effect = "allow"
actions = []

[[use]]
preset = "read-only:s4"
[[use]]
preset = "read-only:*"
[[use]]
preset = "readonly:s3"
"#;
    let error = read(text).unwrap_err().to_string();
    for line in [
        "r.toml:1:18: default_region \"europe\" is no region; write one such as eu-west-1",
        "r.toml:2:1: \"sesion_name\" is no member of a rules file; did you mean session_name?",
        "r.toml:3:12: ask_hold \"2m\" is longer than clients wait; write at most 45s",
        "r.toml:4:19: customer_hosts has \"evil.example.com\", which is in no domain of AWS",
        "r.toml:5:17: tunnel_hosts has \"*\", which is wider than a domain",
        "r.toml:5:22: tunnel_hosts has \"s3.amazonaws.com\", which is in a domain of AWS",
        "r.toml:5:42: tunnel_hosts has \"10.0.0.1\", which is an address",
        "r.toml:6:23: session_policy_file \"broken.json\": line 1, column 2: not JSON",
        "r.toml:9:7: arn: \"123\" is not an AWS account id: twelve digits",
        "r.toml:10:13: accounts has \"1\", which is no account id",
        "r.toml:11:12: buckets has \"arn:aws:s3:::b\", which is no bucket's name",
        "r.toml:15:10: \"deny\" is no effect; did you mean block?",
        "r.toml:16:12: \"s3:GetObjct\" is no action of s3; did you mean s3:GetObject?",
        "r.toml:16:27: \"s33:Get*\": no service has actions that begin with s33:; did you mean s3:Get*?",
        "r.toml:16:39: \"GetObject\" is no IAM action; write SERVICE:ACTION",
        "r.toml:16:52: \"s*:Get\" has a wildcard before the colon",
        "r.toml:17:14: \"arn:aws:s3\" is no ARN: it has fewer than six fields",
        "r.toml:17:28: \"bucket\" is no ARN",
        "can match nothing: ARNs of buckets and objects have neither region nor account; write arn:aws:s3:::b/*",
        "can match nothing: \"amazon\" is no partition",
        "can match nothing: \"12\" is no account id",
        "r.toml:18:12: methods has \"get\", which is none; did you mean GET?",
        "r.toml:19:12: regions \"useast1\" is no region",
        "r.toml:20:10: paths has \"a\", which does not begin with \"/\"; write \"/a\"",
        "r.toml:21:13: services has \"dynamo-db\", which is none; did you mean dynamodb?",
        "r.toml:22:10: hosts has \"https://x\", which is no host",
        "r.toml:23:1: \"colour\" is no member of [[rule]]",
        "r.toml:26:8: the rule in line 14 has the name \"a\" too",
        "r.toml:25:1: this rule would allow everything",
        "r.toml:29:1: [[rule]] has no name; write name = \"what it is for\"",
        "r.toml:31:11: actions is an empty list",
        "r.toml:34:10: there is no preset \"read-only:s4\": no service has such IAM actions; did you mean read-only:s3?",
        "there is no preset for all services",
        "there is no preset \"readonly:s3\"; there is read-only:SERVICE",
    ] {
        assert!(error.contains(line), "{line}\n--- is missing in\n{error}");
    }
    let lines: Vec<usize> = read(text)
        .unwrap_err()
        .findings
        .iter()
        .map(|finding| finding.line)
        .collect();
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn no_syntax_is_no_rules() {
    let error = read("[[rule]\nname = ").unwrap_err().to_string();
    assert!(error.starts_with("r.toml:1:"), "{error}");
}

#[test]
fn what_seems_to_do_something_else_is_told() {
    for (text, severity, says) in [
        (
            "[[rule]]\nname = \"a\"\neffect = \"allow\"\nactions = [\"secretsmanager:*\"]",
            Severity::Note,
            "4:12: \"secretsmanager:*\" leaves out secretsmanager:",
        ),
        (
            "[[rule]]\nname = \"a\"\neffect = \"allow\"\nactions = [\"s3:GetObject\"]\n\
             [[rule]]\nname = \"b\"\neffect = \"block\"\nactions = [\"s3:*\"]",
            Severity::Warning,
            "1:1: the rule \"a\" can never match: all that it is about is blocked by the rule \"b\" in line 5",
        ),
        (
            "[[rule]]\nname = \"a\"\neffect = \"allow\"\nactions = [\"s3:GetObject\"]\nresources = [\"arn:aws:s3:::b\"]",
            Severity::Warning,
            "its actions act on objects, and its resources are buckets; write arn:aws:s3:::BUCKET/*",
        ),
        (
            "[[rule]]\nname = \"a\"\neffect = \"allow\"\nactions = [\"s3:ListBucket\"]\nresources = [\"arn:aws:s3:::b/*\"]",
            Severity::Warning,
            "its actions act on buckets",
        ),
        (
            "[[rule]]\nname = \"a\"\neffect = \"allow\"\nactions = [\"s3:Get*\"]\nresources = [\"arn:aws:dynamodb:*:*:table/t\"]",
            Severity::Warning,
            "none of its actions acts on arn:aws:dynamodb",
        ),
        (
            "customer_hosts = [\"*.execute-api.eu-west-1.amazonaws.com\"]",
            Severity::Warning,
            "anybody can make such a host",
        ),
        (
            "[[role]]\narn = \"arn:aws:iam::123456789012:role/x\"\n[[rule]]\nname = \"a\"\neffect = \"allow\"\nservices = [\"s3\"]",
            Severity::Note,
            "get no session policy, because the rule \"a\"",
        ),
    ] {
        let rules = read(text).unwrap();
        let found = rules
            .findings()
            .iter()
            .any(|finding| finding.severity == severity && finding.to_string().contains(says));
        assert!(found, "{says}: {:?}", rules.findings());
        assert_eq!(rules.has_warnings(), severity == Severity::Warning);
    }
}

#[test]
fn hosts_are_allowed_by_name() {
    let rules = read(
        "customer_hosts = [\"abc.execute-api.eu-west-1.amazonaws.com\"]\n\
         tunnel_hosts = [\"pypi.org\", \"*.example.com\"]",
    )
    .unwrap();
    assert!(rules.allows_customer_host("abc.execute-api.eu-west-1.amazonaws.com"));
    assert!(!rules.allows_customer_host("abd.execute-api.eu-west-1.amazonaws.com"));
    for (host, tunnelled) in [
        ("pypi.org", true),
        ("evilpypi.org", false),
        ("a.example.com", true),
        ("example.com", false),
        ("s3.amazonaws.com", false),
        ("169.254.169.254", false),
    ] {
        assert_eq!(rules.tunnels(host), tunnelled, "{host}");
    }
}

#[test]
fn a_session_policy_of_a_file_is_taken_as_it_is() {
    let rules = read(
        "session_policy_file = \"small.json\"\n[[role]]\narn = \"arn:aws:iam::123456789012:role/x\"\n\
         [[rule]]\nname = \"a\"\neffect = \"allow\"\nactions = [\"s3:GetObject\"]",
    )
    .unwrap();
    let role = rules.roles().next().unwrap();
    assert!(role.session_policy().unwrap().contains("\"s3:*\""));
}

#[test]
fn allow_rules_become_a_session_policy() {
    let rules = read(
        "[[role]]\narn = \"arn:aws:iam::123456789012:role/x\"\n\
         [[rule]]\nname = \"a\"\neffect = \"allow\"\nactions = [\"s3:GetObject\"]\nresources = [\"arn:aws:s3:::b/*\"]\nregions = [\"eu-west-1\"]\n\
         [[rule]]\nname = \"b\"\neffect = \"allow\"\nactions = [\"secretsmanager:*\", \"secretsmanager:ListSecrets\"]\n\
         [[rule]]\nname = \"c\"\neffect = \"block\"\nactions = [\"s3:GetObject\", \"sqs:*\"]\nresources = [\"arn:aws:s3:::b/private/*\"]",
    )
    .unwrap();
    let policy = rules
        .roles()
        .next()
        .unwrap()
        .session_policy()
        .unwrap()
        .to_string();
    for part in [
        r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}}"#,
        r#"{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*"}"#,
        r#""secretsmanager:GetSecretValue""#,
        r#"{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/private/*"}"#,
    ] {
        assert!(policy.contains(part), "{part}\n{policy}");
    }
    let off = read(
        "compile_session_policy = false\n[[role]]\narn = \"arn:aws:iam::123456789012:role/x\"\n\
         [[rule]]\nname = \"a\"\neffect = \"allow\"\nactions = [\"s3:GetObject\"]",
    )
    .unwrap();
    assert_eq!(off.roles().next().unwrap().session_policy(), None);
}
