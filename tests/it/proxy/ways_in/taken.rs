//! What gets in, on each of the ways.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::door::{ask, door, door_with, read};
use idp::proxy::Limits;

const S3: &str = "bucket.s3.eu-central-1.amazonaws.com";

#[tokio::test]
async fn through_a_tunnel() {
    let door = door().await;
    let mut tls = door.tls(S3, S3).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    for _ in 0..2 {
        let told = ask(
            &mut tls,
            &format!("GET /a%20b?x=1 HTTP/1.1\r\nHost: {S3}\r\n\r\n"),
        )
        .await;
        let told = told.json();
        assert_eq!(told["way"], "intercepted");
        assert_eq!(told["host"], S3);
        assert_eq!(told["uri"], "/a%20b?x=1");
    }
    let signed = format!(
        "GET / HTTP/1.1\r\nHost: {}:443\r\nAuthorization: {}\r\n\r\n",
        S3.to_uppercase(),
        door.signature("s3")
    );
    let told = ask(&mut tls, &signed).await.json();
    assert_eq!(told["host"], S3);
    assert!(told["headers"].to_string().contains("AWS4-HMAC"));
}

#[tokio::test]
async fn as_an_absolute_uri() {
    let door = door().await;
    for uri in [
        "http://sqs.us-east-1.amazonaws.com/?Action=ListQueues",
        "http://SQS.us-east-1.amazonaws.com:80/?Action=ListQueues",
        "https://sqs.us-east-1.amazonaws.com/?Action=ListQueues",
    ] {
        let reply = door
            .send(&format!(
                "GET {uri} HTTP/1.1\r\nHost: sqs.us-east-1.amazonaws.com\r\n\
                 Proxy-Authorization: {}\r\n\r\n",
                door.basic()
            ))
            .await;
        let told = reply.json();
        assert_eq!(told["way"], "absolute");
        assert_eq!(told["host"], "sqs.us-east-1.amazonaws.com");
        assert_eq!(told["uri"], "/?Action=ListQueues");
        assert!(!told["headers"].to_string().contains("proxy-authorization"));
    }
}

#[tokio::test]
async fn with_the_host_of_a_service() {
    let door = door().await;
    for auth in [
        format!("Authorization: {}", door.basic()),
        format!("Proxy-Authorization: Bearer {}", door.key),
    ] {
        let reply = door
            .send(&format!(
                "GET /k HTTP/1.1\r\nHost: s3.amazonaws.com\r\n{auth}\r\n\r\n"
            ))
            .await;
        let told = reply.json();
        assert_eq!(
            (told["way"].as_str(), told["host"].as_str()),
            (Some("plain"), Some("s3.amazonaws.com"))
        );
        let headers = told["headers"].to_string();
        assert!(
            !headers.contains("uthorization") && !headers.contains(&door.key),
            "{headers}"
        );
    }
}

#[tokio::test]
async fn at_an_overridden_endpoint() {
    let door = door().await;
    let own = door.address.to_string();
    let port = door.address.port();
    for (host, prefix) in [
        (own.clone(), "None"),
        (format!("localhost:{port}"), "None"),
        (format!("my.bucket.localhost:{port}"), "Some(\"my.bucket\")"),
        (format!("data-{own}"), "Some(\"data-\")"),
    ] {
        let auth = door.signature("s3");
        let reply = door
            .send(&format!("PUT /b/k HTTP/1.1\r\nHost: {host}\r\nAuthorization: {auth}\r\nContent-Length: 3\r\n\r\nabc"))
            .await;
        let told = reply.json();
        assert_eq!(
            told["whole"],
            format!("Endpoint {{ prefix: {prefix} }}"),
            "{host}"
        );
        assert_eq!(told["body"], 3);
    }
    let query = format!(
        "X-Amz-Credential={}%2F20261122%2Fus-east-1%2Fs3%2Faws4_request",
        door.key
    );
    let told = door
        .send(&format!("GET /b/k?{query} HTTP/1.1\r\nHost: {own}\r\n\r\n"))
        .await;
    assert_eq!(told.json()["way"], "endpoint");
    // A client with HTTP_PROXY set.
    let told = door
        .send(&format!(
            "GET http://{own}/b/k?{query} HTTP/1.1\r\nHost: {own}\r\n\r\n"
        ))
        .await;
    assert_eq!(told.json()["way"], "endpoint");
}

