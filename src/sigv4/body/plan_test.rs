//! The table of bodies, row by row.

use bytes::Bytes;

use super::*;

const S3: BodyRules = BodyRules {
    s3: true,
    unsigned_allowed: false,
    event_stream: false,
};
const OTHER: BodyRules = BodyRules { s3: false, ..S3 };
const UNSIGNED_ALLOWED: BodyRules = BodyRules {
    unsigned_allowed: true,
    ..OTHER
};
const HASH: PresentedPayload = PresentedPayload::Sha256([7; 32]);
const SIGNED: PresentedPayload = PresentedPayload::SignedChunks { trailer: false };
const SIGNED_TRAILER: PresentedPayload = PresentedPayload::SignedChunks { trailer: true };
const LENGTH: (&str, &str) = ("content-length", "5");
const CHUNKED: (&str, &str) = ("transfer-encoding", "chunked");
const DECODED: (&str, &str) = ("x-amz-decoded-content-length", "11");
const TRAILER: (&str, &str) = ("x-amz-trailer", "x-amz-checksum-crc32");

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, HeaderValue::from_static(value));
    }
    map
}

fn plan(
    presented: PresentedPayload,
    rules: BodyRules,
    pairs: &[(&'static str, &'static str)],
) -> Result<BodyPlan, BodyRefusal> {
    body_plan(presented, rules, &headers(pairs))
}

#[test]
fn bodies_with_a_hash_and_unsigned_ones_are_streamed() {
    use PresentedPayload::{None, Unsigned};
    let stream = |payload, length| Ok(BodyPlan::Stream { payload, length });
    let hash = PayloadHash::Sha256([7; 32]);
    for rules in [S3, OTHER] {
        assert_eq!(plan(HASH, rules, &[LENGTH]), stream(hash, Some(5)));
        // A wrong hash of no body is AWS's to refuse.
        assert_eq!(plan(HASH, rules, &[]), stream(hash, Some(0)));
        assert_eq!(plan(None, rules, &[]), Ok(BodyPlan::Empty));
        assert_eq!(plan(Unsigned, rules, &[]), Ok(BodyPlan::Empty));
    }
    for presented in [None, Unsigned] {
        for rules in [S3, UNSIGNED_ALLOWED] {
            let unsigned = stream(PayloadHash::Unsigned, Some(5));
            assert_eq!(plan(presented, rules, &[LENGTH]), unsigned);
        }
        assert_eq!(
            plan(presented, UNSIGNED_ALLOWED, &[CHUNKED]),
            stream(PayloadHash::Unsigned, Option::None)
        );
    }
}

#[test]
fn other_services_get_a_hash() {
    let hash = |claimed, length| Ok(BodyPlan::Hash { claimed, length });
    for presented in [PresentedPayload::None, PresentedPayload::Unsigned] {
        assert_eq!(plan(presented, OTHER, &[LENGTH]), hash(None, Some(5)));
        assert_eq!(plan(presented, OTHER, &[CHUNKED]), hash(None, None));
    }
    assert_eq!(plan(HASH, OTHER, &[CHUNKED]), hash(Some([7; 32]), None));
}

#[test]
fn an_upload_to_s3_without_a_length_is_411() {
    for presented in [PresentedPayload::None, PresentedPayload::Unsigned, HASH] {
        let refusal = plan(presented, S3, &[CHUNKED]).unwrap_err();
        assert_eq!((refusal, refusal.status()), (BodyRefusal::NoLength, 411));
    }
    for presented in [SIGNED_TRAILER, PresentedPayload::UnsignedTrailer] {
        assert_eq!(
            plan(presented, S3, &[LENGTH, TRAILER]),
            Err(BodyRefusal::NoLength)
        );
    }
}

#[test]
fn unsigned_chunks_with_a_trailer_go_on_as_they_are() {
    let presented = PresentedPayload::UnsignedTrailer;
    let pairs = [
        CHUNKED,
        DECODED,
        TRAILER,
        ("content-encoding", "aws-chunked"),
    ];
    let plan = plan(presented, S3, &pairs).unwrap();
    let payload = PayloadHash::UnsignedTrailer;
    assert_eq!(
        plan,
        BodyPlan::Stream {
            payload,
            length: None
        }
    );
    let mut map = headers(&pairs);
    plan.prepare(&mut map);
    assert!(!map.contains_key("transfer-encoding"));
    assert_eq!(map["content-encoding"], "aws-chunked");
    assert_eq!(map["x-amz-decoded-content-length"], "11");
    assert_eq!(map["x-amz-trailer"], "x-amz-checksum-crc32");
}

