//! Chunks, in whatever pieces they come.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

const CRC32C: HeaderName = HeaderName::from_static("x-amz-checksum-crc32c");

/// Decodes pieces of `size` bytes.
fn decode(
    body: &[u8],
    size: usize,
    length: u64,
    trailers: &[HeaderName],
) -> Result<(Vec<u8>, HeaderMap), ChunkError> {
    let mut decoder = ChunkedDecoder::new(length, trailers);
    let mut data = Vec::new();
    for piece in body.chunks(size) {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(some) = decoder.decode(&mut piece)? {
            assert!(!some.is_empty());
            data.extend_from_slice(&some);
        }
        assert!(piece.is_empty());
    }
    Ok((data, decoder.finish()?))
}

fn encode(
    data: &[u8],
    size: usize,
    trailers: &HeaderMap,
    names: &[HeaderName],
) -> Result<Vec<u8>, ChunkError> {
    let mut encoder = ChunkedEncoder::new(data.len() as u64, names);
    let length = encoder.encoded_length();
    let mut body = Vec::new();
    for piece in data.chunks(size) {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(some) = encoder.encode(&mut piece)? {
            body.extend_from_slice(&some);
        }
    }
    body.extend_from_slice(&encoder.finish(trailers)?);
    assert_eq!(length.unwrap_or(body.len() as u64), body.len() as u64);
    Ok(body)
}

fn signed(chunks: &[&[u8]], trailer: &str, signature: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in chunks {
        body.extend_from_slice(
            format!("{:x};chunk-signature={signature}\r\n", chunk.len()).as_bytes(),
        );
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("0;chunk-signature={signature}\r\n{trailer}\r\n").as_bytes());
    body
}

fn checksum(value: &'static str) -> HeaderMap {
    [(CRC32C, HeaderValue::from_static(value))]
        .into_iter()
        .collect()
}

/// An ECDSA signature is filled up with stars (Version 4a).
#[test]
fn signed_chunks_give_their_data_in_every_split() {
    let hmac = "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648";
    let ecdsa = format!("3045{:*<140}", "022100");
    let trailer = "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f\r\n";
    for signature in [hmac, &ecdsa] {
        let plain = signed(&[b"hello ", b"\r\n0\r\n", b"!"], "", signature);
        let with_trailer = signed(&[b"hello ", b"\r\n0\r\n", b"!"], trailer, signature);
        for size in 1..=plain.len() {
            let (data, trailers) = decode(&plain, size, 12, &[]).unwrap();
            assert_eq!(data, b"hello \r\n0\r\n!");
            assert!(trailers.is_empty());
            let (data, trailers) = decode(&with_trailer, size, 12, &[CRC32C]).unwrap();
            assert_eq!(data, b"hello \r\n0\r\n!");
            assert_eq!(trailers, checksum("sOO8/Q=="));
        }
    }
}

#[test]
fn ends_that_clients_write_are_read() {
    for end in ["", "\n", "\r\n", "\r\n\r\n", "\n\r\n", "\n\r\n\r\n"] {
        let body = format!("1\r\na\r\n0\r\nX-Amz-Checksum-Crc32c: sOO8/Q== {end}");
        for size in [1, 7, 100] {
            let (data, trailers) = decode(body.as_bytes(), size, 1, &[CRC32C]).unwrap();
            assert_eq!(
                (&*data, trailers),
                (&b"a"[..], checksum("sOO8/Q==")),
                "{end:?}"
            );
        }
    }
}

