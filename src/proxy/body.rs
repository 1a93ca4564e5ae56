//! The body of the proxy's answers.

use std::time::Duration;

use bytes::Bytes;
use http::{header::EXPECT, request::Parts};
use http_body_util::{BodyExt as _, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer: AWS's own while it arrives, or a refusal.
pub type ProxyBody = UnsyncBoxBody<Bytes, BodyError>;

/// A body of these bytes.
#[must_use]
pub fn full(bytes: impl Into<Bytes>) -> ProxyBody {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// No body.
#[must_use]
pub fn empty() -> ProxyBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// How much of a refused request's body is read and thrown away, in bytes, and for how long.
const LINGER: (usize, Duration) = (4 * 1024 * 1024, Duration::from_secs(2));

/// Reads on for a while from a client that is sending already: a connection that is closed over unread
/// bytes takes the answer back. One that waits for leave (`Expect: 100-continue`) gets none and loses
/// nothing.
pub(super) fn linger(head: &Parts, body: Incoming) {
    if !head.headers.contains_key(EXPECT) {
        read_over(body);
    }
}

/// Reads what a client is sending already and throws it away.
pub(super) fn read_over(mut body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(timeout(LINGER.1, async move {
        let mut left = LINGER.0;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    }));
}
