//! A proxy's ways in, with an engine that tells what came through.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Response;
use http_body_util::BodyExt as _;
use idp::{
    domain::{Clock as _, SystemClock, SystemRandom},
    ports::LogError,
    proxy::{
        Answer, Authority, Inbound, Leaves, Limits, Opening, ProxyBody, ProxyKey, ToldHosts,
        Tunnelled, TurnedAway, WaysIn, full, serve,
    },
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// What the engine saw beside the requests that it answered.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) requests: Mutex<usize>,
    pub(super) turned_away: Mutex<Vec<TurnedAway>>,
    pub(super) log_is_full: Mutex<bool>,
    pub(super) opened: Mutex<Vec<Opening>>,
    pub(super) tunnelled: Mutex<Vec<Tunnelled>>,
}

/// Answers with what it was given. A request to `/deny` is refused with its body unread.
struct Echo(Arc<Seen>);

impl Answer for Echo {
    async fn answer(&self, inbound: Inbound) -> Response<ProxyBody> {
        *self.0.requests.lock().unwrap() += 1;
        let (head, body) = inbound.request.into_parts();
        if head.uri.path() == "/deny" {
            let mut answer = Response::new(full("denied"));
            *answer.status_mut() = http::StatusCode::FORBIDDEN;
            return answer;
        }
        if head.uri.path() == "/slow" {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let body = body.collect().await.map(|body| body.to_bytes().len());
        let headers: Vec<_> = head
            .headers
            .iter()
            .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
            .collect();
        let told = json!({
            "way": inbound.way.name(),
            "host": inbound.way.host(),
            "whole": format!("{:?}", inbound.way),
            "method": head.method.as_str(),
            "uri": head.uri.to_string(),
            "headers": headers,
            "body": body.ok(),
        });
        Response::new(full(told.to_string()))
    }

    fn turned_away(&self, refusal: TurnedAway) {
        self.0.turned_away.lock().unwrap().push(refusal);
    }

    async fn tunnel_opens(&self, tunnel: &Opening) -> Result<(), LogError> {
        self.0.opened.lock().unwrap().push(tunnel.clone());
        if *self.0.log_is_full.lock().unwrap() {
            return Err(LogError("no space left on device".to_owned()));
        }
        Ok(())
    }

    fn tunnelled(&self, tunnel: Tunnelled) {
        self.0.tunnelled.lock().unwrap().push(tunnel);
    }
}

/// A proxy that listens.
pub(super) struct Door {
    pub(super) address: SocketAddr,
    pub(super) key: String,
    pub(super) seen: Arc<Seen>,
    /// The file with the certificate authority.
    pub(super) ca: PathBuf,
    pub(super) stop: watch::Sender<bool>,
    pub(super) served: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

pub(super) async fn door() -> Door {
    door_with(Limits::default()).await
}

pub(super) async fn door_with(limits: Limits) -> Door {
    // Fails where a test before this one did it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let authority = Authority::generate(SystemClock.now(), &SystemRandom).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let key = Arc::new(ProxyKey::generate(&SystemRandom));
    let seen = Arc::<Seen>::default();
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let ways = WaysIn {
        engine: Echo(seen.clone()),
        key: key.clone(),
        leaves: Arc::new(Leaves::new(authority, clock.clone(), random.clone()).unwrap()),
        tunnels: Box::new(|host| matches!(host, "allowed.example" | "localtest.me")),
        told: ToldHosts::default(),
        limits,
        clock,
        random,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = watch::channel(false);
    Door {
        address,
        key: key.expose().to_owned(),
        seen,
        ca,
        stop,
        served: tokio::spawn(serve(listener, Arc::new(ways), stopping)),
        _dir: dir,
    }
}

impl Door {
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The value of `Authorization` or `Proxy-Authorization` with the key as password.
    pub(super) fn basic(&self) -> String {
        basic(&self.key)
    }

    /// A dummy signature with `key`.
    pub(super) fn signature(&self, service: &str) -> String {
        signature(&self.key, service)
    }

    /// Sends text on a connection of its own and reads to the end of the answer.
    pub(super) async fn send(&self, text: &str) -> Reply {
        ask(&mut self.connect().await, text).await
    }

    /// A tunnel to `target`, not yet with TLS.
    pub(super) async fn tunnel(&self, target: &str) -> TcpStream {
        let mut stream = self.connect().await;
        let auth = self.basic();
        let reply = ask(
            &mut stream,
            &format!(
                "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: {auth}\r\n\r\n"
            ),
        )
        .await;
        assert_eq!(reply.status, 200, "{reply:?}");
        stream
    }

    /// A tunnel to `host`, with TLS for the name `sni`.
    pub(super) async fn tls(&self, host: &str, sni: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = self.tunnel(&format!("{host}:443")).await;
        self.tls_on(stream, sni).await
    }

    /// TLS for the name `sni` in a tunnel.
    pub(super) async fn tls_on(
        &self,
        stream: TcpStream,
        sni: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&self.ca).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from(sni.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }
}

pub(super) fn basic(password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("idp:{password}")))
}

pub(super) fn signature(key: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={key}/20261122/us-east-1/{service}/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature={}",
        "0".repeat(64)
    )
}

/// An answer, read.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends text and reads one answer.
pub(super) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, text: &str) -> Reply {
    stream.write_all(text.as_bytes()).await.unwrap();
    read(stream, text.starts_with("HEAD")).await
}

pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S, bare: bool) -> Reply {
    let mut bytes = Vec::new();
    let at = loop {
        if let Some(at) = bytes.windows(4).position(|at| at == b"\r\n\r\n") {
            break at;
        }
        let mut byte = [0; 1];
        let count = stream.read(&mut byte).await.unwrap_or(0);
        assert!(
            count > 0,
            "the connection ended: {}",
            String::from_utf8_lossy(&bytes)
        );
        bytes.push(byte[0]);
    };
    let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut reply = Reply {
        status,
        head,
        body: String::new(),
    };
    let length = reply.header("content-length").and_then(|n| n.parse().ok());
    let mut body = vec![0; if bare { 0 } else { length.unwrap_or(0) }];
    stream.read_exact(&mut body).await.unwrap();
    reply.body = String::from_utf8(body).unwrap();
    reply
}
