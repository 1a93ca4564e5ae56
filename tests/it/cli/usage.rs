//! The command line itself: help, usage errors, exit codes, what goes where.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
};

use predicates::{prelude::PredicateBooleanExt as _, str::contains};

use super::{FakeIdp, Place, ROLE};

#[test]
fn help_of_every_command() {
    let place = Place::new();
    for command in [
        "",
        "enroll",
        "token",
        "login aws",
        "logout aws",
        "aws",
        "aws credential-process",
        "aws exec",
        "aws explain",
        "aws lint",
        "aws trust-policy",
        "aws cloudformation",
        "aws terraform",
        "proxy",
        "proxy serve",
        "proxy exec",
        "proxy env",
        "proxy ca",
        "proxy check",
        "proxy log",
        "proxy log verify",
        "sts serve",
        "admin audit join-cloudtrail",
        "completions",
        "man",
        "dev",
        "serve",
        "publish",
        "config",
        "config check",
        "admin",
        "admin bootstrap",
        "admin token",
        "admin token create",
    ] {
        let mut arguments = command.split_whitespace().collect::<Vec<_>>();
        arguments.push("--help");
        let output = place.idp(arguments).assert().success().stderr("");
        let name = format!("help-{}", command.replace(' ', "-"));
        insta::assert_snapshot!(name, String::from_utf8_lossy(&output.get_output().stdout));
    }
}

#[test]
fn every_command_and_every_group_shows_an_example() {
    fn look(command: &clap::Command, path: &str, missing: &mut Vec<String>) {
        let path = format!("{path} {}", command.get_name());
        let help = command.get_after_help().map(ToString::to_string);
        if !help.is_some_and(|help| help.contains("Example") && help.contains("idp ")) {
            missing.push(path.clone());
        }
        for below in command.get_subcommands() {
            look(below, &path, missing);
        }
    }
    let mut missing = Vec::new();
    look(
        &<idp::cli::Cli as clap::CommandFactory>::command(),
        "",
        &mut missing,
    );
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn usage_errors_say_which_flag_and_how() {
    let place = Place::new();
    for (arguments, says) in [
        (vec![], "Usage: idp"),
        (vec!["nothing"], "unrecognized subcommand"),
        (vec!["-q", "-v", "token"], "cannot be used with"),
        (vec!["token", "--ttl", "59"], "from 60 to 3600 seconds"),
        (vec!["token", "--ttl", "x"], "from 60 to 3600 seconds"),
        (vec!["token", "--audience", "*"], "must not contain"),
        (
            vec!["token", "--decode", "f", "--ttl", "60"],
            "fresh tokens",
        ),
        (vec!["enroll"], "--url"),
        (
            vec!["enroll", "--url", "http://idp.example.com"],
            "must be https",
        ),
        (
            vec!["enroll", "--url", "https://idp.example.com"],
            "a join token is needed",
        ),
        (vec!["login", "aws"], "no role is named"),
        (vec!["login", "aws", "--role-arn", "demo"], "is not an ARN"),
        (
            vec![
                "login",
                "aws",
                "--role-arn",
                "arn:aws:iam::123456789012:user/a",
            ],
            "names no IAM role",
        ),
        (
            vec!["login", "aws", "--role-arn", ROLE, "-p", "a]"],
            "--profile",
        ),
        (
            vec!["login", "aws", "--role-arn", ROLE, "-p", "a\nb"],
            "--profile",
        ),
        (
            vec!["login", "aws", "--role-arn", ROLE, "--region", "EU"],
            "eu-central-1",
        ),
        (
            vec![
                "login",
                "aws",
                "--role-arn",
                ROLE,
                "--endpoint-url",
                "localhost:5000",
            ],
            "an endpoint is a URL",
        ),
        (
            vec![
                "--json",
                "login",
                "aws",
                "--role-arn",
                ROLE,
                "--output",
                "env",
            ],
            "contradicts",
        ),
        (vec!["aws", "exec", "--role-arn", ROLE], "required"),
        (vec!["completions", "dish"], "possible values"),
    ] {
        place
            .idp(arguments.iter().copied())
            .assert()
            .code(2)
            .stdout("")
            .stderr(contains(says));
    }
}

#[test]
fn what_sts_would_refuse_is_refused_before_anything_is_asked() {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    let policy = place.write("policy.json", "[]");
    let long = place.write("long.json", &format!("{{\"a\":\"{}\"}}", "x".repeat(2048)));
    let (policy, long) = (policy.to_str().unwrap(), long.to_str().unwrap());
    for (arguments, says) in [
        (["--duration-seconds", "899"], "900 to 43200"),
        (["--duration-seconds", "43201"], "900 to 43200"),
        (["--role-session-name", "a"], "2 to 64 characters"),
        (["--role-session-name", "a b"], "2 to 64 characters"),
        (["--policy-arn", "x"], "managed policy"),
        (["--session-policy", policy], "not a JSON object"),
        (["--session-policy", long], "at most 2048 characters"),
    ] {
        place
            .idp(
                ["login", "aws", "--role-arn", ROLE]
                    .into_iter()
                    .chain(arguments),
            )
            .assert()
            .code(2)
            .stdout("")
            .stderr(contains(says));
    }
    place
        .idp(["login", "aws"])
        .env("IDP_AWS_ROLE_ARN", "demo")
        .assert()
        .code(2)
        .stderr(contains("IDP_AWS_ROLE_ARN: \"demo\" is not an ARN"));
    assert!(idp.token_forms().is_empty());
}

#[test]
fn an_environment_that_is_not_enrolled_is_told_how() {
    let place = Place::new();
    place
        .idp(["token"])
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("error: there is no file").and(contains("help: enrol this environment")));
}

#[test]
fn an_identity_that_others_can_read_is_refused_with_the_cure() {
    let place = Place::enrolled(&FakeIdp::start());
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(place.identity(), Permissions::from_mode(mode)).unwrap();
        for arguments in [
            vec!["token"],
            vec!["login", "aws", "--role-arn", ROLE],
            vec!["aws", "credential-process", "--role-arn", ROLE],
        ] {
            place.idp(arguments).assert().code(1).stdout("").stderr(
                contains(format!("its mode is {mode:04o}")).and(contains(format!(
                    "chmod 600 {}",
                    place.identity().display()
                ))),
            );
        }
    }
}

#[test]
fn colour_is_for_terminals_or_on_demand() {
    let place = Place::new();
    let escape = contains("\u{1b}[");
    place.idp(["token"]).assert().stderr(escape.clone().not());
    place
        .idp(["--color", "always", "token"])
        .assert()
        .stderr(escape.clone());
    place
        .idp(["token"])
        .env("NO_COLOR", "1")
        .assert()
        .stderr(escape.not());
}

#[test]
fn completions_name_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        place
            .idp(["completions", shell])
            .assert()
            .success()
            .stderr("")
            .stdout(contains("credential-process"));
    }
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let place = Place::new();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_idp"))
        .env_clear()
        .current_dir(place.path())
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn manual_pages_for_every_command() {
    let place = Place::new();
    let dir = place.path().join("new/man1");
    place
        .idp(["man", dir.to_str().unwrap()])
        .assert()
        .success()
        .stdout("");
    for page in [
        "idp.1",
        "idp-token.1",
        "idp-login-aws.1",
        "idp-aws-credential-process.1",
    ] {
        let text = fs::read_to_string(dir.join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
    let blocked = place.write("file", "");
    place
        .idp(["man", blocked.to_str().unwrap()])
        .assert()
        .code(6)
        .stderr(contains("cannot be written"));
}
