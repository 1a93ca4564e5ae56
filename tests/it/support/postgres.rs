//! PostgreSQL from Debian's packages, each server with a temporary directory of its own.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use idp::domain::DatabaseUrl;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

use super::{Running, clean_command, free_port};

/// PostgreSQL's own, part of its socket's name.
const DEFAULT_PORT: u16 = 5432;

/// How long a server may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server with an empty database `idp` that the role `idp` owns. It ends when this is dropped.
pub(crate) struct Postgres {
    server: Option<Running>,
    programs: PathBuf,
    dir: TempDir,
    settings: Vec<String>,
    port: u16,
}

/// Where Debian puts PostgreSQL's programs; the newest where there are several. `None` where it is not
/// installed: a test returns early then.
///
/// # Panics
///
/// Where it is not installed though `CI` is set: a run that has to prove something must not skip.
#[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .filter(|programs| programs.join("postgres").is_file())
        .max_by_key(|programs| {
            let version = programs.parent()?.file_name()?.to_str()?;
            version.parse::<u32>().ok()
        });
    if newest.is_none() {
        let ci = std::env::var("CI").unwrap_or_default();
        assert!(
            matches!(ci.as_str(), "" | "0" | "false"),
            "CI is set, but PostgreSQL is not installed: run scripts/test"
        );
        eprintln!("skipped: PostgreSQL is not installed; scripts/test installs it");
    }
    newest
}

/// Whom the server runs as: it refuses to run as root.
fn user() -> Option<u32> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let id = |name: &str| {
        let line = passwd.lines().find(|line| line.starts_with(name))?;
        line.split(':').nth(2)?.parse().ok()
    };
    Some(id("postgres:").or_else(|| id("nobody:")).unwrap_or(65534))
}

fn program(path: &Path) -> Command {
    let mut command = clean_command(path);
    if let Some(id) = user() {
        command.uid(id).gid(id);
    }
    // Somewhere that the user may be.
    command.current_dir("/");
    command
}

/// A temporary directory that the server's user owns.
fn directory() -> TempDir {
    let dir = tempfile::Builder::new().prefix("pg-").tempdir().unwrap();
    chown(dir.path(), user(), user()).unwrap();
    dir
}

