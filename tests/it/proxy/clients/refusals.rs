//! What is refused: the reason is shown by every client, in the shape of every protocol, after one
//! attempt.

use serde_json::Value;

use super::{
    sdk::{before_moto, boto, cli, javascript},
    stage::{Stage, Way},
};
use crate::support::moto_server;

/// The protocols, the operations that the scripts ask for in each, and the rules that refuse them.
const REFUSED: [(&str, &str, &str); 8] = [
    ("s3", "GetObject", "no forbidden bucket"),
    ("s3-head", "HeadObject", "no forbidden bucket"),
    ("query", "ListUsers", "no users"),
    ("ec2", "DescribeInstances", "no users"),
    ("json", "DeleteTable", "no forbidden tables"),
    ("rest-json", "GetAccountSettings", "no users"),
    ("rest-xml", "ListHostedZones", "no users"),
    ("cbor", "ListDashboards", "no users"),
];

/// Every client asked once, and nothing but the refusals left a trace.
#[track_caller]
fn one_attempt_each(stage: &Stage, refusals: &Value, way: Way) {
    for (protocol, operation, rule) in REFUSED {
        let refusal = &refusals[protocol];
        if refusal.is_null() {
            continue;
        }
        let context = format!("{way:?} {protocol}: {refusals:#}\n{}", stage.log());
        assert_eq!(refusal["attempts"], 1, "{context}");
        let status = refusal["status"].as_u64().unwrap_or_default();
        assert!((400..404).contains(&status), "{context}");
        if protocol != "s3-head" {
            let message = refusal["message"].as_str().unwrap_or_default();
            assert!(message.contains(rule), "{context}");
        }
        let records = stage.answered(1, |record| record["operation"] == operation);
        assert_eq!(records[0]["decision"], "block", "{context}");
        assert_eq!(records[0]["rule"], rule, "{context}");
    }
    assert!(stage.cloud.seen().is_empty(), "nothing reaches AWS");
    assert!(stage.sts.seen().is_empty(), "no credential is asked for");
}

#[test]
fn boto3_shows_the_reason_after_one_attempt_in_every_protocol() {
    let Some(moto) = moto_server() else { return };
    for way in [Way::Intercepted, Way::Endpoint] {
        let stage = before_moto(&moto);
        let refusals = boto(&stage, way, "refusals.py", &[]).unwrap();
        one_attempt_each(&stage, &refusals, way);
        assert_eq!(refusals["s3-head"]["code"], "403");
    }
}

#[test]
fn the_javascript_sdk_shows_the_reason_after_one_attempt_in_every_protocol() {
    let Some(moto) = moto_server() else { return };
    for way in [Way::Intercepted, Way::Endpoint] {
        let stage = before_moto(&moto);
        let Some(refusals) = javascript(&stage, way, &["refusals"]) else {
            return;
        };
        one_attempt_each(&stage, &refusals, way);
    }
}

#[test]
fn the_aws_cli_shows_the_reason_after_one_attempt_in_every_protocol() {
    let Some(moto) = moto_server() else { return };
    let commands: [(&str, &str, &str); 6] = [
        ("s3 cp s3://forbidden/k -", "HeadObject", "403"),
        (
            "s3api get-object --bucket forbidden --key k /dev/null",
            "GetObject",
            "no forbidden bucket",
        ),
        ("iam list-users", "ListUsers", "no users"),
        ("ec2 describe-instances", "DescribeInstances", "no users"),
        (
            "dynamodb delete-table --table-name forbidden",
            "DeleteTable",
            "no forbidden tables",
        ),
        ("cloudwatch list-dashboards", "ListDashboards", "no users"),
    ];
    let lines: Vec<Vec<&str>> = commands.map(|(line, ..)| line.split(' ').collect()).into();
    let lines: Vec<&[&str]> = lines.iter().map(Vec::as_slice).collect();
    for way in [Way::Intercepted, Way::Endpoint] {
        let stage = before_moto(&moto);
        let ran = cli(&stage, way, &lines).unwrap();
        for ((line, operation, reason), ran) in commands.iter().zip(&ran) {
            assert_ne!(ran["code"], 0, "{way:?} {line}");
            let said = ran["err"].as_str().unwrap();
            assert!(
                said.contains(reason),
                "{way:?} {line}: {said}\n{}",
                stage.log()
            );
            if *operation != "HeadObject" {
                stage.answered(1, |record| record["operation"] == *operation);
            }
        }
        assert!(stage.cloud.seen().is_empty());
    }
}
