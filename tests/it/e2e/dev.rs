//! A running `idp dev`, and the shell of its user.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::ran::Ran;
use crate::support::{Running, clean_command, python};

/// The role that the demonstration's environment may assume.
pub(crate) const ROLE: &str = "arn:aws:iam::000000000000:role/demo";

/// The command line under test.
pub(crate) const IDP: &str = env!("CARGO_BIN_EXE_idp");

pub(crate) struct Dev {
    server: Running,
    dir: TempDir,
}

impl Dev {
    /// Starts it on any free port, in a new directory, and waits until it serves.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = start(dir.path(), "0");
        Self { server, dir }
    }

    /// Ends it as Ctrl-C does and starts it again with the same directory and the same port.
    pub(super) fn restart(&mut self) {
        let url = self.issuer();
        let (_, port) = url.rsplit_once(':').unwrap();
        interrupt(&mut self.server);
        self.server = start(self.dir.path(), port);
    }

    /// Its process.
    pub(super) fn id(&self) -> u32 {
        self.server.id()
    }

    /// Ends it with `SIGKILL` and starts it again.
    pub(super) fn kill_and_restart(&mut self) {
        self.server.kill();
        self.server = start(self.dir.path(), "0");
    }

    /// `DIR`, which is the environment's `IDP_HOME`.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("d")
    }

    /// A command in a shell that has sourced `DIR/env`, with `idp` and the Python environment's tools
    /// on the path; `script` is the shell's.
    pub(super) fn shell(&self, script: &str) -> Command {
        let mut path = Path::new(IDP).parent().unwrap().as_os_str().to_owned();
        if let Some(python) = python() {
            path.push(":");
            path.push(python.parent().unwrap());
        }
        path.push(":/usr/bin:/bin");
        let mut command = clean_command("/bin/sh");
        command
            .args(["-c", &format!("set -eu\n. \"$0/env\"\n{script}")])
            .arg(self.path())
            .env("PATH", path)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Runs [`Dev::shell`].
    #[track_caller]
    pub(super) fn run(&self, script: &str) -> Ran {
        Ran::of(&mut self.shell(script))
    }

    /// What `DIR/env` sets a variable to.
    #[track_caller]
    pub(crate) fn variable(&self, name: &str) -> String {
        self.run(&format!("printf %s \"${name}\"")).ok().stdout
    }

    /// The issuer, which is the server's address too.
    #[track_caller]
    pub(crate) fn issuer(&self) -> String {
        self.variable("IDP_URL")
    }
}

/// Starts `idp dev` in `dir/d` and waits until it says that it serves.
fn start(dir: &Path, port: &str) -> Running {
    let log = dir.join("log");
    let mut server = Running::start(
        clean_command(IDP)
            .args(["dev", "--port", port, "--dir"])
            .arg(dir.join("d"))
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap()),
    );
    let begun = Instant::now();
    loop {
        let said = fs::read_to_string(&log).unwrap();
        if said.contains("serving until stopped") {
            return server;
        }
        assert!(
            server.ended().is_none() && begun.elapsed() < Duration::from_mins(1),
            "idp dev does not serve: {said}"
        );
        sleep(Duration::from_millis(20));
    }
}

/// Sends `SIGINT` and waits for the end, which has to be a good one.
fn interrupt(server: &mut Running) {
    let status = super::installation::ends_on(server, "INT");
    assert!(status.success(), "{status}");
}
