//! What stands for AWS behind the proxy: one TLS server for all of its hosts, which notes every
//! request and lets something else answer.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::ServerConfig;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_rustls::TlsAcceptor;

use super::certificates::Authority;

/// A body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// What answers.
#[async_trait]
pub(super) trait Service: Send + Sync + 'static {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body>;
}

/// The head of a request that arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// The name that TLS was made for.
    pub(super) host: String,
    pub(super) method: String,
    /// Path and query as they came over the wire.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
}

impl Seen {
    fn raw(host: String, head: &[u8]) -> Self {
        let head = String::from_utf8_lossy(head);
        let mut words = head.split(' ').map(str::to_owned);
        Self {
            host,
            method: words.next().unwrap_or_default(),
            target: words.next().unwrap_or_default(),
            headers: HeaderMap::new(),
        }
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// In good order.
    Close,
    /// It says no more, and listens on.
    HalfClose,
    /// With a reset.
    Reset,
}

/// What a server does with a connection.
#[derive(Clone)]
enum Part {
    Http(Arc<dyn Service>),
    Raw(&'static [u8], End),
}

/// A running server. It ends when this is dropped.
pub(super) struct Cloud {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    dir: TempDir,
    runtime: Option<Runtime>,
}

impl Cloud {
    /// Starts it, speaking HTTP/1.1.
    pub(super) fn start(service: impl Service) -> Self {
        Self::with(service, &[b"http/1.1"])
    }

    /// Starts it with these protocols.
    pub(super) fn with(service: impl Service, protocols: &[&[u8]]) -> Self {
        Self::secure(Part::Http(Arc::new(service)), protocols)
    }

    fn secure(part: Part, protocols: &[&[u8]]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        let seen = Arc::default();
        let (address, runtime) = listen(
            Some(Arc::new(authority.server(protocols))),
            Arc::clone(&seen),
            part,
        );
        Self {
            address,
            seen,
            dir,
            runtime: Some(runtime),
        }
    }

    /// With TLS, and then not much of a server of HTTP: it reads a request's head, writes `answer` and
    /// ends the connection so.
    pub(super) fn raw(answer: &'static [u8], end: End) -> Self {
        Self::secure(Part::Raw(answer, end), &[b"http/1.1"])
    }

    /// Nothing: somebody else listens at that address.
    pub(super) fn at(address: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), Authority::new().pem()).unwrap();
        Self {
            address,
            seen: Arc::default(),
            dir,
            runtime: None,
        }
    }

    /// Without TLS: what stands for a service whose endpoint is configured.
    pub(super) fn plain(service: impl Service) -> Self {
        let seen = Arc::default();
        let (address, runtime) = listen(None, Arc::clone(&seen), Part::Http(Arc::new(service)));
        Self {
            address,
            seen,
            dir: tempfile::tempdir().unwrap(),
            runtime: Some(runtime),
        }
    }

    /// The URL of one without TLS.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The certificate of its authority.
    pub(super) fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// What has arrived so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn listen(
    tls: Option<Arc<ServerConfig>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    part: Part,
) -> (SocketAddr, Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime
        .block_on(TcpListener::bind(("127.0.0.1", 0)))
        .unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).ok();
            let (tls, seen, part) = (tls.clone(), Arc::clone(&seen), part.clone());
            tokio::spawn(async move {
                match (tls, part) {
                    (Some(tls), part) => over_tls(stream, tls, seen, part).await,
                    (None, Part::Http(service)) => {
                        serve(stream, String::new(), seen, service).await;
                    }
                    (None, Part::Raw(..)) => {}
                }
            });
        }
    });
    (address, runtime)
}

async fn over_tls(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    seen: Arc<Mutex<Vec<Seen>>>,
    part: Part,
) {
    // A client that does not like the certificate goes away.
    let Ok(mut stream) = TlsAcceptor::from(tls).accept(stream).await else {
        return;
    };
    let host = stream.get_ref().1.server_name().unwrap_or_default();
    let host = host.to_owned();
    match part {
        Part::Http(service) => serve(stream, host, seen, service).await,
        Part::Raw(answer, end) => {
            let mut head = Vec::new();
            while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            seen.lock().unwrap().push(Seen::raw(host, &head));
            stream.write_all(answer).await.ok();
            stream.flush().await.ok();
            match end {
                End::Close => drop(stream.shutdown().await),
                End::HalfClose => {
                    stream.shutdown().await.ok();
                    stream.read_to_end(&mut head).await.ok();
                }
                End::Reset => stream.get_ref().0.set_zero_linger().unwrap(),
            }
        }
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    service: Arc<dyn Service>,
) {
    let answer = service_fn(move |request: Request<Incoming>| {
        seen.lock().unwrap().push(Seen {
            host: host.clone(),
            method: request.method().to_string(),
            target: request.uri().path_and_query().unwrap().to_string(),
            headers: request.headers().clone(),
        });
        let service = Arc::clone(&service);
        async move { Ok::<_, std::convert::Infallible>(service.answer(request).await) }
    });
    auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), answer)
        .await
        .ok();
}

/// An answer whose body is there.
pub(super) fn whole(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    let body = http_body_util::Full::new(body.into())
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status.try_into().unwrap();
    response
}
