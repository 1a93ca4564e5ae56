//! The readers of the field: botocore in a Python process, and the Rust SDK's loader.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use aws_runtime::env_config::{
    file::{EnvConfigFileKind, EnvConfigFiles},
    section::EnvConfigSections,
    source,
};
use aws_types::os_shim_internal::{Env, Fs};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::FutureExt;
use serde::Deserialize;
use serde_json::{Value, json};

use super::generate::Kind;

/// Settings by section, as botocore hands them out.
pub(super) type Sections = BTreeMap<String, BTreeMap<String, Value>>;

/// What botocore makes of a file.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Reading {
    /// The class of its exception.
    pub(super) refused: Option<String>,
    #[serde(default)]
    pub(super) sections: Sections,
    /// What it would sign with.
    pub(super) keys: Option<Vec<Value>>,
}

/// A Python process that answers for botocore as long as it lives.
pub(super) struct Botocore {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Botocore {
    /// Starts the interpreter of `IDP_TEST_PYTHON`, or of `target/venv`. Without botocore there,
    /// `None` and a line that says so; a failure where `CI` is set.
    #[expect(
        clippy::print_stderr,
        reason = "a test that proves nothing must say so"
    )]
    pub(super) fn start() -> Option<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let python = env::var_os("IDP_TEST_PYTHON")
            .map_or_else(|| root.join("target/venv/bin/python"), PathBuf::from);
        let python_has_botocore = python_command(&python)
            .args(["-c", "import botocore"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !python_has_botocore {
            let why = format!("no Python with botocore at {}", python.display());
            assert!(env::var_os("CI").is_none(), "{why}");
            eprintln!("skipped: {why}; set IDP_TEST_PYTHON");
            return None;
        }
        let mut process = python_command(&python)
            .arg(root.join("tests/python/ini_oracle.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter that ran a moment ago runs");
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Some(Self {
            process,
            input,
            output,
        })
    }

    pub(super) fn read(&mut self, contents: &[u8], kind: Kind, profile: &str) -> Reading {
        let kind = match kind {
            Kind::Credentials => "credentials",
            Kind::Config => "config",
        };
        let contents = STANDARD.encode(contents);
        let asked = json!({"contents": contents, "kind": kind, "profile": profile});
        writeln!(self.input, "{asked}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).expect("the oracle answers; its error is above")
    }
}

impl Drop for Botocore {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Nothing of this process's environment reaches botocore but the search path.
fn python_command(python: &PathBuf) -> Command {
    let mut command = Command::new(python);
    command.env_clear().env("PYTHONUTF8", "1");
    if let Some(path) = env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// What the Rust SDK makes of a file; `None` where it refuses it.
pub(super) fn sdk(contents: &str, kind: Kind) -> Option<EnvConfigSections> {
    let kind = match kind {
        Kind::Credentials => EnvConfigFileKind::Credentials,
        Kind::Config => EnvConfigFileKind::Config,
    };
    let files = EnvConfigFiles::builder()
        .with_contents(kind, contents)
        .build();
    let source = source::load(&Env::from_slice(&[]), &Fs::from_slice(&[]), &files)
        .now_or_never()
        .expect("contents at hand are loaded without waiting")
        .expect("contents at hand are always loaded");
    EnvConfigSections::parse(source).ok()
}
