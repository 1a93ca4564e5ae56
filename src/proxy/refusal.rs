//! What is answered to requests that are not let in, so that whoever sent them shows the reason: curl a
//! line of text, an SDK the error of its protocol.

use std::borrow::Cow;

use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{
        AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, PROXY_AUTHENTICATE,
        WWW_AUTHENTICATE,
    },
    request::Parts,
};
use hyper::ext::ReasonPhrase;

use super::{
    ProxyBody,
    answer::{self, Kind, refuse},
    empty, full,
};
use crate::{catalog::Protocol, domain::RequestId};

/// Who has to show a key, as `WWW-Authenticate` and `Proxy-Authenticate` say it.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"idp signing proxy\"");

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// The error's code, one that AWS uses for such a thing.
    pub(super) code: &'static str,
    /// What was wrong and what to do.
    pub(super) reason: Cow<'static, str>,
    /// Whether nothing that follows on the connection can be trusted.
    pub(super) close: bool,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            reason: reason.into(),
            close: false,
        }
    }

    pub(super) fn forbidden(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", reason)
    }

    /// The code of a key that is not this proxy's.
    pub(super) const FOREIGN_KEY: &'static str = "InvalidClientTokenId";

    pub(super) fn foreign_key(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, Self::FOREIGN_KEY, reason)
    }

    pub(super) fn bad_request(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequest", reason)
    }

    /// No key was shown, to a forward proxy (407) or to what the client takes for a server (401).
    pub(super) fn no_key(status: StatusCode) -> Self {
        Self::new(
            status,
            "MissingAuthenticationToken",
            "the request does not show this proxy's key; use the variables that `idp proxy env` prints, \
             or run the program with `idp proxy exec`",
        )
    }

    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalFailure",
            "something in the signing proxy is broken; its log has more",
        )
    }

    pub(super) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The answer to a request with this head.
    pub(super) fn answer(&self, head: &Parts, id: RequestId) -> Response<ProxyBody> {
        let mut answer = match protocol(head) {
            Some(protocol) => {
                let kind = Kind::Invalid {
                    code: self.code,
                    status: self.status,
                };
                let refusal = answer::Refusal::new(kind, self.reason.clone());
                refuse(&refusal, protocol, &head.method, &head.headers, id)
            }
            None => self.line(&head.method, id),
        };
        let headers = answer.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => drop(headers.insert(WWW_AUTHENTICATE, CHALLENGE)),
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                headers.insert(PROXY_AUTHENTICATE, CHALLENGE);
            }
            _ => {}
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // Python's http.client, and with it urllib and requests, shows of a refused tunnel nothing but this.
        if head.method == Method::CONNECT
            && let Ok(phrase) = ReasonPhrase::try_from(one_line(&self.reason).into_bytes())
        {
            answer.extensions_mut().insert(phrase);
        }
        answer
    }

    /// For people, and for programs that speak no protocol of AWS.
    fn line(&self, method: &Method, id: RequestId) -> Response<ProxyBody> {
        let mut answer = Response::new(if *method == Method::HEAD {
            empty()
        } else {
            full(format!("{} (request {id})\n", self.reason))
        });
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-idp-refused", HeaderValue::from_static(self.code));
        if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
            headers.insert("x-amzn-requestid", id);
        }
        answer
    }
}

/// Printable ASCII on one line.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_graphic() || c == ' ' {
                c
            } else {
                '?'
            }
        })
        .collect()
}

/// The protocol of a client that reads errors, guessed from the head alone: nobody has looked at what the
/// request does. `None` where it is none of AWS's.
fn protocol(head: &Parts) -> Option<Protocol> {
    let headers = &head.headers;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let kind = text("content-type").unwrap_or_default();
    if text("smithy-protocol") == Some("rpc-v2-cbor") {
        return Some(Protocol::Cbor);
    }
    if headers.contains_key("x-amz-target") || kind.starts_with("application/x-amz-json") {
        return Some(Protocol::Json);
    }
    let signature = text(AUTHORIZATION.as_str()).filter(|value| value.starts_with("AWS"))?;
    let scope = signature
        .split_once("Credential=")
        .and_then(|(_, scope)| scope.split(',').next()?.trim().split('/').nth(3));
    Some(match scope {
        // Of Signature Version 2, which has no scope, S3 is what is left.
        None | Some("s3" | "s3express" | "s3-outposts" | "s3-object-lambda") => {
            Protocol::RestXml { s3: true }
        }
        Some("ec2") => Protocol::Ec2,
        Some("route53" | "cloudfront") => Protocol::RestXml { s3: false },
        Some(_) if kind.starts_with("application/x-www-form-urlencoded") => Protocol::Query,
        Some(_) => Protocol::RestJson,
    })
}
