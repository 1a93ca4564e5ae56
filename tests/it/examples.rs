//! What is in `examples/` works: each file is tried with the program that it is for, and names nothing
//! that does not exist. `docs/OPERATIONS.md` is held to the code.

mod documents;
mod nginx;
mod observation;
mod platforms;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::clean_command;

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap()
}

/// A program that `scripts/test` installs; `None` where it is missing and no CI asks for proof.
#[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
fn tool(name: &str, probe: &str) -> Option<Command> {
    let found = clean_command(name)
        .arg(probe)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if found {
        return Some(clean_command(name));
    }
    let ci = std::env::var("CI").unwrap_or_default();
    assert!(
        matches!(ci.as_str(), "" | "0" | "false"),
        "CI is set, but there is no {name}: run scripts/test"
    );
    eprintln!("skipped: no {name}; scripts/test installs it");
    None
}

/// Runs it and returns what it printed, where it succeeded.
#[track_caller]
fn printed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let all = [output.stdout, output.stderr].concat();
    let all = String::from_utf8(all).unwrap();
    assert!(output.status.success(), "{command:?}: {all}");
    all
}
