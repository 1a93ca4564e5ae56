//! What the server is compared with: axum and one handler, in a process of its own.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::Path,
    process::Stdio,
    sync::Arc,
    thread,
};

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use bytes::Bytes;

use super::{
    crypto::Crypto,
    process::{Running, clean},
};

/// The first argument of the process.
const NAME: &str = "bare-handler";

/// A running bare handler.
pub(crate) struct BareHandler {
    /// The process.
    pub(crate) process: Running,
    /// Where it listens; every path is the same.
    pub(crate) address: SocketAddr,
}

impl BareHandler {
    /// Starts this program again as a handler that answers `bytes` bytes of JSON, beside `signers`
    /// threads that make RS256 signatures without end.
    pub(crate) fn start(bytes: usize, signers: usize) -> Self {
        Self::with(&[bytes.to_string(), signers.to_string()])
    }

    /// Starts this program again as a handler that verifies one ES256 signature and makes one RS256
    /// signature for each request, on as many threads as there are cores.
    pub(crate) fn minting() -> Self {
        Self::with(&["mint".to_owned()])
    }

    fn with(arguments: &[String]) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut process = Running::start(
            clean(program, Path::new("/"))
                .arg(NAME)
                .args(arguments)
                .stdout(Stdio::piped()),
        );
        let output = process.child().stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .expect("it says where it listens");
        Self {
            process,
            address: line.trim().parse().expect("it says where it listens"),
        }
    }
}

/// Serves without end, where this process was started as such a handler.
pub(crate) fn serve_if_asked() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (bytes, signers) = match &arguments[..] {
        [name, mint] if name == NAME && mint == "mint" => return run(minting()),
        [name, bytes, signers] if name == NAME => (bytes, signers),
        _ => return,
    };
    let number = |text: &str| text.parse::<usize>().expect("a number");
    for _ in 0..number(signers) {
        let crypto = Crypto::new();
        thread::spawn(move || {
            loop {
                crypto.sign_rs256();
            }
        });
    }
    let body = Bytes::from(vec![b'x'; number(bytes)]);
    run(Router::new().route(
        "/",
        get(move || async move { ([(CONTENT_TYPE, "application/json")], body) }),
    ));
}

fn minting() -> Router {
    let crypto = Arc::new(Crypto::new());
    let example = crypto.sign_es256();
    Router::new().fallback(move |_: Bytes| {
        let (crypto, example) = (Arc::clone(&crypto), example.clone());
        async move {
            crypto.verify_es256(&example);
            crypto.sign_rs256()
        }
    })
}

fn run(router: Router) {
    tokio::runtime::Runtime::new()
        .expect("the system gives threads")
        .block_on(serve(router))
        .expect("a port is free");
}

async fn serve(router: Router) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let mut output = std::io::stdout();
    writeln!(output, "{}", listener.local_addr()?)?;
    output.flush()?;
    axum::serve(listener, router).await
}
