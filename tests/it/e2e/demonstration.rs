//! `idp dev`: what a newcomer sees first.

use std::{fs, path::Path};

use serde_json::Value;

use super::{
    dev::{Dev, IDP, ROLE},
    ran::Ran,
};
use crate::support::{clean_command, python};

/// `idp dev --once` with a home that does not exist and nothing else set.
fn once(dir: &Path) -> Ran {
    Ran::of(
        clean_command(IDP)
            .args(["dev", "--once", "--port", "0", "--dir"])
            .arg(dir),
    )
}

/// The claims of the decoded token on standard output.
#[track_caller]
fn claims(shown: &Ran) -> Value {
    let shown = shown.json();
    assert_eq!(shown["Header"][0]["Algorithm"], "RS256");
    assert_eq!(shown["Header"][0]["ExtraHeaders"]["typ"], "JWT");
    shown["Claims"].clone()
}

/// The environment's id, the last part of the subject.
#[track_caller]
fn environment(claims: &Value) -> &str {
    let (_, id) = claims["sub"].as_str().unwrap().rsplit_once(':').unwrap();
    id
}

#[test]
fn one_command_shows_a_login() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("new");
    let first = once(&dir).ok();
    let claims = claims(&first);
    let names: Vec<&String> = claims.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["aud", "exp", "iat", "iss", "jti", "nbf", "org", "sub"]
    );
    assert_eq!(claims["aud"], "sts.amazonaws.com");
    let second = |name: &str| claims[name].as_i64().unwrap();
    assert_eq!(second("exp") - second("iat"), 300);
    assert_eq!(second("iat") - second("nbf"), 60);
    let id = environment(&claims);
    let arn = format!("arn:aws:sts::000000000000:assumed-role/demo/{id}");
    let first = first.says(&[
        &format!("environment {id} enrolled"),
        &format!("credentials of {arn} expire at 20"),
    ]);

    let file = fs::read_to_string(dir.join("aws/credentials")).unwrap();
    let (_, expiry) = first.stderr.split_once("expire at ").unwrap();
    let expiry = expiry.lines().next().unwrap();
    assert!(
        file.contains(&format!("x_security_token_expires = {expiry}\n")),
        "{file}"
    );
}

#[test]
fn the_directory_keeps_the_environment_and_another_port_is_another_issuer() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("d");
    let first = claims(&once(&dir).ok());
    let issuer = first["iss"].as_str().unwrap();
    let (_, port) = issuer.rsplit_once(':').unwrap();

    let again = Ran::of(
        clean_command(IDP)
            .args(["dev", "--once", "--port", port, "--dir"])
            .arg(&dir),
    )
    .ok();
    assert!(!again.stderr.contains("enrolled"), "{}", again.stderr);
    let again = claims(&again);
    assert_eq!(again["sub"], first["sub"]);
    assert_eq!(again["iss"], first["iss"]);
    assert_ne!(again["jti"], first["jti"]);

    let mut other = once(&dir).ok();
    if claims(&other)["iss"] == first["iss"] {
        // The system gave the same port again.
        other = once(&dir).ok();
    }
    assert_ne!(claims(&other)["iss"], first["iss"]);
    assert_eq!(claims(&other)["sub"], first["sub"]);
    other.says(&["enrolled"]);
}

#[test]
fn a_taken_port_is_named_with_the_cure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let place = tempfile::tempdir().unwrap();
    Ran::of(
        clean_command(IDP)
            .args(["dev", "--once", "--port", &port, "--dir"])
            .arg(place.path()),
    )
    .exits(1)
    .says(&[&format!("127.0.0.1:{port}"), "--port 0"])
    .says_once("in use");
}

#[test]
fn a_directory_is_one_demonstrations_at_a_time() {
    let mut dev = Dev::start();
    let files = || {
        ["env", "identity.json", "aws/credentials"]
            .map(|name| std::fs::read(dev.path().join(name)).unwrap())
    };
    let before = files();
    let second = Ran::of(
        clean_command(IDP)
            .args(["dev", "--once", "--port", "0", "--dir"])
            .arg(dev.path()),
    );
    second.exits(1).says(&[
        &format!("is in use by process {} (idp dev)", dev.id()),
        "--dir",
    ]);
    assert_eq!(files(), before);
    dev.run("idp token").ok();
    // What a process leaves behind that was killed is in nobody's way.
    dev.kill_and_restart();
    dev.run("idp token").ok();
}