#[test]
fn signed_chunks_with_a_trailer_are_framed_anew() {
    let pairs = [
        ("content-length", "999"),
        DECODED,
        TRAILER,
        ("content-encoding", "gzip"),
    ];
    let plan = plan(SIGNED_TRAILER, S3, &pairs).unwrap();
    assert_eq!(plan.payload(), Some(PayloadHash::UnsignedTrailer));
    let mut map = headers(&pairs);
    plan.prepare(&mut map);
    let encodings: Vec<_> = map.get_all("content-encoding").iter().collect();
    assert_eq!(encodings, ["gzip", "aws-chunked"]);

    let BodyPlan::Reframe(reframe) = &plan else {
        panic!("{plan:?}")
    };
    let mut reframer = reframe.start();
    let mut input = Bytes::from_static(
        b"6;chunk-signature=00\r\nhello \r\n5;chunk-signature=00\r\nworld\r\n0;chunk-signature=00\r\n\
          x-amz-checksum-crc32:DUoRhQ==\r\nx-amz-trailer-signature:00\r\n\r\n",
    );
    let mut sent = Vec::new();
    while let Some(piece) = reframer.next(&mut input).unwrap() {
        sent.extend_from_slice(&piece);
    }
    sent.extend_from_slice(&reframer.finish().unwrap());
    let expected = "b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n";
    assert_eq!(std::str::from_utf8(&sent).unwrap(), expected);
    assert_eq!(map["content-length"], expected.len().to_string());
}

#[test]
fn signed_chunks_without_a_trailer_become_the_bare_bytes() {
    for (encoding, left) in [
        ("aws-chunked", None),
        ("aws-chunked,gzip", Some("gzip")),
        ("gzip, AWS-Chunked", Some("gzip")),
    ] {
        let pairs = [LENGTH, DECODED, ("content-encoding", encoding)];
        let plan = plan(SIGNED, S3, &pairs).unwrap();
        assert_eq!(plan.payload(), Some(PayloadHash::Unsigned));
        let mut map = headers(&pairs);
        plan.prepare(&mut map);
        assert_eq!(map["content-length"], "11");
        assert!(!map.contains_key("x-amz-decoded-content-length"));
        let encoding = map
            .get("content-encoding")
            .map(|value| value.to_str().unwrap());
        assert_eq!(encoding, left);
    }
}

#[test]
fn what_cannot_go_on_is_refused() {
    use BodyRefusal::{EventStream, Length, Trailers, TransferEncoding, TwoFramings, Unsigned};
    let events = BodyRules {
        event_stream: true,
        ..OTHER
    };
    let none = PresentedPayload::None;
    for (presented, rules, pairs, refusal) in [
        (none, events, &[CHUNKED][..], EventStream),
        (
            PresentedPayload::EventStream,
            OTHER,
            &[CHUNKED],
            EventStream,
        ),
        (SIGNED, OTHER, &[LENGTH, DECODED], Unsigned),
        (
            PresentedPayload::UnsignedTrailer,
            OTHER,
            &[LENGTH, DECODED, TRAILER],
            Unsigned,
        ),
        (none, S3, &[LENGTH, CHUNKED], TwoFramings),
        (none, S3, &[LENGTH, LENGTH], Length("content-length")),
        (
            none,
            S3,
            &[("content-length", "+5")],
            Length("content-length"),
        ),
        (
            none,
            S3,
            &[("content-length", "")],
            Length("content-length"),
        ),
        (
            none,
            S3,
            &[("transfer-encoding", "gzip, chunked")],
            TransferEncoding,
        ),
        (none, S3, &[CHUNKED, CHUNKED], TransferEncoding),
        (SIGNED, S3, &[LENGTH, DECODED, TRAILER], Trailers),
        (SIGNED_TRAILER, S3, &[LENGTH, DECODED], Trailers),
        (
            SIGNED_TRAILER,
            S3,
            &[LENGTH, DECODED, TRAILER, TRAILER],
            Trailers,
        ),
        (
            SIGNED_TRAILER,
            S3,
            &[LENGTH, DECODED, ("x-amz-trailer", "a b")],
            Trailers,
        ),
        (
            SIGNED,
            S3,
            &[LENGTH, ("x-amz-decoded-content-length", "-1")],
            Length("x-amz-decoded-content-length"),
        ),
    ] {
        assert_eq!(plan(presented, rules, pairs), Err(refusal), "{pairs:?}");
    }
}
