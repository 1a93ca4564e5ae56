//! The accept loop: bounded connections, bounded time for heads, and an end that finishes what was
//! accepted.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Method, Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};

use super::{
    Answer,
    framing::Framed,
    front::{Place, WaysIn},
    guests::{Guest, Guests},
    tunnel,
};

/// The largest head of a request, in bytes. Amazon S3 takes 8 KB of headers.
const LARGEST_HEAD: usize = 64 * 1024;
/// How many headers a request may have. Amazon S3 takes 2 KB of metadata, each in a header of its own.
const MOST_HEADERS: usize = 512;
/// What a connection that there is no room for is told.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Too many connections\r\nretry-after: 1\r\n\
    cache-control: no-store\r\ncontent-type: text/plain\r\ncontent-length: 46\r\n\
    connection: close\r\n\r\nthe signing proxy has too many connections now";
/// How many connections are told so at once; more are closed without a word.
const TOLD_AT_ONCE: usize = 64;
/// How long such a connection may take to hear it.
const FAREWELL: Duration = Duration::from_millis(500);

/// The bounds of the ways in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many connections are open at once, tunnels included.
    pub connections: usize,
    /// How many of these may be ones on which nobody has shown the key yet.
    pub strangers: usize,
    /// How long such a connection may stay.
    pub unknown: Duration,
    /// How long a request's head may take from its first byte.
    pub head: Duration,
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// How long TLS may take to begin inside a tunnel.
    pub handshake: Duration,
    /// How long a tunnel to another host may take to come about.
    pub dial: Duration,
    /// How long requests in flight may take to finish at the end.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            strangers: 512,
            unknown: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_mins(5),
            handshake: Duration::from_secs(10),
            dial: Duration::from_secs(10),
            grace: Duration::from_secs(30),
        }
    }
}

/// How many open files are left for what is no connection: the log, spooled bodies, STS.
const OTHER_FILES: usize = 96;

impl Limits {
    /// So few connections that a process which may have this many files open has enough for each: one for
    /// the client, and one for AWS.
    #[must_use]
    pub fn within(mut self, open_files: u64) -> Self {
        let files = usize::try_from(open_files).unwrap_or(usize::MAX);
        let most = (files.saturating_sub(OTHER_FILES) / 2).max(16);
        self.connections = self.connections.min(most);
        self.strangers = self.strangers.min(self.connections / 4);
        self
    }
}

/// An address that the proxy does not listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the proxy does not listen on {0}: other machines could reach it there, and what they send would \
     cross the network unencrypted and without a proof of who sends it; use a loopback address such as \
     127.0.0.1:0"
)]
pub struct NotLoopback(pub SocketAddr);

/// Whether the proxy may listen there.
///
/// # Errors
/// [`NotLoopback`].
pub fn check_listen(address: SocketAddr) -> Result<(), NotLoopback> {
    if address.ip().to_canonical().is_loopback() {
        Ok(())
    } else {
        Err(NotLoopback(address))
    }
}

/// Serves connections until `stop` turns true, then lets requests in flight finish.
pub async fn serve<A: Answer>(
    listener: TcpListener,
    ways: Arc<WaysIn<A>>,
    mut stop: watch::Receiver<bool>,
) {
    let (guests, mut all_gone) = Guests::new(ways.limits);
    let leaving = Arc::new(Semaphore::new(TOLD_AT_ONCE));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
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
        let Some(guest) = guests.enter() else {
            turn_away(stream, &leaving);
            continue;
        };
        // A small write would wait for the answer to the one before it.
        drop(stream.set_nodelay(true));
        let (ways, stop) = (ways.clone(), stop.clone());
        tokio::spawn(serve_http(stream, ways, peer, Place::Outside, guest, stop));
    }
    drop(listener);
    drop(guests);
    if timeout(ways.limits.grace, all_gone.recv()).await.is_err() {
        tracing::warn!("requests that did not finish in time were cut off");
    }
}

/// Waits until it is time to stop.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Nobody can say any more when whoever would is gone.
    drop(stop.wait_for(|stop| *stop).await);
}

/// Says why. What the client sends is read, because closing over unread bytes would take the answer back.
fn turn_away(mut stream: TcpStream, leaving: &Arc<Semaphore>) {
    let Ok(place) = leaving.clone().try_acquire_owned() else {
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

/// Speaks HTTP/1.1 on a connection, or inside a tunnel, to its end.
pub(super) async fn serve_http<A, S>(
    stream: S,
    ways: Arc<WaysIn<A>>,
    peer: SocketAddr,
    place: Place,
    guest: Arc<Guest>,
    mut stop: watch::Receiver<bool>,
) where
    A: Answer,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = ways.limits;
    let (framed, framing) = Framed::new(stream, limits.head);
    let requests = AtomicU64::new(0);
    let stopping = stop.clone();
    let service = service_fn(|request: Request<Incoming>| {
        let number = requests.fetch_add(1, Ordering::Relaxed) + 1;
        let (ways, place, framing) = (&ways, place.clone(), &framing);
        let (guest, stopping) = (&guest, &stopping);
        async move {
            let framing = (&**framing, number);
            let outside = matches!(place, Place::Outside);
            Ok::<_, Infallible>(if outside && *request.method() == Method::CONNECT {
                tunnel::connect(ways, request, peer, framing, guest, stopping).await
            } else {
                ways.answer(request, peer, place, framing, guest).await
            })
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_buf_size(LARGEST_HEAD)
        .max_header_size(LARGEST_HEAD)
        .max_headers(MOST_HEADERS)
        // A client that has sent its request may close its half and still read the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(framed), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = guest.has_to_go() => return,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        if error.is_parse() {
            ways.unreadable(&error, peer, guest.is_known());
        }
        tracing::debug!(%peer, %error, "a connection broke off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_aws_and_for_the_log() {
        let many = Limits::default().within(u64::MAX);
        assert_eq!(many, Limits::default());
        for (files, connections, strangers) in [(1024, 464, 116), (256, 80, 20), (0, 16, 4)] {
            let few = Limits::default().within(files);
            assert_eq!((few.connections, few.strangers), (connections, strangers));
        }
    }
}
