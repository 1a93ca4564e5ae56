//! `idp login aws` and `idp logout aws`.

use std::{collections::HashSet, fs, os::unix::fs::MetadataExt as _};

use predicates::{prelude::PredicateBooleanExt as _, str::contains};
use serde_json::{Value, json};

use super::{FakeIdp, FakeSts, Place, ROLE, field};

type Variables = &'static [(&'static str, &'static str)];

fn start() -> (FakeIdp, FakeSts, Place) {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    (idp, FakeSts::start(), place)
}

/// Every secret there is in a login must be absent from a message.
fn assert_no_secret(text: &[u8], idp: &FakeIdp, sts: &FakeSts, place: &Place) {
    let text = String::from_utf8_lossy(text);
    let identity: Value = serde_json::from_slice(&fs::read(place.identity()).unwrap()).unwrap();
    let mut secrets = vec![
        FakeSts::SECRET.to_owned(),
        FakeSts::SESSION.to_owned(),
        identity["private_key"].as_str().unwrap().to_owned(),
    ];
    for form in idp.token_forms() {
        secrets.push(field(&form, "client_assertion").to_owned());
    }
    for form in sts.forms() {
        secrets.push(field(&form, "WebIdentityToken").to_owned());
    }
    for secret in secrets {
        assert!(!text.contains(&secret), "{text}");
    }
}

