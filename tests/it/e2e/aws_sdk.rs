//! boto3 finds credentials by itself in each of the ways that `idp` serves.

use std::fs;

use serde_json::Value;

use super::dev::{Dev, ROLE};
use crate::support::python;

/// Runs `tests/python/caller.py` in the shell of `dev` after `script`.
#[track_caller]
fn caller(dev: &Dev, script: &str) -> Value {
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/caller.py");
    dev.run(&format!("{script}\npython '{python}'")).ok().json()
}

#[test]
fn a_token_file_is_exchanged_by_boto3_itself() {
    if python().is_none() {
        return;
    }
    let dev = Dev::start();
    let found = caller(
        &dev,
        &format!(
            "idp token > \"$IDP_HOME/token\"
             export AWS_WEB_IDENTITY_TOKEN_FILE=\"$IDP_HOME/token\" AWS_ROLE_ARN={ROLE}
             export AWS_ROLE_SESSION_NAME=by-itself
             # Without it, so that boto3 has only the token.
             export AWS_SHARED_CREDENTIALS_FILE=/nonexistent"
        ),
    );
    assert_eq!(found["method"], "assume-role-with-web-identity");
    assert_eq!(
        found["arn"],
        "arn:aws:sts::000000000000:assumed-role/demo/by-itself"
    );
}

#[test]
fn a_credential_process_is_asked_and_survives_a_restart_of_the_local_sts() {
    if python().is_none() {
        return;
    }
    let mut dev = Dev::start();
    fs::write(
        dev.path().join("aws/config"),
        format!(
            "[profile process]\nregion = us-east-1\n\
             credential_process = idp aws credential-process --role-arn {ROLE}\n"
        ),
    )
    .unwrap();
    let first = caller(&dev, "export AWS_PROFILE=process");
    assert_eq!(first["method"], "custom-process");
    let arn = first["arn"].as_str().unwrap();
    assert!(arn.contains(":assumed-role/demo/"), "{arn}");
    let cached = caller(&dev, "export AWS_PROFILE=process");
    assert_eq!(cached["access_key"], first["access_key"]);

    // A local STS that starts anew does not know the sessions of the one before it.
    dev.restart();
    let third = caller(&dev, "export AWS_PROFILE=process");
    assert_eq!(third["arn"], first["arn"]);
}

#[test]
fn a_written_profile_is_found() {
    if python().is_none() {
        return;
    }
    let dev = Dev::start();
    let login = format!("idp login aws --role-arn {ROLE} -p other --role-session-name written");
    let found = caller(&dev, &format!("{login}\nexport AWS_PROFILE=other"));
    assert_eq!(found["method"], "shared-credentials-file");
    assert_eq!(
        found["arn"],
        "arn:aws:sts::000000000000:assumed-role/demo/written"
    );
}