#[test]
fn the_aws_cli_answers_with_the_assumed_role() {
    if python().is_none() {
        return;
    }
    let dev = Dev::start();
    let caller = dev
        .run("aws sts get-caller-identity --output json")
        .ok()
        .json();
    let claims = claims(&dev.run("idp token --decode").ok());
    let id = environment(&claims);
    assert_eq!(caller["Account"], "000000000000");
    assert_eq!(
        caller["Arn"],
        format!("arn:aws:sts::000000000000:assumed-role/demo/{id}")
    );
    assert!(caller["UserId"].as_str().unwrap().ends_with(id));

    let inside = dev.run(&format!(
        "idp aws exec --role-arn {ROLE} --role-session-name inside -- \
         aws sts get-caller-identity --output json"
    ));
    assert_eq!(
        inside.ok().json()["Arn"],
        "arn:aws:sts::000000000000:assumed-role/demo/inside"
    );
    dev.run(&format!("idp aws exec --role-arn {ROLE} -- sh -c 'exit 9'"))
        .exits(9);
}

#[test]
fn every_command_of_an_environment_works_in_its_shell() {
    let dev = Dev::start();
    let issuer = dev.issuer();

    let token = dev.run("idp token").ok();
    assert_eq!(token.text().split('.').count(), 3);
    let decoded = dev.run("idp token --decode").ok();
    assert_eq!(claims(&decoded)["iss"], issuer.as_str());
    decoded.says(&["not verified"]);
    dev.run("idp token > token && idp token --decode token --verify && rm token")
        .ok()
        .says(&[&format!("verified against {issuer}")]);
    dev.run("idp token --verify --ttl 60 --audience sts.amazonaws.com")
        .ok();
    dev.run("idp token --audience https://vault.example.com")
        .exits(4)
        .says(&["https://vault.example.com", "--audience"]);

    let credentials = dev.path().join("aws/credentials");
    let before = fs::read_to_string(&credentials).unwrap();
    dev.run(&format!("idp login aws --role-arn {ROLE} -p other"))
        .ok()
        .says(&["profile other", "expire at"]);
    let after = fs::read_to_string(&credentials).unwrap();
    assert!(
        after.starts_with(&before) && after.contains("[other]"),
        "{after}"
    );
    dev.run("idp logout aws -p other").ok();
    let after = fs::read_to_string(&credentials).unwrap();
    assert!(!after.contains("[other]\naws_access_key_id"), "{after}");
    assert!(after.starts_with(&before), "{after}");

    let process = format!("idp aws credential-process --role-arn {ROLE}");
    let first = dev.run(&process).ok();
    assert_eq!(first.json()["Version"], 1);
    assert_eq!(dev.run(&process).ok().stdout, first.stdout);
}

#[test]
fn the_administrator_of_the_demonstration_can_look_around() {
    let dev = Dev::start();
    let organizations = dev.run("idp admin org list --json").ok().json();
    let organization = organizations[0]["id"].as_str().unwrap();
    assert_eq!(organizations[0]["name"], "demo");
    let projects = dev.run(&format!(
        "idp admin project list --json --org {organization}"
    ));
    assert_eq!(projects.ok().json()[0]["name"], "demo");
    let environments = dev.run(&format!("idp admin env list --json --org {organization}"));
    assert_eq!(environments.ok().json()[0]["state"], "enrolled");
    let keys = dev.run("idp admin key list --json").ok().json();
    let states: Vec<&Value> = keys
        .as_array()
        .unwrap()
        .iter()
        .map(|k| &k["state"])
        .collect();
    assert_eq!(states, ["active", "pending"]);
    dev.run("idp admin key list").ok();

    dev.run("IDP_ADMIN_TOKEN='two words' idp admin org list")
        .exits(2)
        .says(&["IDP_ADMIN_TOKEN", "idp admin bootstrap"]);
    dev.run("IDP_ADMIN_TOKEN=idp_admin_unknown idp admin org list")
        .exits(4)
        .says(&["check IDP_ADMIN_TOKEN"]);
    dev.run(&format!(
        "idp admin env create ci --org {organization} --cidr 10.0.0.300/8"
    ))
    .exits(2)
    .says(&["--cidr", "10.0.0.0/8"]);
}
