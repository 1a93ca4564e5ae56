//! `idp proxy serve` in the environment of a demonstration.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    demo::{Demo, ROLE_ARN},
    process::Running,
    site::free_address,
    upstream::Upstream,
};

/// What the requests of the benchmarks need.
const RULES: &str = r#"
default_region = "us-east-1"
[[rule]]
name = "tables"
effect = "allow"
actions = ["dynamodb:GetItem", "dynamodb:PutItem"]
resources = ["arn:aws:dynamodb:*:*:table/users"]
[[rule]]
name = "objects"
effect = "allow"
actions = ["s3:GetObject", "s3:PutObject"]
"#;

/// A running proxy.
pub(crate) struct Proxy {
    /// The process.
    pub(crate) process: Running,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its key.
    pub(crate) key: Arc<str>,
    /// The certificate of its authority.
    pub(crate) ca: PathBuf,
}

impl Proxy {
    /// Starts it before an upstream, with TLS there or without, and waits until it listens.
    pub(crate) fn start(demo: &Demo, upstream: &Upstream, tls: bool) -> Self {
        let address = free_address();
        let rules = demo.path().join("rules.toml");
        fs::write(&rules, RULES).expect("the directory is writable");
        let log = demo.path().join(format!("proxy-{}.log", address.port()));
        let to = if tls {
            upstream.tls.to_string()
        } else {
            format!("http://{}", upstream.plain)
        };
        let mut process = Running::start(
            demo.idp()
                .args(["proxy", "serve", "--role-arn", ROLE_ARN, "--rules"])
                .arg(&rules)
                .args(["--listen", &address.to_string(), "--upstream-ca"])
                .arg(upstream.ca())
                .args(["--upstream", &format!("*.amazonaws.com={to}")])
                .stdout(Stdio::null())
                .stderr(File::create(&log).expect("the directory is writable")),
        );
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = process.child().try_wait().expect("it is a child");
            assert!(
                ended.is_none() && start.elapsed() < Duration::from_mins(1),
                "the proxy does not listen: {}",
                fs::read_to_string(&log).unwrap_or_default()
            );
            sleep(Duration::from_millis(5));
        }
        let state = demo.home().join("proxy");
        let key = fs::read_to_string(state.join("key")).expect("it is made before it listens");
        Self {
            process,
            address,
            key: key.trim().into(),
            ca: state.join("ca.pem"),
        }
    }

    /// The header by which a request without a tunnel shows the key.
    pub(crate) fn authorization(&self) -> String {
        let secret = STANDARD.encode(format!("idp:{}", self.key));
        format!("proxy-authorization: Basic {secret}\r\n")
    }
}
