//! Trust, permission and session policies as the commands print them.

use serde_json::json;

use super::{ACCOUNT, ENVIRONMENT, ISSUER, ORG, PROJECT, Place, idp, trust_policy};
use crate::support::{infrastructure_python, python_json};

#[test]
fn a_trust_policy_is_ready_to_use() {
    assert_eq!(
        trust_policy(&["--project", PROJECT, "--session-tags"]),
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {
                    "Federated": format!("arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example.com")
                },
                "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"],
                "Condition": {
                    "StringEquals": { "idp.example.com:aud": "sts.amazonaws.com" },
                    "StringLike": {
                        "idp.example.com:sub": format!("org:{ORG}/prj:{PROJECT}/env:*")
                    }
                }
            }]
        })
    );
    let one = trust_policy(&["--environment", ENVIRONMENT, "--project", PROJECT]);
    assert_eq!(
        one["Statement"][0]["Condition"]["StringEquals"]["idp.example.com:sub"],
        format!("org:{ORG}/prj:{PROJECT}/env:{ENVIRONMENT}")
    );
}

#[test]
fn what_cannot_be_is_a_usage_error() {
    let base = ["aws", "trust-policy", "--issuer", ISSUER, "--org", ORG];
    for (more, says) in [
        (&[][..], "--account"),
        (&["--account", "1234"], "twelve digits"),
        (
            &["--account", ACCOUNT, "--source-vpce", "vpce-*"],
            "not the id of a VPC endpoint",
        ),
        (
            &[
                "--account",
                ACCOUNT,
                "--source-vpce",
                "vpce-0123456789",
                "--source-ip",
                "10.0.0.0/8",
            ],
            "cannot be used with",
        ),
        (&["--show", "permissions"], "need --actions"),
        (&["--account", ACCOUNT, "--project", "*"], "project id"),
    ] {
        idp(&[&base[..], more].concat()).exits(2).says(&[says]);
    }
    idp(&["aws", "trust-policy", "--account", ACCOUNT, "--org", ORG])
        .exits(2)
        .says(&["the issuer is not known", "--issuer"]);
}

#[test]
fn parliament_finds_nothing_in_permission_and_session_policies() {
    let Some(python) = infrastructure_python() else {
        return;
    };
    let place = Place::new();
    let mut files = Vec::new();
    for show in ["permissions", "session"] {
        let actions = place.text("actions.txt");
        let policy = idp(&[
            "aws",
            "trust-policy",
            "--org",
            ORG,
            "--issuer",
            ISSUER,
            "--actions",
            &actions,
            "--show",
            show,
        ]);
        files.push(place.write(&format!("{show}.json"), &policy.ok().stdout));
    }
    let broad = place.write("broad.json", r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket"}]}"#);
    let mut arguments: Vec<_> = files.iter().map(String::as_str).collect();
    arguments.push(&broad);
    let found = python_json(
        &python,
        "infrastructure/parliament_findings.py",
        &arguments,
        &[],
    );
    for file in &files {
        assert_eq!(found[file], json!([]), "{file}");
    }
    assert_ne!(found[&broad], json!([]), "parliament looks at all");
}
