//! A proxy with real parts between a client and [`Aws`]; only the sessions are made up.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use idp::{
    domain::{Clock as _, SystemClock, SystemRandom},
    policy::Rules,
    ports::{
        AwsSession, CredentialError, CredentialSource, LogError, RequestLog, RequestRecord,
        WantedSession,
    },
    proxy::{
        Authority, Engine, EngineParts, Leaves, Limits, ProxyKey, SpoolSettings, ToldHosts, WaysIn,
        request_log::{RequestLogFile, RequestLogSettings},
        serve,
        upstream::{Resolve, Upstream, UpstreamSettings},
    },
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::aws::{ACCESS_KEY, Aws, SECRET, TOKEN};

/// Everything is allowed that this file does not speak of.
pub(super) const RULES: &str = r#"
[[role]]
arn = "arn:aws:iam::123456789012:role/agent"

[[rule]]
name = "everything"
effect = "allow"
actions = ["*"]

[[rule]]
name = "no secrets"
effect = "block"
actions = ["s3:*"]
resources = ["arn:aws:s3:::secret", "arn:aws:s3:::secret/*"]

[[rule]]
name = "not that table"
effect = "block"
actions = ["dynamodb:*"]
resources = ["arn:aws:dynamodb:*:*:table/payroll"]

[[rule]]
name = "no deleting"
effect = "block"
actions = ["s3:Delete*", "dynamodb:Delete*", "iam:Delete*", "ec2:Delete*", "lambda:Delete*", "route53:Delete*", "cloudwatch:Delete*"]
"#;

/// Gives sessions and counts them.
#[derive(Default)]
pub(super) struct Sessions {
    pub(super) asked: AtomicUsize,
    pub(super) forgotten: AtomicUsize,
    pub(super) fails: Mutex<Option<CredentialError>>,
}

#[async_trait]
impl CredentialSource for Sessions {
    async fn session(&self, _wanted: &WantedSession) -> Result<Arc<AwsSession>, CredentialError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(error) = self.fails.lock().unwrap().clone() {
            return Err(error);
        }
        Ok(Arc::new(AwsSession {
            access_key_id: ACCESS_KEY.to_owned(),
            secret_access_key: SECRET.into(),
            session_token: TOKEN.into(),
            expires_at: SystemClock.now().plus(Duration::from_hours(1)),
            assumed_role_arn: "arn:aws:sts::123456789012:assumed-role/agent/env".to_owned(),
            subject: Some("org:o/env:e".to_owned()),
        }))
    }

    fn forget(&self, _wanted: &WantedSession, _session: &AwsSession) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
    }
}

/// A log that can be down.
pub(super) struct Log {
    pub(super) file: RequestLogFile,
    pub(super) down: Mutex<bool>,
    /// The records so far.
    pub(super) seen: Mutex<Vec<RequestRecord>>,
}

