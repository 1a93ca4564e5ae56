//! Upstreams that misbehave, crowds, and a proxy that is killed in the middle: clients see clean
//! errors, and nothing reaches AWS without its record.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, sleep},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::Value;

use super::{
    cloud::{Body, Cloud, End, Service, whole},
    relay::{Keyring, Relay},
    stage::{RULES, Stage},
};
use crate::e2e::dev::{Dev, ROLE};

/// Answers `DynamoDB`'s requests, each after the time that it names in `x-test-wait-ms`.
struct Table;

#[async_trait]
impl Service for Table {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let wait = request.headers().get("x-test-wait-ms");
        let wait = wait.and_then(|ms| ms.to_str().ok()?.parse().ok());
        if let Some(ms) = wait {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        let sent = request.into_body().collect().await;
        if sent.is_err() {
            return whole(400, "cut off");
        }
        let mut answer = whole(200, r#"{"Item":{}}"#);
        let headers = answer.headers_mut();
        headers.insert("x-amzn-requestid", "FAKE-ID".parse().unwrap());
        answer
    }
}

fn stage() -> Stage {
    Stage::new(&Keyring::default(), Table)
}

/// A stage whose AWS is not a server of HTTP, but does that to each connection.
fn with_raw(behave: fn(TcpStream, usize)) -> (Stage, Arc<AtomicUsize>) {
    let dev = Dev::start();
    let sts = Cloud::plain(Relay::to(&format!("{}/sts", dev.issuer())));
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let cloud = Cloud::at(listener.local_addr().unwrap());
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || behave(stream.unwrap(), number));
        }
    });
    (Stage::with(dev, sts, cloud, RULES, ROLE), count)
}

/// A plain request to `DynamoDB` with the proxy's key.
fn request(stage: &Stage, operation: &str, more: &str) -> String {
    let body = r#"{"TableName":"t","Key":{"id":{"S":"1"}},"Item":{"id":{"S":"1"}}}"#;
    format!(
        "POST / HTTP/1.1\r\nHost: dynamodb.us-east-1.amazonaws.com\r\n\
         Proxy-Authorization: {}\r\nX-Amz-Target: DynamoDB_20120810.{operation}\r\n\
         Content-Type: application/x-amz-json-1.0\r\n{more}Content-Length: {}\r\n\r\n{body}",
        stage.basic(),
        body.len()
    )
}

fn connect(stage: &Stage) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", stage.port)).unwrap();
    let limit = Some(Duration::from_secs(100));
    stream.set_read_timeout(limit).unwrap();
    stream
}

/// The status, and the body as text.
fn read_answer(stream: &TcpStream) -> (u16, String) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
    let status = status.unwrap_or_else(|| panic!("{line:?} is no answer"));
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (status, String::from_utf8(body).unwrap())
}

fn ask(stage: &Stage, operation: &str, more: &str) -> (u16, String) {
    let mut stream = connect(stage);
    let request = request(stage, operation, more);
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(&stream)
}

