//! An installation in a temporary directory, on a real disk, and its server.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use idp::domain::SigningAlgorithm;
use tempfile::TempDir;

use super::process::{Running, clean};

/// The program that is measured.
pub(crate) const IDP: &str = env!("CARGO_BIN_EXE_idp");

/// A configuration and a database that has its schema.
pub(crate) struct Site {
    dir: TempDir,
    /// Where its server listens.
    pub(crate) address: SocketAddr,
    /// The issuer, which is that address.
    pub(crate) issuer: String,
    /// The first administrator's token.
    pub(crate) admin_token: String,
}

impl Site {
    /// Makes one whose tokens are signed with `algorithm`.
    pub(crate) fn new(algorithm: SigningAlgorithm) -> Self {
        let dir = scratch();
        let address = free_address();
        let issuer = format!("http://{address}");
        let config = format!(
            "issuer = \"{issuer}\"\nlisten = \"{address}\"\n[database]\nurl = \"sqlite:{}\"\n\
             [keys]\nalgorithm = \"{}\"\n",
            dir.path().join("idp.db").display(),
            algorithm.as_str(),
        );
        let mut site = Self {
            dir,
            address,
            issuer,
            admin_token: String::new(),
        };
        fs::write(site.config(), config).expect("the directory is new");
        let made = clean(IDP, site.path())
            .args(["admin", "bootstrap", "--config"])
            .arg(site.config())
            .output()
            .expect("idp starts");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        String::from_utf8_lossy(&made.stdout)
            .trim()
            .clone_into(&mut site.admin_token);
        site
    }

    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The database's file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path().join("idp.db")
    }

    /// Copies what it holds into an empty PostgreSQL database, which its servers use from then on.
    pub(crate) fn move_to(&mut self, url: &str) {
        let copied = clean(IDP, self.path())
            .args(["admin", "database", "copy", "--from"])
            .arg(format!("sqlite:{}", self.database().display()))
            .args(["--to", url])
            .output()
            .expect("idp starts");
        assert!(
            copied.status.success(),
            "{}",
            String::from_utf8_lossy(&copied.stderr)
        );
        let config = fs::read_to_string(self.config()).expect("it was written before");
        let here = format!("sqlite:{}", self.database().display());
        let config = config.replace(&here, url)
            + &format!(
                "encryption_key_file = \"{}\"\n",
                self.path().join("key-encryption-key").display()
            );
        fs::write(self.config(), config).expect("the directory is writable");
    }

    /// Starts a further server, which listens on `address`, and waits until it does.
    pub(crate) fn serve_at(&self, address: SocketAddr) -> Running {
        let mut command = clean(IDP, self.path());
        command.env("IDP_LISTEN", address.to_string());
        self.serve_on(command, address)
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.path().join("idp.toml")
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn serve(&self) -> Running {
        self.serve_under(clean(IDP, self.path()))
    }

    /// As [`Site::serve`], by a command that only lacks the server's arguments.
    pub(crate) fn serve_under(&self, command: Command) -> Running {
        self.serve_on(command, self.address)
    }

    fn serve_on(&self, mut command: Command, address: SocketAddr) -> Running {
        let log = self.path().join(format!("log-{}", address.port()));
        let file = File::create(&log).expect("the directory is writable");
        command.args(["serve", "--config"]).arg(self.config());
        command.stdout(Stdio::null()).stderr(file);
        let mut server = Running::start(&mut command);
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = server.child().try_wait().expect("it is a child");
            assert!(
                ended.is_none() && start.elapsed() < Duration::from_mins(1),
                "the server does not listen: {}",
                fs::read_to_string(&log).unwrap_or_default()
            );
            sleep(Duration::from_millis(5));
        }
        server
    }
}

/// A temporary directory on the disk that holds the build, because a file system in memory makes
/// durability free.
pub(crate) fn scratch() -> TempDir {
    tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("Cargo's directory for temporary files is writable")
}

/// A port of 127.0.0.1 that nobody listened on a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a port is free")
}
