//! Replicas as an operator runs them: one configuration, but for the address that each listens on.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    e2e::crowd::Client,
    support::{Postgres, Running, clean_command, free_port, wait_until},
};

const IDP: &str = env!("CARGO_BIN_EXE_idp");

/// How soon a replica has to serve again once the database does.
pub(super) const RECOVERY: Duration = Duration::from_secs(5);

/// Several servers on one database.
pub(super) struct Replicas {
    pub(super) postgres: Postgres,
    dir: TempDir,
    ports: Vec<u16>,
    servers: Vec<Option<Running>>,
    pub(super) admin_token: String,
}

impl Replicas {
    /// Starts `count` of them at once; `None` where PostgreSQL is not installed.
    pub(super) async fn start(count: usize) -> Option<Self> {
        let postgres = Postgres::start().await?;
        let mut replicas = Self {
            postgres,
            dir: tempfile::tempdir().unwrap(),
            ports: (0..count).map(|_| free_port()).collect(),
            servers: (0..count).map(|_| None).collect(),
            admin_token: String::new(),
        };
        for number in 0..count {
            let text = format!(
                "issuer = \"http://127.0.0.1:{}\"\nlisten = \"127.0.0.1:{}\"\n\
                 [keys]\nalgorithm = \"ES256\"\nencryption_key_file = \"key-encryption-key\"\n\
                 [database]\nurl = \"{}\"\n",
                replicas.ports[0],
                replicas.ports[number],
                replicas.postgres.url().expose(),
            );
            fs::write(replicas.config(number), text).unwrap();
        }
        let bootstrap = clean_command(IDP)
            .args(["admin", "bootstrap", "--config"])
            .arg(replicas.config(0))
            .output()
            .unwrap();
        assert!(bootstrap.status.success(), "{bootstrap:?}");
        let printed = String::from_utf8(bootstrap.stdout).unwrap();
        printed.trim().clone_into(&mut replicas.admin_token);
        for number in 0..count {
            replicas.launch(number);
        }
        for number in 0..count {
            replicas.wait(number);
        }
        Some(replicas)
    }

    fn config(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("idp-{number}.toml"))
    }

    /// Starts a replica that does not run.
    pub(super) fn launch(&mut self, number: usize) {
        let log = File::create(self.dir.path().join(format!("log-{number}"))).unwrap();
        let server = Running::start(
            clean_command(IDP)
                .args(["serve", "--config"])
                .arg(self.config(number))
                .stdout(Stdio::null())
                .stderr(log),
        );
        self.servers[number] = Some(server);
    }

    /// Gives a replica a file of its own with the key-encryption key, and starts it again.
    pub(super) fn separate_key_file(&mut self, number: usize) -> PathBuf {
        let own = self.path(&format!("key-encryption-key-{number}"));
        fs::copy(self.path("key-encryption-key"), &own).unwrap();
        let config = fs::read_to_string(self.config(number)).unwrap();
        let name = format!("\"key-encryption-key-{number}\"");
        let config = config.replace("\"key-encryption-key\"", &name);
        fs::write(self.config(number), config).unwrap();
        self.restart(number);
        own
    }

    /// Kills a replica and starts it again.
    pub(super) fn restart(&mut self, number: usize) {
        self.kill(number);
        self.launch(number);
        self.wait(number);
    }

    /// A file beside the configuration.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a command on the machine of the first replica.
    pub(super) fn idp(&self, arguments: &[&str]) -> Output {
        let mut command = clean_command(IDP);
        command.args(arguments).arg("--config").arg(self.config(0));
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// What a start of another replica says that does not come to serve.
    pub(super) fn refusal(&self) -> String {
        let output = self.idp(&["serve"]);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    fn wait(&mut self, number: usize) {
        let url = format!("{}/", self.url(number));
        let server = self.servers[number].as_mut().unwrap();
        if let Err(error) = wait_until(&url, server) {
            let log = self.dir.path().join(format!("log-{number}"));
            panic!("{error}\n{}", fs::read_to_string(log).unwrap());
        }
    }

    /// `SIGKILL`.
    pub(super) fn kill(&mut self, number: usize) {
        self.servers[number].take().unwrap().kill();
    }

    /// Where a replica listens.
    pub(super) fn url(&self, number: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[number])
    }

    /// Where all listen.
    pub(super) fn urls(&self) -> Vec<String> {
        (0..self.ports.len())
            .map(|number| self.url(number))
            .collect()
    }
}

/// Asks until `done` says that the answer is the one, and says how long that took.
pub(super) async fn until<T>(
    what: &str,
    limit: Duration,
    mut done: impl AsyncFnMut() -> Option<T>,
) -> (T, Duration) {
    let start = Instant::now();
    loop {
        if let Some(value) = done().await {
            return (value, start.elapsed());
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The body of a GET and its status.
pub(super) async fn get(client: &Client, url: &str) -> (u16, Vec<u8>) {
    let answer = client.http.get(&url.parse().unwrap()).await.unwrap();
    (answer.status.as_u16(), answer.body.to_vec())
}
