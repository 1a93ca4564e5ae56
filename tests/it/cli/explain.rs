//! `idp aws explain`, and what `idp login aws` leaves for it.

use std::{fs, os::unix::fs::MetadataExt as _, time::Instant};

use predicates::{prelude::PredicateBooleanExt as _, str::contains};
use serde_json::{Value, json};

use super::{FakeIdp, FakeSts, Place, ROLE};

const SUBJECT: &str =
    "org:0191e223-1c3c-7607-badf-303c98b52d2f/env:019527e4-75d5-704d-a5a4-a2b52cf56196";

fn policy(provider: &str, conditions: &Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": { "Federated": format!("arn:aws:iam::123456789012:oidc-provider/{provider}") },
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": conditions,
    }] })
}

fn by_subject(pattern: &str) -> String {
    policy(
        "idp.example.com",
        &json!({ "StringEquals": { "idp.example.com:aud": "sts.amazonaws.com", "idp.example.com:sub": pattern } }),
    )
    .to_string()
}

#[test]
fn tells_a_subject_that_is_let_in_from_one_that_is_not() {
    let place = Place::new();
    let good = place.write("good.json", &by_subject(SUBJECT));
    place
        .idp(["aws", "explain", "--subject", SUBJECT, "--trust-policy"])
        .arg(&good)
        .assert()
        .success()
        .stdout(contains("allowed: STS lets this token in"))
        .stderr("");
    let bad = place.write(
        "bad.json",
        &by_subject("org:0191e223-1c3c-7607-badf-303c98b52d2f/env:*"),
    );
    let output = place
        .idp(["aws", "explain", "--subject", SUBJECT, "--trust-policy"])
        .arg(&bad)
        .assert()
        .code(5)
        .stdout(
            contains("cause [wildcard-under-equals]")
                .and(contains("write StringLike instead of StringEquals")),
        )
        .stderr(contains(
            "error: STS would refuse this token: StringEquals reads * and ?",
        ));
    assert!(!output.get_output().stdout.is_empty());
    let output = place
        .idp([
            "--json",
            "aws",
            "explain",
            "--subject",
            SUBJECT,
            "--trust-policy",
        ])
        .arg(&bad)
        .assert()
        .code(5);
    let report: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(report["allowed"], false);
    assert_eq!(report["sts_code"], "AccessDenied");
    assert_eq!(report["causes"][0]["code"], "wildcard-under-equals");
    // The policy that is suggested does let it in.
    let mended = place.write("mended.json", &report["change"]["policy"].to_string());
    place
        .idp(["aws", "explain", "--subject", SUBJECT, "--trust-policy"])
        .arg(&mended)
        .assert()
        .success();
}

#[test]
fn a_refused_login_is_explained_from_what_it_left() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    let sts = FakeSts::start();
    let none = place.write("policy.json", &by_subject("a"));
    place
        .idp(["aws", "explain", "--last", "--trust-policy"])
        .arg(&none)
        .assert()
        .code(1)
        .stderr(contains("no login was refused since"));

    sts.refuse(
        403,
        "AccessDenied",
        "Not authorized to perform sts:AssumeRoleWithWebIdentity",
    );
    place
        .with_role(&sts, ["login", "aws"])
        .assert()
        .code(5)
        .stderr(contains(
            "help: for the exact cause: aws iam get-role --role-name demo | idp aws explain --last \
             --trust-policy -",
        ));
    let kept = place.path().join("idp/last-refusal.json");
    assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&kept).unwrap();
    for form in sts.forms() {
        let token = super::field(&form, "WebIdentityToken").to_owned();
        let signature = token.rsplit('.').next().unwrap();
        assert!(!text.contains(&token) && !text.contains(signature));
    }
    let record: Value = serde_json::from_str(&text).unwrap();
    let issuer = record["claims"]["iss"].as_str().unwrap();
    let provider = issuer.split_once("://").unwrap().1.to_owned();
    let subject = record["claims"]["sub"].as_str().unwrap().to_owned();

    let shouted = policy(
        &provider,
        &json!({ "StringEquals": { format!("{provider}:sub"): subject.to_uppercase() } }),
    );
    let role = json!({ "Role": { "Arn": ROLE, "AssumeRolePolicyDocument": shouted } });
    place
        .idp(["aws", "explain", "--last", "--trust-policy", "-"])
        .write_stdin(role.to_string())
        .assert()
        .code(5)
        .stdout(contains("cause [case]").and(contains(&subject)));
    let right = policy(
        &provider,
        &json!({ "StringEquals": { format!("{provider}:sub"): subject } }),
    );
    place
        .idp(["aws", "explain", "--last", "--trust-policy", "-"])
        .write_stdin(right.to_string())
        .assert()
        .code(5)
        .stdout(contains("cause [role-or-policy]"));
}

