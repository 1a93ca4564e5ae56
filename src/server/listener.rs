//! The accept loop: bounded connections, bounded time for headers, TLS where it is configured, and an
//! end that finishes what was accepted.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
};
use metrics::{Counter, Gauge, describe_counter, describe_gauge};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::service::{Gate, Place};

/// What a connection that there is no room for is told, where it speaks plain HTTP.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    cache-control: no-store\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// How many connections are told so at once; more are closed without a word.
const TOLD_AT_ONCE: usize = 256;

/// How long such a connection may take to hear it.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why the server does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address.
    #[error("cannot listen on {address}: {reason}{}", hint(reason))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        reason: io::Error,
    },
    /// A TLS file.
    #[error("{}: {reason}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program listens there, choose another port",
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need a privilege, choose a higher one"
        }
        _ => "",
    }
}

/// A listening socket that does not accept yet.
#[derive(Debug)]
pub struct Bound(TcpListener);

/// Binds an address.
///
/// # Errors
/// [`ListenError::Bind`].
pub async fn bind(address: SocketAddr) -> Result<Bound, ListenError> {
    TcpListener::bind(address)
        .await
        .map(Bound)
        .map_err(|reason| ListenError::Bind { address, reason })
}

impl Bound {
    /// The address, with the port that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The same with a router, for which it does not matter who asks.
    pub(super) async fn serve_router(
        self,
        router: Router,
        options: Options,
        stop: watch::Receiver<bool>,
    ) {
        let answer = move |request: Request<Incoming>, _| {
            let router = router.clone();
            async move {
                match router.oneshot(request.map(Body::new)).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        };
        self.serve(answer, options, stop).await;
    }

    /// Answers requests until `stop` turns true, then lets those in flight finish.
    pub(super) async fn serve<A, F>(
        self,
        answer: A,
        options: Options,
        mut stop: watch::Receiver<bool>,
    ) where
        A: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let graceful = GracefulShutdown::new();
        let doorman = Doorman::new(&options);
        let tls = options.tls.map(TlsAcceptor::from);
        loop {
            let accepted = tokio::select! {
                accepted = self.0.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: connections that end give some back.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Some(guest) = doorman.admit() else {
                doorman.turn_away(stream, tls.is_none());
                continue;
            };
            // An answer is one small write; waiting to fill a segment only delays it.
            drop(stream.set_nodelay(true));
            let (answer, tls, watcher) = (answer.clone(), tls.clone(), graceful.watcher());
            let patience = options.header_timeout;
            tokio::spawn(async move {
                match tls {
                    None => connection(stream, peer, answer, patience, watcher).await,
                    Some(tls) => match timeout(patience, tls.accept(stream)).await {
                        Ok(Ok(stream)) => connection(stream, peer, answer, patience, watcher).await,
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
                    },
                }
                drop(guest);
            });
        }
        drop(self.0);
        if timeout(options.grace, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests that did not finish in time were cut off");
        }
    }
}

/// How a listener serves.
pub(super) struct Options {
    /// The listener's name in metrics.
    pub(super) name: &'static str,
    /// TLS, where the server ends it itself.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// How many connections are served at once; more are turned away.
    pub(super) connections: usize,
    /// How long a client may take for its request's head, or for its handshake.
    pub(super) header_timeout: Duration,
    /// How long requests in flight may take to finish at the end.
    pub(super) grace: Duration,
}

/// Counts the connections.
struct Doorman {
    inside: Gate,
    leaving: Gate,
    open: Gauge,
    turned_away: Counter,
}

/// A connection that is served, until this is dropped.
struct Guest {
    open: Gauge,
    _place: Place,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

impl Doorman {
    fn new(options: &Options) -> Self {
        describe_gauge!("idp_connections", "Open connections by listener");
        describe_counter!(
            "idp_connections_refused_total",
            "Connections that there was no room for by listener"
        );
        Self {
            inside: Gate::new(options.connections),
            leaving: Gate::new(TOLD_AT_ONCE),
            open: metrics::gauge!("idp_connections", "listener" => options.name),
            turned_away: metrics::counter!(
                "idp_connections_refused_total", "listener" => options.name
            ),
        }
    }

    fn admit(&self) -> Option<Guest> {
        let place = self.inside.enter()?;
        self.open.increment(1.0);
        Some(Guest {
            open: self.open.clone(),
            _place: place,
        })
    }

    /// Says why, so that a client comes again instead of giving up. What it sends is read, because
    /// closing over unread bytes would take the answer back.
    fn turn_away(&self, mut stream: TcpStream, plain: bool) {
        self.turned_away.increment(1);
        let Some(place) = self.leaving.enter().filter(|_| plain) else {
            return;
        };
        tokio::spawn(async move {
            let farewell = async {
                stream.write_all(NO_ROOM).await?;
                stream.shutdown().await?;
                let mut sink = [0; 4096];
                while stream.read(&mut sink).await? > 0 {}
                io::Result::Ok(())
            };
            // Who does not listen is not waited for.
            drop(timeout(FAREWELL, farewell).await);
            drop(place);
        });
    }
}

/// Serves one connection to its end.
async fn connection<S, A, F>(
    stream: S,
    peer: SocketAddr,
    answer: A,
    header_timeout: Duration,
    watcher: Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let peer = peer.ip().to_canonical();
    let service = service_fn(move |request: Request<Incoming>| {
        let answered = answer(request, peer);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_header_list_size(32 * 1024)
        // Requests are small: what a client may have on its way at once is, too.
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(256 * 1024)
        .max_send_buf_size(64 * 1024)
        // Streams that are opened only to be reset (CVE-2023-44487).
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(header_timeout);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(%peer, %error, "a connection broke off");
    }
}
