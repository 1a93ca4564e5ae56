//! What is answered to requests that are not let in, so that whoever sent them shows the reason: curl a
//! line of text, an SDK the error of its protocol.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{
        AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, PROXY_AUTHENTICATE,
        WWW_AUTHENTICATE,
    },
    request::Parts,
};
use hyper::ext::ReasonPhrase;

use super::{ProxyBody, empty, full};
use crate::domain::RequestId;

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

    pub(super) fn foreign_key(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "InvalidClientTokenId", reason)
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
        let shape = Shape::of(head);
        let (kind, text) = shape.write(self, id, &head.headers);
        let mut answer = if head.method == Method::HEAD {
            Response::new(empty())
        } else {
            let mut answer = Response::new(full(text));
            answer.headers_mut().insert(CONTENT_TYPE, kind);
            answer
        };
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-idp-refused", HeaderValue::from_static(self.code));
        if shape != Shape::Text {
            headers.insert("x-amzn-errortype", HeaderValue::from_static(self.code));
        }
        if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
            headers.insert("x-amzn-requestid", id);
        }
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
        // Python's http.client, and with it boto3, shows of a refused tunnel nothing but this.
        if head.method == Method::CONNECT
            && let Ok(phrase) = ReasonPhrase::try_from(one_line(&self.reason).into_bytes())
        {
            answer.extensions_mut().insert(phrase);
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

/// The form of an error that a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Text,
    S3,
    Xml,
    Ec2,
    Json,
    Cbor,
}

impl Shape {
    /// A guess from the request's head: nobody has looked at what the request does.
    fn of(head: &Parts) -> Self {
        let headers = &head.headers;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let kind = text("content-type").unwrap_or_default();
        if text("smithy-protocol") == Some("rpc-v2-cbor") {
            return Self::Cbor;
        }
        if headers.contains_key("x-amz-target") || kind.starts_with("application/x-amz-json") {
            return Self::Json;
        }
        let signature = text(AUTHORIZATION.as_str()).filter(|value| value.starts_with("AWS"));
        let scope = signature.and_then(|value| {
            let (_, scope) = value.split_once("Credential=")?;
            scope.split(',').next()?.trim().split('/').nth(3)
        });
        match scope {
            Some("s3" | "s3express" | "s3-outposts" | "s3-object-lambda") => Self::S3,
            Some("ec2") => Self::Ec2,
            Some("route53" | "cloudfront") => Self::Xml,
            Some(_) if kind.starts_with("application/x-www-form-urlencoded") => Self::Xml,
            Some(_) => Self::Json,
            None if signature.is_some() => Self::S3,
            None => Self::Text,
        }
    }

    fn write(
        self,
        refusal: &Refusal,
        id: RequestId,
        headers: &HeaderMap,
    ) -> (HeaderValue, Vec<u8>) {
        let (code, reason) = (refusal.code, &*refusal.reason);
        let xml = |before: &str, after: &str| {
            let reason = quick_xml::escape::escape(reason);
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{before}<Code>{code}</Code>\
                 <Message>{reason}</Message>{after}"
            )
            .into_bytes()
        };
        const XML: HeaderValue = HeaderValue::from_static("application/xml");
        match self {
            Self::Text => (
                HeaderValue::from_static("text/plain; charset=utf-8"),
                format!("{reason} (request {id})\n").into_bytes(),
            ),
            Self::S3 => {
                let after = format!("<RequestId>{id}</RequestId></Error>");
                (XML, xml("<Error>", &after))
            }
            Self::Xml => {
                let after = format!("</Error><RequestId>{id}</RequestId></ErrorResponse>");
                (
                    XML,
                    xml("<ErrorResponse><Error><Type>Sender</Type>", &after),
                )
            }
            Self::Ec2 => {
                let after = format!("</Error></Errors><RequestID>{id}</RequestID></Response>");
                (XML, xml("<Response><Errors><Error>", &after))
            }
            Self::Json => {
                let kind = headers
                    .get(CONTENT_TYPE)
                    .filter(|kind| kind.as_bytes().starts_with(b"application/x-amz-json-"))
                    .cloned()
                    .unwrap_or(HeaderValue::from_static("application/json"));
                let body = serde_json::json!({ "__type": code, "message": reason });
                (kind, body.to_string().into_bytes())
            }
            // An empty map (RFC 8949 §3.1): the header names the error.
            Self::Cbor => (HeaderValue::from_static("application/cbor"), vec![0xa0]),
        }
    }
}
