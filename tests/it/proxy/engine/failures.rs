//! When AWS or the client is slow, breaks off or sends garbage: clean errors, never half an answer that looks
//! whole, and a record of each end.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::{
    aws::Reply,
    world::{Setup, read_some, world, world_with},
};

const BUCKET: &str = "bucket.s3.eu-central-1.amazonaws.com";

#[tokio::test]
async fn aws_never_answers() {
    let world = world_with(Setup {
        answer_timeout: Duration::from_millis(300),
        ..Setup::default()
    })
    .await;
    world.aws.answers(|_| Reply::Silence);
    let got = world.send(world.request("GET", BUCKET, "/k"), "").await;
    assert_eq!(got.status, 504);
    assert!(got.text().contains("did not answer"), "{}", got.text());
}

#[tokio::test]
async fn aws_breaks_off_before_an_answer_or_sends_garbage() {
    for bytes in [
        "",
        "HTTP/1.1 2",
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ] {
        let world = world().await;
        world.aws.writes(bytes);
        let got = world.send(world.request("GET", BUCKET, "/k"), "").await;
        assert_eq!(got.status, 502, "{bytes:?}");
        assert!(got.text().contains("ProxyUpstreamBroken"), "{}", got.text());
        let record = &world.records(2).await[1];
        assert_eq!(
            (&record["status"], &record["decision"]),
            (&502.into(), &"allow".into())
        );
    }
}

#[tokio::test]
async fn half_an_answer_does_not_look_whole() {
    for head in [
        "Content-Length: 100\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let world = world().await;
        world.aws.writes(format!("HTTP/1.1 200 OK\r\n{head}"));
        let got = world.try_send(world.request("GET", BUCKET, "/k"), "").await;
        assert!(got.is_err(), "{got:?}");
        let record = &world.records(2).await[1];
        assert_eq!(record["phase"], "broken");
        assert!(
            record["reason"]
                .as_str()
                .unwrap()
                .contains("broke its answer off")
        );
    }
}

#[tokio::test]
async fn aws_cannot_be_reached() {
    let world = world_with(Setup {
        resolves_to: Some("192.0.2.1:443".parse().unwrap()),
        ..Setup::default()
    })
    .await;
    let got = world.send(world.request("GET", BUCKET, "/k"), "").await;
    assert_eq!(got.status, 403, "{}", got.text());
}

#[tokio::test]
async fn interim_answers_are_swallowed() {
    let world = world().await;
    world.aws.writes(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let got = world.send(world.request("GET", BUCKET, "/k"), "").await;
    assert_eq!((got.status.as_u16(), got.text().as_str()), (200, "ok"));
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_upload_along() {
    let world = world().await;
    let mut stream = world
        .raw(&format!(
            "PUT /k HTTP/1.1\r\nHost: {BUCKET}\r\nProxy-Authorization: {}\r\nContent-Length: 1000000\r\n\r\n",
            world.basic()
        ))
        .await;
    stream.write_all(&vec![0; 500_000]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(stream);
    let records = world.records(2).await;
    assert_eq!(records[0]["phase"], "sending");
    assert_ne!(records[1]["status"], 200);
    assert!(records[1]["bytes_in"].as_u64().unwrap() <= 500_000);
    // AWS never saw a whole body.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let reached = world.aws.reached.lock().unwrap().clone();
    assert!(reached.iter().all(|one| one.body.is_none()), "{reached:?}");
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_download() {
    let world = world().await;
    world
        .aws
        .answers(|_| Reply::Http(200, Vec::new(), vec![1; 64 * 1024 * 1024].into()));
    let mut stream = world
        .raw(&format!(
            "GET /k HTTP/1.1\r\nHost: {BUCKET}\r\nProxy-Authorization: {}\r\n\r\n",
            world.basic()
        ))
        .await;
    let mut some = [0; 1000];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut some)
        .await
        .unwrap();
    drop(stream);
    let record = &world.records(2).await[1];
    assert_eq!(record["phase"], "broken");
    assert_eq!(record["reason"], "the client went away");
    assert!(record["bytes_out"].as_u64().unwrap() < 64 * 1024 * 1024);
}

/// Back-pressure: a client that does not read does not make the proxy read.
#[tokio::test]
async fn nobody_reads_ahead_for_a_client_that_does_not() {
    let world = world().await;
    world
        .aws
        .answers(|_| Reply::Http(200, Vec::new(), vec![1; 256 * 1024 * 1024].into()));
    let mut stream = world
        .raw(&format!(
            "GET /k HTTP/1.1\r\nHost: {BUCKET}\r\nProxy-Authorization: {}\r\n\r\n",
            world.basic()
        ))
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut some = [0; 1000];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut some)
        .await
        .unwrap();
    drop(stream);
    let record = &world.records(2).await[1];
    // What the sockets' own buffers hold on loopback, and a few frames.
    assert!(
        record["bytes_out"].as_u64().unwrap() < 32 * 1024 * 1024,
        "{record}"
    );
}

#[tokio::test]
async fn a_connection_that_aws_closed_meanwhile_is_not_noticed() {
    let world = world().await;
    world
        .aws
        .answers(|_| Reply::Http(200, vec![("connection", "close")], "x".into()));
    for _ in 0..3 {
        let got = world.send(world.request("GET", BUCKET, "/k"), "").await;
        assert_eq!(got.text(), "x");
        assert!(!got.headers.contains_key("connection"));
    }
    let mut stream = world
        .raw(&format!(
            "GET /k HTTP/1.1\r\nHost: {BUCKET}\r\nProxy-Authorization: {}\r\n\r\n",
            world.basic()
        ))
        .await;
    assert!(read_some(&mut stream).await.starts_with("HTTP/1.1 200 "));
}