impl Log {
    fn check(&self) -> Result<(), LogError> {
        if *self.down.lock().unwrap() {
            return Err(LogError("no space left on device".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl RequestLog for Log {
    async fn durable(&self, record: &RequestRecord) -> Result<(), LogError> {
        self.check()?;
        self.seen.lock().unwrap().push(record.clone());
        self.file.durable(record).await
    }

    fn later(&self, record: &RequestRecord) {
        self.seen.lock().unwrap().push(record.clone());
        self.file.later(record);
    }

    fn room(&self) -> Result<(), LogError> {
        self.file.room()
    }
}

/// Says that every name is at this address.
struct At(SocketAddr);

#[async_trait]
impl Resolve for At {
    async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![self.0])
    }
}

pub(super) struct World {
    pub(super) aws: Aws,
    pub(super) proxy: SocketAddr,
    pub(super) key: String,
    pub(super) sessions: Arc<Sessions>,
    pub(super) log: Arc<Log>,
    pub(super) log_file: PathBuf,
    _stop: watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

/// How a world differs from the usual one.
pub(super) struct Setup {
    pub(super) rules: &'static str,
    pub(super) h2: bool,
    /// Where every name leads, instead of an override.
    pub(super) resolves_to: Option<SocketAddr>,
    pub(super) answer_timeout: Duration,
    pub(super) spool: (u64, u64),
    /// How much memory all bodies have together.
    pub(super) memory: u64,
    /// How long nothing of a body may come; one waits half as long for room.
    pub(super) patience: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            rules: RULES,
            h2: false,
            resolves_to: None,
            answer_timeout: Duration::from_secs(20),
            spool: (1024 * 1024, 4 * 1024 * 1024),
            memory: 256 * 1024 * 1024,
            patience: Duration::from_secs(10),
        }
    }
}

pub(super) async fn world() -> World {
    world_with(Setup::default()).await
}

pub(super) async fn world_with(setup: Setup) -> World {
    // Fails where a test before this one did it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let aws = Aws::start(setup.h2).await;
    let dir = tempfile::tempdir().unwrap();
    let log_file = dir.path().join("requests.jsonl");
    let settings = RequestLogSettings::new(log_file.clone());
    let log = Arc::new(Log {
        file: RequestLogFile::open(settings).unwrap(),
        down: Mutex::new(false),
        seen: Mutex::default(),
    });
    let key = Arc::new(ProxyKey::generate(&SystemRandom));
    let sessions = Arc::<Sessions>::default();
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let overrides = match setup.resolves_to {
        Some(_) => Vec::new(),
        None => vec![format!("*={}", aws.address).parse().unwrap()],
    };
    let upstream = Upstream::new(
        UpstreamSettings {
            extra_roots: Some(aws.ca.clone()),
            overrides,
            connect_timeout: Duration::from_secs(5),
            answer_timeout: setup.answer_timeout,
            ..UpstreamSettings::default()
        },
        Arc::new(At(setup.resolves_to.unwrap_or(aws.address))),
    )
    .unwrap();
    let mut spool = SpoolSettings::new(dir.path().to_owned());
    (spool.memory, spool.most) = setup.spool;
    spool.memory_of_all = setup.memory;
    (spool.wait, spool.patience) = (setup.patience / 2, setup.patience);
    let rules = Rules::parse(setup.rules, "rules.toml", &|_| Err("none".to_owned())).unwrap();
    let engine = Engine::new(EngineParts {
        environment: "env".into(),
        rules: Arc::new(rules),
        key: key.clone(),
        credentials: sessions.clone(),
        log: log.clone(),
        upstream,
        clock: clock.clone(),
        spool,
    });
    let authority = Authority::generate(SystemClock.now(), &SystemRandom).unwrap();
    let ways = WaysIn {
        engine,
        key: key.clone(),
        leaves: Arc::new(Leaves::new(authority, clock.clone(), random.clone()).unwrap()),
        tunnels: Box::new(|_| false),
        told: ToldHosts::default(),
        limits: Limits::default(),
        clock,
        random,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(serve(listener, Arc::new(ways), stopping));
    World {
        aws,
        proxy,
        key: key.expose().to_owned(),
        sessions,
        log,
        log_file,
        _stop: stop,
        _dir: dir,
    }
}

/// An answer, read.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Got {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl World {
    /// The value of `Authorization` that shows the key.
    pub(super) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("idp:{}", self.key)))
    }

    /// A dummy signature by the proxy's key.
    pub(super) fn dummy(&self, region: &str, service: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={}/20200101/{region}/{service}/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={}",
            self.key,
            "0".repeat(64)
        )
    }

    /// A request with the host of a service, which shows the key.
    pub(super) fn request(&self, method: &str, host: &str, target: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(target)
            .header("host", host)
            .header("proxy-authorization", self.basic())
    }

    pub(super) async fn send(
        &self,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Got {
        self.try_send(request, body).await.unwrap()
    }

    pub(super) async fn try_send(
        &self,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> hyper::Result<Got> {
        let stream = TcpStream::connect(self.proxy).await.unwrap();
        let io = TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_headers(1000)
            .handshake(io)
            .await?;
        tokio::spawn(connection);
        let request = request.body(Full::new(body.into())).unwrap();
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok(Got {
            status: head.status,
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    /// A request as bytes, on a connection of its own.
    pub(super) async fn raw(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.proxy).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// Waits until `count` records are written, and gives them.
    pub(super) async fn records(&self, count: usize) -> Vec<Value> {
        for _ in 0..200 {
            let text = std::fs::read_to_string(&self.log_file).unwrap();
            let lines: Vec<Value> = text
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            if lines.len() >= count {
                assert_eq!(lines.len(), count, "{text}");
                assert!(
                    !text.contains(&self.key) && !text.contains(SECRET),
                    "{text}"
                );
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{}", std::fs::read_to_string(&self.log_file).unwrap());
    }

    /// Nothing reached AWS, and no session was asked for.
    pub(super) fn nothing_happened(&self) {
        assert_eq!(self.aws.count(), 0);
        assert_eq!(self.sessions.asked.load(Ordering::SeqCst), 0);
    }
}

/// Reads what comes until it pauses.
pub(super) async fn read_some(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(Ok(count)) =
        tokio::time::timeout(Duration::from_millis(300), stream.read(&mut piece)).await
    {
        if count == 0 {
            break;
        }
        all.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&all).into_owned()
}