#[test]
fn writes_the_credentials_file_and_says_so() {
    let (idp, sts, place) = start();
    place.write(
        "credentials",
        "# mine\n[other]\naws_access_key_id = AKIA\naws_secret_access_key = s\n",
    );
    let output = place
        .with_role(&sts, ["login", "aws", "-p", "demo", "-vv"])
        .assert()
        .success()
        .stdout("")
        .stderr(
            contains(format!("wrote credentials of {ROLE} to profile demo in"))
                .and(contains("expire at")),
        );
    assert_no_secret(&output.get_output().stderr, &idp, &sts, &place);
    let text = fs::read_to_string(place.credentials()).unwrap();
    assert!(text.starts_with("# mine\n[other]\n"), "{text}");
    for line in [
        "[demo]",
        "aws_access_key_id = ASIAIOSFODNN7EXAMPLE",
        &format!("aws_session_token = {}", FakeSts::SESSION),
        "x_security_token_expires = 20",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(
        fs::metadata(place.credentials()).unwrap().mode() & 0o777,
        0o600
    );

    place
        .idp(["logout", "aws", "--profile", "demo"])
        .assert()
        .success()
        .stderr(contains("removed the credentials of profile demo"));
    let text = fs::read_to_string(place.credentials()).unwrap();
    assert!(!text.contains("ASIA") && text.contains("AKIA"), "{text}");
    place
        .idp(["logout", "aws", "--profile", "demo", "--json"])
        .assert()
        .success()
        .stdout(contains("\"removed\":false"))
        .stderr(contains("holds no credentials"));
}

#[test]
fn asks_sts_for_exactly_what_was_said() {
    let (idp, sts, place) = start();
    let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let file = place.write("policy.json", policy);
    place.with_role(&sts, ["login", "aws"]).assert().success();
    place
        .with_role(
            &sts,
            [
                "login",
                "aws",
                "--duration-seconds",
                "900",
                "--role-session-name",
                "me",
                "--audience",
                "other",
                "--session-policy",
                file.to_str().unwrap(),
                "--policy-arn",
                "arn:aws:iam::aws:policy/ReadOnlyAccess",
            ],
        )
        .assert()
        .success();
    let forms = sts.forms();
    assert_eq!(field(&forms[0], "RoleArn"), ROLE);
    assert_eq!(field(&forms[0], "DurationSeconds"), "3600");
    assert_eq!(
        field(&forms[0], "RoleSessionName"),
        "019527e4-75d5-704d-a5a4-a2b52cf56196"
    );
    assert!(!forms[0].iter().any(|(name, _)| name.starts_with("Policy")));
    assert_eq!(field(&forms[1], "DurationSeconds"), "900");
    assert_eq!(field(&forms[1], "RoleSessionName"), "me");
    assert_eq!(field(&forms[1], "Policy"), policy);
    assert_eq!(
        field(&forms[1], "PolicyArns.member.1.arn"),
        "arn:aws:iam::aws:policy/ReadOnlyAccess"
    );
    let tokens = idp.token_forms();
    assert_eq!(field(&tokens[0], "audience"), "sts.amazonaws.com");
    assert_eq!(field(&tokens[0], "ttl"), "300");
    assert_eq!(field(&tokens[1], "audience"), "other");
}

#[test]
fn prints_credentials_for_shells_and_programs() {
    let (_idp, sts, place) = start();
    let output = place
        .with_role(
            &sts,
            ["login", "aws", "--output", "env", "--region", "eu-west-1"],
        )
        .assert()
        .success()
        .stderr("");
    let lines = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(lines.contains(&format!(
        "export AWS_SESSION_TOKEN='{}'\n",
        FakeSts::SESSION
    )));
    assert!(lines.contains("export AWS_REGION='eu-west-1'\n"), "{lines}");

    let output = place
        .with_role(&sts, ["login", "aws", "--output", "json"])
        .assert()
        .success();
    let json: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(json["secret_access_key"], FakeSts::SECRET);
    assert!(json["expires_at"].as_str().unwrap().ends_with('Z'));
    assert!(!place.credentials().exists());

    let output = place
        .with_role(&sts, ["--json", "login", "aws"])
        .assert()
        .success();
    let mut json: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert!(json["expires_at"].take().is_string());
    assert_eq!(
        json,
        json!({
            "profile": "default",
            "file": place.credentials(),
            "role_arn": ROLE,
            "assumed_role_arn": "arn:aws:sts::123456789012:assumed-role/demo/s",
            "expires_at": null,
        })
    );
}

#[test]
fn what_may_pass_is_tried_again_with_a_fresh_token() {
    let (idp, sts, place) = start();
    sts.refuse(400, "IDPCommunicationError", "could not be reached");
    sts.refuse(
        400,
        "InvalidIdentityToken",
        "Couldn't retrieve verification key from your identity provider",
    );
    let output = place
        .with_role(&sts, ["login", "aws"])
        .assert()
        .success()
        .stderr(
            contains("IDPCommunicationError: could not be reached; trying again in")
                .and(contains("(try 3 of 5)")),
        );
    assert_no_secret(&output.get_output().stderr, &idp, &sts, &place);
    let distinct = |values: Vec<String>| values.into_iter().collect::<HashSet<_>>().len();
    let (forms, tokens) = (sts.forms(), idp.token_forms());
    assert_eq!((forms.len(), tokens.len()), (3, 3));
    assert_eq!(
        distinct(
            forms
                .iter()
                .map(|f| field(f, "WebIdentityToken").to_owned())
                .collect()
        ),
        3
    );
    let jti = |form: &Vec<(String, String)>| {
        let payload = field(form, "client_assertion")
            .split('.')
            .nth(1)
            .unwrap()
            .to_owned();
        let claims: Value =
            serde_json::from_slice(&idp::jose::base64url_decode(payload).unwrap()).unwrap();
        claims["jti"].as_str().unwrap().to_owned()
    };
    assert_eq!(distinct(tokens.iter().map(jti).collect()), 3);
}

#[test]
fn every_refusal_of_sts_is_exit_5_with_advice() {
    let (idp, sts, place) = start();
    for (status, code, message, says) in [
        (
            403,
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
            "env:019527e4",
        ),
        (400, "ExpiredTokenException", "Token expired", "clock"),
        (403, "IDPRejectedClaim", "no", "provider in IAM"),
        (
            400,
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account for x",
            "create one in IAM",
        ),
        (
            400,
            "InvalidIdentityToken",
            "Incorrect token audience",
            "client ids",
        ),
        (400, "MalformedPolicyDocument", "no", "--session-policy"),
        (400, "PackedPolicyTooLarge", "no", "shorten"),
        (403, "RegionDisabledException", "no", "--region"),
        (
            400,
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            "--duration-seconds",
        ),
        (418, "SomethingNew", "no", "SomethingNew"),
    ] {
        sts.refuse(status, code, message);
        let output = place
            .with_role(&sts, ["login", "aws"])
            .assert()
            .code(5)
            .stdout("")
            .stderr(
                contains(format!("error: AWS STS refused: {code}: {message}"))
                    .and(contains("help: "))
                    .and(contains(says)),
            );
        assert_no_secret(&output.get_output().stderr, &idp, &sts, &place);
    }
    assert_eq!(sts.forms().len(), 10, "none of them is tried again");
    assert!(!place.credentials().exists());
}

#[test]
fn an_sts_that_is_away_is_exit_3_after_five_tries() {
    let (idp, _, place) = start();
    place
        .idp([
            "login",
            "aws",
            "--role-arn",
            ROLE,
            "--endpoint-url",
            "http://127.0.0.1:1",
        ])
        .assert()
        .code(3)
        .stdout("")
        .stderr(
            contains("AWS STS at http://127.0.0.1:1 could not be reached: Connection refused")
                .and(contains("(try 5 of 5)")),
        );
    assert_eq!(idp.token_forms().len(), 5);
}

#[test]
fn refusals_of_the_provider_are_exit_4_and_ask_sts_nothing() {
    let (idp, sts, place) = start();
    idp.next(
        401,
        json!({"error": "invalid_client", "error_description": "stopped"}),
    );
    place
        .with_role(&sts, ["login", "aws"])
        .assert()
        .code(4)
        .stderr(contains("invalid_client: stopped"));
    assert!(sts.forms().is_empty());
}

#[test]
fn a_file_that_cannot_be_edited_is_exit_6_with_its_line() {
    let (_idp, sts, place) = start();
    let broken = "[a]\naws_access_key_id = 1\n[a]\n";
    place.write("credentials", broken);
    place
        .with_role(&sts, ["login", "aws"])
        .assert()
        .code(6)
        .stderr(contains("line 3"));
    assert_eq!(fs::read_to_string(place.credentials()).unwrap(), broken);
    assert!(sts.forms().is_empty(), "nothing is asked for in vain");
}

#[test]
fn region_and_endpoint_come_from_where_aws_tools_look() {
    let (_idp, sts, place) = start();
    place.write(
        "config",
        &format!(
            "[default]\nregion = eu-north-1\nendpoint_url = {}\n[profile x]\nregion = sa-east-1\n",
            sts.url()
        ),
    );
    let region = |command: &mut assert_cmd::Command| {
        let output = command.assert().success();
        String::from_utf8(output.get_output().stdout.clone())
            .unwrap()
            .lines()
            .find_map(|line| line.strip_prefix("export AWS_REGION=").map(str::to_owned))
    };
    let login = ["login", "aws", "--role-arn", ROLE, "--output", "env"];
    assert_eq!(
        region(&mut place.idp(login)).as_deref(),
        Some("'eu-north-1'")
    );
    assert_eq!(
        region(place.idp(login).env("AWS_DEFAULT_REGION", "ca-west-1")).as_deref(),
        Some("'ca-west-1'")
    );
    assert_eq!(
        region(
            place
                .idp(login)
                .env("AWS_DEFAULT_REGION", "ca-west-1")
                .env("AWS_REGION", "me-south-1")
        )
        .as_deref(),
        Some("'me-south-1'")
    );
    let with_profile = place
        .with_role(&sts, login)
        .env("AWS_PROFILE", "x")
        .assert()
        .success();
    let text = String::from_utf8_lossy(&with_profile.get_output().stdout).into_owned();
    assert!(text.contains("sa-east-1"), "{text}");
    assert_eq!(sts.forms().len(), 4);
}

#[test]
fn proxies_are_asked_except_for_loopback() {
    let (_idp, sts, place) = start();
    let login = ["login", "aws", "--role-arn", ROLE, "--output", "json"];
    place
        .idp(login)
        .env("AWS_ENDPOINT_URL_STS", "http://sts.invalid")
        .env("HTTP_PROXY", sts.url())
        .assert()
        .success();
    place
        .with_role(&sts, login)
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .assert()
        .success();
    assert_eq!(sts.forms().len(), 2);
    place
        .idp(login)
        .env("AWS_ENDPOINT_URL_STS", "http://sts.invalid")
        .env("HTTP_PROXY", sts.url())
        .env("NO_PROXY", "sts.invalid")
        .assert()
        .code(3)
        .stderr(contains("http://sts.invalid"));
    assert_eq!(sts.forms().len(), 2);
}

/// Where AWS's own endpoints are looked for, seen from the failure to reach them through a proxy
/// that is not there.
#[test]
fn aws_endpoints_follow_region_partition_and_variables() {
    let (_idp, _, place) = start();
    let cases: [(&str, Variables, &str); 5] = [
        (ROLE, &[], "https://sts.us-east-1.amazonaws.com"),
        (
            "arn:aws-cn:iam::123456789012:role/demo",
            &[],
            "https://sts.cn-north-1.amazonaws.com.cn",
        ),
        (
            ROLE,
            &[
                ("AWS_REGION", "eu-west-1"),
                ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
            ],
            "https://sts.eu-west-1.api.aws",
        ),
        (
            ROLE,
            &[
                ("AWS_REGION", "us-east-2"),
                ("AWS_USE_FIPS_ENDPOINT", "true"),
            ],
            "https://sts-fips.us-east-2.amazonaws.com",
        ),
        (
            ROLE,
            &[
                ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1"),
                ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
            ],
            "https://sts.us-east-1.amazonaws.com",
        ),
    ];
    std::thread::scope(|scope| {
        for (role, variables, endpoint) in cases {
            let place = &place;
            scope.spawn(move || {
                place
                    .idp(["login", "aws", "--role-arn", role])
                    .env("HTTPS_PROXY", "http://127.0.0.1:1")
                    .envs(variables.iter().copied())
                    .assert()
                    .code(3)
                    .stderr(contains(format!(
                        "AWS STS at {endpoint} could not be reached"
                    )));
            });
        }
    });
}

#[test]
fn keys_are_not_written_where_a_command_gets_them() {
    let (idp, sts, place) = start();
    let config = "[default]\nregion = eu-west-1\ncredential_process = idp aws credential-process\n";
    let file = place.write("config", config);
    place
        .with_role(&sts, ["login", "aws"])
        .assert()
        .code(6)
        .stdout("")
        .stderr(
            contains("credential_process, line 3 of")
                .and(contains("--profile NAME, or remove that line")),
        );
    assert!(!place.credentials().exists());
    assert!(idp.token_forms().is_empty(), "nothing is asked for");
    place
        .with_role(&sts, ["login", "aws", "--profile", "other"])
        .assert()
        .success();
    place
        .with_role(&sts, ["login", "aws", "--output", "env"])
        .assert()
        .success();
    assert_eq!(fs::read_to_string(file).unwrap(), config);
}
