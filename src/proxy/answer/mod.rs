//! Refusals in the shape of the service's protocol, so that an SDK shows the message.
//! ([Smithy's AWS protocols](https://smithy.io/2.0/aws/protocols/index.html),
//! [errors of Amazon S3](https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html),
//! [of Amazon EC2](https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html))

mod refusal;

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};

use super::{ProxyBody, empty, full};
use crate::{catalog::Protocol, domain::RequestId};

pub(crate) use refusal::{Kind, Refusal};

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const S3_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
/// Who refused: AWS's own answers have no such header.
const REFUSED_BY: HeaderName = HeaderName::from_static("x-idp-refused");
const REASON: HeaderName = HeaderName::from_static("x-idp-reason");

/// Writes a refusal for a client that speaks `protocol`. `headers` are the request's.
pub(crate) fn refuse(
    refusal: &Refusal,
    protocol: Protocol,
    method: &Method,
    headers: &HeaderMap,
    request_id: RequestId,
) -> Response<ProxyBody> {
    let (status, code) = refusal.wire(protocol);
    let id = request_id.to_string();
    let (kind, body) = write(protocol, code, &refusal.message, &id, headers);
    let mut answer = if *method == Method::HEAD {
        Response::new(empty())
    } else {
        let mut answer = Response::new(full(body));
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        answer
    };
    *answer.status_mut() = status;
    let out = answer.headers_mut();
    out.insert(ERROR_TYPE, HeaderValue::from_static(code));
    out.insert(REFUSED_BY, HeaderValue::from_static(code));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if protocol == Protocol::Cbor {
        out.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    }
    if let Ok(reason) = HeaderValue::from_str(&ascii(&refusal.message)) {
        out.insert(REASON, reason);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        if matches!(protocol, Protocol::RestXml { s3: true }) {
            out.insert(S3_REQUEST_ID, id.clone());
        }
        out.insert(REQUEST_ID, id);
    }
    answer
}

fn write(
    protocol: Protocol,
    code: &str,
    message: &str,
    id: &str,
    headers: &HeaderMap,
) -> (HeaderValue, Vec<u8>) {
    const XML: HeaderValue = HeaderValue::from_static("application/xml");
    const TEXT_XML: HeaderValue = HeaderValue::from_static("text/xml;charset=UTF-8");
    const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    let error = |more: &str| {
        let message = xml(message);
        format!("<Error>{more}<Code>{code}</Code><Message>{message}</Message>")
    };
    match protocol {
        Protocol::RestXml { s3: true } => {
            let text = format!("{HEAD}{}<RequestId>{id}</RequestId></Error>", error(""));
            (XML, text.into_bytes())
        }
        Protocol::RestXml { s3: false } | Protocol::Query => {
            let error = error("<Type>Sender</Type>");
            let text = format!(
                "{HEAD}<ErrorResponse>{error}</Error><RequestId>{id}</RequestId></ErrorResponse>"
            );
            (TEXT_XML, text.into_bytes())
        }
        Protocol::Ec2 => {
            let error = error("");
            let text = format!(
                "{HEAD}<Response><Errors>{error}</Error></Errors><RequestID>{id}</RequestID></Response>"
            );
            (TEXT_XML, text.into_bytes())
        }
        Protocol::Json => {
            // Clients speak version 1.0 or 1.1 and want the same back.
            let kind = headers
                .get(header::CONTENT_TYPE)
                .filter(|kind| kind.as_bytes().starts_with(b"application/x-amz-json-"))
                .cloned()
                .unwrap_or(HeaderValue::from_static("application/x-amz-json-1.1"));
            (kind, json(Some(code), message))
        }
        Protocol::RestJson => (
            HeaderValue::from_static("application/json"),
            json(None, message),
        ),
        Protocol::Cbor => (
            HeaderValue::from_static("application/cbor"),
            cbor(&[("__type", code), ("message", message)]),
        ),
    }
}

fn json(code: Option<&str>, message: &str) -> Vec<u8> {
    let mut body = serde_json::Map::new();
    if let Some(code) = code {
        body.insert("__type".to_owned(), code.into());
    }
    body.insert("message".to_owned(), message.into());
    serde_json::Value::Object(body).to_string().into_bytes()
}

fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 has no way to write these.
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

/// A map of texts (RFC 8949 §3.1).
fn cbor(members: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    cbor_head(&mut out, 0xa0, members.len());
    for (name, value) in members {
        for text in [name, value] {
            cbor_head(&mut out, 0x60, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

fn cbor_head(out: &mut Vec<u8>, major: u8, length: usize) {
    match length {
        // The length fits into the lower five bits, or into the bytes that these announce.
        0..24 => out.push(major | u8::try_from(length).unwrap_or(0)),
        24..0x100 => out.extend([major | 0x18, u8::try_from(length).unwrap_or(0)]),
        _ => {
            out.push(major | 0x1a);
            out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

/// What a header's value can hold, at most 1,000 characters of it.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars().take(1000) {
        if character.is_ascii_graphic() || character == ' ' {
            out.push(character);
        } else {
            let _ = write!(out, "{}", character.escape_unicode());
        }
    }
    out
}

#[cfg(test)]
mod tests;
