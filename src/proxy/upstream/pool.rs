//! The connections to one host.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::{
    UpstreamError,
    connect::{Connector, Fresh},
    destination::Destination,
};
use crate::proxy::outgoing::{Outgoing, Progress};

/// Requests that share one connection of HTTP/2.
const STREAMS: usize = 64;

/// The connections to one host.
pub(super) struct Pool {
    pub(super) host: Box<str>,
    destination: Destination,
    /// A place for each request on its way.
    places: Arc<Semaphore>,
    most: usize,
    idle_for: Duration,
    /// Connections of HTTP/1.1 without a request, the last used at the end.
    idle: Mutex<Vec<Idle>>,
    /// Connections of HTTP/2.
    shared: Mutex<Vec<Shared>>,
    /// Whether the host speaks HTTP/2: then one connection at a time is made.
    is_h2: AtomicBool,
    connecting: tokio::sync::Mutex<()>,
}

struct Idle {
    sender: http1::SendRequest<Outgoing>,
    since: Instant,
}

#[derive(Clone)]
struct Shared {
    sender: http2::SendRequest<Outgoing>,
    streams: Arc<AtomicUsize>,
    last_used: Instant,
}

/// A connection for one request.
pub(super) enum Connection {
    H1(http1::SendRequest<Outgoing>),
    H2(http2::SendRequest<Outgoing>, Stream),
}

/// A stream of HTTP/2, until it is dropped.
pub(super) struct Stream(Arc<AtomicUsize>);

impl Stream {
    fn open(streams: &Arc<AtomicUsize>) -> Self {
        streams.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(streams))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an answer holds on to until its end: the place, and the connection, which then is free again.
pub(super) struct Lease {
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
    kept: Kept,
}

enum Kept {
    H1 {
        sender: http1::SendRequest<Outgoing>,
        progress: Option<Arc<Progress>>,
    },
    H2(#[expect(dead_code, reason = "counts the stream until it is dropped")] Stream),
}

impl Pool {
    pub(super) fn new(
        host: &str,
        destination: Destination,
        most: usize,
        idle_for: Duration,
    ) -> Self {
        Self {
            host: host.into(),
            destination,
            places: Arc::new(Semaphore::new(most)),
            most,
            idle_for,
            idle: Mutex::default(),
            shared: Mutex::default(),
            is_h2: AtomicBool::new(false),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    /// A place for a request; waits where all are taken.
    pub(super) async fn place(
        &self,
        patience: Duration,
    ) -> Result<OwnedSemaphorePermit, UpstreamError> {
        let places = Arc::clone(&self.places);
        match timeout(patience, places.acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(UpstreamError::Busy {
                host: self.host.to_string(),
                most: self.most,
            }),
        }
    }

    /// A connection that was used before, or a new one (`true`).
    pub(super) async fn connection(
        &self,
        connector: &Connector,
    ) -> Result<(Connection, bool), UpstreamError> {
        if let Some(used) = self.used().await {
            return Ok((used, false));
        }
        if !self.is_h2.load(Ordering::Relaxed) {
            let fresh = connector.connect(&self.host, &self.destination).await?;
            return Ok((self.keep(fresh), true));
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(used) = self.used().await {
            return Ok((used, false));
        }
        let fresh = connector.connect(&self.host, &self.destination).await?;
        Ok((self.keep(fresh), true))
    }

    fn keep(&self, fresh: Fresh) -> Connection {
        match fresh {
            Fresh::H1(sender) => Connection::H1(sender),
            Fresh::H2(sender) => {
                self.is_h2.store(true, Ordering::Relaxed);
                let streams = Arc::default();
                let stream = Stream::open(&streams);
                lock(&self.shared).push(Shared {
                    sender: sender.clone(),
                    streams,
                    last_used: Instant::now(),
                });
                Connection::H2(sender, stream)
            }
        }
    }

    async fn used(&self) -> Option<Connection> {
        if let Some(shared) = self.least_used() {
            return Some(shared);
        }
        loop {
            // The one that was used last is the least likely to have been closed by the other side.
            let Idle { mut sender, since } = lock(&self.idle).pop()?;
            if since.elapsed() < self.idle_for && sender.ready().await.is_ok() {
                return Some(Connection::H1(sender));
            }
        }
    }

    fn least_used(&self) -> Option<Connection> {
        let mut shared = lock(&self.shared);
        shared.retain(|one| !one.sender.is_closed());
        let one = shared
            .iter_mut()
            .min_by_key(|one| one.streams.load(Ordering::Relaxed))
            .filter(|one| one.streams.load(Ordering::Relaxed) < STREAMS)?;
        one.last_used = Instant::now();
        Some(Connection::H2(
            one.sender.clone(),
            Stream::open(&one.streams),
        ))
    }

    /// Closes what was not used for long. Whether anything is left.
    pub(super) fn sweep(&self) -> bool {
        let mut idle = lock(&self.idle);
        idle.retain(|one| !one.sender.is_closed() && one.since.elapsed() < self.idle_for);
        let mut shared = lock(&self.shared);
        shared.retain(|one| {
            let in_use = one.streams.load(Ordering::Relaxed) > 0;
            !one.sender.is_closed() && (in_use || one.last_used.elapsed() < self.idle_for)
        });
        !idle.is_empty() || !shared.is_empty() || self.places.available_permits() < self.most
    }
}

impl Lease {
    pub(super) const fn h1(
        pool: Arc<Pool>,
        place: OwnedSemaphorePermit,
        sender: http1::SendRequest<Outgoing>,
        progress: Option<Arc<Progress>>,
    ) -> Self {
        Self {
            pool,
            _place: place,
            kept: Kept::H1 { sender, progress },
        }
    }

    pub(super) const fn h2(pool: Arc<Pool>, place: OwnedSemaphorePermit, stream: Stream) -> Self {
        Self {
            pool,
            _place: place,
            kept: Kept::H2(stream),
        }
    }

    /// The answer has ended: the connection can take another request, unless the last one's body is
    /// still on its way.
    pub(super) fn give_back(self) {
        if let Kept::H1 { sender, progress } = self.kept
            && progress.is_none_or(|progress| progress.is_done())
            && !sender.is_closed()
        {
            lock(&self.pool.idle).push(Idle {
                sender,
                since: Instant::now(),
            });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
