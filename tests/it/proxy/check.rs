//! `idp proxy check`: what it says and how it ends.

use std::{fs, path::PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::{e2e::ran::Ran, support::clean_command};

const RULES: &str = r#"
[[role]]
arn = "arn:aws:iam::123456789012:role/agent"

[[use]]
preset = "read-only:dynamodb"

[[rule]]
name = "read reports"
effect = "allow"
actions = ["s3:GetObject", "s3:ListBucket"]
resources = ["arn:aws:s3:::reports", "arn:aws:s3:::reports/*"]

[[rule]]
name = "nothing private"
effect = "block"
actions = ["s3:GetObject"]
resources = ["arn:aws:s3:::reports/private/*"]

[[rule]]
name = "ask before writing"
effect = "ask"
actions = ["s3:PutObject"]
resources = ["arn:aws:s3:::reports/*"]
"#;

const OBJECT: &str = "https://reports.s3.eu-west-1.amazonaws.com/2026/a.csv";

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("rules.toml", RULES);
        place
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn check(&self, arguments: &[&str]) -> Ran {
        Ran::of(
            clean_command(env!("CARGO_BIN_EXE_idp"))
                .current_dir(self.0.path())
                .args(["proxy", "check"])
                .args(arguments),
        )
    }

    /// What it makes of a request.
    fn request(&self, arguments: &[&str]) -> Ran {
        self.check(&[&["--rules", "rules.toml"], arguments].concat())
    }
}

#[test]
fn a_file_is_right_or_everything_wrong_with_it_is_named() {
    let place = Place::new();
    let right = place.check(&["--rules", "rules.toml"]).ok();
    assert_eq!(right.stdout, "");
    right.says(&["4 rules, nothing wrong"]);
    let json = place
        .check(&["--rules", "rules.toml", "--json"])
        .ok()
        .json();
    assert_eq!(json["usable"], true);
    assert_eq!(json["findings"], serde_json::json!([]));
    assert_eq!(
        json["roles"][0]["arn"],
        "arn:aws:iam::123456789012:role/agent"
    );

    place.write(
        "wrong.toml",
        "[[rule]]\nname = \"a\"\neffect = \"permit\"\nactions = [\"s3:GetObjekt\"]\ncolour = \"red\"\n",
    );
    let wrong = place.check(&["--rules", "wrong.toml"]).exits(7);
    for says in ["wrong.toml:3:", "wrong.toml:4:", "wrong.toml:5:", "  fix: "] {
        assert!(wrong.stdout.contains(says), "{says} in\n{}", wrong.stdout);
    }
    wrong.says(&["3 findings"]);
    let json = place
        .check(&["--rules", "wrong.toml", "--json"])
        .exits(7)
        .json();
    assert_eq!(json["usable"], false);
    assert_eq!(json["findings"].as_array().unwrap().len(), 3);
    assert_eq!(json["roles"], Value::Null);

    // A rule that can never match is a warning, and the file can be used.
    place.write(
        "warned.toml",
        &format!("{RULES}\n[[rule]]\nname = \"never\"\neffect = \"allow\"\nactions = [\"s3:ListBucket\"]\nresources = [\"arn:aws:s3:::reports/*\"]\n"),
    );
    let json = place
        .check(&["--rules", "warned.toml", "--json"])
        .exits(7)
        .json();
    assert_eq!(json["usable"], true, "{json}");
    assert_eq!(json["findings"][0]["severity"], "warning");
    // Nothing is decided by a file that is none.
    place
        .check(&["--rules", "wrong.toml", "--url", OBJECT])
        .exits(7);
}

