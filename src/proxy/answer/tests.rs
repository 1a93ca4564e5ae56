use http_body_util::BodyExt as _;

use super::*;

const ID: &str = "0191e223-1c3c-7607-badf-303c98b52d2f";

async fn refused(
    protocol: Protocol,
    method: Method,
    refusal: &Refusal,
) -> (u16, HeaderMap, Vec<u8>) {
    let id = ID.parse().unwrap();
    let answer = refuse(refusal, protocol, &method, &HeaderMap::new(), id);
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    (head.status.as_u16(), head.headers, body)
}

fn denied() -> Refusal {
    Refusal::denied("no rule allows <s3:GetObject> & \"é\"")
}

#[tokio::test]
async fn every_protocol_has_its_shape() {
    const MESSAGE: &str = "no rule allows &lt;s3:GetObject&gt; &amp; &quot;é&quot;";
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    for (protocol, status, body) in [
        (
            Protocol::RestXml { s3: true },
            403,
            format!(
                "{head}<Error><Code>AccessDenied</Code><Message>{MESSAGE}</Message><RequestId>{ID}</RequestId></Error>"
            ),
        ),
        (
            Protocol::RestXml { s3: false },
            403,
            format!(
                "{head}<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{MESSAGE}</Message></Error><RequestId>{ID}</RequestId></ErrorResponse>"
            ),
        ),
        (
            Protocol::Ec2,
            403,
            format!(
                "{head}<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>{MESSAGE}</Message></Error></Errors><RequestID>{ID}</RequestID></Response>"
            ),
        ),
        (
            Protocol::Json,
            400,
            "{\"__type\":\"AccessDeniedException\",\"message\":\"no rule allows <s3:GetObject> & \\\"é\\\"\"}"
                .to_owned(),
        ),
        (
            Protocol::RestJson,
            403,
            "{\"message\":\"no rule allows <s3:GetObject> & \\\"é\\\"\"}".to_owned(),
        ),
    ] {
        let (got, headers, text) = refused(protocol, Method::GET, &denied()).await;
        assert_eq!(got, status, "{protocol:?}");
        assert_eq!(String::from_utf8(text).unwrap(), body, "{protocol:?}");
        assert_eq!(headers["x-amzn-requestid"], ID);
        assert!(headers["x-amzn-errortype"].to_str().unwrap().len() > 5);
    }
}

#[tokio::test]
async fn cbor_is_a_map_of_texts() {
    let (status, headers, body) = refused(Protocol::Cbor, Method::POST, &denied()).await;
    assert_eq!(status, 400);
    assert_eq!(headers["smithy-protocol"], "rpc-v2-cbor");
    assert_eq!(body[..8], *b"\xa2\x66__type");
    assert_eq!(body[8..10], [0x75, b'A']);
    let message = "no rule allows <s3:GetObject> & \"é\"";
    assert!(body.ends_with(message.as_bytes()));
    assert_eq!(body[body.len() - message.len() - 2..][..2], [0x78, 36]);
    let long = Refusal::denied("x".repeat(300));
    let (_, _, body) = refused(Protocol::Cbor, Method::POST, &long).await;
    assert_eq!(body[body.len() - 305..][..5], [0x7a, 0, 0, 1, 44]);
}

#[tokio::test]
async fn head_is_answered_in_headers_alone() {
    let (status, headers, body) =
        refused(Protocol::RestXml { s3: true }, Method::HEAD, &denied()).await;
    assert_eq!((status, body.len()), (403, 0));
    assert_eq!(headers["x-amz-request-id"], ID);
    assert_eq!(
        headers["x-idp-reason"],
        "no rule allows <s3:GetObject> & \"\\u{e9}\""
    );
}

/// botocore's and the SDKs' lists of what is tried again.
#[test]
fn no_decision_invites_another_attempt() {
    let protocols = [
        Protocol::RestXml { s3: true },
        Protocol::RestXml { s3: false },
        Protocol::Query,
        Protocol::Ec2,
        Protocol::Json,
        Protocol::RestJson,
        Protocol::Cbor,
    ];
    for protocol in protocols {
        for kind in [Kind::Denied, Kind::NoSession] {
            let (status, code) = Refusal::new(kind, "").wire(protocol);
            assert!(status.is_client_error() && status != 429 && status != 408);
            for word in [
                "Thrott", "Limit", "Timeout", "TooMany", "Skew", "Expired", "SlowDown",
            ] {
                assert!(!code.contains(word), "{code}");
            }
        }
        for kind in [
            Kind::SessionUnavailable,
            Kind::LogUnavailable,
            Kind::Unreachable,
            Kind::Broken,
            Kind::Silent,
        ] {
            let (status, _) = Refusal::new(kind, "").wire(protocol);
            assert!([502, 503, 504].contains(&status.as_u16()));
        }
    }
}
