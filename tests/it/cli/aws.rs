//! `idp aws credential-process` and `idp aws exec`.

use std::{
    fs, os::unix::fs::MetadataExt as _, os::unix::process::ExitStatusExt as _, time::Duration,
};

use predicates::{prelude::PredicateBooleanExt as _, str::contains};
use serde_json::Value;

use super::{FakeIdp, FakeSts, Place};

fn start() -> (FakeIdp, FakeSts, Place) {
    let idp = FakeIdp::start();
    let place = Place::enrolled(&idp);
    (idp, FakeSts::start(), place)
}

const PROCESS: [&str; 2] = ["aws", "credential-process"];

#[test]
fn prints_what_sdks_read_and_asks_once() {
    let (idp, sts, place) = start();
    let first = place.with_role(&sts, PROCESS).assert().success().stderr("");
    let first = first.get_output().stdout.clone();
    let json: Value = serde_json::from_slice(&first).unwrap();
    assert_eq!(json["Version"], 1);
    assert_eq!(json["AccessKeyId"], "ASIAIOSFODNN7EXAMPLE");
    assert_eq!(json["SecretAccessKey"], FakeSts::SECRET);
    assert_eq!(json["SessionToken"], FakeSts::SESSION);
    assert!(json["Expiration"].as_str().unwrap().ends_with('Z'));
    assert_eq!(json.as_object().unwrap().len(), 5);

    let second = place.with_role(&sts, PROCESS).assert().success();
    assert_eq!(second.get_output().stdout, first);
    assert_eq!((idp.token_forms().len(), sts.forms().len()), (1, 1));
    for entry in fs::read_dir(place.path().join("cache")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().mode() & 0o777, 0o600);
    }

    // Another session is another entry.
    place
        .with_role(
            &sts,
            PROCESS.into_iter().chain(["--role-session-name", "me"]),
        )
        .assert()
        .success();
    assert_eq!(sts.forms().len(), 2);
}

#[test]
fn ten_at_once_make_one_exchange() {
    let (idp, sts, place) = start();
    sts.set_delay(Duration::from_millis(300));
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| place.with_role(&sts, PROCESS).assert().success()))
            .collect();
        for call in calls {
            call.join().unwrap();
        }
    });
    assert_eq!((idp.token_forms().len(), sts.forms().len()), (1, 1));
}

#[test]
fn nearly_expired_broken_and_exposed_caches_are_replaced() {
    let (_idp, sts, place) = start();
    sts.set_life(1);
    place.with_role(&sts, PROCESS).assert().success();
    std::thread::sleep(Duration::from_millis(1100));
    sts.set_life(3600);
    place.with_role(&sts, PROCESS).assert().success();
    assert_eq!(sts.forms().len(), 2, "expired");

    let cache = fs::read_dir(place.path().join("cache"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "json"))
        .unwrap();
    fs::write(&cache, "{").unwrap();
    place.with_role(&sts, PROCESS).assert().success();
    assert_eq!(sts.forms().len(), 3, "broken");
    place.with_role(&sts, PROCESS).assert().success();
    assert_eq!(sts.forms().len(), 3, "replaced");
}

#[test]
fn credentials_that_still_work_outlast_an_unreachable_server_but_no_refusal() {
    let (idp, sts, place) = start();
    place.with_role(&sts, PROCESS).assert().success();
    let cache = fs::read_dir(place.path().join("cache"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "json"))
        .unwrap();
    // Five minutes left of what was an hour.
    let mut file: Value = serde_json::from_slice(&fs::read(&cache).unwrap()).unwrap();
    let expires = file["obtained_at"].as_i64().unwrap() + 300_000;
    file["credentials"]["expires_at"] = idp::domain::Timestamp::from_ms(expires).to_string().into();
    file["obtained_at"] = (expires - 3_600_000).into();
    fs::write(&cache, file.to_string()).unwrap();

    idp.next(503, serde_json::json!({}));
    place
        .with_role(&sts, PROCESS)
        .assert()
        .success()
        .stdout(contains(FakeSts::SECRET))
        .stderr(contains("warning:").and(contains("used until")));
    idp.next(401, serde_json::json!({"error": "invalid_client"}));
    place.with_role(&sts, PROCESS).assert().code(4).stdout("");
}

#[test]
fn commands_get_credentials_and_nothing_that_shadows_them() {
    let (_idp, sts, place) = start();
    let output = place
        .with_role(&sts, ["aws", "exec", "--region", "eu-west-1", "--", "env"])
        .env("AWS_PROFILE", "other")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")
        .env("AWS_ROLE_ARN", "r")
        .env("AWS_SECURITY_TOKEN", "old")
        .env("IDP_ADMIN_TOKEN", "idp_admin_x")
        .env("IDP_DATABASE_URL", "postgres://u:secret@db.example.com/idp")
        .env("IDP_JOIN_TOKEN", "idp_join_x")
        .env("IDP_KEY_PASSPHRASE", "long and secret")
        .env("KEPT", "yes")
        .assert()
        .success()
        .stderr("");
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    for line in [
        "AWS_ACCESS_KEY_ID=ASIAIOSFODNN7EXAMPLE",
        &format!("AWS_SECRET_ACCESS_KEY={}", FakeSts::SECRET),
        &format!("AWS_SESSION_TOKEN={}", FakeSts::SESSION),
        "AWS_REGION=eu-west-1",
        "KEPT=yes",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
    for name in [
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_SECURITY_TOKEN",
        "IDP_ADMIN_TOKEN",
        "IDP_DATABASE_URL",
        "IDP_JOIN_TOKEN",
        "IDP_KEY_PASSPHRASE",
    ] {
        assert!(
            !text.lines().any(|l| l.starts_with(&format!("{name}="))),
            "{name}"
        );
    }
}

#[test]
fn the_exit_code_is_the_commands_own() {
    let (_idp, sts, place) = start();
    let exec = |command: &[&str]| {
        let arguments = ["aws", "exec", "--"]
            .into_iter()
            .chain(command.iter().copied());
        place.with_role(&sts, arguments).assert()
    };
    exec(&["sh", "-c", "exit 42"]).code(42);
    exec(&["true"]).code(0);
    exec(&["/nonexistent"])
        .code(127)
        .stderr(contains("cannot run /nonexistent"));
    exec(&["/etc/passwd"]).code(126);
    let killed = exec(&["sh", "-c", "kill -TERM $$"]);
    assert_eq!(killed.get_output().status.signal(), Some(15));
    // A refusal is not the command's.
    sts.refuse(403, "AccessDenied", "no");
    exec(&["true"]).code(5);
}

#[test]
fn no_core_dump_holds_what_is_in_memory() {
    let (_idp, sts, place) = start();
    // As open as the machine lets it be. The command inherits what `idp` has set for itself.
    let script = "ulimit -S -c \"$(ulimit -H -c)\"; exec \"$0\" aws exec -- sh -c 'ulimit -S -c'";
    let command = place.with_role(&sts, []);
    let program = command.get_program().to_owned();
    let mut shell = assert_cmd::Command::new("/bin/sh");
    shell.env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell.args(["-c", script]).arg(program);
    shell.assert().success().stdout("0\n");
}
