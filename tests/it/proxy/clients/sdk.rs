//! boto3, the AWS CLI and the AWS SDK for JavaScript through every way in, without a real credential.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::{
    bucket::Bucket,
    cloud::Cloud,
    relay::{Keyring, Relay},
    stage::{RULES, Stage, Way},
};
use crate::{
    e2e::dev::{Dev, ROLE},
    support::{
        MiniStack, Moto, clean_command, ministack_server, moto_server, node, python, python_json,
    },
};

/// What a client that works gets from each service.
fn expected() -> Value {
    json!({
        "s3": {
            "read": "0123456789",
            "metadata": {"colour": "blue"},
            "range": "234",
            "copy": "0123456789",
            "large": true,
            "listed": ["a b+é/%2F@=:~$?.txt", "copy", "large"],
            "left": 0,
        },
        "iam": true,
        "dynamodb": "1",
        "sqs": "a message + é",
        "sns": true,
        "sts": "arn:aws:sts::123456789012",
        "ec2": "10.1.0.0/16",
        "cloudwatch": ["m"],
        "logs": [true],
        "secretsmanager": "not really",
        "kms": "plain",
        "stepfunctions": true,
    })
}

fn script(name: &str) -> String {
    format!("{}/tests/python/proxied/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs a client and reads the JSON value that it prints.
#[track_caller]
fn printed(command: &mut Command, stage: &Stage) -> Value {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        stage.log()
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(super) fn boto(stage: &Stage, way: Way, name: &str, arguments: &[&str]) -> Option<Value> {
    let mut command = clean_command(python()?);
    command.arg(script(name)).args(arguments);
    stage.on(way, command.env("PYTHONDONTWRITEBYTECODE", "1"));
    Some(printed(&mut command, stage))
}

pub(super) fn javascript(stage: &Stage, way: Way, arguments: &[&str]) -> Option<Value> {
    let mut command = node("use.cjs")?;
    command.args(arguments);
    if way == Way::Intercepted {
        command.env("IDP_TEST_AGENT", "1");
    }
    stage.on(way, &mut command);
    Some(printed(&mut command, stage))
}

/// Runs commands of the AWS CLI; each answers `code`, `out` and `err`.
pub(super) fn cli(stage: &Stage, way: Way, commands: &[&[&str]]) -> Option<Vec<Value>> {
    let python = python()?;
    let file = stage.home().join("commands.json");
    fs::write(&file, json!(commands).to_string()).unwrap();
    let mut command = clean_command(python);
    command.arg(script("cli.py")).arg(&file);
    stage.on(way, command.env("PYTHONDONTWRITEBYTECODE", "1"));
    printed(&mut command, stage).as_array().cloned()
}

/// A stage on which moto answers. Signatures of every service but S3 are verified on the way.
pub(super) fn before_moto(moto: &Moto) -> Stage {
    let keys = Keyring::default();
    Stage::new(&keys, Relay::to(&moto.url).verifying(&keys))
}

/// Neither the proxy's key nor what belongs to the dummy signature goes on, and everything that was
/// sent is recorded.
#[track_caller]
fn nothing_leaked(stage: &Stage) {
    let key = stage.key();
    let seen = stage.cloud.seen();
    assert!(!seen.is_empty());
    for request in &seen {
        assert!(!format!("{request:?}").contains(&key), "{request:?}");
        let authorization = request.headers["authorization"].to_str().unwrap();
        assert!(authorization.contains("Credential=ASIA"), "{request:?}");
        assert!(request.headers.contains_key("x-amz-security-token"));
        assert!(!request.headers.contains_key("proxy-authorization"));
        assert_eq!(request.headers["host"], *request.host, "{request:?}");
        assert!(!request.target.contains("X-Amz-Credential"), "{request:?}");
    }
    let allowed = |record: &Value| record["decision"] == "allow";
    stage.answered(seen.len(), allowed);
}

#[test]
fn boto3_uses_twelve_services_by_every_way() {
    let Some(moto) = moto_server() else { return };
    let stage = before_moto(&moto);
    for (way, name) in [
        (Way::Intercepted, "intercepted"),
        (Way::Absolute, "absolute"),
        (Way::Endpoint, "endpoint"),
    ] {
        let mut results = boto(&stage, way, "boto.py", &[name]).unwrap();
        let all = results.as_object_mut().unwrap();
        assert_eq!(all.remove("lambda").unwrap(), "main.handler", "{way:?}");
        let s3 = all["s3"]
            .as_object_mut()
            .unwrap_or_else(|| panic!("{way:?}"));
        assert_eq!(s3.remove("range_status").unwrap(), 206);
        assert_eq!(s3.remove("length").unwrap(), 6 << 20);
        assert_eq!(s3.remove("gone").unwrap(), "NoSuchKey");
        assert_eq!(results, expected(), "{way:?}");
    }
    nothing_leaked(&stage);
    let seen = stage.sts.seen();
    assert_eq!(seen.len(), 1, "one session serves all: {seen:#?}");
}

#[test]
fn the_javascript_sdk_uses_twelve_services_by_agent_and_by_endpoint() {
    let Some(moto) = moto_server() else { return };
    let stage = before_moto(&moto);
    for (way, name) in [
        (Way::Intercepted, "intercepted"),
        (Way::Endpoint, "endpoint"),
    ] {
        let Some(mut results) = javascript(&stage, way, &["use", name]) else {
            return;
        };
        let all = results.as_object_mut().unwrap();
        assert_eq!(all.remove("lambda").unwrap(), json!([]), "{way:?}");
        assert_eq!(results, expected(), "{way:?}");
    }
    nothing_leaked(&stage);
}

/// The AWS CLI 1 asks SQS at its first address, over https, whatever `AWS_ENDPOINT_URL` says.
fn endpoint_of_queues(stage: &Stage, way: Way) -> Option<String> {
    match way {
        Way::Intercepted => None,
        Way::Absolute => Some("http://sqs.us-east-1.amazonaws.com".to_owned()),
        Way::Endpoint => Some(format!("http://127.0.0.1:{}", stage.port)),
    }
}

#[test]
fn the_aws_cli_uses_twelve_services_by_every_way() {
    let Some(moto) = moto_server() else { return };
    let stage = before_moto(&moto);
    let large = stage.home().join("large");
    let back = stage.home().join("back");
    let content: Vec<u8> = (0..9 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    fs::write(&large, &content).unwrap();
    let (large, back) = (large.to_str().unwrap(), back.to_str().unwrap());
    for way in [Way::Intercepted, Way::Absolute, Way::Endpoint] {
        let bucket = format!("cli-{}", format!("{way:?}").to_lowercase());
        let url = |key: &str| format!("s3://{bucket}/{key}");
        let (there, copy, made) = (url("a b+é"), url("copy"), format!("s3://{bucket}"));
        let queues = endpoint_of_queues(&stage, way);
        let mut list_queues = vec!["sqs", "list-queues"];
        list_queues.extend(queues.iter().flat_map(|url| ["--endpoint-url", url]));
        let commands: Vec<Vec<&str>> = [
            vec!["s3", "mb", &made],
            vec!["s3", "cp", large, &there],
            vec!["s3", "cp", &there, &copy],
            vec!["s3", "cp", &copy, back],
            vec!["s3", "rm", &there],
            vec!["s3", "ls", &made],
        ]
        .into_iter()
        .chain([list_queues])
        .chain(
            [
                "dynamodb list-tables",
                "sns list-topics",
                "lambda list-functions",
                "sts get-caller-identity",
                "ec2 describe-vpcs",
                "iam get-role --role-name nobody",
                "cloudwatch list-metrics",
                "logs describe-log-groups",
                "secretsmanager list-secrets",
                "kms list-keys",
                "stepfunctions list-state-machines",
            ]
            .map(|line| line.split(' ').collect()),
        )
        .collect();
        let commands: Vec<&[&str]> = commands.iter().map(Vec::as_slice).collect();
        let ran = cli(&stage, way, &commands).unwrap();
        for (command, ran) in commands.iter().zip(&ran) {
            // A role that is not there is moto's answer, untouched.
            if command[0] == "iam" {
                let said = ran["err"].as_str().unwrap();
                assert!(said.contains("NoSuchEntity"), "{way:?} {said}");
            } else {
                assert_eq!(
                    ran["code"],
                    0,
                    "{way:?} {command:?} {ran:#}\n{}",
                    stage.log()
                );
            }
        }
        assert!(fs::read(back).unwrap() == content, "{way:?}");
        let listed = ran[5]["out"].as_str().unwrap();
        assert!(
            listed.contains(" copy") && !listed.contains("a b"),
            "{listed}"
        );
        fs::remove_file(back).unwrap();
    }
    nothing_leaked(&stage);
}

/// A `MiniStack` with a role that trusts the issuer and may do everything.
fn with_role(mini: &MiniStack, dev: &Dev) {
    let issuer = dev.issuer();
    let environment = [
        ("AWS_ENDPOINT_URL", mini.url.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ];
    let issuer = issuer.strip_prefix("http://").unwrap();
    let python = python().unwrap();
    python_json(&python, "proxied/role.py", &[ROLE, issuer], &environment);
}

#[test]
fn ministack_finds_every_signature_right() {
    let Some(mini) = ministack_server() else {
        return;
    };
    if python().is_none() {
        return;
    }
    let dev = Dev::start();
    with_role(&mini, &dev);
    let sts = Cloud::plain(Relay::to(&mini.url));
    let cloud = Cloud::start(Relay::to(&mini.url));
    let stage = Stage::with(dev, sts, cloud, RULES, ROLE);
    for way in [Way::Intercepted, Way::Endpoint] {
        let name = format!("mini-{}", format!("{way:?}").to_lowercase());
        let mut results = boto(&stage, way, "boto.py", &[&name]).unwrap();
        let all = results.as_object_mut().unwrap();
        assert_eq!(all.remove("lambda").unwrap(), "main.handler", "{way:?}");
        let s3 = all["s3"]
            .as_object_mut()
            .unwrap_or_else(|| panic!("{way:?}"));
        for own in ["range_status", "length", "gone"] {
            s3.remove(own);
        }
        let mut expected = expected();
        expected["sts"] = json!("arn:aws:sts::000000000000");
        assert_eq!(results, expected, "{way:?}");
        let name = format!("{name}-js");
        let Some(results) = javascript(&stage, way, &["use", &name, "s3", "sqs", "dynamodb"])
        else {
            continue;
        };
        for service in ["s3", "sqs", "dynamodb"] {
            assert_eq!(results[service], expected[service], "{way:?}");
        }
    }
}

#[test]
fn s3s_finds_signatures_framings_and_checksums_right() {
    if python().is_none() {
        return;
    }
    let (keys, bucket) = (Keyring::default(), Bucket::default());
    let stage = Stage::new(&keys, bucket.server(&keys));
    let file = stage.home().join("file");
    fs::write(&file, "from a file").unwrap();
    for way in [Way::Intercepted, Way::Absolute, Way::Endpoint] {
        let bodies = boto(&stage, way, "framings.py", &[]).unwrap();
        for (key, length) in bodies.as_object().unwrap() {
            let stored = bucket
                .object(key)
                .unwrap_or_else(|| panic!("{way:?} {key}"));
            assert_eq!(json!(stored.length), *length, "{way:?} {key}");
        }
        // The SDK for JavaScript knows no HTTP_PROXY.
        if way != Way::Absolute
            && let Some(results) = javascript(&stage, way, &["use", "bucket", "s3"])
        {
            assert_eq!(results["s3"]["read"], "0123456789", "{results:#}");
            assert_eq!(results["s3"]["large"], true, "{results:#}");
        }
        let ran = cli(
            &stage,
            way,
            &[&["s3", "cp", file.to_str().unwrap(), "s3://bucket/cli"]],
        );
        assert_eq!(ran.unwrap()[0]["code"], 0, "{way:?}");
        assert_eq!(bucket.object("cli").unwrap().length, 11);
    }
    assert!(!keys.is_empty());
}

#[test]
fn a_credential_that_is_not_the_proxys_is_refused_by_every_client() {
    let Some(moto) = moto_server() else { return };
    let stage = before_moto(&moto);
    let mut command = clean_command(python().unwrap());
    command.arg(script("boto.py")).args(["n", "dynamodb", "s3"]);
    stage.on(Way::Endpoint, &mut command);
    command.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
    let results = printed(&mut command, &stage);
    for service in ["dynamodb", "s3"] {
        let said = results[service].as_str().unwrap();
        assert!(said.starts_with("ClientError"), "{said}");
    }
    assert!(stage.cloud.seen().is_empty());
}

/// A program that the tests need is there.
#[track_caller]
pub(super) fn is_there(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|dir| Path::new(&dir).join(program).is_file())
    });
    let ci = std::env::var("CI").unwrap_or_default();
    assert!(
        found || matches!(ci.as_str(), "" | "0" | "false"),
        "CI is set, but {program} is not installed: run scripts/test"
    );
    found
}