/// Every one of them is told in `DynamoDB`'s shape what happened, and recorded.
#[track_caller]
fn clean_error(stage: &Stage, operation: &str) {
    let (status, body) = ask(stage, operation, "");
    assert!((500..600).contains(&status), "{status} {body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let said = body["__type"].as_str().is_some() && body["message"].as_str().is_some();
    assert!(said, "{body}");
    let records = stage.answered(1, |record| record["operation"] == operation);
    assert!(records[0]["reason"].is_string(), "{records:#?}");
}

fn read_request(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    let _ = stream.read(&mut buffer);
}

#[test]
fn an_upstream_that_closes_at_once_is_a_clean_error() {
    let (stage, _) = with_raw(|stream, _| drop(stream));
    clean_error(&stage, "GetItem");
    clean_error(&stage, "PutItem");
}

#[test]
fn an_upstream_that_speaks_no_tls_is_a_clean_error() {
    let (stage, _) = with_raw(|mut stream, _| {
        read_request(&mut stream);
        stream.write_all(b"SSH-2.0-garbage\r\n\0\0\0").ok();
    });
    clean_error(&stage, "GetItem");
}

/// A stage whose AWS reads a request, writes that and ends the connection so.
fn over_tls(answer: &'static [u8], end: End) -> Stage {
    let dev = Dev::start();
    let sts = Cloud::plain(Relay::to(&format!("{}/sts", dev.issuer())));
    Stage::with(dev, sts, Cloud::raw(answer, end), RULES, ROLE)
}

#[test]
fn garbage_in_the_place_of_an_answer_is_a_clean_error() {
    let stage = over_tls(b"\x16\x03 this is not HTTP\r\n\r\n", End::Close);
    clean_error(&stage, "GetItem");
    clean_error(&stage, "PutItem");
}

#[test]
fn a_connection_that_ends_before_the_answer_is_a_clean_error_and_a_write_is_sent_once() {
    for end in [End::Close, End::HalfClose, End::Reset] {
        let stage = over_tls(b"", end);
        clean_error(&stage, "PutItem");
        assert_eq!(stage.cloud.seen().len(), 1, "a write is never sent twice");
    }
}

#[test]
fn an_answer_that_is_cut_off_is_not_made_whole() {
    for end in [End::Close, End::HalfClose] {
        let stage = over_tls(
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"Item\"",
            end,
        );
        let mut stream = connect(&stage);
        let request = request(&stage, "GetItem", "");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        let answer = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(answer.contains("content-length: 100"), "{answer}");
        assert!(answer.ends_with("{\"item\""), "{answer}");
        stage.answered(1, |record| record["phase"] == "broken");
    }
}

#[test]
fn a_slow_upstream_is_waited_for() {
    let stage = stage();
    let start = Instant::now();
    let (status, body) = ask(&stage, "GetItem", "x-test-wait-ms: 4000\r\n");
    assert_eq!((status, body.as_str()), (200, r#"{"Item":{}}"#));
    assert!(start.elapsed() > Duration::from_secs(4));
}

/// Lets this process, and what it starts, have as many files open as the system allows.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[test]
fn a_thousand_idle_connections_hold_nobody_up() {
    raise_open_files();
    let stage = stage();
    ask(&stage, "GetItem", "");
    let before = stage.memory("VmRSS");
    let idle: Vec<TcpStream> = (0..1000).map(|_| connect(&stage)).collect();
    // Half of them have begun a request, as who is slow on purpose would.
    for mut stream in idle.iter().step_by(2) {
        stream.write_all(b"POST / HTTP/1.1\r\nHost: dyn").unwrap();
    }
    for _ in 0..20 {
        let start = Instant::now();
        let (status, body) = ask(&stage, "GetItem", "");
        assert_eq!(status, 200, "{body}");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
    let grown = stage.memory("VmRSS") - before;
    assert!(grown < 48.0, "{grown} MiB");
    drop(idle);
}

#[test]
fn two_hundred_busy_connections_are_all_answered_and_recorded() {
    let stage = stage();
    let port = stage.port;
    let texts = ["GetItem", "PutItem"].map(|operation| request(&stage, operation, ""));
    let workers: Vec<_> = (0..200)
        .map(|number| {
            let text = texts[number % 2].clone();
            thread::spawn(move || {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                for _ in 0..10 {
                    stream.write_all(text.as_bytes()).unwrap();
                    let (status, body) = read_answer(&stream);
                    assert_eq!(status, 200, "{body}");
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(stage.cloud.seen().len(), 2000);
    assert_eq!(stage.sts.seen().len(), 1, "one exchange for a cold crowd");
    stage.answered(1000, |record| record["operation"] == "GetItem");
    let writes = stage.answered(1000, |record| record["operation"] == "PutItem");
    assert!(
        writes
            .iter()
            .all(|record| record["aws_request_id"] == "FAKE-ID")
    );
}

mod heavy {
    use super::*;

    #[test]
    fn a_proxy_that_is_killed_in_an_upload_leaves_its_record_and_comes_back() {
        let mut stage = stage();
        ask(&stage, "GetItem", "");
        let mut uploads: Vec<TcpStream> = (0..8).map(|_| connect(&stage)).collect();
        let head = format!(
            "PUT /bucket/key HTTP/1.1\r\nHost: s3.us-east-1.amazonaws.com\r\n\
             Proxy-Authorization: {}\r\nContent-Length: 100000000\r\n\r\n",
            stage.basic()
        );
        for upload in &mut uploads {
            upload.write_all(head.as_bytes()).unwrap();
            upload.write_all(&vec![b'x'; 100_000]).unwrap();
        }
        let start = Instant::now();
        let uploading = |stage: &Stage| {
            let seen = stage.cloud.seen();
            seen.iter()
                .filter(|request| request.method == "PUT")
                .count()
        };
        while uploading(&stage) < 8 && start.elapsed() < Duration::from_secs(20) {
            sleep(Duration::from_millis(10));
        }
        stage.proxy.kill();
        // Clients see that it is over, not an answer.
        for upload in &mut uploads {
            let mut rest = Vec::new();
            let read = upload.read_to_end(&mut rest);
            assert!(read.is_err() || rest.is_empty(), "{rest:?}");
        }
        let sent = uploading(&stage);
        assert_eq!(sent, 8);
        let is_sending =
            |record: &Value| record["operation"] == "PutObject" && record["phase"] == "sending";
        let recorded = stage.records().into_iter().filter(is_sending).count();
        assert!(recorded >= sent, "{recorded} records of {sent} writes");
        stage.restart();
        let (status, body) = ask(&stage, "PutItem", "");
        assert_eq!(status, 200, "{body}");
        let again = stage.records().into_iter().filter(is_sending).count();
        assert_eq!(again, recorded, "what was recorded stays");
    }
}