#[test]
fn a_request_is_sent_or_not() {
    let place = Place::new();
    let allowed = place.request(&["--url", OBJECT]).ok();
    for says in ["s3:GetObject", "allow", "read reports"] {
        assert!(allowed.stdout.contains(says), "{}", allowed.stdout);
    }
    assert_eq!(allowed.stderr, "");
    let json = place.request(&["--url", OBJECT, "--json"]).ok().json();
    assert_eq!(json["decision"], "allow");
    assert_eq!(json["rule"], "read reports");
    assert_eq!(json["role"], "arn:aws:iam::123456789012:role/agent");

    let private = "https://reports.s3.eu-west-1.amazonaws.com/private/a.csv";
    let blocked = place.request(&["--url", private]).exits(4);
    assert!(blocked.stdout.contains("nothing private"), "{blocked:?}");
    let unknown = place.request(&["--method", "DELETE", "--url", OBJECT]);
    unknown
        .exits(4)
        .says(&["s3:DeleteObject", "this rule would allow it:", "[[rule]]"]);
    let asks = place.request(&["--method", "PUT", "--url", OBJECT, "--json"]);
    let json = asks.exits(4).json();
    assert_eq!(json["decision"], "ask", "{json}");
    assert_eq!(json["rule"], "ask before writing");
}

#[test]
fn where_the_body_decides_it_is_asked_for() {
    let place = Place::new();
    let item = place.write("item.json", r#"{"TableName":"orders","Key":{}}"#);
    let item = item.to_str().unwrap();
    let target = "X-Amz-Target: DynamoDB_20120810.GetItem";
    let url = "https://dynamodb.eu-west-1.amazonaws.com/";
    let get = ["--method", "POST", "--url", url, "--header", target];
    let with = [&get[..], &["--body", item]].concat();
    place.request(&with).ok();

    let query = [
        "--method",
        "POST",
        "--url",
        "https://sts.eu-west-1.amazonaws.com/",
    ];
    let json = place.request(&[&query[..], &["--json"]].concat()).exits(4);
    assert_eq!(json.json()["decision"], "needs_body");
    json.says(&["the body decides, and none was given", "--body FILE"]);
    let form = place.write("form", "Action=GetCallerIdentity&Version=2011-06-15");
    let form = form.to_str().unwrap();
    let typed = "Content-Type: application/x-www-form-urlencoded";
    let known = [&query[..], &["--header", typed, "--body", form, "--json"]].concat();
    let json = place.request(&known).exits(4).json();
    assert_eq!(json["operation"], "GetCallerIdentity", "{json}");
    assert_eq!(json["decision"], "block");
    let long = place.write("long", &"x".repeat(1024 * 1024 + 1));
    let long = [&get[..], &["--body", long.to_str().unwrap()]].concat();
    place.request(&long).exits(4).says(&["more than 1 MiB"]);
}

#[test]
fn a_host_that_the_proxy_would_not_sign_for() {
    let place = Place::new();
    for (url, code, says) in [
        ("https://s3.amazonaws.com.evil.example/", 4, "evil.example"),
        ("https://169.254.169.254/", 4, "169.254.169.254"),
        (
            "https://abc.execute-api.eu-west-1.amazonaws.com/x",
            4,
            "customer_hosts",
        ),
        ("https://dynamodb.eu-west-1.amazonaws.com/../x", 4, ""),
        (
            "s3.amazonaws.com",
            2,
            "begins with neither https:// nor http://",
        ),
    ] {
        place.request(&["--url", url]).exits(code).says(&[says]);
    }
    place.write(
        "rules.toml",
        &format!("tunnel_hosts = [\"pypi.org\"]\n{RULES}"),
    );
    place
        .request(&["--url", "https://pypi.org/simple"])
        .exits(2)
        .says(&["pass through unread", "tunnel_hosts"]);
}

#[test]
fn what_is_wrong_on_the_command_line_is_its_usage() {
    let place = Place::new();
    for (arguments, says) in [
        (
            &["--rules", "absent.toml"][..],
            "cannot read the rules from absent.toml",
        ),
        (&["--rules", "rules.toml", "--method", "PUT"], "--url"),
        (
            &["--rules", "rules.toml", "--url", OBJECT, "-H", "novalue"],
            "is not NAME: VALUE",
        ),
        (
            &["--rules", "rules.toml", "--url", OBJECT, "--body", "absent"],
            "cannot read the body from absent",
        ),
        (
            &["--rules", "rules.toml", "--role-arn", "x"],
            "is not an ARN",
        ),
        (&[], "--rules"),
    ] {
        let ran = place.check(arguments).exits(2);
        assert_eq!(ran.stdout, "");
        ran.says(&[says]);
    }
    place
        .check(&["--rules", "absent.toml"])
        .says(&["help: name a file that is there"]);
}