fn succeed(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

fn copy(from: &Path, to: &Path) {
    succeed(
        clean_command("cp")
            .args(["-a", "--reflink=auto", "--"])
            .args([from, to]),
    );
}

impl Postgres {
    /// Starts one; `None` where PostgreSQL is not installed.
    pub(crate) async fn start() -> Option<Self> {
        Self::with(&[]).await
    }

    /// Starts one with settings (`name=value`) of its own.
    pub(crate) async fn with(settings: &[&str]) -> Option<Self> {
        let programs = programs()?;
        let template = template(&programs).await;
        let dir = directory();
        copy(&template, &dir.path().join("data"));
        let mut postgres = Self {
            server: None,
            programs,
            dir,
            settings: settings.iter().map(|&text| text.to_owned()).collect(),
            port: DEFAULT_PORT,
        };
        postgres.resume().await;
        Some(postgres)
    }

    /// Starts one that listens on loopback too, for `idp` with `password` over TLS only; `certificate`
    /// and `key` are PEM.
    pub(crate) async fn guarded(password: &str, certificate: &str, key: &str) -> Option<Self> {
        let mut postgres = Self::start().await?;
        postgres
            .execute(&format!("ALTER ROLE idp PASSWORD '{password}'"))
            .await;
        postgres.stop();
        let data = postgres.dir.path().join("data");
        for (name, text) in [
            ("server.crt", certificate),
            ("server.key", key),
            (
                "pg_hba.conf",
                "local all all trust\nhostssl all idp 127.0.0.1/32 scram-sha-256\n",
            ),
        ] {
            let file = data.join(name);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            chown(&file, user(), user()).unwrap();
        }
        postgres.port = free_port();
        postgres.settings = vec![
            "ssl=on".to_owned(),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", postgres.port),
        ];
        postgres.resume().await;
        Some(postgres)
    }

    /// Where it listens on loopback, if it does.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Starts it again after [`Postgres::stop`], and waits until it answers.
    pub(crate) async fn resume(&mut self) {
        self.launch();
        let start = Instant::now();
        loop {
            match PgConnection::connect(self.url().expose()).await {
                Ok(connection) => {
                    connection.close().await.unwrap();
                    return;
                }
                Err(error) => assert!(
                    start.elapsed() < PATIENCE && self.server.as_mut().unwrap().ended().is_none(),
                    "{error}\n{}",
                    self.log()
                ),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn launch(&mut self) {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .unwrap();
        let mut command = program(&self.programs.join("postgres"));
        command.arg("-D").arg(self.dir.path().join("data"));
        let sockets = format!("unix_socket_directories={}", self.dir.path().display());
        let own = self.settings.iter().map(String::as_str);
        for setting in [
            "listen_addresses=",
            sockets.as_str(),
            "shared_buffers=16MB",
            "max_connections=60",
            "log_lock_waits=on",
        ]
        .into_iter()
        .chain(own)
        {
            command.args(["-c", setting]);
        }
        command.stdout(Stdio::null()).stderr(log);
        self.server = Some(Running::start(&mut command));
    }

    /// Stops it at once, as a crash does: what was not on the disk is lost.
    pub(crate) fn stop(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        // Not SIGKILL: that would leave its shared memory behind.
        signal(&server, Signal::QUIT);
        while server.ended().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The database's address.
    pub(crate) fn url(&self) -> DatabaseUrl {
        self.url_of("idp")
    }

    /// The address of a database, as the role `idp`.
    pub(crate) fn url_of(&self, database: &str) -> DatabaseUrl {
        format!(
            "postgres:///{database}?user=idp&host={}&port={}",
            self.dir.path().display(),
            self.port
        )
        .parse()
        .unwrap()
    }

    /// Where its socket is.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Runs SQL in the database as its owner.
    pub(crate) async fn execute(&self, sql: &str) {
        let mut connection = PgConnection::connect(self.url().expose()).await.unwrap();
        connection
            .execute(AssertSqlSafe(sql.to_owned()))
            .await
            .unwrap();
        connection.close().await.unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

fn signal(server: &Running, what: Signal) {
    let pid = Pid::from_raw(server.id().try_into().unwrap()).unwrap();
    // Fails only where it has ended already.
    kill_process(pid, what).ok();
}

/// The files of a server that never ran with tests, made once and copied for each of them.
async fn template(programs: &Path) -> PathBuf {
    let version = programs.parent().and_then(Path::file_name).unwrap();
    let name = format!("postgres-{}-template", version.to_string_lossy());
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let lock = File::create(place.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !place.exists() {
        let dir = directory();
        let data = dir.path().join("data");
        succeed(
            program(&programs.join("initdb"))
                .args(["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"])
                .args([
                    "--username=postgres",
                    "--auth=trust",
                    "--wal-segsize=1",
                    "-D",
                ])
                .arg(&data),
        );
        let mut first = Postgres {
            server: None,
            programs: programs.to_owned(),
            dir,
            settings: vec!["fsync=off".to_owned()],
            port: DEFAULT_PORT,
        };
        make_database(&mut first).await;
        let server = first.server.take().unwrap();
        signal(&server, Signal::INT);
        let mut server = server;
        while server.ended().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let fresh = place.with_extension("new");
        fs::remove_dir_all(&fresh).ok();
        copy(&data, &fresh);
        fs::rename(&fresh, &place).unwrap();
    }
    place
}

async fn make_database(postgres: &mut Postgres) {
    postgres.launch();
    let url = format!(
        "postgres:///postgres?user=postgres&host={}",
        postgres.path().display()
    );
    let start = Instant::now();
    let mut connection = loop {
        match PgConnection::connect(&url).await {
            Ok(connection) => break connection,
            Err(error) => assert!(start.elapsed() < PATIENCE, "{error}\n{}", postgres.log()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    for sql in ["CREATE ROLE idp LOGIN", "CREATE DATABASE idp OWNER idp"] {
        connection.execute(sql).await.unwrap();
    }
    connection.close().await.unwrap();
}
