//! Bodies: of any size, in whatever framing, with the signature that AWS wants for each.

use std::time::Duration;

use bytes::Bytes;
use sha2_hex::hex as sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::world::{Setup, World, read_some, world, world_with};

const BUCKET: &str = "bucket.s3.eu-central-1.amazonaws.com";
const LAMBDA: &str = "lambda.us-east-1.amazonaws.com";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

mod sha2_hex {
    pub(super) fn hex(bytes: &[u8]) -> String {
        hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
    }
}

#[tokio::test]
async fn a_hash_that_the_client_made_goes_on_right_or_wrong() {
    let world = world().await;
    let body = vec![1; 200_000];
    for hash in [sha256(&body), sha256(b"another")] {
        world.aws.reached.lock().unwrap().clear();
        let put = world
            .request("PUT", BUCKET, "/k")
            .header("x-amz-content-sha256", &hash);
        assert_eq!(world.send(put, body.clone()).await.status, 200);
        let reached = world.aws.only();
        assert_eq!(reached.header("x-amz-content-sha256"), hash);
        assert_eq!(reached.header("content-length"), "200000");
        assert_eq!(reached.body.unwrap(), body);
    }
}

#[tokio::test]
async fn s3_takes_unsigned_bodies_and_none() {
    let world = world().await;
    for (hash, body, wanted) in [
        (None, vec![2; 100_000], "UNSIGNED-PAYLOAD"),
        (Some("UNSIGNED-PAYLOAD"), vec![2; 10], "UNSIGNED-PAYLOAD"),
        (None, Vec::new(), EMPTY),
    ] {
        world.aws.reached.lock().unwrap().clear();
        let mut put = world.request("PUT", BUCKET, "/k");
        if let Some(hash) = hash {
            put = put.header("x-amz-content-sha256", hash);
        }
        assert_eq!(world.send(put, body.clone()).await.status, 200);
        let reached = world.aws.only();
        if !body.is_empty() {
            assert_eq!(reached.header("x-amz-content-sha256"), wanted);
        }
        assert_eq!(reached.body.unwrap(), body);
    }
}

#[tokio::test]
async fn other_services_bodies_are_hashed_first_in_memory_and_in_a_file() {
    let world = world().await;
    for size in [10, 900_000, 1_500_000, 3_900_000] {
        world.aws.reached.lock().unwrap().clear();
        let body = vec![3; size];
        let target = "/2015-03-31/functions/f/invocations";
        let got = world
            .send(world.request("POST", LAMBDA, target), body.clone())
            .await;
        assert_eq!(got.status, 200, "{}", got.text());
        let reached = world.aws.only();
        assert_eq!(reached.body.unwrap().len(), size);
        assert_eq!(reached.headers["x-amz-content-sha256"], sha256(&body));
    }
    world.aws.reached.lock().unwrap().clear();
    let target = "/2015-03-31/functions/f/invocations";
    let got = world
        .send(world.request("POST", LAMBDA, target), vec![3; 5_000_000])
        .await;
    assert_eq!(got.status, 413);
    assert!(got.text().contains("no more than 4 MiB"), "{}", got.text());
    assert_eq!(world.aws.count(), 0);
    // Nothing of it is left in the directory but the log.
    let left = std::fs::read_dir(world.log_file.parent().unwrap())
        .unwrap()
        .count();
    assert_eq!(left, 1);
}

/// The head of an upload to Lambda, whose body has to be hashed first.
fn upload(world: &World, length: usize) -> String {
    format!(
        "POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nHost: {LAMBDA}\r\n\
         Proxy-Authorization: {}\r\nContent-Length: {length}\r\n\r\n",
        world.basic()
    )
}

