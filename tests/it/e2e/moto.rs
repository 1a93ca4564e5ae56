//! The exchange at an STS that is not ours.

use std::fs;

use super::dev::Dev;
use crate::support::moto_server;

#[test]
fn a_login_at_moto_makes_and_lists_a_bucket() {
    let Some(moto) = moto_server() else { return };
    let dev = Dev::start();
    let role = "arn:aws:iam::123456789012:role/builder";
    dev.run(&format!(
        "idp login aws --endpoint-url {} --role-arn {role} -p moto",
        moto.url
    ))
    .ok()
    .says(&[role, "profile moto", "expire at"]);
    let file = fs::read_to_string(dev.path().join("aws/credentials")).unwrap();
    assert!(file.contains("[moto]"), "{file}");

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/bucket.py");
    let made = dev
        .run(&format!(
            "unset AWS_ENDPOINT_URL_STS
             export AWS_PROFILE=moto AWS_ENDPOINT_URL={}
             python '{script}' made-after-login",
            moto.url
        ))
        .ok()
        .json();
    assert_eq!(made["buckets"], serde_json::json!(["made-after-login"]));
    assert_eq!(made["method"], "shared-credentials-file");
    let arn = made["arn"].as_str().unwrap();
    assert!(
        arn.starts_with("arn:aws:sts::123456789012:assumed-role/builder/"),
        "{arn}"
    );
}
