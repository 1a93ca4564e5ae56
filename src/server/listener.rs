//! The accept loop: bounded connections, bounded time for headers, TLS where it is configured, and an
//! end that finishes what was accepted.

use std::{fs, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{Router, extract::Request};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tower::{ServiceExt as _, service_fn};

use crate::{config::TlsSettings, http::Peer};

/// How long a client may take to send its request's head, or to finish its handshake.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long requests in flight may take to finish when the server stops.
const GRACE: Duration = Duration::from_secs(20);

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

    /// Serves until `stop` turns true, then lets requests in flight finish.
    pub(super) async fn serve(
        self,
        router: Router,
        tls: Option<Arc<ServerConfig>>,
        connections: usize,
        mut stop: watch::Receiver<bool>,
    ) {
        let slots = Arc::new(Semaphore::new(connections));
        let graceful = GracefulShutdown::new();
        let tls = tls.map(TlsAcceptor::from);
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.0, &slots) => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let Some((stream, peer, slot)) = accepted else {
                continue;
            };
            let (router, tls, watcher) = (router.clone(), tls.clone(), graceful.watcher());
            tokio::spawn(async move {
                match tls {
                    None => connection(stream, peer, router, watcher).await,
                    Some(tls) => match timeout(HEADER_TIMEOUT, tls.accept(stream)).await {
                        Ok(Ok(stream)) => connection(stream, peer, router, watcher).await,
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
                    },
                }
                drop(slot);
            });
        }
        drop(self.0);
        if timeout(GRACE, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests that did not finish in time were cut off");
        }
    }
}

/// The next connection, once there is a slot for it. `None` where the system failed to accept one.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // An answer is one small write; waiting to fill a segment only delays it.
            drop(stream.set_nodelay(true));
            Some((stream, peer, slot))
        }
        Err(error) => {
            // Out of file descriptors, most likely: connections that end give some back.
            tracing::warn!(%error, "a connection was not accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// Serves one connection to its end.
async fn connection<S>(stream: S, peer: SocketAddr, router: Router, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = Peer(peer.ip().to_canonical());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_header_list_size(32 * 1024)
        .keep_alive_interval(Duration::from_secs(30));
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(peer = %peer.0, %error, "a connection broke off");
    }
}

/// TLS from PEM files.
pub(super) fn tls_config(settings: &TlsSettings) -> Result<Arc<ServerConfig>, ListenError> {
    let wrong = |path: &PathBuf, reason: String| ListenError::Tls {
        path: path.clone(),
        reason,
    };
    let read = |path: &PathBuf| fs::read(path).map_err(|error| wrong(path, error.to_string()));
    let chain = CertificateDer::pem_slice_iter(&read(&settings.cert_file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(&settings.cert_file, format!("no PEM certificates: {error}")))?;
    if chain.is_empty() {
        return Err(wrong(
            &settings.cert_file,
            "no PEM certificate in it".to_owned(),
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&settings.key_file)?)
        .map_err(|error| wrong(&settings.key_file, format!("no PEM private key: {error}")))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| {
            wrong(
                &settings.key_file,
                format!("not the key of {}: {error}", settings.cert_file.display()),
            )
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
