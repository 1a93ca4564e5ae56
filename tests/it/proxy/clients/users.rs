//! The boundary: an agent that is another Unix user than the proxy. Only root can try it.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{sdk::before_moto, stage::Stage};
use crate::{
    e2e::dev::IDP,
    support::{clean_command, moto_server, python, python_tool},
};

/// The user id of `nobody`. `None` where the tests do not run as root.
///
/// # Panics
/// Where they do not though `CI` is set.
#[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
fn nobody() -> Option<u32> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        let ci = std::env::var("CI").unwrap_or_default();
        assert!(
            matches!(ci.as_str(), "" | "0" | "false"),
            "CI is set, but the tests do not run as root, which another user takes"
        );
        eprintln!("skipped: only root can start a program as another user");
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("nobody:"))?;
    line.split(':').nth(2)?.parse().ok()
}

/// A command that runs as that user, somewhere that the user may be.
fn as_user(user: u32, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = clean_command(program);
    command.uid(user).gid(user).current_dir("/");
    command
}

/// Every file below a directory.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Lets anybody go through the directories that lead to `path`, so that only modes of its own protect
/// what is in it.
fn open_the_way_to(path: &Path) {
    for dir in path.ancestors().skip(1) {
        let mode = fs::metadata(dir).unwrap().permissions().mode();
        if dir.starts_with(std::env::temp_dir()) && dir != std::env::temp_dir() {
            fs::set_permissions(dir, fs::Permissions::from_mode(mode | 0o711)).unwrap();
        }
    }
}

fn stage() -> Option<(Stage, u32, impl Sized)> {
    let user = nobody()?;
    let moto = moto_server()?;
    let stage = before_moto(&moto);
    // The records are there once there was a request.
    let mut curl = clean_command("curl");
    let url = format!("http://127.0.0.1:{}/", stage.port);
    curl.args(["-sS", "-o", "/dev/null", &url]);
    curl.args(["-H", "Host: s3.us-east-1.amazonaws.com", "-H"]);
    curl.arg(format!("Proxy-Authorization: {}", stage.basic()));
    assert!(curl.stdin(Stdio::null()).status().unwrap().success());
    stage.answered(1, |record| record["operation"] == "ListBuckets");
    Some((stage, user, moto))
}

#[test]
fn another_user_reads_no_secret_of_the_proxys_and_gets_nothing_without_its_key() {
    let Some((stage, user, _moto)) = stage() else {
        return;
    };
    open_the_way_to(&stage.home().join("x"));
    open_the_way_to(&stage.state("x"));
    // The directory of the state stays as the proxy made it; only those above it are open.
    let mode = fs::metadata(stage.state("")).unwrap().permissions().mode();
    fs::set_permissions(stage.state(""), fs::Permissions::from_mode(mode | 0o711)).unwrap();
    let mut all = Vec::new();
    files(stage.home(), &mut all);
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let names: Vec<String> = all.iter().map(|path| name(path)).collect();
    for wanted in [
        "identity.json",
        "ca.key",
        "ca.sealing-key",
        "key",
        "requests.jsonl",
    ] {
        assert!(
            names.iter().any(|name| name == wanted),
            "{wanted}: {names:?}"
        );
    }
    let secret = |path: &Path| {
        let public = [
            "ca.pem",
            "bundle.pem",
            "rules.toml",
            "role",
            "proxy.log",
            "env",
        ];
        !public.contains(&name(path).as_str())
    };
    for path in all.iter().filter(|path| secret(path)) {
        let read = as_user(user, "cat")
            .arg(path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(!read.success(), "another user reads {}", path.display());
    }
    // Nor from the process: its environment and its memory are another user's.
    for file in ["environ", "mem"] {
        let path = format!("/proc/{}/{file}", stage.proxy.id());
        let read = as_user(user, "head")
            .args(["-c", "1", &path])
            .stderr(Stdio::null())
            .output()
            .unwrap();
        assert!(read.stdout.is_empty(), "another user reads {path}");
    }
    let sent = stage.cloud.seen().len();
    let answer = as_user(user, "curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}"])
        .args(["-H", "Host: s3.us-east-1.amazonaws.com"])
        .arg(format!("http://127.0.0.1:{}/", stage.port))
        .output()
        .unwrap();
    let status = String::from_utf8(answer.stdout).unwrap();
    assert!(status.starts_with('4'), "{status}");
    assert_eq!(stage.cloud.seen().len(), sent);
}

#[test]
fn exec_runs_a_program_as_another_user_and_it_works() {
    let Some((stage, user, _moto)) = stage() else {
        return;
    };
    let output = exec(&stage)
        .args(["--user", "nobody", "--", "/bin/sh", "-ec"])
        .arg(
            "id -u; cat \"$0/identity.json\" 2>/dev/null || echo cannot-read
             s3=https://s3.us-east-1.amazonaws.com
             curl -sS -o /dev/null -w '%{http_code}\n' -X PUT $s3/made-by-nobody
             curl -sS $s3/",
        )
        .arg(stage.home())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{}", stage.log());
    let text = String::from_utf8(output.stdout).unwrap();
    let begins = format!("{user}\ncannot-read\n200\n");
    assert!(text.starts_with(&begins), "{text}\n{said}");
    assert!(text.contains("<Name>made-by-nobody</Name>"), "{text}");
    let warned = said.contains("boundary");
    assert!(!warned, "there is a boundary: {said}");
    let Some(python) = python() else { return };
    // An interpreter in root's home is closed to others.
    let aws = python_tool(&python, "aws");
    let usable = as_user(user, &python).arg("--version").output();
    if usable.is_ok_and(|output| output.status.success()) {
        let output = exec(&stage)
            .args(["--user", "nobody", "--"])
            .args([python.as_os_str(), aws.as_os_str()])
            .args(["s3", "ls"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.trim_end().ends_with(" made-by-nobody"), "{text}");
    }
}

#[test]
fn exec_without_another_user_says_that_it_is_no_boundary() {
    let Some((stage, ..)) = stage() else { return };
    let output = exec(&stage).args(["--", "true"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("boundary"), "{said}");
}

/// `idp proxy exec` in the stage's environment, before the same AWS, with a proxy of its own.
fn exec(stage: &Stage) -> Command {
    let mut command = clean_command(IDP);
    stage.configure(command.args(["proxy", "exec"]));
    command.current_dir("/").stdin(Stdio::null());
    command
}
