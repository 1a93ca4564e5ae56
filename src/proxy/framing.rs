//! Where a request begins and ends, looked at before the HTTP library does: it mends what a careful proxy
//! refuses, a length that is said twice, and its clock cannot tell an idle client from one that is slow
//! within a request's head.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// The longest line that is kept. The HTTP library refuses heads that are longer.
const LONGEST_LINE: usize = 64 * 1024;

/// What was found on a connection.
#[derive(Debug)]
pub(super) struct Framing {
    /// The number of the first request that is not framed as it should be, from 1.
    ambiguous_from: AtomicU64,
}

impl Framing {
    /// Whether the request of this number on its connection, counted from 1, says its length or its host
    /// in more than one way. So does then, as far as anybody can tell, everything that follows it.
    pub(super) fn is_ambiguous(&self, number: u64) -> bool {
        number >= self.ambiguous_from.load(Ordering::Acquire)
    }
}

/// A connection whose requests are looked at as they are read.
pub(super) struct Framed<S> {
    stream: S,
    scanner: Scanner,
    /// How long a head may take from its first byte.
    patience: Duration,
    running: Option<Pin<Box<Sleep>>>,
}

impl<S> Framed<S> {
    pub(super) fn new(stream: S, patience: Duration) -> (Self, Arc<Framing>) {
        let framing = Arc::new(Framing {
            ambiguous_from: AtomicU64::new(u64::MAX),
        });
        let framed = Self {
            stream,
            scanner: Scanner::new(framing.clone()),
            patience,
            running: None,
        };
        (framed, framing)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if polled.is_ready() {
            this.scanner.read(&buffer.filled()[before..]);
        }
        if !this.scanner.is_within_head() {
            this.running = None;
            return polled;
        }
        let patience = this.patience;
        let running = this
            .running
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        if polled.is_pending() {
            ready!(running.as_mut().poll(cx));
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "a request's head took too long",
            )));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Where in a request the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before or in a head.
    Head,
    /// So many bytes of body are left.
    Body(u64),
    /// Before the size of a chunk.
    ChunkSize,
    /// So many bytes of a chunk, and the line's end after it, are left.
    Chunk(u64),
    /// After the last chunk.
    Trailers,
    /// No request follows: a tunnel, or nothing that can be told apart.
    Over,
}

/// What the head that is being read says.
#[derive(Debug, Default)]
struct Head {
    begun: bool,
    tunnel: bool,
    hosts: usize,
    lengths: usize,
    encodings: usize,
    length: Option<u64>,
}

struct Scanner {
    at: At,
    head: Head,
    /// The line that is not whole yet.
    line: Vec<u8>,
    requests: u64,
    found: Arc<Framing>,
}

impl Scanner {
    fn new(found: Arc<Framing>) -> Self {
        Self {
            at: At::Head,
            head: Head::default(),
            line: Vec::new(),
            requests: 0,
            found,
        }
    }

