//! A PostgreSQL server from Debian's packages, on the disk that the build is on.

use std::{
    fs::{self, File},
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Signal, getuid, kill_process};
use tempfile::TempDir;

use super::{
    process::{Running, clean},
    site::scratch,
};

/// A running server. It ends when this is dropped.
pub(crate) struct Postgres {
    server: Running,
    dir: TempDir,
    programs: PathBuf,
}

impl Postgres {
    /// Starts one as Debian configures it, but for its socket; `None` where it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let programs = fs::read_dir("/usr/lib/postgresql")
            .ok()?
            .filter_map(|version| Some(version.ok()?.path().join("bin")))
            .find(|programs| programs.join("postgres").is_file())?;
        let dir = scratch();
        chown(dir.path(), user(), user()).expect("root may give it away");
        let data = dir.path().join("data");
        succeed(
            program(&programs.join("initdb"))
                .args([
                    "--no-sync",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--auth=trust",
                ])
                .args(["--username=idp", "-D"])
                .arg(&data),
        );
        let log = File::create(dir.path().join("log")).expect("the directory is writable");
        let server = Running::start(
            program(&programs.join("postgres"))
                .arg("-D")
                .arg(&data)
                .arg("-k")
                .arg(dir.path())
                .args(["-c", "listen_addresses="])
                .stdout(Stdio::null())
                .stderr(log),
        );
        let postgres = Self {
            server,
            dir,
            programs,
        };
        let start = Instant::now();
        while !postgres.answers() {
            assert!(
                start.elapsed() < Duration::from_mins(1),
                "PostgreSQL does not start"
            );
            sleep(Duration::from_millis(20));
        }
        Some(postgres)
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = program(&self.programs.join(name));
        command.arg("-h").arg(self.dir.path()).args(["-U", "idp"]);
        command
    }

    fn answers(&self) -> bool {
        let status = self.tool("pg_isready").stdout(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Makes a database; its address.
    pub(crate) fn database(&self, name: &str) -> String {
        succeed(self.tool("createdb").arg(name));
        format!(
            "postgres:///{name}?user=idp&host={}",
            self.dir.path().display()
        )
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once, but with its shared memory; what is left is thrown away.
        kill_process(self.server.pid(), Signal::QUIT).ok();
        self.server.child().wait().ok();
    }
}

/// Whom it runs as: it refuses to run as root.
fn user() -> Option<u32> {
    if !getuid().is_root() {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = passwd.lines().find(|line| line.starts_with("postgres:"))?;
    line.split(':').nth(2)?.parse().ok()
}

fn program(path: &Path) -> Command {
    let mut command = clean(path, Path::new("/"));
    if let Some(id) = user() {
        command.uid(id).gid(id);
    }
    command.current_dir("/");
    command
}

fn succeed(command: &mut Command) {
    let output = command.output().expect("it is installed");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