#[test]
fn a_slice_of_the_input_is_what_comes_out() {
    let mut decoder = ChunkedDecoder::new(5, &[]);
    let mut input = Bytes::from_static(b"5\r\nhello\r\n0\r\n\r\n");
    let place = input.slice(3..8).as_ptr();
    let data = decoder.decode(&mut input).unwrap().unwrap();
    assert_eq!((data.as_ptr(), &*data), (place, &b"hello"[..]));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let long = format!("1;{}\r\na\r\n", "x".repeat(2000));
    let crc = &[CRC32C][..];
    for (body, length, trailers, error) in [
        ("z\r\n", 1, &[][..], ChunkError::Size { at: 0 }),
        ("\r\n", 1, &[], ChunkError::Size { at: 0 }),
        ("-1\r\n", 1, &[], ChunkError::Size { at: 0 }),
        ("10000000000000000\r\n", 1, &[], ChunkError::Size { at: 0 }),
        ("1\r\na\r\n;x\r\n", 2, &[], ChunkError::Size { at: 6 }),
        ("1\r\nab\r\n", 2, &[], ChunkError::NoBreak { at: 4 }),
        (&long, 1, &[], ChunkError::LongLine { at: 0, limit: 1024 }),
        (
            "1\r\na\r\n0\r\nb\r\n",
            1,
            crc,
            ChunkError::Trailer { at: 9 },
        ),
        (
            "1\r\na\r\n0\r\na b:c\r\n",
            1,
            crc,
            ChunkError::Trailer { at: 9 },
        ),
        (
            "1\r\na\r\n0\r\nb:c\r\n",
            1,
            crc,
            ChunkError::Unannounced { at: 9 },
        ),
        ("1\r\na\r\n0\r\n\r\n", 1, crc, ChunkError::Missing(CRC32C)),
        (
            "1\r\na\r\n0\r\n\r\nb",
            1,
            &[],
            ChunkError::Behind { at: 11 },
        ),
        ("1\r\na\r\n", 1, &[], ChunkError::Truncated { at: 6 }),
        ("2\r\na", 2, &[], ChunkError::Truncated { at: 4 }),
        ("", 0, &[], ChunkError::Truncated { at: 0 }),
    ] {
        for size in [1, 3, 4000] {
            let found = decode(body.as_bytes(), size, length, trailers).unwrap_err();
            assert_eq!(found, error, "{body:.20} in {size}");
        }
    }
    let twice = "0\r\nx-amz-checksum-crc32c:a\r\nx-amz-checksum-crc32c:a\r\n\r\n";
    assert_eq!(
        decode(twice.as_bytes(), 100, 0, crc).unwrap_err(),
        ChunkError::Unannounced { at: 28 }
    );
}

#[test]
fn the_announced_length_is_kept_to() {
    let length = |body: &str, announced| decode(body.as_bytes(), 3, announced, &[]).unwrap_err();
    let error = |announced, found, more| ChunkError::Length {
        announced,
        found,
        more,
    };
    assert_eq!(length("3\r\nabc\r\n0\r\n\r\n", 2), error(2, 3, true));
    assert_eq!(length("1\r\na\r\n0\r\n\r\n", 2), error(2, 1, false));
    assert_eq!(length("ffffffffffffffff\r\n", 2), error(2, u64::MAX, true));

    let mut encoder = ChunkedEncoder::new(1, &[]);
    let mut data = Bytes::from_static(b"ab");
    while !matches!(encoder.encode(&mut data), Ok(None) | Err(_)) {}
    assert_eq!(encoder.encode(&mut data), Err(error(1, 2, true)));
    let short = ChunkedEncoder::new(1, &[]).finish(&HeaderMap::new());
    assert_eq!(short, Err(error(1, 0, false)));
}

#[test]
fn chunks_are_of_one_mebibyte() {
    let data = vec![b'x'; 2 * 1024 * 1024 + 5];
    for size in [1000, 1024 * 1024, data.len()] {
        let body = encode(&data, size, &checksum("sOO8/Q=="), &[CRC32C]).unwrap();
        assert!(body.starts_with(b"100000\r\nxxx"));
        assert!(
            body.ends_with(b"xxx\r\n5\r\nxxxxx\r\n0\r\nx-amz-checksum-crc32c:sOO8/Q==\r\n\r\n")
        );
    }
    assert_eq!(
        encode(b"", 1, &HeaderMap::new(), &[]).unwrap(),
        b"0\r\n\r\n"
    );
}

#[test]
fn checksums_have_the_length_of_their_algorithm() {
    let names = [CRC32C];
    let wrong = encode(b"a", 1, &checksum("sOO8"), &names).unwrap_err();
    assert_eq!(wrong, ChunkError::Checksum(CRC32C));
    let none = encode(b"a", 1, &HeaderMap::new(), &names).unwrap_err();
    assert_eq!(none, ChunkError::Missing(CRC32C));
    let own = HeaderName::from_static("x-amz-meta-a");
    assert_eq!(ChunkedEncoder::new(1, &[own]).encoded_length(), None);
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        data in proptest::collection::vec(any::<u8>(), 0..300),
        split in 1_usize..40,
        join in 1_usize..40,
    ) {
        let names = [CRC32C, HeaderName::from_static("x-amz-checksum-sha1")];
        let mut trailers = checksum("sOO8/Q==");
        trailers.insert(&names[1], HeaderValue::from_static("2jmj7l5rSw0yVb/vlWAYkK/YBwk="));
        let body = encode(&data, split, &trailers, &names).unwrap();
        let (decoded, found) = decode(&body, join, data.len() as u64, &names).unwrap();
        prop_assert_eq!(decoded, data);
        prop_assert_eq!(found, trailers);
    }

    /// What is read does not depend on the pieces in which it comes, and nothing panics.
    #[test]
    fn pieces_do_not_matter(body in "[0-3a:;x\r\n]{0,40}", size in 1_usize..10) {
        let whole = decode(body.as_bytes(), 100, 3, &[]);
        prop_assert_eq!(decode(body.as_bytes(), size, 3, &[]), whole);
    }
}
