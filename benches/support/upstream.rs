//! What stands for AWS behind the proxies that are compared: this program again, in a process of its
//! own, which answers at once.

use std::{
    convert::Infallible,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response,
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::process::{Running, clean};

/// The first argument of the process.
const NAME: &str = "upstream-of-proxies";

/// The hosts that it has certificates for.
pub(crate) const HOSTS: [&str; 2] = [
    "dynamodb.us-east-1.amazonaws.com",
    "s3.us-east-1.amazonaws.com",
];

/// Bytes of the object that every GET answers.
pub(crate) const OBJECT: u64 = 1 << 30;

/// How much of it is written at a time.
const CHUNK: usize = 64 * 1024;

/// What `GetItem` of `DynamoDB` may answer.
const ITEM: &str =
    r#"{"Item":{"id":{"S":"user-123456"},"name":{"S":"A name"},"visits":{"N":"42"}}}"#;

/// A running upstream.
pub(crate) struct Upstream {
    /// The process.
    pub(crate) process: Running,
    /// Where it listens without TLS.
    pub(crate) plain: SocketAddr,
    /// Where it listens with TLS.
    pub(crate) tls: SocketAddr,
    dir: PathBuf,
}

impl Upstream {
    /// Starts this program again as an upstream, which keeps its certificates in `dir`.
    pub(crate) fn start(dir: &Path) -> Self {
        make_certificates(dir);
        let program = std::env::current_exe().expect("this program has a path");
        let mut process = Running::start(
            clean(program, Path::new("/"))
                .arg(NAME)
                .arg(dir)
                .stdout(Stdio::piped()),
        );
        let output = process.child().stdout.take().expect("it is piped");
        let mut lines = BufReader::new(output).lines();
        let mut address = || {
            let line = lines.next().expect("it says where it listens");
            let line = line.expect("it says where it listens");
            line.parse().expect("it says where it listens")
        };
        Self {
            plain: address(),
            tls: address(),
            process,
            dir: dir.to_owned(),
        }
    }

    /// The certificate of the authority that vouches for it, and for nginx.
    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The certificate, for whoever is to be taken for it.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.join("server.pem")
    }

    /// Its key.
    pub(crate) fn key(&self) -> PathBuf {
        self.dir.join("server.key")
    }
}

fn make_certificates(dir: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // A name of its own: OpenSSL takes a certificate whose issuer has the same name for self-signed.
    params
        .distinguished_name
        .push(DnType::CommonName, "authority of the benchmark");
    let generate = || KeyPair::generate().expect("aws-lc makes keys");
    let authority = CertifiedIssuer::self_signed(params, generate()).expect("rcgen signs");
    let key = generate();
    let names = HOSTS.map(str::to_owned);
    let params = CertificateParams::new(names).expect("they are host names");
    let server = params.signed_by(&key, &authority).expect("rcgen signs");
    let write = |name: &str, text: &str| {
        fs::write(dir.join(name), text).expect("the directory is writable");
    };
    write("ca.pem", &authority.pem());
    write("server.pem", &server.pem());
    write("server.key", &key.serialize_pem());
}

/// Serves without end, where this process was started as an upstream.
pub(crate) fn serve_if_asked() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, dir] = &arguments[..] else { return };
    if name != NAME {
        return;
    }
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("nobody was quicker");
    tokio::runtime::Runtime::new()
        .expect("the system gives threads")
        .block_on(serve(Path::new(dir)))
        .expect("two ports are free");
}

async fn serve(dir: &Path) -> std::io::Result<()> {
    let plain = TcpListener::bind(("127.0.0.1", 0)).await?;
    let secure = TcpListener::bind(("127.0.0.1", 0)).await?;
    let mut output = std::io::stdout();
    writeln!(output, "{}\n{}", plain.local_addr()?, secure.local_addr()?)?;
    output.flush()?;
    let acceptor = TlsAcceptor::from(Arc::new(tls(dir)));
    let plainly = async {
        while let Ok((stream, _)) = plain.accept().await {
            stream.set_nodelay(true).ok();
            tokio::spawn(talk(stream));
        }
    };
    let securely = async {
        while let Ok((stream, _)) = secure.accept().await {
            stream.set_nodelay(true).ok();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    talk(stream).await;
                }
            });
        }
    };
    tokio::join!(plainly, securely);
    Ok(())
}

fn tls(dir: &Path) -> ServerConfig {
    let read = |name: &str| fs::read(dir.join(name)).expect("it was written before");
    let chain = rustls::pki_types::CertificateDer::from_pem_slice(&read("server.pem"));
    let key = PrivateKeyDer::from_pem_slice(&read("server.key"));
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![chain.expect("rcgen wrote it")],
            key.expect("rcgen wrote it"),
        )
        .expect("they belong together");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    // Whoever goes away is not told anything.
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await
        .ok();
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let object = request.method() == Method::GET;
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            break;
        }
    }
    let builder = Response::builder()
        .header("x-amzn-requestid", "B2V9QKZ5WP7J1R0N8S3T6X4Y0C5D2E9F")
        .header("content-type", "application/x-amz-json-1.0");
    let response = if object {
        builder.header("content-length", OBJECT).body(large())
    } else {
        builder.body(Full::new(Bytes::from_static(ITEM.as_bytes())).boxed_unsync())
    };
    Ok(response.expect("these are header values"))
}

fn large() -> Body {
    let chunk = Bytes::from(vec![b'x'; CHUNK]);
    let count = OBJECT / CHUNK as u64;
    let chunks = (0..count).map(move |_| Ok(Frame::data(chunk.clone())));
    StreamBody::new(stream::iter(chunks)).boxed_unsync()
}
