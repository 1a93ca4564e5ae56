//! A new connection: name, judged addresses, TCP, TLS, HTTP.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    UpstreamError,
    destination::{Destination, Place},
};
use crate::proxy::outgoing::Outgoing;

/// Finds the addresses of a name.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// All addresses that `host` has now, with `port`.
    ///
    /// # Errors
    /// It has none, or nobody knows.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// A connection that nothing was sent on.
pub(super) enum Fresh {
    H1(http1::SendRequest<Outgoing>),
    H2(http2::SendRequest<Outgoing>),
}

/// Makes connections.
pub(super) struct Connector {
    pub(super) tls: Arc<ClientConfig>,
    pub(super) resolver: Arc<dyn Resolve>,
    /// How long a connection may take to come about, with TLS.
    pub(super) patience: Duration,
}

/// How much of an answer one stream of HTTP/2 may send ahead.
const STREAM_WINDOW: u32 = 1024 * 1024;

impl Connector {
    /// Connects to `host`, which is at `destination`.
    pub(super) async fn connect(
        &self,
        host: &str,
        destination: &Destination,
    ) -> Result<Fresh, UpstreamError> {
        timeout(self.patience, self.try_to(host, destination))
            .await
            .unwrap_or_else(|_| {
                Err(UpstreamError::Unreachable {
                    host: host.to_owned(),
                    reason: format!("no connection within {} s", self.patience.as_secs()),
                })
            })
    }

    async fn try_to(&self, host: &str, destination: &Destination) -> Result<Fresh, UpstreamError> {
        let failed = |error: &io::Error| UpstreamError::unreachable(host, error);
        let addresses = match &destination.place {
            Place::Address(address) => vec![*address],
            Place::Name(name, port) => {
                let found = self.resolver.resolve(name, *port).await;
                let found = found.map_err(|error| failed(&error))?;
                destination.rule.judge(name, found.into_iter())?
            }
        };
        let stream = self
            .dial(&addresses)
            .await
            .map_err(|error| failed(&error))?;
        // A request's head and the end of its body are small writes; waiting only delays them.
        drop(stream.set_nodelay(true));
        let Some(name) = &destination.tls else {
            return h1(host, stream).await;
        };
        let name = ServerName::try_from(name.clone())
            .map_err(|error| UpstreamError::unreachable(host, &error))?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(name, stream).await;
        let stream = stream.map_err(|error| failed(&error))?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            h2(host, stream).await
        } else {
            h1(host, stream).await
        }
    }

    /// Tries one address after the other; none may use up the time of those behind it.
    async fn dial(&self, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let each = self.patience / u32::try_from(addresses.len().clamp(1, 4)).unwrap_or(1);
        for address in addresses {
            match timeout(each, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }
}

/// How many headers an answer may have. Amazon S3 gives an object's metadata back, up to 2 KB of it.
const MOST_HEADERS: usize = 512;

async fn h1<S>(host: &str, stream: S) -> Result<Fresh, UpstreamError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_headers(MOST_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| UpstreamError::unreachable(host, &error))?;
    tokio::spawn(async move {
        // Whoever uses the connection hears of it as well.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to AWS broke off");
        }
    });
    Ok(Fresh::H1(sender))
}

async fn h2<S>(host: &str, stream: S) -> Result<Fresh, UpstreamError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * 4)
        .max_send_buf_size(256 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| UpstreamError::unreachable(host, &error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to AWS broke off");
        }
    });
    Ok(Fresh::H2(sender))
}
