//! Claims that AWS policies can use, the local STS alone, and `CloudTrail`, as their users meet them.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::dev::{Dev, IDP, ROLE};
use crate::support::{Running, clean_command, python, python_json};

/// `idp sts serve` on a free port, and what it says.
struct Sts {
    url: String,
    log: std::path::PathBuf,
    _server: Running,
}

impl Sts {
    fn start(directory: &Path, roles: &Path) -> Self {
        let (out, log) = (directory.join("sts.out"), directory.join("sts.log"));
        let server = Running::start(
            clean_command(IDP)
                .args(["sts", "serve", "--port", "0", "--roles"])
                .arg(roles)
                .stdout(File::create(&out).unwrap())
                .stderr(File::create(&log).unwrap()),
        );
        let url = wait_for(&out, "http://");
        Self {
            url: url.trim().to_owned(),
            log,
            _server: server,
        }
    }

    /// Waits until standard error says it.
    #[track_caller]
    fn says(&self, part: &str) {
        wait_for(&self.log, part);
    }
}

#[track_caller]
fn wait_for(file: &Path, part: &str) -> String {
    let begun = Instant::now();
    loop {
        let said = fs::read_to_string(file).unwrap();
        if said.contains(part) && said.ends_with('\n') {
            return said;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{part:?} is not in\n{said}"
        );
        sleep(Duration::from_millis(20));
    }
}

fn organization(dev: &Dev) -> String {
    let list = dev.run("idp admin org list --json").ok().json();
    list[0]["id"].as_str().unwrap().to_owned()
}

fn claims(dev: &Dev, flags: &str) -> Value {
    dev.run(&format!("idp token --decode {flags}")).ok().json()["Claims"].clone()
}

#[test]
fn switches_change_what_tokens_say_and_login_goes_on() {
    let dev = Dev::start();
    let org = organization(&dev);
    dev.run(&format!("idp admin org show {org}"))
        .ok()
        .stdout
        .lines()
        .find(|line| *line == "aws_claims: none")
        .unwrap();
    dev.run(&format!("idp admin org update {org}"))
        .exits(2)
        .says(&["there is nothing to change"]);
    let shown = dev
        .run(&format!(
            "idp admin org update {org} --session-tags on --source-identity on --role-pin on"
        ))
        .ok();
    assert!(
        shown
            .stdout
            .contains("aws_claims: session_tags, source_identity, role_pin")
    );
    dev.run(&format!("idp login aws --role-arn {ROLE}")).ok();
    let token = claims(&dev, &format!("--role-arn {ROLE}"));
    assert_eq!(token["https://aws.amazon.com/roles"], json!([ROLE]));
    let environment = token["https://aws.amazon.com/source_identity"]
        .as_str()
        .unwrap();
    let tags = &token["https://aws.amazon.com/tags"]["principal_tags"];
    assert_eq!(tags["environment_id"], json!([environment]));

    dev.run(&format!(
        "idp admin environment update {environment} --role-arn arn:aws:iam::000000000000:role/other"
    ))
    .ok();
    dev.run(&format!("idp login aws --role-arn {ROLE}"))
        .exits(4)
        .says(&["is not a role of environment", "role/other"]);
    dev.run(&format!(
        "idp admin environment update {environment} --any-role"
    ))
    .ok();
    dev.run(&format!("idp login aws --role-arn {ROLE}")).ok();
    dev.run(&format!(
        "idp admin org update {org} --role-pin off --session-tags off"
    ))
    .ok();
    assert_eq!(claims(&dev, "").get("https://aws.amazon.com/roles"), None);
}

