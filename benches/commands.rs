//! How long the commands of an environment take, from start to end.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times are far below 2^52"
)]

#[expect(dead_code, reason = "each benchmark uses its part of what they share")]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use support::{
    demo::{Demo, ROLE_ARN},
    median,
    process::clean,
    report::{Bound, figure, finish, note},
};

/// Times of each command; the median is told.
const TIMES: usize = 9;

fn main() {
    if !support::wanted() {
        return;
    }
    let demo = Demo::start();
    let mut compared = Vec::new();
    match aws_cli() {
        Some(aws) => compared.push(compare_login(&demo, &aws)),
        None => note(
            "login_wall_ratio: the AWS CLI is not installed; scripts/test installs it, or set \
             IDP_TEST_PYTHON to a Python that has it",
        ),
    }
    let cached = || {
        let mut command = demo.idp();
        command.args(["aws", "credential-process", "--role-arn", ROLE_ARN]);
        command
    };
    wall(&mut cached());
    figure(
        "credential_process_cached_ms",
        repeat(|| wall(&mut cached())),
        Bound::AtMost(8.0),
    );
    let file = demo.path().join("token");
    fs::write(&file, demo.token()).expect("the directory is writable");
    figure(
        "token_decode_ms",
        repeat(|| wall(demo.idp().args(["token", "--decode"]).arg(&file))),
        Bound::AtMost(5.0),
    );
    compare_explain(&demo);
    figure(
        "version_ms",
        repeat(|| wall(demo.idp().arg("--version"))),
        Bound::None,
    );
    figure(
        "true_ms",
        repeat(|| wall(&mut clean("true", demo.path()))),
        Bound::None,
    );
    finish(&compared);
}

/// A whole login (token, exchange, file) against the AWS CLI's exchange of a token that is there
/// already, in turns. Returns the AWS CLI's version.
fn compare_login(demo: &Demo, aws: &Path) -> String {
    let token = demo.token();
    let login = || wall(demo.idp().args(["login", "aws", "--role-arn", ROLE_ARN]));
    let exchange = || {
        let mut command = demo.command(aws);
        command.args([
            "sts",
            "assume-role-with-web-identity",
            "--role-arn",
            ROLE_ARN,
        ]);
        command.args([
            "--role-session-name",
            "bench",
            "--web-identity-token",
            &token,
        ]);
        wall(&mut command)
    };
    let (mut ratios, mut ours, mut theirs) = (vec![], vec![], vec![]);
    for round in 0..=TIMES {
        let (login, exchange) = (login(), exchange());
        // The first one reads the programs from the disk.
        if round > 0 {
            ratios.push(exchange / login);
            ours.push(login);
            theirs.push(exchange);
        }
    }
    figure("login_wall_ratio", median(ratios), Bound::AtLeast(12.0));
    figure("login_ms", median(ours), Bound::None);
    figure("aws_cli_exchange_ms", median(theirs), Bound::None);
    let version = demo.command(aws).arg("--version").output();
    let version = version.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&version).trim().to_owned()
}

/// Explaining a policy of 4,096 characters against doing nothing, whole processes in turns.
fn compare_explain(demo: &Demo) {
    let file = demo.path().join("trust.json");
    fs::write(&file, long_policy()).expect("the directory is writable");
    let explain = || {
        let mut command = demo.idp();
        command.args(["aws", "explain", "--issuer", "https://idp.example.com"]);
        command.args(["--subject", "org:1/env:last", "--trust-policy"]);
        wall(command.arg(&file))
    };
    let version = || wall(demo.idp().arg("--version"));
    let (mut explains, mut versions) = (vec![], vec![]);
    for round in 0..=TIMES {
        let (explain, version) = (explain(), version());
        if round > 0 {
            explains.push(explain);
            versions.push(version);
        }
    }
    let (explain, version) = (median(explains), median(versions));
    figure("explain_ratio", explain / version, Bound::AtMost(3.0));
    figure("explain_ms", explain, Bound::None);
}

/// A policy of 4,096 characters whose last statement admits `org:1/env:last`.
fn long_policy() -> String {
    let statement = |subject: &str| {
        format!(
            r#"{{"Effect":"Allow","Principal":{{"Federated":"arn:aws:iam::123456789012:oidc-provider/idp.example.com"}},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{{"StringEquals":{{"idp.example.com:aud":"sts.amazonaws.com","idp.example.com:sub":"{subject}"}}}}}}"#
        )
    };
    let (begin, end) = (r#"{"Version":"2012-10-17","Statement":["#, "]}");
    let last = statement("org:1/env:last");
    let mut middle = String::new();
    let mut number = 0;
    while begin.len() + middle.len() + last.len() + end.len() + 400 < 4096 {
        number += 1;
        middle.push_str(&statement(&format!("org:1/env:{number}")));
        middle.push(',');
    }
    let space = " ".repeat(4096 - begin.len() - middle.len() - last.len() - end.len());
    format!("{begin}{middle}{last}{end}{space}")
}

fn repeat(mut measure: impl FnMut() -> f64) -> f64 {
    median((0..TIMES).map(|_| measure()).collect())
}

/// How long a command takes, in milliseconds.
fn wall(command: &mut Command) -> f64 {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().expect("the program starts");
    let wall = start.elapsed().as_secs_f64() * 1000.0;
    assert!(status.success(), "{command:?}: {status}");
    wall
}

/// The AWS CLI of the tests' Python environment.
fn aws_cli() -> Option<PathBuf> {
    let python = std::env::var_os("IDP_TEST_PYTHON").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("venv/bin/python"),
        PathBuf::from,
    );
    Some(python.with_file_name("aws")).filter(|aws| aws.is_file())
}
