//! A decided request on its way to AWS, and the answer on its way back.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header,
    uri::PathAndQuery,
};
use http_body_util::BodyExt as _;

use super::{Call, Engine, account::Uploaded, body::Prepared, decide::Decided, sign::Unsigned};
use crate::{
    catalog::{Protocol, error_code},
    domain::RequestTarget,
    ports::AwsSession,
    proxy::{
        answer::{Kind, Refusal},
        upstream::{UpstreamBody, UpstreamError},
    },
};

/// How much of an error is looked into, in bytes.
const LOOKED_INTO: usize = 16 * 1024;

/// AWS's answer.
pub(super) struct Received {
    pub(super) answer: Response<()>,
    /// What was read of its body.
    pub(super) beginning: Bytes,
    /// What was not; `None` where that is nothing.
    pub(super) rest: Option<UpstreamBody>,
}

impl Engine {
    /// Signs with a session, sends, and hands on the answer as it comes.
    ///
    /// Where AWS says that the session has expired, a request that can be sent again is signed with another
    /// session and sent once more: AWS did nothing for the first one. There are no other retries; they are
    /// the client's.
    pub(super) async fn send(
        &self,
        call: &mut Call,
        target: &RequestTarget,
        decided: &Decided,
        mut prepared: Prepared,
        mut session: Arc<AwsSession>,
    ) -> Result<Received, Refusal> {
        let host = &*decided.recognised.host;
        let wire = wire(target)?;
        let value = HeaderValue::from_str(host)
            .map_err(|_| Refusal::new(Kind::Internal, "the host cannot stand in a header"))?;
        call.headers.insert(header::HOST, value);
        let mut may_repeat = prepared.held_length().is_some();
        loop {
            let mut headers = if may_repeat {
                call.headers.clone()
            } else {
                std::mem::take(&mut call.headers)
            };
            let unsigned = Unsigned {
                method: &call.method,
                target,
                recognised: &decided.recognised,
                payload: prepared.payload,
            };
            self.signing.sign(&session, &unsigned, &mut headers)?;
            let mut request = Request::new(prepared.take());
            *request.method_mut() = call.method.clone();
            *request.headers_mut() = headers;
            let uploaded = prepared.held_length().filter(|_| may_repeat).map_or_else(
                || Uploaded::Streamed(request.body().progress()),
                Uploaded::Whole,
            );
            call.account.uploads(uploaded);
            let answer = self.upstream.send(host, &wire, request).await?;
            let (head, body) = answer.into_parts();
            let mut beginning = Bytes::new();
            let mut body = Some(body);
            if may_repeat && may_say_expired(head.status, &call.method) {
                beginning = look_into(&mut body, host).await?;
                if says_expired(call.protocol, &head.headers, &beginning) {
                    tracing::info!(role = %decided.allowed.role(), "AWS takes the session for expired");
                    self.signing.forget(&decided.allowed, &session);
                    session = self.signing.session(&decided.allowed).await?;
                    call.account.signed_with(&session);
                    may_repeat = false;
                    continue;
                }
            }
            let mut answer = Response::from_parts(head, ());
            *answer.version_mut() = http::Version::HTTP_11;
            strip(answer.headers_mut());
            return Ok(Received {
                answer,
                beginning,
                rest: body,
            });
        }
    }
}

/// Path and query as they are sent.
fn wire(target: &RequestTarget) -> Result<PathAndQuery, Refusal> {
    // The target holds only unreserved characters, escapes and separators.
    PathAndQuery::from_maybe_shared(Bytes::from(target.to_string()))
        .map_err(|_| Refusal::new(Kind::Internal, "the path cannot stand in a request line"))
}

fn may_say_expired(status: StatusCode, method: &Method) -> bool {
    matches!(status.as_u16(), 400 | 401 | 403) && *method != Method::HEAD
}

/// Reads the beginning of an error, mostly all of it. `body` is what is left of it.
async fn look_into(body: &mut Option<UpstreamBody>, host: &str) -> Result<Bytes, Refusal> {
    let mut read = BytesMut::new();
    while let Some(incoming) = body
        && read.len() < LOOKED_INTO
    {
        match incoming.frame().await {
            Some(Ok(frame)) => {
                read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            }
            Some(Err(error)) => {
                return Err(Refusal::from(UpstreamError::Broken {
                    host: host.to_owned(),
                    reason: error.to_string(),
                }));
            }
            None => *body = None,
        }
    }
    Ok(read.freeze())
}

/// AWS's services have one code or the other for a session that was over before the request came.
fn says_expired(protocol: Protocol, headers: &HeaderMap, body: &[u8]) -> bool {
    let code = error_code(protocol, headers, body);
    matches!(
        code.as_deref(),
        Some("ExpiredToken" | "ExpiredTokenException")
    )
}

/// Takes out of an answer what is meant for one connection only (RFC 9110 §7.6.1).
fn strip(headers: &mut HeaderMap) {
    const FOR_ONE_CONNECTION: [HeaderName; 6] = [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
    ];
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| *name != header::CONTENT_LENGTH)
        .collect();
    for name in named.iter().chain(&FOR_ONE_CONNECTION) {
        headers.remove(name);
    }
}