    fn is_within_head(&self) -> bool {
        self.at == At::Head && (self.head.begun || !self.line.is_empty())
    }

    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.at {
                At::Over => return,
                At::Body(left) | At::Chunk(left) => {
                    let here = usize::try_from(left).map_or(bytes.len(), |n| n.min(bytes.len()));
                    bytes = &bytes[here..];
                    let left = left - here as u64;
                    self.at = match (self.at, left) {
                        (At::Body(_), 0) => At::Head,
                        (At::Body(_), left) => At::Body(left),
                        (_, 0) => At::ChunkSize,
                        (_, left) => At::Chunk(left),
                    };
                }
                At::Head | At::ChunkSize | At::Trailers => {
                    let Some(end) = memchr::memchr(b'\n', bytes) else {
                        self.keep(bytes);
                        return;
                    };
                    if self.line.is_empty() {
                        self.line(&bytes[..end]);
                    } else {
                        self.keep(&bytes[..end]);
                        let line = std::mem::take(&mut self.line);
                        self.line(&line);
                    }
                    bytes = &bytes[end + 1..];
                }
            }
        }
    }

    fn keep(&mut self, part: &[u8]) {
        if self.line.len() + part.len() > LONGEST_LINE {
            self.ambiguous();
        } else {
            self.line.extend_from_slice(part);
        }
    }

    fn line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.at {
            At::Head if line.is_empty() && !self.head.begun => {}
            At::Head if line.is_empty() => self.end_of_head(),
            At::Head if !self.head.begun => {
                self.head.begun = true;
                self.head.tunnel = line.starts_with(b"CONNECT ");
            }
            At::Head => self.header(line),
            At::ChunkSize => {
                let digits = line.split(|b| *b == b';').next().unwrap_or_default();
                let size = std::str::from_utf8(digits.trim_ascii())
                    .ok()
                    .and_then(|digits| u64::from_str_radix(digits, 16).ok());
                self.at = match size {
                    Some(0) => At::Trailers,
                    // What ends a chunk is CR LF; the HTTP library takes nothing else.
                    Some(size) => At::Chunk(size.saturating_add(2)),
                    None => At::Over,
                };
            }
            At::Trailers if line.is_empty() => self.at = At::Head,
            _ => {}
        }
    }

    fn header(&mut self, line: &[u8]) {
        let Some(colon) = memchr::memchr(b':', line) else {
            return;
        };
        let name = &line[..colon];
        // The names that matter have these lengths.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.head.hosts += 1,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.head.lengths += 1;
                self.head.length = std::str::from_utf8(line[colon + 1..].trim_ascii())
                    .ok()
                    .and_then(|digits| digits.parse().ok());
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.head.encodings += 1,
            _ => {}
        }
    }

    fn end_of_head(&mut self) {
        self.requests += 1;
        let head = std::mem::take(&mut self.head);
        if head.hosts > 1 || head.lengths + head.encodings > 1 {
            self.ambiguous_request();
        } else if head.tunnel {
            self.at = At::Over;
        } else if head.encodings == 1 {
            self.at = At::ChunkSize;
        } else if head.lengths == 1 {
            // What is no number is refused by the HTTP library, and the connection ends.
            self.at = head.length.map_or(At::Over, |length| match length {
                0 => At::Head,
                length => At::Body(length),
            });
        }
    }

    fn ambiguous(&mut self) {
        if self.at == At::Head {
            self.requests += 1;
            self.ambiguous_request();
        }
        self.at = At::Over;
    }

    fn ambiguous_request(&mut self) {
        self.found
            .ambiguous_from
            .fetch_min(self.requests, Ordering::Release);
        self.at = At::Over;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// The number of the first ambiguous request, and how many heads were seen.
    fn scan(parts: &[&[u8]]) -> (u64, u64) {
        let (framed, framing) = Framed::new((), Duration::ZERO);
        let mut scanner = framed.scanner;
        for part in parts {
            scanner.read(part);
        }
        (
            framing.ambiguous_from.load(Ordering::Relaxed),
            scanner.requests,
        )
    }

    const FINE: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nHost:\
        GET / HTTP/1.1\r\nHost: a\r\n\r\n\
        PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhost:\r\n0\r\nHost: t\r\n\r\n\
        GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn bodies_are_not_heads() {
        assert_eq!(scan(&[FINE.as_bytes()]), (u64::MAX, 4));
    }

    #[test]
    fn what_is_said_twice_is_found() {
        for second in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "HOST: b\r\n",
        ] {
            let text =
                format!("{FINE}GET / HTTP/1.1\r\nHost: a\r\n{second}\r\nGET / HTTP/1.1\r\n\r\n");
            assert_eq!(scan(&[text.as_bytes()]), (5, 5), "{second}");
        }
    }

    #[test]
    fn a_tunnel_is_not_looked_into() {
        let text = "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\nx\nHost: b\nHost: c\n\n";
        assert_eq!(scan(&[text.as_bytes()]), (u64::MAX, 1));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_reads_are_split(cuts in proptest::collection::vec(0..400_usize, 0..20)) {
            let text = format!("{FINE}GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|two| &text.as_bytes()[two[0]..two[1]]).collect();
            prop_assert_eq!(scan(&parts), (5, 5));
        }
    }

    #[tokio::test]
    async fn a_slow_head_ends_and_an_idle_client_waits() {
        let (mut client, server) = tokio::io::duplex(64);
        let (mut framed, _) = Framed::new(server, Duration::from_millis(50));
        let mut buffer = [0; 64];
        let idle = tokio::time::timeout(Duration::from_millis(200), framed.read(&mut buffer)).await;
        assert!(idle.is_err());
        tokio::io::AsyncWriteExt::write_all(&mut client, b"GET ")
            .await
            .unwrap();
        assert_eq!(framed.read(&mut buffer).await.unwrap(), 4);
        let slow = framed.read(&mut buffer).await.unwrap_err();
        assert_eq!(slow.kind(), io::ErrorKind::TimedOut);
    }
}
