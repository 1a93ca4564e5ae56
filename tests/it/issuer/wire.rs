//! HTTP by hand, so that a test can send what no client library would, and sees every byte of the
//! answer.

use std::{fmt::Write as _, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// What differs from run to run in an answer: patterns, and what a snapshot shows instead.
pub(crate) const REDACTIONS: [(&str, &str); 8] = [
    (
        "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}",
        "[id]",
    ),
    (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "[token]"),
    (r"idp_join_[\w-]{43}", "idp_join_[secret]"),
    (r#""(kid|nonce|x|y)": "[\w-]+""#, r#""$1": "[base64url]""#),
    (r#""MII[\w+/=]+""#, r#""[certificate]""#),
    (r#"etag: "[\w-]{22}""#, r#"etag: "[hash]""#),
    (r"content-length: [1-9]\d*", "content-length: [length]"),
    (r"\.\d{1,9}Z", "Z"),
];

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// As it stands in the request line.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn form(target: &str, parameters: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        Self::new("POST", target)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    }

    pub(crate) fn json(method: &str, target: &str, body: &Value) -> Self {
        Self::new(method, target)
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The bytes on the wire. A `Host` is added where there is none, and the length of the body.
    fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let has = |name: &str| self.headers.iter().any(|(known, _)| known == name);
        if !has("host") {
            head.push_str("host: idp.example.com\r\n");
        }
        if !has("content-length") && (self.method != "GET" || !self.body.is_empty()) {
            // Writing to a `String` cannot fail.
            let _ = write!(head, "content-length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("connection: close\r\n\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it over a connection of its own.
    pub(crate) async fn send(&self, address: SocketAddr) -> Answer {
        send_bytes(address, &self.to_bytes()).await
    }
}

/// Sends bytes, whatever they are, and reads until the server closes.
pub(crate) async fn send_bytes(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses early closes before it has read everything.
    stream.write_all(bytes).await.ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    Answer::parse(&answer)
}

/// An answer, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case, in the order in which they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let at = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..at]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        Self {
            status: status.parse().unwrap(),
            headers: lines
                .map(|line| line.split_once(": ").unwrap())
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: bytes[at + 4..].to_vec(),
        }
    }

    pub(crate) fn get(&self, header: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(name, _)| name == header);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{header} occurs twice");
        value
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// `STATUS error`, and the description.
    #[track_caller]
    pub(crate) fn refusal(&self) -> (String, String) {
        let body = self.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(self.get("cache-control"), Some("no-store"), "{self:?}");
        if self.get("content-type") == Some("application/problem+json") {
            assert_eq!(body["status"], self.status);
            return (self.status.to_string(), text("detail"));
        }
        assert_eq!(self.get("content-type"), Some("application/json"));
        (
            format!("{} {}", self.status, text("error")),
            text("error_description"),
        )
    }

    /// Panics unless it is the refusal `STATUS error` and its description says `says`.
    #[track_caller]
    pub(crate) fn assert_refused(&self, expected: &str, says: &str) {
        let (error, description) = self.refusal();
        assert_eq!(error, expected, "{description}");
        assert!(description.contains(says), "{says:?} in {description:?}");
    }

    /// Without what differs between two answers to the same request.
    pub(crate) fn without_id(mut self) -> Self {
        self.headers
            .retain(|(name, _)| name != "x-request-id" && name != "date");
        self
    }

    /// For a snapshot: status, headers by name, body indented.
    pub(crate) fn shown(&self) -> String {
        let mut shown = format!("{}\n", self.status);
        let mut headers = self.headers.clone();
        headers.sort();
        for (name, value) in &headers {
            let value = if name == "date" { "[date]" } else { value };
            let _ = writeln!(shown, "{name}: {value}");
        }
        if let Ok(body) = serde_json::from_slice::<Value>(&self.body) {
            let _ = write!(shown, "\n{body:#}");
        } else if !self.body.is_empty() {
            let _ = write!(shown, "\n{}", String::from_utf8_lossy(&self.body));
        }
        shown
    }
}
