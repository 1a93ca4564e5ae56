//! A stop takes effect at once, and an assertion is good for one token.

use idp::client::identity::Identity;
use serde_json::{Value, json};

use super::{
    attackers::block_on,
    client::{assertion, http, token_form},
    dev::{Dev, ROLE},
    installation::Installation,
};

#[test]
fn a_stopped_environment_gets_nothing_more() {
    let mut dev = Dev::start();
    let subject = dev.run("idp token --decode").ok().json()["Claims"]["sub"].clone();
    let (_, id) = subject.as_str().unwrap().rsplit_once(':').unwrap();
    dev.run(&format!("idp admin environment stop {id}"))
        .ok()
        .says(&[id, "stopped"]);
    for command in ["token", "token --decode"] {
        dev.run(&format!("idp {command}"))
            .exits(4)
            .says(&[id, "stopped", "help:"]);
    }
    let credentials = dev.path().join("aws/credentials");
    let before = std::fs::read(&credentials).unwrap();
    for command in ["login aws", "aws credential-process"] {
        let refused = dev.run(&format!("idp {command} --role-arn {ROLE}"));
        assert_eq!(refused.stdout, "");
        refused.exits(4).says(&["stopped"]);
    }
    assert_eq!(std::fs::read(&credentials).unwrap(), before);
    // It is final, and stopping again is no error.
    dev.run(&format!("idp admin join-token create {id}"))
        .exits(4)
        .says(&["stopped"]);
    dev.run(&format!("idp admin environment stop {id}")).ok();
    let shown = dev.run(&format!("idp admin environment show {id} --json"));
    assert_eq!(shown.ok().json()["state"], "stopped");

    // The demonstration makes itself another.
    dev.restart();
    let next = dev.run("idp token --decode").ok().json()["Claims"]["sub"].clone();
    assert_ne!(next, subject);
}

/// Posts a token request: status and body.
fn ask(url: &str, assertion: &str) -> (u16, Value) {
    let url = format!("{url}/oauth2/token").parse().unwrap();
    let form = token_form(assertion);
    let answer = block_on(http().post(&url, "application/x-www-form-urlencoded", form)).unwrap();
    let body = serde_json::from_slice(&answer.body).unwrap();
    (answer.status.as_u16(), body)
}

#[test]
fn an_assertion_works_once_across_restarts() {
    let mut installation = Installation::running("ES256");
    installation.enrolled();
    let url = installation.url();
    let path = installation.path().join("home/identity.json");
    let identity = Identity::load(&path).unwrap();
    let key = identity.key(&path).unwrap();
    let used = assertion(&identity, &key, "the only one");
    let (status, body) = ask(&url, &used);
    assert_eq!(status, 200, "{body}");

    let assert_replayed = || {
        let (status, body) = ask(&url, &used);
        assert_eq!((status, &body["error"]), (401, &json!("invalid_client")));
        let description = body["error_description"].as_str().unwrap();
        assert!(description.contains("used before"), "{description}");
    };
    assert_replayed();
    assert!(installation.stop().success());
    installation.start();
    assert_replayed();
    installation.kill();
    installation.start();
    assert_replayed();
    // What was refused was the replay.
    let fresh = assertion(&identity, &key, "another one");
    assert_eq!(ask(&url, &fresh).0, 200);
}