/// A role with that trust policy, one that its session can assume with an external id, and one that
/// does not allow what the tokens carry.
fn roles_of(trust: &Value) -> Value {
    let chained = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
        "Principal": { "AWS": "arn:aws:iam::000000000000:role/ci" },
        "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
        "Condition": { "StringEquals": { "sts:ExternalId": "unguessable" } } }] });
    json!([
        { "name": "ci", "trust_policy": trust },
        { "name": "chained", "trust_policy": chained },
        { "name": "strict", "trust_policy": { "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": trust["Statement"][0]["Principal"],
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": trust["Statement"][0]["Condition"] }] } },
    ])
}

#[test]
fn a_local_sts_takes_generated_policies_and_tells_why_it_refuses() {
    let dev = Dev::start();
    let place = tempfile::tempdir().unwrap();
    let org = organization(&dev);
    dev.run(&format!(
        "idp admin org update {org} --session-tags on --source-identity on"
    ))
    .ok();
    let trust = dev.run(&format!(
        "idp aws trust-policy --org {org} --account 000000000000"
    ));
    let trust = trust
        .ok()
        .says(&["a local STS can reach it, AWS cannot"])
        .json();
    assert_eq!(
        trust["Statement"][0]["Action"],
        json!([
            "sts:AssumeRoleWithWebIdentity",
            "sts:TagSession",
            "sts:SetSourceIdentity"
        ]),
        "as the organisation's switches need it"
    );
    let roles = place.path().join("roles.json");
    let write = |roles_: Value| {
        let file = json!({ "account": "000000000000",
            "providers": [{ "url": dev.issuer(), "client_ids": ["sts.amazonaws.com"] }],
            "roles": roles_ });
        fs::write(&roles, serde_json::to_string_pretty(&file).unwrap()).unwrap();
    };
    write(roles_of(&trust));
    let sts = Sts::start(place.path(), &roles);
    let login = |role: &str| {
        dev.run(&format!(
            "idp login aws --role-arn arn:aws:iam::000000000000:role/{role} --endpoint-url {}",
            sts.url
        ))
    };
    login("ci").ok();
    if let Some(python) = python() {
        let token = dev.run("idp token").ok().stdout;
        let tokens = place.path().join("tokens.json");
        fs::write(
            &tokens,
            json!({ "good": token, "bad": "a.b.c" }).to_string(),
        )
        .unwrap();
        let exchanged = python_json(
            &python,
            "exchange.py",
            &[
                "arn:aws:iam::000000000000:role/ci",
                tokens.to_str().unwrap(),
            ],
            &[
                ("AWS_ENDPOINT_URL_STS", &sts.url),
                ("AWS_DEFAULT_REGION", "us-east-1"),
            ],
        );
        assert_eq!(
            exchanged["good"]["arn"],
            "arn:aws:sts::000000000000:assumed-role/ci/exchange"
        );
        assert_eq!(exchanged["bad"]["code"], "InvalidIdentityToken");
        sts.says("the header is not unpadded base64url");
        let assume = |more: &str| {
            dev.run(&format!(
                "aws --endpoint-url {} sts assume-role --role-session-name chained \
                 --role-arn arn:aws:iam::000000000000:role/chained {more}",
                sts.url
            ))
        };
        let session = assume("--external-id unguessable").ok().json();
        assert_eq!(
            session["AssumedRoleUser"]["Arn"],
            "arn:aws:sts::000000000000:assumed-role/chained/chained"
        );
        assert_eq!(session["SourceIdentity"].as_str().unwrap().len(), 36);
        let refused = assume("--external-id guess");
        assert_ne!(refused.code, Some(0));
        assert!(
            refused.stderr.contains("AccessDenied"),
            "{}",
            refused.stderr
        );
        sts.says("StringEquals on sts:ExternalId is not met");
    }
    login("strict").exits(5);
    sts.says("allows sts:TagSession");

    write(json!([]));
    sts.says("1 providers, 0 roles");
    login("ci").exits(5);
    sts.says("this STS has no role arn:aws:iam::000000000000:role/ci");
    fs::write(&roles, "{\n\"acount\": 7}").unwrap();
    sts.says("unknown field `acount`, expected one of `account`, `providers`, `roles` at line 2 column 8; write");
    sts.says("going on with what it held before");
    fs::remove_file(&roles).unwrap();
    sts.says("is not there any more\ngoing on with what it held before");
    fs::write(&roles, "{").unwrap();
    sts.says("that place is not JSON");
}

#[test]
fn a_roles_file_that_is_wrong_is_refused_with_its_lines() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("roles.json");
    fs::write(
        &file,
        "{\"account\": \"000000000000\",\n\"providers\": [\n{\"url\": \"http://idp.example.com\",\n\
         \"client_ids\": [\"a\"]}],\n\"roles\": [\n{\"name\": \"a\",\n\"max_session_duration\": 1,\n\
         \"trust_policy\": {\"Statement\": {}}}]}",
    )
    .unwrap();
    let serve = |file: &Path| {
        super::ran::Ran::of(
            clean_command(IDP)
                .args(["sts", "serve", "--port", "0", "--roles"])
                .arg(file)
                .stdin(Stdio::null()),
        )
    };
    serve(&file).exits(2).says(&[
        "line 3: providers[0].url: an issuer must be an https URL",
        "line 7: roles[0].max_session_duration: 1 is out of bounds",
    ]);
    fs::write(&file, "").unwrap();
    serve(&file).exits(2).says(&[
        "is not a roles file:\nEOF while parsing a value at line 1 column 0; that place is not JSON",
        "help: `idp sts serve --help`",
    ]);
    serve(&place.path().join("absent"))
        .exits(2)
        .says(&["cannot read the roles file", "help: name a file"]);
}

