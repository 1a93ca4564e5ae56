//! Connections to AWS: kept for each host, over TLS that is always verified, to addresses that were
//! judged after the name was resolved.

mod connect;
mod destination;
mod error;
mod pool;
mod tls;

use std::{
    collections::HashMap,
    path::PathBuf,
    pin::{Pin, pin},
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header, uri::PathAndQuery};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;

use self::{
    connect::Connector,
    destination::Destination,
    pool::{Connection, Lease, Pool},
};
use super::outgoing::Outgoing;

pub use connect::{Resolve, SystemResolver};
pub use destination::{OverrideError, UpstreamOverride};
pub use error::UpstreamError;
pub use tls::RootsError;

/// How connections to AWS are made.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// A PEM file of certificates that are trusted beside the system's.
    pub extra_roots: Option<PathBuf>,
    /// Other places for some hosts.
    pub overrides: Vec<UpstreamOverride>,
    /// How long a connection may take to come about, and a request may wait for a free one.
    pub connect_timeout: Duration,
    /// How long nothing may move before an answer begins. Lambda functions run for up to 15 minutes.
    pub answer_timeout: Duration,
    /// For how long a connection is kept without a request.
    pub idle_timeout: Duration,
    /// The most requests to one host at once.
    pub per_host: usize,
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            extra_roots: None,
            overrides: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_mins(16),
            idle_timeout: Duration::from_secs(20),
            per_host: 1024,
        }
    }
}

/// Hosts whose connections are kept. A bucket has one of its own.
const MOST_HOSTS: usize = 1024;

/// How often a request is given another connection because the one that it was given had been closed.
const STALE: usize = 8;

/// The connections to AWS.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

struct Inner {
    settings: UpstreamSettings,
    connector: Connector,
    pools: RwLock<HashMap<Box<str>, Arc<Pool>>>,
}

impl Upstream {
    /// Reads the trusted certificates. Nothing is connected yet.
    ///
    /// # Errors
    /// [`RootsError`]: there are none, or the file of further ones cannot be used.
    pub fn new(settings: UpstreamSettings, resolver: Arc<dyn Resolve>) -> Result<Self, RootsError> {
        let tls = Arc::new(tls::client_config(settings.extra_roots.as_deref())?);
        Ok(Self(Arc::new(Inner {
            connector: Connector {
                tls,
                resolver,
                patience: settings.connect_timeout,
            },
            settings,
            pools: RwLock::default(),
        })))
    }

    /// Closes connections that were not used for long, until it is dropped. Run it beside the proxy.
    pub async fn sweep(&self) {
        loop {
            tokio::time::sleep(self.0.settings.idle_timeout / 2).await;
            self.0.sweep();
        }
    }

