//! curl without any credential: the three examples of a page about AWS for agents.

use std::process::{Command, Stdio};

use super::{bucket::Bucket, relay::Keyring, sdk::is_there, stage::Stage};
use crate::support::clean_command;

/// A request as it is typed: the path on `s3.us-east-1.amazonaws.com`, and more arguments.
const EXAMPLES: [(&str, &[&str]); 3] = [
    ("/", &[]),
    ("/my-bucket/data.json", &[]),
    (
        "/my-bucket/output.json",
        &[
            "-X",
            "PUT",
            "-H",
            "Content-Type: application/json",
            "-d",
            r#"{"result": "processed"}"#,
        ],
    ),
];

const HOST: &str = "s3.us-east-1.amazonaws.com";

fn stage(bucket: &Bucket) -> Stage {
    let keys = Keyring::default();
    bucket.put("data.json", r#"{"data": 1}"#);
    Stage::new(&keys, bucket.server(&keys))
}

/// Status and body.
#[track_caller]
fn run(command: &mut Command) -> (String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", &text));
    assert!(
        output.status.success(),
        "{command:?} {text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    (status.to_owned(), body.to_owned())
}

fn curl() -> Command {
    let mut curl = clean_command("curl");
    curl.args(["-sS", "-w", "\n%{http_code}"]);
    curl
}

fn judge(bucket: &Bucket, number: usize, (status, body): &(String, String)) {
    assert_eq!(status, "200", "{number}: {body}");
    match number {
        0 => assert!(body.contains("ListAllMyBucketsResult"), "{body}"),
        1 => assert_eq!(body, r#"{"data": 1}"#),
        _ => assert_eq!(bucket.object("output.json").unwrap().length, 23),
    }
}

#[test]
fn through_the_proxy_over_https() {
    if !is_there("curl") {
        return;
    }
    let bucket = Bucket::default();
    let stage = stage(&bucket);
    for (number, (path, arguments)) in EXAMPLES.iter().enumerate() {
        let answer = run(curl()
            .arg(format!("https://{HOST}{path}"))
            .args(*arguments)
            .env("HTTPS_PROXY", stage.proxy_url())
            .env("CURL_CA_BUNDLE", stage.state("bundle.pem")));
        judge(&bucket, number, &answer);
    }
}

#[test]
fn as_plain_requests_with_the_host_of_aws() {
    if !is_there("curl") {
        return;
    }
    let bucket = Bucket::default();
    let stage = stage(&bucket);
    for header in ["Proxy-Authorization", "Authorization"] {
        for (number, (path, arguments)) in EXAMPLES.iter().enumerate() {
            let answer = run(curl()
                .arg(format!("http://127.0.0.1:{}{path}", stage.port))
                .args(["-H", &format!("Host: {HOST}")])
                .args(["-H", &format!("{header}: {}", stage.basic())])
                .args(*arguments));
            judge(&bucket, number, &answer);
        }
    }
}

#[test]
fn as_plain_requests_to_a_forward_proxy() {
    if !is_there("curl") {
        return;
    }
    let bucket = Bucket::default();
    let stage = stage(&bucket);
    for (number, (path, arguments)) in EXAMPLES.iter().enumerate() {
        let answer = run(curl()
            .arg(format!("http://{HOST}{path}"))
            .args(*arguments)
            .args(["--proxy", &stage.proxy_url()]));
        judge(&bucket, number, &answer);
    }
}

#[test]
fn nothing_without_the_key() {
    if !is_there("curl") {
        return;
    }
    let bucket = Bucket::default();
    let stage = stage(&bucket);
    let url = format!("http://127.0.0.1:{}/", stage.port);
    let host = format!("Host: {HOST}");
    let wrong = "Proxy-Authorization: Basic aWRwOmlkcF9wcm94eV9B";
    for more in [vec![], vec!["-H", wrong]] {
        let (status, body) = run(curl().args([&url, "-H", &host]).args(more));
        assert!(status.starts_with('4'), "{status} {body}");
    }
    let tunnel = curl()
        .arg(format!("https://{HOST}/"))
        .args(["--proxy", &format!("http://127.0.0.1:{}", stage.port)])
        .output()
        .unwrap();
    assert!(!tunnel.status.success());
    // A page in somebody's browser has an origin, and could know the key only by accident.
    let (status, _) = run(curl()
        .args([&url, "-H", &host, "-H", "Origin: https://example.com"])
        .args(["-H", &format!("Proxy-Authorization: {}", stage.basic())]));
    assert!(status.starts_with('4'), "{status}");
    assert!(stage.cloud.seen().is_empty());
    assert!(stage.sts.seen().is_empty());
}