#[test]
fn cloudtrail_is_joined_with_the_tokens_that_were_minted() {
    let dev = Dev::start();
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("log.json");
    let token = claims(&dev, "");
    let provider = format!(
        "arn:aws:iam::000000000000:oidc-provider/{}",
        dev.issuer().trim_start_matches("http://")
    );
    let at = |offset: i64| {
        let time = jiff::Timestamp::from_second(token["iat"].as_i64().unwrap() + offset).unwrap();
        time.to_string()
    };
    let event = |id: &str, time: String, subject: &str, provider: &str| {
        json!({ "eventID": id, "eventTime": time, "eventSource": "sts.amazonaws.com",
            "eventName": "AssumeRoleWithWebIdentity", "sourceIPAddress": "203.0.113.7",
            "userIdentity": { "type": "WebIdentityUser", "userName": subject,
                "identityProvider": provider },
            "requestParameters": { "roleArn": ROLE, "roleSessionName": "x" },
            "responseElements": { "audience": "sts.amazonaws.com" } })
    };
    let subject = token["sub"].as_str().unwrap();
    let write =
        |events: &[Value]| fs::write(&log, json!({ "Records": events }).to_string()).unwrap();
    let join = |flags: &str| {
        dev.run(&format!(
            "idp admin audit join-cloudtrail {} {flags}",
            log.display()
        ))
    };
    let sound = event("sound", at(5), subject, &provider);
    let foreign = event(
        "foreign",
        at(5),
        "repo:x",
        "arn:aws:iam::1:oidc-provider/other.example.com",
    );
    write(&[sound.clone(), foreign.clone()]);
    let joined = join("--json").ok().json();
    assert_eq!(
        (&joined["events"], &joined["other_providers"]),
        (&json!(1), &json!(1))
    );
    // The login of `idp dev` itself has minted one too.
    let jtis = joined["joined"][0]["jtis"].as_array().unwrap();
    assert!(jtis.contains(&token["jti"]), "{joined}");
    assert_eq!(joined["explained"], 1);
    // No session came of a call that STS refused.
    let mut refused = event("refused", at(5), subject, &provider);
    refused["errorCode"] = "AccessDenied".into();
    refused["responseElements"] = Value::Null;

    let other = subject.replace("/env:", "/env:0");
    let nobody = "org:0191e223-1c3c-7607-badf-303c98b52d2f/env:x";
    write(&[
        sound,
        foreign,
        refused,
        event("early", at(-4000), subject, &provider),
        event("other", at(5), &other, &provider),
        event("nobody", at(5), nobody, &provider),
        event("strange", at(5), "strange", &provider),
    ]);
    let json = join("--json").exits(7).json();
    assert_eq!(
        (&json["events"], &json["explained"], &json["refused"]),
        (&json!(6), &json!(1), &json!(1))
    );
    let ids = |name: &str| -> Vec<String> {
        let rows = json[name].as_array().unwrap().iter();
        rows.map(|row| row["event_id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids("joined"), ["sound"], "{json}");
    assert_eq!(ids("unexplained").len(), 4, "{json}");
    let found = join("").exits(7).says(&[
        "6 calls with tokens of",
        "1 sessions explained by a token",
        "1 calls with a known token that STS refused",
        "4 sessions are explained by no token",
    ]);
    for id in ["early", "other", "nobody", "strange"] {
        assert!(found.stdout.contains(id), "{id}: {}", found.stdout);
    }
    assert!(!found.stdout.contains("sound") && !found.stdout.contains("foreign"));
    fs::write(&log, "{").unwrap();
    join("").exits(2).says(&["is not a CloudTrail log"]);
}
