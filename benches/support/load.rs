//! A load generator: one thread, raw HTTP/1.1 over kept-alive connections, requests made beforehand, so
//! that the machine is left to the server.

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    task::LocalSet,
};

/// What is to be sent.
#[derive(Clone)]
pub(crate) struct Load {
    /// To whom.
    pub(crate) address: SocketAddr,
    /// Over how many connections, each of which waits for an answer before it sends on.
    pub(crate) connections: usize,
    /// What: in turn, and from the first on again.
    pub(crate) requests: Rc<[Vec<u8>]>,
    /// How many in all.
    pub(crate) count: usize,
}

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// How many were answered.
    pub(crate) count: usize,
    /// How long that took.
    pub(crate) wall: Duration,
}

impl Load {
    /// Every request once.
    pub(crate) fn once(address: SocketAddr, connections: usize, requests: Rc<[Vec<u8>]>) -> Self {
        Self {
            address,
            connections,
            count: requests.len(),
            requests,
        }
    }

    /// Sends it all.
    ///
    /// # Panics
    /// Where an answer is not a 200.
    pub(crate) fn send(&self) -> Sent {
        self.send_while(|| true)
    }

    /// As [`Load::send`], until `go_on` says no.
    pub(crate) fn send_while(&self, go_on: impl Fn() -> bool + 'static) -> Sent {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .expect("the system gives an epoll");
        let (next, go_on) = (Rc::new(Cell::new(0)), Rc::new(go_on));
        let start = Instant::now();
        LocalSet::new().block_on(&runtime, async {
            let workers: Vec<_> = (0..self.connections)
                .map(|_| {
                    let (load, next, go_on) = (self.clone(), Rc::clone(&next), Rc::clone(&go_on));
                    tokio::task::spawn_local(async move {
                        let mut connection = Connection::new(open(load.address).await);
                        while next.get() < load.count && go_on() {
                            let number = next.replace(next.get() + 1);
                            let request = &load.requests[number % load.requests.len()];
                            connection.ask(request).await;
                        }
                    })
                })
                .collect();
            for worker in workers {
                worker.await.expect("a connection works to its end");
            }
        });
        Sent {
            count: next.get(),
            wall: start.elapsed(),
        }
    }
}

/// A TCP connection that sends at once.
pub(crate) async fn open(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address)
        .await
        .expect("the server listens");
    stream.set_nodelay(true).expect("it is a TCP socket");
    stream
}

/// A connection that requests are sent over, one after the other.
pub(crate) struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Over an open stream.
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::with_capacity(16 * 1024),
        }
    }

    /// Sends a request and reads its whole answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) {
        self.stream
            .write_all(request)
            .await
            .expect("the server reads");
        self.stream.flush().await.expect("the server reads");
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await;
            let read = read.expect("the server answers");
            assert!(read > 0, "the server closed a connection");
            if answer_length(&self.buffer).is_some_and(|length| length <= self.buffer.len()) {
                break;
            }
        }
        assert!(
            self.buffer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&self.buffer)
        );
    }
}

/// How long the answer is that begins so, head included, once its head is there.
pub(crate) fn answer_length(answer: &[u8]) -> Option<usize> {
    const LENGTH: &[u8] = b"content-length: ";
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let at = answer[..head]
        .windows(LENGTH.len())
        .position(|bytes| bytes.eq_ignore_ascii_case(LENGTH))?
        + LENGTH.len();
    let digits = answer[at..head]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    let body = digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    Some(head + body)
}

/// A GET request.
pub(crate) fn get(address: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {address}\r\naccept: */*\r\n\r\n").into_bytes()
}
