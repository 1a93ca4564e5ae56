//! `idp aws lint`.

use predicates::{prelude::PredicateBooleanExt as _, str::contains};
use serde_json::{Value, json};

use super::Place;

fn policy(conditions: &Value) -> String {
    json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": { "Federated": "arn:aws:iam::123456789012:oidc-provider/idp.example.com" },
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": conditions,
    }] })
    .to_string()
}

#[test]
fn findings_are_an_exit_code_of_their_own() {
    let place = Place::new();
    let narrow = place.write(
        "narrow.json",
        &policy(&json!({ "StringEquals": {
            "idp.example.com:aud": "sts.amazonaws.com", "idp.example.com:sub": "org:1/env:2" } })),
    );
    place
        .idp(["aws", "lint", "--trust-policy", narrow.to_str().unwrap()])
        .assert()
        .success()
        .stdout("")
        .stderr(contains("nothing found"));
    let wide = place.write(
        "wide.json",
        &policy(&json!({ "StringLike": { "idp.example.com:sub": "org:*" } })),
    );
    let wide = wide.to_str().unwrap();
    place
        .idp(["aws", "lint", "--trust-policy", wide])
        .assert()
        .code(7)
        .stdout(contains(format!("{wide}:1:")).and(contains("error [sub-any]")))
        .stderr(contains("error: 2 findings"));
    for arguments in [
        vec!["--json", "aws", "lint", "--trust-policy", wide],
        vec!["aws", "lint", "--format", "json", "--trust-policy", wide],
    ] {
        let output = place.idp(arguments).assert().code(7);
        let findings: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
        assert_eq!(findings[0]["code"], "sub-any");
        assert_eq!(findings[1]["code"], "no-aud-condition");
    }
}

/// The parts of SARIF 2.1.0 (§3.13 to §3.30) that code hosts require.
#[test]
fn sarif_has_what_code_hosts_read() {
    let place = Place::new();
    let wide = place.write(
        "wide.json",
        &policy(&json!({ "StringLike": { "idp.example.com:sub": "*" } })),
    );
    let output = place
        .idp([
            "aws",
            "lint",
            "--format",
            "sarif",
            "--trust-policy",
            wide.to_str().unwrap(),
        ])
        .assert()
        .code(7);
    let log: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    assert!(
        log["$schema"]
            .as_str()
            .unwrap()
            .ends_with("sarif-schema-2.1.0.json")
    );
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert!(!results.is_empty());
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        assert!(result["message"]["text"].is_string());
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].is_string());
        assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
        assert!(place["region"]["startColumn"].as_u64().unwrap() >= 1);
    }
}
