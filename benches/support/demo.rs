//! `idp dev`: an issuer with a local STS, and an environment that is enrolled there.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    process::{Running, clean},
    site::{IDP, free_address, scratch},
};

/// The role that the environment may assume.
pub(crate) const ROLE_ARN: &str = idp::server::ROLE_ARN;

/// A running demonstration.
pub(crate) struct Demo {
    /// The server.
    pub(crate) server: Running,
    /// Where it listens; the STS is at `/sts`.
    pub(crate) address: SocketAddr,
    dir: TempDir,
}

impl Demo {
    /// Starts it and waits until its own login is done.
    pub(crate) fn start() -> Self {
        let dir = scratch();
        let address = free_address();
        let log = dir.path().join("log");
        let output = File::create(&log).expect("the directory is new");
        let mut server = Running::start(
            clean(IDP, dir.path())
                .args(["dev", "--port", &address.port().to_string(), "--dir"])
                .arg(dir.path().join("dev"))
                .stdout(Stdio::null())
                .stderr(output),
        );
        let start = Instant::now();
        loop {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if said.contains("serving until stopped") {
                break;
            }
            let ended = server.child().try_wait().expect("it is a child");
            assert!(
                ended.is_none() && start.elapsed() < Duration::from_mins(1),
                "idp dev does not serve: {said}"
            );
            sleep(Duration::from_millis(10));
        }
        Self {
            server,
            address,
            dir,
        }
    }

    /// A directory for whatever else.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The environment's `IDP_HOME`.
    pub(crate) fn home(&self) -> PathBuf {
        self.path().join("dev")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home().join(name)
    }

    /// A command in the environment.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = clean(program, self.path());
        command
            .env("IDP_HOME", self.home())
            .env("AWS_SHARED_CREDENTIALS_FILE", self.file("aws/credentials"))
            .env("AWS_CONFIG_FILE", self.file("aws/config"))
            .env(
                "AWS_ENDPOINT_URL_STS",
                format!("http://{}/sts", self.address),
            )
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_REGION", "us-east-1");
        command
    }

    /// `idp` in the environment.
    pub(crate) fn idp(&self) -> Command {
        self.command(Path::new(IDP))
    }

    /// A fresh token.
    pub(crate) fn token(&self) -> String {
        let output = self.idp().arg("token").output().expect("idp starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}