    /// Sends a request to `host` and waits for the head of the answer. `target` is the path and query
    /// as they are sent; `request`'s own URI does not count. Its `Host` header is `host`.
    ///
    /// It is sent once. Another connection is tried only where nothing was written.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(super) async fn send(
        &self,
        host: &str,
        target: &PathAndQuery,
        mut request: Request<Outgoing>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let settings = &self.0.settings;
        let pool = self.0.pool(host);
        let place = pool.place(settings.connect_timeout).await?;
        let progress = request.body().progress();
        for _ in 0..STALE {
            let (connection, is_new) = pool.connection(&self.0.connector).await?;
            let mut error = match connection {
                Connection::H1(mut sender) => {
                    origin_form(&mut request, host, target);
                    let sending = sender.try_send_request(request);
                    match self.wait(sending, progress.as_deref(), host).await? {
                        Ok(answer) => {
                            let lease = Lease::h1(pool, place, sender, progress);
                            return Ok(answer.map(|body| UpstreamBody::new(body, lease)));
                        }
                        Err(error) => error,
                    }
                }
                Connection::H2(mut sender, stream) => {
                    absolute_form(&mut request, host, target);
                    let sending = sender.try_send_request(request);
                    match self.wait(sending, progress.as_deref(), host).await? {
                        Ok(answer) => {
                            let lease = Lease::h2(pool, place, stream);
                            return Ok(answer.map(|body| UpstreamBody::new(body, lease)));
                        }
                        Err(error) => error,
                    }
                }
            };
            match error.take_message() {
                Some(unsent) if !is_new => request = unsent,
                Some(_) => return Err(UpstreamError::unreachable(host, &error.into_error())),
                None => return Err(UpstreamError::broken(host, error.into_error())),
            }
        }
        Err(UpstreamError::Unreachable {
            host: host.to_owned(),
            reason: "it closes every connection at once".to_owned(),
        })
    }

    /// Waits for an answer while anything moves.
    async fn wait<T>(
        &self,
        sending: impl Future<Output = T>,
        progress: Option<&super::outgoing::Progress>,
        host: &str,
    ) -> Result<T, UpstreamError> {
        let mut sending = pin!(sending);
        let patience = self.0.settings.answer_timeout;
        let mut seen = 0;
        loop {
            if let Ok(answer) = timeout(patience, &mut sending).await {
                return Ok(answer);
            }
            match progress.map(super::outgoing::Progress::bytes) {
                Some(bytes) if bytes != seen => seen = bytes,
                _ => {
                    return Err(UpstreamError::Silent {
                        host: host.to_owned(),
                        waited: patience,
                    });
                }
            }
        }
    }
}

impl Inner {
    fn pool(&self, host: &str) -> Arc<Pool> {
        let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(host) {
            return Arc::clone(pool);
        }
        drop(pools);
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        if pools.len() >= MOST_HOSTS {
            pools.retain(|_, pool| pool.sweep());
        }
        if pools.len() >= MOST_HOSTS {
            // What is on its way keeps its own; only idle connections go.
            pools.clear();
        }
        let destination = Destination::of(host, &self.settings.overrides);
        let new = Pool::new(
            host,
            destination,
            self.settings.per_host,
            self.settings.idle_timeout,
        );
        Arc::clone(pools.entry(host.into()).or_insert_with(|| Arc::new(new)))
    }

    fn sweep(&self) {
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        // A pool that somebody took out just now is not empty for long.
        pools.retain(|_, pool| pool.sweep() || Arc::strong_count(pool) > 1);
    }
}

/// HTTP/1.1: the path in the request line, the host in `Host`.
fn origin_form(request: &mut Request<Outgoing>, host: &str, target: &PathAndQuery) {
    *request.uri_mut() = Uri::from(target.clone());
    *request.version_mut() = http::Version::HTTP_11;
    if !request.headers().contains_key(header::HOST)
        && let Ok(value) = HeaderValue::from_str(host)
    {
        request.headers_mut().insert(header::HOST, value);
    }
}

/// HTTP/2: the host in `:authority`, which is built from the URI.
fn absolute_form(request: &mut Request<Outgoing>, host: &str, target: &PathAndQuery) {
    let uri = Uri::builder()
        .scheme("https")
        .authority(host)
        .path_and_query(target.clone())
        .build();
    if let Ok(uri) = uri {
        *request.uri_mut() = uri;
    }
    *request.version_mut() = http::Version::HTTP_2;
    request.headers_mut().remove(header::HOST);
}

/// The body of an answer. When it has ended, its connection takes another request; when it is dropped
/// before, the connection (or the stream) is closed.
pub struct UpstreamBody {
    incoming: Incoming,
    lease: Option<Lease>,
}

impl UpstreamBody {
    fn new(incoming: Incoming, lease: Lease) -> Self {
        let mut body = Self {
            incoming,
            lease: Some(lease),
        };
        body.note_end();
        body
    }

    fn note_end(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        match &frame {
            Some(Ok(_)) => self.note_end(),
            None => {
                if let Some(lease) = self.lease.take() {
                    lease.give_back();
                }
            }
            Some(Err(_)) => self.lease = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream")
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}
