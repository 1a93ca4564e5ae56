//! Tokens that STS has to refuse, brought by boto3 and by the command line.

use std::fs;

use serde_json::{Map, Value, json};

use super::{
    attackers::{Forged, Impostor, active_key, claims_of, forgeries},
    dev::{Dev, ROLE},
};
use crate::support::{python, python_json};

/// A running demonstration, a good token of it, and what can be forged from that.
fn forged() -> (Dev, String, Vec<Forged>) {
    let dev = Dev::start();
    let good = dev.run("idp token").ok().text().to_owned();
    let key = active_key(&dev.path(), &dev.issuer());
    let forgeries = forgeries(&good, &key);
    (dev, good, forgeries)
}

#[test]
fn boto3_is_told_the_code_and_the_message() {
    let Some(python) = python() else { return };
    let (dev, good, forgeries) = forged();
    let mut tokens: Map<String, Value> = forgeries
        .iter()
        .map(|forged| (forged.name.to_owned(), json!(forged.token)))
        .collect();
    tokens.insert("good".to_owned(), json!(good));
    let file = dev.path().join("tokens.json");
    fs::write(&file, Value::Object(tokens).to_string()).unwrap();
    let sts = dev.variable("AWS_ENDPOINT_URL_STS");
    let environment = [
        ("AWS_ENDPOINT_URL_STS", &*sts),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        // boto3 tries some errors again by itself; here the first answer counts.
        ("AWS_MAX_ATTEMPTS", "1"),
    ];
    let arguments = [ROLE, file.to_str().unwrap()];
    let answers = python_json(&python, "exchange.py", &arguments, &environment);
    let arn = answers["good"]["arn"].as_str().unwrap();
    assert!(arn.contains(":assumed-role/demo/"), "{arn}");
    for forged in &forgeries {
        let answer = &answers[forged.name];
        assert_eq!(answer["code"], forged.code, "{}: {answer}", forged.name);
        assert_eq!(answer["status"], 400, "{}", forged.name);
        let message = answer["message"].as_str().unwrap();
        assert!(
            message.contains(&forged.message),
            "{}: {message}",
            forged.name
        );
    }
}

#[test]
fn login_exits_5_and_says_what_to_do() {
    let (dev, good, forgeries) = forged();
    let claims = claims_of(&good);
    let (_, environment) = claims["sub"].as_str().unwrap().rsplit_once(':').unwrap();
    let impostor = Impostor::start();
    let home = dev.path().join("impostor");
    impostor.enrol(&home, &dev.issuer(), environment);
    let login = format!(
        "export IDP_HOME='{}' AWS_SHARED_CREDENTIALS_FILE=\"$IDP_HOME/credentials\"
         idp login aws --role-arn {ROLE}",
        home.display()
    );
    for forged in &forgeries {
        impostor.hand_out(&forged.token);
        dev.run(&login)
            .exits(5)
            .says(&[forged.code, &forged.message, "help:", forged.advice]);
        assert!(!home.join("credentials").exists(), "{}", forged.name);
    }
    // The way itself is open: what was refused was refused for the token.
    impostor.hand_out(&good);
    dev.run(&login).ok();
}