#[tokio::test]
async fn bodies_have_so_much_memory_and_no_more() {
    let world = world_with(Setup {
        memory: 1024 * 1024,
        patience: Duration::from_secs(1),
        ..Setup::default()
    })
    .await;
    let body = vec![3; 600_000];
    let target = "/2015-03-31/functions/f/invocations";
    let mut first = world.raw(&upload(&world, body.len())).await;
    first.write_all(&body[..300_000]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let second = world.request("POST", LAMBDA, target);
    let got = world.send(second, body.clone()).await;
    assert_eq!(got.status, 503, "{}", got.text());
    assert!(got.text().contains("all of the 1 MiB"), "{}", got.text());
    // The first is too slow. Its memory, and that of those that were sent, is free again.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(read_some(&mut first).await.starts_with("HTTP/1.1 400 "));
    for _ in 0..3 {
        let again = world.request("POST", LAMBDA, target);
        assert_eq!(world.send(again, body.clone()).await.status, 200);
    }
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let world = world_with(Setup {
        patience: Duration::from_millis(500),
        ..Setup::default()
    })
    .await;
    let mut stream = world.raw(&upload(&world, 1000)).await;
    let (mut answers, mut drops) = stream.split();
    let trickle = async {
        while drops.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut answer = vec![0; 4096];
    let count = tokio::select! {
        count = tokio::time::timeout(Duration::from_secs(10), answers.read(&mut answer)) => count,
        () = trickle => panic!("it was not answered"),
    };
    let answer = String::from_utf8_lossy(&answer[..count.unwrap().unwrap()]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("256 KiB a second"), "{answer}");
    assert_eq!(world.aws.count(), 0);
}

/// boto3 takes the status of an answer that came in the place of `100 Continue` for that of the next answer
/// on the connection, so that none may follow.
#[tokio::test]
async fn who_waits_to_be_asked_and_is_not_gets_a_connection_that_ends() {
    let world = world().await;
    let put = |path: &str, length: usize, key: &str| {
        format!(
            "PUT {path} HTTP/1.1\r\nHost: {BUCKET}\r\nProxy-Authorization: {key}\r\nExpect: 100-continue\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    let closes = |answer: &str| {
        let head = answer.split("\r\n\r\n").next().unwrap();
        head.to_ascii_lowercase().contains("connection: close")
    };
    for (text, status) in [
        (put("/empty", 0, &world.basic()), "200"),
        (
            put("/../x", 5, &world.basic()).replace("PUT", "PATCH"),
            "403",
        ),
        (put("/k", 5, "Basic eA=="), "403"),
    ] {
        let mut stream = world.raw(&text).await;
        let answer = read_some(&mut stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{text}{answer}"
        );
        assert!(closes(&answer), "{text}{answer}");
    }
    // Who was asked keeps the connection.
    let mut stream = world.raw(&put("/k", 5, &world.basic())).await;
    let asked = read_some(&mut stream).await;
    assert!(asked.starts_with("HTTP/1.1 100 "), "{asked}");
    stream.write_all(b"12345").await.unwrap();
    let answer = read_some(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && !closes(&answer),
        "{answer}"
    );
}

#[tokio::test]
async fn without_a_length() {
    let world = world().await;
    let chunked = |host: &str, target: &str| {
        format!(
            "PUT {target} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: {}\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            world.basic()
        )
    };
    let mut stream = world.raw(&chunked(BUCKET, "/k")).await;
    let answer = read_some(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 411 ") && answer.contains("MissingContentLength"),
        "{answer}"
    );
    assert_eq!(world.aws.count(), 0);
    // Elsewhere the length is known once the body was hashed.
    let target = "/2015-03-31/functions/f/invocations";
    let text = chunked(LAMBDA, target).replace("PUT ", "POST ");
    let mut stream = world.raw(&text).await;
    assert!(read_some(&mut stream).await.starts_with("HTTP/1.1 200 "));
    let reached = world.aws.only();
    assert_eq!(reached.header("content-length"), "5");
    assert_eq!(reached.body.unwrap(), "abcde");
}

/// The chunks of `data`, signed if need be, and a checksum behind them.
fn aws_chunks(data: &[u8], size: usize, signed: bool, trailer: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let signature = if signed {
        format!(";chunk-signature={}", "0".repeat(64))
    } else {
        String::new()
    };
    for piece in data.chunks(size).chain([&[][..]]) {
        out.extend(format!("{:x}{signature}\r\n", piece.len()).into_bytes());
        out.extend(piece);
        if !piece.is_empty() {
            out.extend(b"\r\n");
        }
    }
    if trailer {
        out.extend(b"x-amz-checksum-crc32:AAAAAA==\r\n");
        if signed {
            out.extend(format!("x-amz-trailer-signature:{}\r\n", "0".repeat(64)).into_bytes());
        }
    }
    out.extend(b"\r\n");
    out
}

fn chunked_put(world: &World, kind: &str, length: usize, trailer: bool) -> http::request::Builder {
    let mut put = world
        .request("PUT", BUCKET, "/k")
        .header("authorization", world.dummy("eu-central-1", "s3"))
        .header("content-encoding", "aws-chunked")
        .header("x-amz-content-sha256", kind)
        .header("x-amz-decoded-content-length", length.to_string());
    if trailer {
        put = put.header("x-amz-trailer", "x-amz-checksum-crc32");
    }
    put
}

#[tokio::test]
async fn signed_chunks_lose_their_signatures_and_nothing_else() {
    let world = world().await;
    let data: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    for algorithm in ["AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"] {
        for trailer in [false, true] {
            world.aws.reached.lock().unwrap().clear();
            let kind = format!(
                "STREAMING-{algorithm}-PAYLOAD{}",
                if trailer { "-TRAILER" } else { "" }
            );
            let put = chunked_put(&world, &kind, data.len(), trailer);
            let got = world
                .send(put, aws_chunks(&data, 64 * 1024, true, trailer))
                .await;
            assert_eq!(got.status, 200, "{}", got.text());
            let reached = world.aws.only();
            let body = reached.body.clone().unwrap();
            assert_eq!(reached.header("content-length"), body.len().to_string());
            assert!(!String::from_utf8_lossy(&body).contains("signature"));
            if trailer {
                let hash = reached.header("x-amz-content-sha256");
                assert_eq!(hash, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
                assert!(body.ends_with(b"\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"));
                assert_eq!(reached.header("x-amz-decoded-content-length"), "300000");
                assert_eq!(reached.header("content-encoding"), "aws-chunked");
            } else {
                assert_eq!(reached.header("x-amz-content-sha256"), "UNSIGNED-PAYLOAD");
                assert_eq!(body, data);
                assert!(!reached.headers.contains_key("content-encoding"));
            }
        }
    }
}

#[tokio::test]
async fn unsigned_chunks_with_a_trailer_go_on_as_they_are() {
    let world = world().await;
    let body = aws_chunks(&vec![5; 100_000], 70_000, false, true);
    let put = chunked_put(&world, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", 100_000, true);
    let got = world.send(put, body.clone()).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let reached = world.aws.only();
    assert_eq!(reached.body.unwrap(), body);
}

#[tokio::test]
async fn chunks_are_found_however_they_are_cut() {
    let world = world().await;
    let data = b"hello world, in chunks";
    let body = aws_chunks(data, 10, true, false);
    let mut stream = world
        .raw(&format!(
            "PUT /k HTTP/1.1\r\nHost: {BUCKET}\r\nProxy-Authorization: {}\r\nContent-Length: {}\r\n\
             x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\n\
             x-amz-decoded-content-length: {}\r\n\r\n",
            world.basic(),
            body.len(),
            data.len()
        ))
        .await;
    for byte in body {
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let answer = read_some(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(world.aws.only().body.unwrap(), &data[..]);
}

#[tokio::test]
async fn broken_chunks_never_become_an_object() {
    let world = world().await;
    let mut body = aws_chunks(&vec![6; 100_000], 50_000, true, false);
    body.truncate(80_000);
    let kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    let got = world
        .send(chunked_put(&world, kind, 100_000, false), body)
        .await;
    assert_eq!(got.status, 400, "{}", got.text());
    assert!(got.text().contains("IncompleteBody"), "{}", got.text());
    let reached = world.aws.reached.lock().unwrap().clone();
    assert!(reached.iter().all(|one| one.body.is_none()), "{reached:?}");
}

#[tokio::test]
async fn event_streams_are_refused() {
    let world = world().await;
    let put = world
        .request(
            "POST",
            "runtime-v2-lex.us-east-1.amazonaws.com",
            "/bots/ABCDEFGHIJ/botAliases/TSTALIASID/botLocales/en_US/sessions/s/conversation",
        )
        .header("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-EVENTS");
    let got = world.send(put, "x").await;
    assert!(got.text().contains("event stream"), "{}", got.text());
    assert_eq!(world.aws.count(), 0);
}

/// Memory stays flat: what is on its way is bounded, however slowly the other side reads.
#[tokio::test]
async fn large_bodies_stream_both_ways() {
    const SIZE: usize = 96 * 1024 * 1024;
    let world = world_with(Setup::default()).await;
    let body = Bytes::from(vec![9; SIZE]);
    let answer = body.clone();
    world
        .aws
        .answers(move |_| super::aws::Reply::Http(200, Vec::new(), answer.clone()));
    let got = world
        .send(world.request("PUT", BUCKET, "/k"), body.clone())
        .await;
    assert_eq!(got.status, 200);
    assert!(got.body == body);
    assert!(world.aws.only().body.unwrap() == body);
    let record = &world.records(2).await[1];
    assert_eq!(
        (&record["bytes_in"], &record["bytes_out"]),
        (&SIZE.into(), &SIZE.into())
    );
}
