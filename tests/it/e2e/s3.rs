//! S3, which is moto's: publication and checkpoints there.

use std::process::Command;

use serde_json::Value;

use super::{installation::Installation, ran::Ran};
use crate::support::{Moto, moto_server, python, python_json};

fn installation(audit: &str) -> Installation {
    Installation::new(|port| {
        format!(
            "issuer = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             keys.algorithm = \"ES256\"\n{audit}"
        )
    })
}

fn with_aws<'c>(command: &'c mut Command, moto: &Moto) -> &'c mut Command {
    command
        .env("AWS_ENDPOINT_URL_S3", &moto.url)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_REGION", "eu-central-1")
        .env("IDP_CONFIG", "idp.toml")
}

/// What boto3 sees in the bucket, which it makes where it is missing.
fn bucket(moto: &Moto, name: &str) -> Value {
    let environment = [
        ("AWS_ENDPOINT_URL", moto.url.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ];
    python_json(&python().unwrap(), "objects.py", &[name], &environment)
}

#[test]
fn documents_are_published_as_the_server_serves_them() {
    let Some(moto) = moto_server() else { return };
    let mut installation = installation("");
    let run = |place: &str| {
        let mut command = installation.idp(&format!("--json publish {place}"));
        Ran::of(with_aws(&mut command, &moto))
    };
    run("s3://my-issuer/a/b")
        .exits(6)
        .says(&["NoSuchBucket", "make the bucket"]);
    run("s3://no")
        .exits(2)
        .says(&["write one like s3://bucket"]);
    assert_eq!(bucket(&moto, "my-issuer"), serde_json::json!({}));
    let wrote = "wrote s3://my-issuer/a/b/.well-known/jwks.json";
    let summary = run("s3://my-issuer/a/b").ok().says(&[wrote]);
    let files = summary.json()["files"].clone();
    assert_eq!(
        files[1],
        "s3://my-issuer/a/b/.well-known/openid-configuration"
    );

    let objects = bucket(&moto, "my-issuer");
    installation.start();
    for (name, cache) in [
        (".well-known/jwks.json", "public, max-age=300"),
        (".well-known/openid-configuration", "public, max-age=3600"),
    ] {
        let object = &objects[format!("a/b/{name}")];
        assert_eq!(object["content_type"], "application/json", "{objects}");
        assert_eq!(object["cache_control"], cache);
        assert_eq!(
            object["body"].as_str().unwrap().as_bytes(),
            installation.get(name)
        );
    }
}

#[test]
fn checkpoints_are_written_to_s3_and_verified_from_there() {
    let Some(moto) = moto_server() else { return };
    bucket(&moto, "my-audit");
    let mut installation = installation("audit.checkpoints = \"s3://my-audit/logs\"\n");
    installation.start_as(|command| {
        with_aws(command, &moto);
    });
    installation.run("admin audit checkpoint").ok();
    let made = installation.run("admin audit checkpoint").ok();
    made.says(&["wrote s3://my-audit/logs/0000000000"]);
    let mut verify = installation.idp("--json admin audit verify --checkpoints s3://my-audit/logs");
    let checked = Ran::of(with_aws(&mut verify, &moto)).ok().json();
    assert_eq!(checked["findings"], 0, "{checked}");
    assert!(checked["checkpoints"]["count"].as_u64().unwrap() >= 2);
    let objects = bucket(&moto, "my-audit");
    assert!(
        objects["logs/000000000001.jws"]["body"].is_string(),
        "{objects}"
    );
}
