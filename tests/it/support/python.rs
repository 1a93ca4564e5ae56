//! Python, for what only Python's tools can judge: boto3, the AWS CLI, moto, `PyJWT`, authlib.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use tempfile::TempDir;

use super::{Running, clean_command, free_port, wait_until};

/// The interpreter that has `tests/python/requirements.txt` installed: `IDP_TEST_PYTHON`, or the one
/// that `scripts/test` makes under the target directory. A test returns early where there is none.
///
/// # Panics
///
/// Where there is none though `CI` is set: a run that has to prove something must not skip.
#[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
pub(crate) fn python() -> Option<PathBuf> {
    let found = find(std::env::var_os("IDP_TEST_PYTHON").map(PathBuf::from));
    if found.is_none() {
        let ci = std::env::var("CI").unwrap_or_default();
        assert!(
            matches!(ci.as_str(), "" | "0" | "false"),
            "CI is set, but there is no Python environment: run scripts/test"
        );
        eprintln!("skipped: no Python environment; scripts/test makes one");
    }
    found
}

/// The interpreter that has `tests/python/infrastructure/requirements.txt` installed:
/// `IDP_TEST_INFRASTRUCTURE_PYTHON`, or the one that `scripts/test` makes. As [`python`] otherwise.
#[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
pub(crate) fn infrastructure_python() -> Option<PathBuf> {
    let named = std::env::var_os("IDP_TEST_INFRASTRUCTURE_PYTHON").map(PathBuf::from);
    let found = find_in(named, "venv-infrastructure");
    if found.is_none() {
        let ci = std::env::var("CI").unwrap_or_default();
        assert!(
            matches!(ci.as_str(), "" | "0" | "false"),
            "CI is set, but there is no Python environment for infrastructure: run scripts/test"
        );
        eprintln!("skipped: no Python environment for infrastructure; scripts/test makes one");
    }
    found
}

/// The interpreter that has `tools/catalog/requirements.txt` installed: `IDP_TEST_CATALOG_PYTHON`, or the
/// one that `scripts/test` makes. As [`python`] otherwise.
#[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
pub(crate) fn catalog_python() -> Option<PathBuf> {
    let named = std::env::var_os("IDP_TEST_CATALOG_PYTHON").map(PathBuf::from);
    let found = find_in(named, "venv-catalog");
    if found.is_none() {
        let ci = std::env::var("CI").unwrap_or_default();
        assert!(
            matches!(ci.as_str(), "" | "0" | "false"),
            "CI is set, but there is no Python environment for the catalog: run scripts/test"
        );
        eprintln!("skipped: no Python environment for the catalog; scripts/test makes one");
    }
    found
}

/// The interpreter that has `tests/python/ministack/requirements.txt` installed:
/// `IDP_TEST_MINISTACK_PYTHON`, or the one that `scripts/test` makes. As [`python`] otherwise.
#[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
fn ministack_python() -> Option<PathBuf> {
    let named = std::env::var_os("IDP_TEST_MINISTACK_PYTHON").map(PathBuf::from);
    let found = find_in(named, "venv-ministack");
    if found.is_none() {
        let ci = std::env::var("CI").unwrap_or_default();
        assert!(
            matches!(ci.as_str(), "" | "0" | "false"),
            "CI is set, but there is no Python environment for MiniStack: run scripts/test"
        );
        eprintln!("skipped: no Python environment for MiniStack; scripts/test makes one");
    }
    found
}

fn find(named: Option<PathBuf>) -> Option<PathBuf> {
    find_in(named, "venv")
}

fn find_in(named: Option<PathBuf>, made: &str) -> Option<PathBuf> {
    if let Some(named) = named {
        assert!(
            named.is_file(),
            "IDP_TEST_PYTHON is {}, which is not there",
            named.display()
        );
        return Some(named);
    }
    let made = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()?
        .join(made)
        .join("bin/python");
    made.is_file().then_some(made)
}

/// A program beside the interpreter: `aws`, `moto_server`.
pub(crate) fn python_tool(python: &Path, name: &str) -> PathBuf {
    python.with_file_name(name)
}

