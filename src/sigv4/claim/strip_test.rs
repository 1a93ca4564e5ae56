//! What goes, what stays, and what is refused.

use super::*;
use crate::domain::ExposeSecret as _;

const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=idp_proxy_key/20200101/eu-west-1/sqs/aws4_request, \
    SignedHeaders=host;x-amz-date, Signature=00";
const SIGNED_4A: &str = "AWS4-ECDSA-P256-SHA256 Credential=idp_proxy_key/20200101/s3/aws4_request, \
    SignedHeaders=host;x-amz-date, Signature=30";
const PRESIGNED: &str = "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256\
    &X-Amz-Credential=idp_proxy_key%2F20200101%2Feu-west-1%2Fs3%2Faws4_request\
    &X-Amz-Date=20200101T000000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
    &X-Amz-Security-Token=t&X-Amz-Signature=00";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect::<Vec<_>>()
        .into_iter()
        .fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
}

fn stripped(
    style: PathStyle,
    target: &str,
    pairs: &[(&'static str, &str)],
) -> Result<(Presented, HeaderMap, String), PresentedError> {
    let mut headers = headers(pairs);
    let mut target = RequestTarget::parse(target, style).unwrap();
    let presented = strip(&mut headers, &mut target)?;
    Ok((presented, headers, target.to_string()))
}

fn signature(presented: &Presented) -> &ClaimedSignature {
    match &presented.claim {
        Claim::Signature(signature) => signature,
        other => panic!("{other:?}"),
    }
}

fn refusal(target: &str, pairs: &[(&'static str, &str)]) -> PresentedError {
    stripped(PathStyle::S3, target, pairs).unwrap_err()
}

#[test]
fn a_dummy_signature_and_all_around_it_goes() {
    let (presented, left, _) = stripped(
        PathStyle::Plain,
        "/",
        &[
            ("authorization", SIGNED),
            ("x-amz-date", "19990101T000000Z"),
            ("date", "Fri, 01 Jan 1999 00:00:00 GMT"),
            ("x-amz-security-token", "t"),
            ("x-amz-s3session-token", "t"),
            ("x-amz-region-set", "*"),
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            ("proxy-authorization", "Bearer idp_proxy_key"),
            ("proxy-connection", "keep-alive"),
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "for=10.0.0.1"),
            ("via", "1.1 a"),
            ("x-real-ip", "10.0.0.1"),
            ("host", "sqs.eu-west-1.amazonaws.com"),
            ("content-length", "2"),
            ("x-amz-target", "AmazonSQS.SendMessage"),
            ("x-amzn-trace-id", "Root=1"),
            ("user-agent", "a"),
        ],
    )
    .unwrap();
    let mut names: Vec<_> = left.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let stay = [
        "content-length",
        "host",
        "user-agent",
        "x-amz-target",
        "x-amzn-trace-id",
    ];
    assert_eq!(names, stay);
    let claimed = signature(&presented);
    assert_eq!(claimed.access_key_id.expose_secret(), "idp_proxy_key");
    assert_eq!(
        claimed.scope.to_string(),
        "20200101/eu-west-1/sqs/aws4_request"
    );
    assert_eq!(claimed.place, SignaturePlace::Header);
    assert_eq!(claimed.version, SignatureVersion::V4);
    assert_eq!(presented.payload, PresentedPayload::Unsigned);
    assert_eq!(
        presented.proxy_secret.as_ref().unwrap().expose_secret(),
        "idp_proxy_key"
    );
    assert!(!format!("{presented:?}").contains("idp_proxy_key"));
}

#[test]
fn a_presigned_url_loses_its_signature() {
    let (presented, left, target) =
        stripped(PathStyle::S3, &format!("{PRESIGNED}&versionId=v"), &[]).unwrap();
    assert_eq!(target, "/b/k?versionId=v");
    assert!(left.is_empty());
    let claimed = signature(&presented);
    assert_eq!(claimed.place, SignaturePlace::Query);
    assert_eq!(claimed.scope.service, "s3");
    assert_eq!(presented.payload, PresentedPayload::None);

    let hashed = format!("{PRESIGNED}&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD");
    let (presented, ..) = stripped(PathStyle::S3, &hashed, &[]).unwrap();
    assert_eq!(presented.payload, PresentedPayload::Unsigned);
}

#[test]
fn version_4a_has_its_regions_in_a_header() {
    let region_set = ("x-amz-region-set", "us-east-1,eu-west-1");
    let (presented, ..) = stripped(
        PathStyle::S3,
        "/k",
        &[("authorization", SIGNED_4A), region_set],
    )
    .unwrap();
    let claimed = signature(&presented);
    assert_eq!(claimed.version, SignatureVersion::V4a);
    assert_eq!(claimed.scope.region, "us-east-1,eu-west-1");
    assert_eq!(claimed.scope.service, "s3");
    assert_eq!(
        refusal("/k", &[("authorization", SIGNED_4A)]).code(),
        "IncompleteSignature"
    );
}

#[test]
fn nothing_and_plain_passwords_are_told_apart() {
    let claim = |value: &str| {
        stripped(PathStyle::Plain, "/", &[("authorization", value)])
            .map(|(presented, ..)| presented.claim)
    };
    for value in ["Bearer secret", "bearer  secret", "Basic aWRwOnNlY3JldA=="] {
        match claim(value) {
            Ok(Claim::Secret(secret)) => assert_eq!(secret.expose_secret(), "secret"),
            other => panic!("{value}: {other:?}"),
        }
    }
    for value in ["Basic ???", "Digest a=b", "secret", ""] {
        assert_eq!(claim(value).unwrap_err(), PresentedError::Scheme, "{value}");
    }
    let (presented, ..) = stripped(PathStyle::Plain, "/", &[]).unwrap();
    assert!(matches!(presented.claim, Claim::None));
    assert_eq!(presented.payload, PresentedPayload::None);
}

#[test]
fn version_2_is_refused_with_the_reason() {
    for (target, pairs) in [
        ("/k", vec![("authorization", "AWS AKIA:c2ln")]),
        ("/k", vec![("authorization", "AWS3-HTTPS AWSAccessKeyId=a")]),
        ("/k?AWSAccessKeyId=AKIA&Expires=1&Signature=c2ln", vec![]),
        ("/?Action=A&SignatureVersion=2&Signature=c2ln", vec![]),
    ] {
        let error = refusal(target, &pairs);
        assert_eq!(error, PresentedError::OldVersion, "{target}");
        assert!(error.to_string().contains("Signature Version 4"));
    }
    // Other services have parameters of these names.
    stripped(PathStyle::S3, "/k?Signature=x", &[]).unwrap();
    stripped(PathStyle::S3, "/k?Expires=1", &[]).unwrap();
}

#[test]
fn two_claims_are_refused() {
    use PresentedError::{BothPlaces, Twice};
    let signed = ("authorization", SIGNED);
    assert_eq!(refusal(PRESIGNED, &[signed]), BothPlaces);
    assert_eq!(
        refusal(PRESIGNED, &[("authorization", "Bearer a")]),
        BothPlaces
    );
    assert_eq!(refusal("/", &[signed, signed]), Twice("authorization"));
    let hash = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    assert_eq!(refusal("/", &[hash, hash]), Twice("x-amz-content-sha256"));
    let hashed = format!("{PRESIGNED}&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD");
    assert_eq!(refusal(&hashed, &[hash]), Twice("x-amz-content-sha256"));
    let again = format!("{PRESIGNED}&x-amz-signature=01");
    assert_eq!(refusal(&again, &[]).code(), "IncompleteSignature");
}

#[test]
fn malformed_claims_are_refused_without_being_repeated() {
    for value in [
        SIGNED.replace("Credential=", "Credential"),
        SIGNED.replace("Signature=00", ""),
        SIGNED.replace("SignedHeaders", "Signed"),
        SIGNED.replace("/sqs", ""),
        SIGNED.replace("/sqs", "/"),
        SIGNED.replace("20200101", "2020-1-1"),
        SIGNED.replace("aws4_request", "aws5_request"),
        format!("{SIGNED}, Signature=01"),
        "AWS4-HMAC-SHA256".to_owned(),
    ] {
        let error = refusal("/", &[("authorization", &value)]);
        assert_eq!(error.code(), "IncompleteSignature", "{value}");
        assert!(!error.to_string().contains("idp_proxy"), "{error}");
    }
    for target in [
        PRESIGNED.replace("X-Amz-Signature=00", "a=b"),
        PRESIGNED.replace("X-Amz-Credential", "credential"),
        PRESIGNED.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
        PRESIGNED.replace("%2Fs3", ""),
    ] {
        assert_eq!(
            refusal(&target, &[]).code(),
            "IncompleteSignature",
            "{target}"
        );
    }
    let hash = [("x-amz-content-sha256", "required")];
    assert_eq!(refusal("/", &hash), PresentedError::PayloadHash);
}

#[test]
fn connection_may_not_take_the_framing_out() {
    for (value, name) in [
        ("Content-Length", "content-length"),
        ("close,host", "host"),
        ("a, Transfer-Encoding", "transfer-encoding"),
    ] {
        let error = refusal("/", &[("connection", value), ("content-length", "2")]);
        assert_eq!(error, PresentedError::Connection(name));
    }
}

/// `x-amz-copy-source` in the query of a presigned URL makes an upload a copy.
#[test]
fn what_s3_reads_in_a_query_as_headers_becomes_headers() {
    let hoisted =
        format!("{PRESIGNED}&x-amz-copy-source=%2Fother%2Fkey&X-Amz-Acl=private&x-id=Put");
    let (_, left, target) = stripped(PathStyle::S3, &hoisted, &[]).unwrap();
    assert_eq!(target, "/b/k?x-id=Put");
    assert_eq!(left["x-amz-copy-source"], "/other/key");
    assert_eq!(left["x-amz-acl"], "private");

    let (_, left, target) = stripped(PathStyle::Plain, "/a?x-amz-b=c", &[]).unwrap();
    assert_eq!((left.len(), &*target), (0, "/a?x-amz-b=c"));

    let acl = ("x-amz-acl", "private");
    let twice = "/k?x-amz-acl=private&X-Amz-Acl=public-read";
    for error in [refusal("/k?x-amz-acl=private", &[acl]), refusal(twice, &[])] {
        assert!(matches!(error, PresentedError::Ambiguous(_)), "{error}");
    }
    for target in ["/k?x-amz-a%20b=c", "/k?x-amz-a=%0A"] {
        assert!(matches!(refusal(target, &[]), PresentedError::NoHeader(_)));
    }
}
