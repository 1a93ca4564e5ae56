//! A proxy as a process of its own, in an environment that is enrolled at a running issuer and gets
//! its credentials from an STS.

use std::{
    fs::{self, File},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    cloud::{Cloud, Service},
    relay::{Keyring, Relay},
};
use crate::{
    e2e::dev::{Dev, IDP, ROLE},
    support::{Running, clean_command, free_port},
};

/// What the tests' clients may do.
pub(super) const RULES: &str = include_str!("../../../data/proxy/rules.toml");

/// How a client finds its way to the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `HTTPS_PROXY`, and TLS that the proxy ends.
    Intercepted,
    /// `HTTP_PROXY`, and endpoints without TLS.
    Absolute,
    /// `AWS_ENDPOINT_URL`.
    Endpoint,
}

/// The issuer, the STS and the proxy. What answers for AWS is given.
pub(super) struct Stage {
    pub(super) proxy: Running,
    pub(super) port: u16,
    pub(super) cloud: Cloud,
    /// What is between the proxy and its STS, and counts.
    pub(super) sts: Cloud,
    home: PathBuf,
    _dev: Dev,
}

impl Stage {
    /// With the STS of `idp dev`, whose keys `keys` gets to know.
    pub(super) fn new(keys: &Keyring, service: impl Service) -> Self {
        let dev = Dev::start();
        let sts = Cloud::plain(Relay::to(&format!("{}/sts", dev.issuer())).noting(keys));
        Self::with(dev, sts, Cloud::start(service), RULES, ROLE)
    }

    /// With an STS of one's own, and rules.
    pub(super) fn with(dev: Dev, sts: Cloud, cloud: Cloud, rules: &str, role: &str) -> Self {
        let home = dev.path();
        fs::write(home.join("rules.toml"), rules).unwrap();
        fs::write(home.join("role"), role).unwrap();
        let port = free_port();
        let proxy = serve(&home, port, &sts, &cloud);
        Self {
            proxy,
            port,
            cloud,
            sts,
            home,
            _dev: dev,
        }
    }

    /// Gives a command of the proxy the settings that the stage's own has.
    pub(super) fn configure<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        configure(command, &self.home, &self.sts, &self.cloud)
    }

    /// Starts the proxy again on the same port.
    pub(super) fn restart(&mut self) {
        self.proxy = serve(&self.home, self.port, &self.sts, &self.cloud);
    }

    /// The environment's `IDP_HOME`.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// A file of the proxy's state.
    pub(super) fn state(&self, name: &str) -> PathBuf {
        self.home.join("proxy").join(name)
    }

    /// The proxy's key.
    pub(super) fn key(&self) -> String {
        let key = fs::read_to_string(self.state("key")).unwrap();
        key.trim().to_owned()
    }

    /// `http://idp:KEY@127.0.0.1:PORT`.
    pub(super) fn proxy_url(&self) -> String {
        format!("http://idp:{}@127.0.0.1:{}", self.key(), self.port)
    }

    /// The value of `Proxy-Authorization` or `Authorization` that shows the key.
    pub(super) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("idp:{}", self.key())))
    }

    /// Gives a client the settings of a way, and of nothing else.
    pub(super) fn on<'c>(&self, way: Way, command: &'c mut Command) -> &'c mut Command {
        command
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ACCESS_KEY_ID", self.key())
            .env("AWS_SECRET_ACCESS_KEY", "not-a-secret")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
            .env("AWS_CONFIG_FILE", "/nonexistent");
        match way {
            Way::Intercepted => {
                command
                    .env("HTTPS_PROXY", self.proxy_url())
                    .env("AWS_CA_BUNDLE", self.state("bundle.pem"))
                    .env("NODE_EXTRA_CA_CERTS", self.state("ca.pem"));
            }
            Way::Absolute => {
                command
                    .env("HTTP_PROXY", self.proxy_url())
                    .env("http_proxy", self.proxy_url());
                for (service, host) in HOSTS {
                    let endpoint = format!("http://{host}.amazonaws.com");
                    command.env(format!("AWS_ENDPOINT_URL_{service}"), endpoint);
                }
            }
            Way::Endpoint => {
                let url = format!("http://127.0.0.1:{}", self.port);
                command.env("AWS_ENDPOINT_URL", url);
            }
        }
        command
    }

    /// What the proxy recorded so far, one value a line.
    pub(super) fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.state("requests.jsonl")).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    /// The records of an operation, once there are `count` answered ones; reads are written in
    /// batches.
    #[track_caller]
    pub(super) fn answered(&self, count: usize, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let start = Instant::now();
        loop {
            let found: Vec<Value> = self
                .records()
                .into_iter()
                .filter(|record| record["phase"] != "sending" && wanted(record))
                .collect();
            if found.len() >= count || start.elapsed() > Duration::from_secs(10) {
                assert_eq!(found.len(), count, "{found:#?}");
                return found;
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// What the proxy wrote to standard error.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.home.join("proxy.log")).unwrap_or_default()
    }

    /// A line of `/proc/PID/status` that ends in kB, in MiB.
    pub(super) fn memory(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.proxy.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.strip_prefix(':')?.trim().strip_suffix(" kB"));
        number.unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

/// The variable of each service's endpoint, and the host.
const HOSTS: [(&str, &str); 13] = [
    ("S3", "s3.us-east-1"),
    ("DYNAMODB", "dynamodb.us-east-1"),
    ("SQS", "sqs.us-east-1"),
    ("SNS", "sns.us-east-1"),
    ("LAMBDA", "lambda.us-east-1"),
    ("STS", "sts.us-east-1"),
    ("EC2", "ec2.us-east-1"),
    ("IAM", "iam"),
    ("CLOUDWATCH", "monitoring.us-east-1"),
    ("CLOUDWATCH_LOGS", "logs.us-east-1"),
    ("SECRETS_MANAGER", "secretsmanager.us-east-1"),
    ("KMS", "kms.us-east-1"),
    ("SFN", "states.us-east-1"),
];

/// What both `proxy serve` and `proxy exec` have to know.
fn configure<'c>(
    command: &'c mut Command,
    home: &Path,
    sts: &Cloud,
    cloud: &Cloud,
) -> &'c mut Command {
    command
        .args([
            "--role-arn",
            &fs::read_to_string(home.join("role")).unwrap(),
        ])
        .arg("--rules")
        .arg(home.join("rules.toml"))
        .arg("--upstream-ca")
        .arg(cloud.ca())
        .args(["--upstream", &format!("*.amazonaws.com={}", cloud.address)])
        .env("IDP_HOME", home)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ENDPOINT_URL_STS", sts.url())
}

fn serve(home: &Path, port: u16, sts: &Cloud, cloud: &Cloud) -> Running {
    let log = home.join("proxy.log");
    let mut command = clean_command(IDP);
    configure(command.args(["proxy", "serve"]), home, sts, cloud)
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap());
    let mut proxy = Running::start(&mut command);
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            proxy.ended().is_none() && start.elapsed() < Duration::from_mins(1),
            "the proxy does not listen: {}",
            fs::read_to_string(&log).unwrap_or_default()
        );
        sleep(Duration::from_millis(20));
    }
    proxy
}
