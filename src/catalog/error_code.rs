//! The code of an error that a service answered.

use std::borrow::Cow;

use http::HeaderMap;

use super::{
    Protocol,
    body::{Body, Step, Values},
    cbor::Cbor,
};

/// Tells it by the header or by the one member of the body that holds it; texts that repeat what the client
/// sent are not looked at. A namespace before a `#` and a URL behind a `:` are left out
/// ([Smithy, operation error
/// serialization](https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization)).
#[must_use]
pub fn error_code<'a>(
    protocol: Protocol,
    headers: &'a HeaderMap,
    body: &'a [u8],
) -> Option<Cow<'a, str>> {
    if let Some(code) = headers
        .get("x-amzn-errortype")
        .and_then(|value| value.to_str().ok())
    {
        return Some(bare(Cow::Borrowed(code)));
    }
    let body = match protocol {
        Protocol::RestXml { .. } | Protocol::Query | Protocol::Ec2 => return in_xml(body),
        Protocol::Json | Protocol::RestJson => Body::json(body).ok()?,
        Protocol::Cbor => Body::Cbor(Cbor::read(body).ok()?),
    };
    ["__type", "code"].into_iter().find_map(|name| {
        match body.values(&[Step::Member(name)]).ok()? {
            Values::Known(mut found) => found.pop().map(bare),
            Values::Unknown => None,
        }
    })
}

/// The first `Code`: an error's texts come behind it, and what they repeat is escaped.
fn in_xml(body: &[u8]) -> Option<Cow<'_, str>> {
    const OPEN: &[u8] = b"<Code>";
    let start = memchr::memmem::find(body, OPEN)? + OPEN.len();
    let end = start + memchr::memchr(b'<', &body[start..])?;
    std::str::from_utf8(&body[start..end])
        .ok()
        .map(|code| Cow::Borrowed(code.trim()))
}

fn bare(code: Cow<'_, str>) -> Cow<'_, str> {
    let start = code.find('#').map_or(0, |hash| hash + 1);
    let end = code[start..]
        .find([':', ','])
        .map_or(code.len(), |at| start + at);
    match code {
        Cow::Borrowed(code) => Cow::Borrowed(&code[start..end]),
        Cow::Owned(code) => Cow::Owned(code[start..end].to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(protocol: Protocol, body: &[u8]) -> Option<String> {
        error_code(protocol, &HeaderMap::new(), body).map(Cow::into_owned)
    }

    #[test]
    fn is_found_in_each_protocols_place_and_nowhere_else() {
        let wanted = Some("ExpiredToken".to_owned());
        let s3 = Protocol::RestXml { s3: true };
        let xml = b"<Error><Code>ExpiredToken</Code><Message>m</Message></Error>";
        assert_eq!(code(s3, xml), wanted);
        let xml = b"<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code></Error></ErrorResponse>";
        assert_eq!(code(Protocol::Query, xml), wanted);
        let json = br#"{"message":"m","__type":"com.amazonaws.x#ExpiredToken"}"#;
        assert_eq!(code(Protocol::Json, json), wanted);
        assert_eq!(
            code(Protocol::RestJson, br#"{"code":"ExpiredToken:http://x/"}"#),
            wanted
        );
        assert_eq!(
            code(Protocol::Cbor, b"\xa1\x66__type\x6cExpiredToken"),
            wanted
        );
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-amzn-errortype",
            "ExpiredToken:http://x/".parse().unwrap(),
        );
        assert_eq!(
            error_code(Protocol::RestJson, &headers, b"").as_deref(),
            Some("ExpiredToken")
        );
        for (protocol, body) in [
            (s3, &b"<Error><Code>NoSuchKey</Code><Key>&lt;Code>ExpiredToken</Key><Code>ExpiredToken</Code></Error>"[..]),
            (Protocol::Json, br#"{"__type":"V","message":"\"__type\":\"ExpiredToken\""}"#),
            (Protocol::Cbor, b"\xa2\x66__type\x61V\x67message\x74f__typelExpiredToken"),
            (Protocol::Json, b"ExpiredToken"),
            (Protocol::Cbor, b"\xff"),
        ] {
            assert_ne!(code(protocol, body), wanted, "{protocol:?}");
        }
    }
}
