//! Node.js, for what only the AWS SDK for JavaScript can judge.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::clean_command;

/// A command that runs `tests/node/SCRIPT` with the packages of `tests/node/package-lock.json`, which
/// `scripts/test` installs under the target directory (or where `IDP_TEST_NODE_MODULES` says). `None`
/// where Node.js or the packages are missing: a test returns early then.
///
/// # Panics
///
/// Where they are missing though `CI` is set: a run that has to prove something must not skip.
#[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
pub(crate) fn node(script: &str) -> Option<Command> {
    let found = modules().filter(|_| version().is_some_and(|major| major >= 20));
    if found.is_none() {
        let ci = std::env::var("CI").unwrap_or_default();
        assert!(
            matches!(ci.as_str(), "" | "0" | "false"),
            "CI is set, but Node.js 20 or its packages are not there: run scripts/test"
        );
        eprintln!("skipped: no Node.js 20 with packages; scripts/test installs them");
    }
    let mut command = clean_command("node");
    command
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/node")
                .join(script),
        )
        .env("NODE_PATH", found?);
    Some(command)
}

fn modules() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("IDP_TEST_NODE_MODULES").map(PathBuf::from) {
        assert!(
            named.is_dir(),
            "IDP_TEST_NODE_MODULES is {}, which is not there",
            named.display()
        );
        return Some(named);
    }
    let made = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()?
        .join("node/node_modules");
    made.is_dir().then_some(made)
}

/// The major version of the interpreter.
fn version() -> Option<u32> {
    let output = clean_command("node").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.strip_prefix('v')?.split('.').next()?.parse().ok()
}
