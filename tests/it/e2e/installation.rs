//! `idp serve` as somebody runs it who follows the README's second section.

use std::{
    fs::{self, File},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{attackers::block_on, client::http, dev::IDP, ran::Ran};
use crate::support::{Running, clean_command, free_port, wait_until};

/// A server with its configuration, and the environments that enrol with it.
pub(crate) struct Installation {
    server: Option<Running>,
    dir: TempDir,
    port: u16,
    admin_token: String,
    /// What the server's process has in its environment.
    environment: Vec<(&'static str, String)>,
}

/// The ids of what [`Installation::environment`] makes.
pub(crate) struct World {
    pub(crate) organization: String,
    pub(crate) project: String,
    pub(crate) environment: String,
    /// The file with the join token.
    pub(crate) join_token: PathBuf,
}

impl Installation {
    /// Makes a configuration, whose text `settings` gives for a free port, and the first administrator
    /// token. Nothing runs yet.
    pub(crate) fn new(settings: impl Fn(u16) -> String) -> Self {
        let port = free_port();
        let mut installation = Self {
            server: None,
            dir: tempfile::tempdir().unwrap(),
            port,
            admin_token: String::new(),
            environment: Vec::new(),
        };
        let text = settings(port) + "\n[database]\nurl = \"sqlite:idp.db\"\n";
        fs::write(installation.config(), text).unwrap();
        let bootstrap = installation.local("admin bootstrap").ok();
        bootstrap.text().clone_into(&mut installation.admin_token);
        installation
    }

    /// One that runs, without TLS, and signs with `algorithm`.
    pub(crate) fn running(algorithm: &str) -> Self {
        let mut installation = Self::new(|port| {
            format!(
                "issuer = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
                 keys.algorithm = \"{algorithm}\"\n"
            )
        });
        installation.start();
        installation
    }

    /// The server gets these variables from its next start on.
    pub(crate) fn with_environment(
        mut self,
        environment: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        self.environment.extend(environment);
        self
    }

    /// Starts the server, and waits until it answers.
    pub(crate) fn start(&mut self) {
        self.start_as(|_| ());
    }

    /// The same with a command that `prepare` has changed.
    pub(super) fn start_as(&mut self, prepare: impl FnOnce(&mut Command)) {
        self.launch(prepare);
        let url = format!("{}/", self.url());
        let server = self.server.as_mut().unwrap();
        if let Err(error) = wait_until(&url, server) {
            panic!("{error}\n{}", self.log());
        }
    }

    /// Starts a server with TLS, and waits until it accepts connections.
    pub(super) fn start_with_tls(&mut self) {
        self.launch(|_| ());
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.server().ended();
            assert!(
                ended.is_none() && begun.elapsed() < Duration::from_mins(1),
                "{ended:?}\n{}",
                self.log()
            );
            sleep(Duration::from_millis(20));
        }
    }

    fn launch(&mut self, prepare: impl FnOnce(&mut Command)) {
        let mut command = clean_command(IDP);
        command
            .args(["serve", "--config"])
            .arg(self.config())
            .current_dir(self.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(File::create(self.path().join("log")).unwrap());
        prepare(&mut command);
        self.server = Some(Running::start(&mut command));
    }

    /// `SIGKILL`, in the midst of whatever it does.
    pub(crate) fn kill(&mut self) {
        self.server.take().unwrap().kill();
    }

    /// `SIGTERM`, and waits until it has ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        ends_on(&mut self.server.take().unwrap(), "TERM")
    }

    /// Waits until a server that was told to stop has ended.
    pub(super) fn wait(&mut self) -> ExitStatus {
        ended(&mut self.server.take().unwrap())
    }

    /// The server's process, for signals.
    pub(super) fn server(&mut self) -> &mut Running {
        self.server.as_mut().unwrap()
    }

    /// Where it keeps everything.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn config(&self) -> PathBuf {
        self.path().join("idp.toml")
    }

    /// What the server has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap()
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Where the server listens, without TLS.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where the server listens, with TLS.
    pub(super) fn https_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The first administrator token.
    pub(crate) fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// An `idp` on the machine of the server; `arguments` are separated by spaces.
    pub(crate) fn local(&self, arguments: &str) -> Ran {
        Ran::of(
            clean_command(IDP)
                .args(arguments.split(' '))
                .env("IDP_CONFIG", self.config())
                .envs(self.environment.iter().map(|(name, value)| (name, value)))
                .current_dir(self.path()),
        )
    }

    /// An `idp` of an administrator, or of the environment whose `IDP_HOME` is `home` in this place.
    pub(super) fn idp(&self, arguments: &str) -> Command {
        let mut command = clean_command(IDP);
        command
            .args(arguments.split(' '))
            .env("IDP_URL", self.url())
            .env("IDP_ADMIN_TOKEN", &self.admin_token)
            .env("IDP_HOME", self.path().join("home"))
            .env("IDP_CACHE_DIR", self.path().join("cache"))
            .env(
                "AWS_SHARED_CREDENTIALS_FILE",
                self.path().join("credentials"),
            )
            .env("AWS_CONFIG_FILE", self.path().join("config"))
            .current_dir(self.path());
        command
    }

    /// Runs [`Installation::idp`].
    #[track_caller]
    pub(crate) fn run(&self, arguments: &str) -> Ran {
        Ran::of(&mut self.idp(arguments))
    }

    /// The file with a fresh token.
    #[track_caller]
    pub(crate) fn token_file(&self) -> PathBuf {
        let file = self.path().join("token");
        fs::write(&file, self.run("token").ok().stdout).unwrap();
        file
    }

    /// The body that the server answers a GET with.
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        let url = format!("{}/{path}", self.url()).parse().unwrap();
        let answer = block_on(http().get(&url)).unwrap();
        assert_eq!(answer.status, 200);
        answer.body.to_vec()
    }

    /// An organisation, a project and an environment that has yet to enrol.
    #[track_caller]
    pub(crate) fn environment(&self) -> World {
        self.environment_of(&mut |arguments| self.idp(arguments))
    }

    /// The same, by an `idp` that the caller has prepared.
    #[track_caller]
    pub(super) fn environment_of(&self, idp: &mut dyn FnMut(&str) -> Command) -> World {
        let mut run = |arguments: String| Ran::of(&mut idp(&arguments)).ok();
        let organization = run("admin org create acme".to_owned()).text().to_owned();
        let project = run(format!("admin project create web --org {organization}"));
        let project = project.text().to_owned();
        let made = run(format!(
            "--json admin environment create ci --org {organization} --project {project}"
        ))
        .json();
        let join_token = self.path().join("join-token");
        fs::write(&join_token, made["join_token"].as_str().unwrap()).unwrap();
        World {
            organization,
            project,
            environment: made["environment"]["id"].as_str().unwrap().to_owned(),
            join_token,
        }
    }

    /// Makes an environment and enrols it; its identity is in `home`.
    #[track_caller]
    pub(crate) fn enrolled(&self) -> World {
        let world = self.environment();
        self.run(&format!(
            "enroll --url {} --token-file join-token",
            self.url()
        ))
        .ok();
        world
    }
}

/// Sends a signal and waits for the end.
pub(super) fn ends_on(server: &mut Running, signal: &str) -> ExitStatus {
    send(server, signal);
    ended(server)
}

/// Waits, a minute at most, for the end.
fn ended(server: &mut Running) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = server.ended() {
            return status;
        }
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "{} goes on after it was told to stop",
            server.name()
        );
        sleep(Duration::from_millis(10));
    }
}

/// Sends a signal.
pub(super) fn send(server: &Running, signal: &str) {
    let status = clean_command("kill")
        .args(["-s", signal, &server.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}