#[test]
fn a_fresh_token_and_one_in_a_file_are_read() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    let file = place.write("any.json", &by_subject("a"));
    place
        .idp(["aws", "explain", "--trust-policy"])
        .arg(&file)
        .assert()
        .code(5)
        .stdout(contains("cause [principal-host]"));
    assert_eq!(idp.token_forms().len(), 1);
    let token = place.write("token", "not.a.token");
    place
        .idp(["aws", "explain", "--trust-policy"])
        .arg(&file)
        .arg("--token-file")
        .arg(&token)
        .assert()
        .code(1)
        .stderr(contains("that is not a token"));
}

#[test]
fn what_is_no_policy_is_refused_quickly_with_its_place() {
    let place = Place::new();
    let nested = format!("{}1{}", "{\"a\":".repeat(10), "}".repeat(10));
    for (text, code, says) in [
        ("garbage".to_owned(), 1, "line 1, column 1: not JSON"),
        (nested, 1, "it nests deeper than 8 levels"),
        ("x".repeat(10 * 1024 * 1024), 2, "it has more than 1 MiB"),
        (
            "[".repeat(1000 * 1000),
            1,
            "IAM takes no policy of more than 131072",
        ),
        (
            by_subject("a").replace("\"Effect\"", "\"Resource\":\"*\",\"Effect\""),
            1,
            "IAM says \"MalformedPolicyDocument: Has prohibited field Resource\"",
        ),
    ] {
        let file = place.write("bad.json", &text);
        for command in ["explain", "lint"] {
            let mut arguments = vec!["aws", command, "--trust-policy", file.to_str().unwrap()];
            if command == "explain" {
                arguments.extend(["--subject", "a"]);
            }
            let start = Instant::now();
            place
                .idp(arguments)
                .assert()
                .code(code)
                .stdout("")
                .stderr(contains(says));
            assert!(start.elapsed().as_millis() < 1500, "{says}");
        }
    }
}

#[test]
fn a_token_that_sts_refuses_is_not_called_good() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    let output = place.idp(["token"]).assert().success();
    let good = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    let (input, signature) = good.trim_end().rsplit_once('.').unwrap();
    let payload = input.split_once('.').unwrap().1;
    let claims: Value =
        serde_json::from_slice(&idp::jose::base64url_decode(payload).unwrap()).unwrap();
    let provider = idp.url().split_once("://").unwrap().1;
    let file = place.write(
        "policy.json",
        &policy(
            provider,
            &json!({ "StringEquals": { format!("{provider}:sub"): claims["sub"] } }),
        )
        .to_string(),
    );
    let explain = |token: &str, more: &[&str]| {
        let token = place.write("token", token);
        place
            .idp(["aws", "explain", "--trust-policy"])
            .arg(&file)
            .arg("--token-file")
            .arg(token)
            .args(more)
            .assert()
    };
    // What was not looked at is said, and nothing else is.
    explain(&good, &[])
        .success()
        .stdout(contains("unchecked the signature").and(contains("--online")));
    explain(&good, &["--online"])
        .success()
        .stdout(contains("the signature").not());

    let first = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{input}.{first}{}", &signature[1..]);
    explain(&forged, &["--online"])
        .code(5)
        .stdout(contains("refused: STS answers InvalidIdentityToken").and(contains("[signature]")));
    let unsigned = idp::jose::base64url_encode(r#"{"alg":"none"}"#);
    explain(&format!("{unsigned}.{payload}."), &[])
        .code(5)
        .stdout(contains("cause [algorithm]"));
    explain(&format!(" {good}"), &[])
        .code(5)
        .stdout(contains("cause [not-a-jwt]"));
    idp.withdraw_key();
    explain(&good, &["--online"])
        .code(5)
        .stdout(contains("cause [kid-not-published]"));
}

#[test]
fn the_issuers_scheme_is_not_made_up() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    let file = place.write("any.json", &by_subject("a"));
    let explained = place
        .idp(["aws", "explain", "--trust-policy"])
        .arg(&file)
        .assert()
        .code(5);
    let text = String::from_utf8_lossy(&explained.get_output().stdout).into_owned();
    let host = idp.url().split_once("://").unwrap().1;
    assert!(text.contains(&format!("the token's is {host}")), "{text}");
    assert!(!text.contains(&format!("https://{host}")), "{text}");

    // Neither is that of an issuer whom only the policy names.
    let other = Place::new();
    let local = other.write(
        "policy.json",
        &policy(
            "127.0.0.1:1",
            &json!({ "StringEquals": { "127.0.0.1:1:sub": "a" } }),
        )
        .to_string(),
    );
    other
        .idp([
            "aws",
            "explain",
            "--subject",
            "a",
            "--online",
            "--trust-policy",
        ])
        .arg(&local)
        .assert()
        .code(5)
        .stdout(contains("http://127.0.0.1:1"));
}