/// Runs `tests/python/SCRIPT` with arguments and environment variables, and reads the one JSON value
/// that it prints.
///
/// # Panics
///
/// Where it fails, with what it wrote to standard error.
pub(crate) fn python_json(
    python: &Path,
    script: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> serde_json::Value {
    run(python, script, arguments, environment).unwrap_or_else(|error| panic!("{error}"))
}

fn run(
    python: &Path,
    script: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<serde_json::Value, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/python")
        .join(script);
    let output = clean_command(python)
        .arg(path)
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", python.display()))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{script}: {}\n{errors}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| {
        let printed = String::from_utf8_lossy(&output.stdout);
        format!("{script} did not print one JSON value: {error}\n{printed}")
    })
}

/// A running moto server: a mock of AWS's services on loopback.
#[derive(Debug)]
pub(crate) struct Moto {
    /// `http://127.0.0.1:PORT`, for every service.
    pub(crate) url: String,
    _server: Running,
}

/// Starts moto, and waits until it answers. It ends when the value is dropped. `None` where there is no
/// Python environment.
pub(crate) fn moto_server() -> Option<Moto> {
    let program = python_tool(&python()?, "moto_server");
    // Somebody else can be quicker to take the port.
    let mut failure = String::new();
    for _ in 0..3 {
        let port = free_port();
        let mut server = Running::start(
            clean_command(&program)
                .args(["-H", "127.0.0.1", "-p", &port.to_string()])
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        let url = format!("http://127.0.0.1:{port}");
        match wait_until(&format!("{url}/moto-api/"), &mut server) {
            Ok(()) => {
                return Some(Moto {
                    url,
                    _server: server,
                });
            }
            Err(error) => failure = error,
        }
    }
    panic!("{failure}");
}

/// A running `MiniStack`: a mock of AWS's services on loopback that verifies every signature and
/// evaluates the policies of roles.
#[derive(Debug)]
pub(crate) struct MiniStack {
    /// `http://127.0.0.1:PORT`, for every service.
    pub(crate) url: String,
    _server: Running,
    _dir: TempDir,
}

/// Starts `MiniStack`, and waits until it answers. It ends when the value is dropped. `None` where there
/// is no Python environment for it. The access key `test` with the secret `test` may do everything.
pub(crate) fn ministack_server() -> Option<MiniStack> {
    let program = python_tool(&ministack_python()?, "ministack");
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut server = Running::start(
        clean_command(&program)
            .env("AUTH", "true")
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("SFTP_ENABLED", "0")
            .env("IOT_MTLS_ENABLED", "0")
            .env("TMPDIR", dir.path())
            .env("S3_DATA_DIR", dir.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    let url = format!("http://127.0.0.1:{port}");
    wait_until(&format!("{url}/_ministack/health"), &mut server).unwrap();
    Some(MiniStack {
        url,
        _server: server,
        _dir: dir,
    })
}

mod tests {
    use super::{find, run};
    use crate::support::{Moto, clean_command, moto_server, python, python_json, python_tool};

    #[test]
    #[should_panic(expected = "IDP_TEST_PYTHON is /nowhere/python, which is not there")]
    fn a_named_interpreter_has_to_be_there() {
        find(Some("/nowhere/python".into()));
    }

    #[test]
    fn the_environment_holds_what_the_requirements_say() {
        let Some(python) = python() else { return };
        let installed = python_json(&python, "versions.py", &[], &[("IDP_PROBE", "seen")]);
        assert_eq!(installed["probe"], "seen");
        let requirements = include_str!("../../python/requirements.txt");
        let pinned: Vec<(&str, &str)> = requirements
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once("=="))
            .collect();
        assert!(pinned.len() > 4, "every requirement is pinned");
        for (name, version) in pinned {
            let name = name.split('[').next().unwrap();
            assert_eq!(
                installed["versions"][name.to_lowercase()],
                version,
                "{name}"
            );
        }
    }

    #[test]
    fn a_script_that_fails_is_quoted() {
        let Some(python) = python() else { return };
        let error = run(&python, "versions.py", &["--nonsense"], &[]).unwrap_err();
        assert!(
            error.contains("unrecognized arguments: --nonsense"),
            "{error}"
        );
    }

    #[test]
    fn the_aws_cli_talks_to_moto() {
        let Some(Moto { url, .. }) = &moto_server() else {
            return;
        };
        let python = python().unwrap();
        let output = clean_command(python_tool(&python, "aws"))
            .args(["sts", "get-caller-identity", "--output", "json"])
            .env("AWS_ENDPOINT_URL_STS", url)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let identity: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(identity["Account"], "123456789012");
    }
}