#[tokio::test]
async fn curl_goes_through() {
    let door = door().await;
    let run = |arguments: Vec<String>| async move {
        let output = tokio::task::spawn_blocking(move || {
            let mut curl = crate::support::clean_command("curl");
            curl.args(["-sS", "--fail-with-body", "--max-time", "20"])
                .args(arguments);
            curl.stdin(Stdio::null()).output().unwrap()
        })
        .await
        .unwrap();
        let (out, error) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        (output.status.success(), format!("{out}{error}"))
    };
    let proxy = format!("http://idp:{}@{}", door.key, door.address);
    let ca = door.ca.display().to_string();
    let args = |list: &[&str]| {
        list.iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    let (ok, told) = run(args(&[
        "-x",
        &proxy,
        "--cacert",
        &ca,
        &format!("https://{S3}/k"),
    ]))
    .await;
    assert!(ok && told.contains("\"intercepted\""), "{told}");
    let (ok, told) = run(args(&["-x", &proxy, &format!("http://{S3}/k")])).await;
    assert!(ok && told.contains("\"absolute\""), "{told}");
    let user = format!("idp:{}", door.key);
    let url = format!("http://{}/k", door.address);
    let (ok, told) = run(args(&["-u", &user, "-H", &format!("Host: {S3}"), &url])).await;
    assert!(ok && told.contains("\"plain\""), "{told}");
    let bare = format!("http://{}", door.address);
    let (ok, told) = run(args(&[
        "-x",
        &bare,
        "--cacert",
        &ca,
        &format!("https://{S3}/k"),
    ]))
    .await;
    assert!(!ok && told.contains("407"), "{told}");
    let (ok, told) = run(args(&["-H", &format!("Host: {S3}"), &url])).await;
    assert!(!ok && told.contains("idp proxy env"), "{told}");
}

#[tokio::test]
async fn a_thousand_idle_connections_leave_room() {
    let door = door().await;
    let text = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\n\r\n",
        door.address,
        door.signature("sqs")
    );
    let mut idle = Vec::new();
    for _ in 0..1000 {
        let mut stream = door.connect().await;
        assert_eq!(ask(&mut stream, &text).await.status, 200);
        idle.push(stream);
    }
    assert_eq!(door.send(&text).await.status, 200);
    for stream in idle.iter_mut().step_by(100) {
        assert_eq!(ask(stream, &text).await.status, 200);
    }
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let door = door_with(limits).await;
    let (_one, _two) = (door.connect().await, door.connect().await);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let reply = read(&mut door.connect().await, false).await;
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("too many"), "{reply:?}");
}

#[tokio::test]
async fn a_stop_lets_requests_finish() {
    let door = door().await;
    let mut tls = door.tls(S3, S3).await.unwrap();
    let mut idle = door.connect().await;
    tls.write_all(format!("GET /slow HTTP/1.1\r\nHost: {S3}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    door.stop.send(true).unwrap();
    assert_eq!(read(&mut tls, false).await.status, 200);
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    timeout(Duration::from_secs(5), door.served)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_slow_head_is_cut_off_and_an_idle_connection_is_not() {
    let limits = Limits {
        head: Duration::from_millis(200),
        ..Limits::default()
    };
    let door = door_with(limits).await;
    let mut idle = door.connect().await;
    let mut slow = door.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(5), slow.read_to_end(&mut rest)).await;
    assert!(ended.is_ok());
    let still = timeout(Duration::from_millis(100), idle.read(&mut [0; 1])).await;
    assert!(still.is_err(), "the idle connection stays");
}

#[tokio::test]
async fn leave_to_send_is_given_when_the_body_is_wanted() {
    let door = door().await;
    let mut stream = door.connect().await;
    let head = |path: &str| {
        format!(
            "PUT {path} HTTP/1.1\r\nHost: s3.amazonaws.com\r\nAuthorization: {}\r\n\
             Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
            door.basic()
        )
    };
    assert_eq!(ask(&mut stream, &head("/k")).await.status, 100);
    assert_eq!(ask(&mut stream, "hello").await.json()["body"], 5);
    // Denied: the answer comes at once, and nobody asks for the body.
    let mut stream = door.connect().await;
    assert_eq!(ask(&mut stream, &head("/deny")).await.status, 403);
    let wrong = head("/k").replace("Host", "Origin: http://evil.example\r\nHost");
    let reply = ask(&mut door.connect().await, &wrong).await;
    assert_eq!(reply.status, 403);
}

/// Any user of the machine can open connections. The agent, who has the key, still gets in.
#[tokio::test]
async fn silent_connections_make_room() {
    let door = door_with(Limits {
        connections: 16,
        strangers: 4,
        ..Limits::default()
    })
    .await;
    let request = format!(
        "GET /k HTTP/1.1\r\nHost: s3.amazonaws.com\r\nAuthorization: {}\r\n\r\n",
        door.basic()
    );
    let mut known = door.connect().await;
    assert_eq!(ask(&mut known, &request).await.status, 200);
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(door.connect().await);
        // One after the other, as the proxy takes them.
        assert_eq!(door.send(&request).await.status, 200);
    }
    let mut byte = [0; 1];
    let oldest = timeout(Duration::from_secs(5), silent[0].read(&mut byte)).await;
    assert!(matches!(oldest, Ok(Ok(0) | Err(_))), "{oldest:?}");
    assert_eq!(ask(&mut known, &request).await.status, 200);
}

#[tokio::test]
async fn who_does_not_show_the_key_does_not_stay() {
    let door = door_with(Limits {
        unknown: Duration::from_millis(200),
        ..Limits::default()
    })
    .await;
    let request = |auth: &str| {
        format!("GET /k HTTP/1.1\r\nHost: s3.amazonaws.com\r\nAuthorization: {auth}\r\n\r\n")
    };
    let mut known = door.connect().await;
    assert_eq!(ask(&mut known, &request(&door.basic())).await.status, 200);
    let mut tls = door.tls(S3, S3).await.unwrap();
    let mut refused = door.connect().await;
    assert_eq!(ask(&mut refused, &request("Basic eA==")).await.status, 403);
    let mut silent = door.connect().await;
    let mut byte = [0; 1];
    for stream in [&mut refused, &mut silent] {
        let ended = timeout(Duration::from_secs(5), stream.read(&mut byte)).await;
        assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    }
    assert_eq!(ask(&mut known, &request(&door.basic())).await.status, 200);
    let inside = format!("GET /k HTTP/1.1\r\nHost: {S3}\r\n\r\n");
    assert_eq!(ask(&mut tls, &inside).await.status, 200);
}
