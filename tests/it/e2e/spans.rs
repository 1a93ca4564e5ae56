//! Spans reach a collector (`--features otel`).

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::installation::Installation;

/// Hands on the body of every request that it gets.
fn collector() -> (u16, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = Vec::new();
            let mut chunk = [0; 4096];
            let (head, body) = loop {
                let read = stream.read(&mut chunk).unwrap_or(0);
                bytes.extend_from_slice(&chunk[..read]);
                let at = bytes.windows(4).position(|four| four == b"\r\n\r\n");
                if let Some(at) = at {
                    let head = String::from_utf8_lossy(&bytes[..at]).to_lowercase();
                    let length: usize = head
                        .lines()
                        .find_map(|line| line.strip_prefix("content-length: "))
                        .map_or(0, |length| length.parse().unwrap());
                    if bytes.len() >= at + 4 + length {
                        break (head, bytes.split_off(at + 4));
                    }
                }
                if read == 0 {
                    return;
                }
            };
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .unwrap();
            if sender.send((head, body)).is_err() {
                return;
            }
        }
    });
    (port, receiver)
}

#[test]
fn a_request_is_a_span_of_its_callers_trace() {
    let (collector, received) = collector();
    let mut installation = Installation::new(|port| {
        format!(
            "issuer = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             keys.algorithm = \"ES256\"\notel.endpoint = \"http://127.0.0.1:{collector}\"\n"
        )
    });
    installation.start();
    let mut stream = TcpStream::connect(("127.0.0.1", installation.port())).unwrap();
    stream
        .write_all(
            b"GET /enroll/nonce HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
              traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
        )
        .unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    // What is left is sent at the end.
    assert!(installation.stop().success(), "{}", installation.log());
    let trace = hex::decode("4bf92f3577b34da6a3ce929d0e0e4736").unwrap();
    let parent = hex::decode("00f067aa0ba902b7").unwrap();
    let holds = |body: &[u8], bytes: &[u8]| body.windows(bytes.len()).any(|part| part == bytes);
    while let Ok((head, body)) = received.recv_timeout(Duration::from_secs(10)) {
        assert!(head.starts_with("post /v1/traces "), "{head}");
        if holds(&body, &trace) {
            assert!(holds(&body, &parent), "its parent is the caller's span");
            assert!(holds(&body, b"enroll_nonce"));
            return;
        }
    }
    panic!("no span came: {}", installation.log());
}
