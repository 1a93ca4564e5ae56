//! What does not get in, and how its sender is told.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::door::{Door, Reply, ask, basic, door, signature};

/// Refused, and the engine saw nothing but the refusal.
fn is_refused(door: &Door, reply: &Reply, status: u16, says: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    let told = format!("{}\n{}", reply.head, reply.body);
    assert!(told.contains(says), "{says:?} in {told}");
    assert!(!told.contains(&door.key), "{told}");
    assert_eq!(*door.seen.requests.lock().unwrap(), 0);
    let recorded = door.seen.turned_away.lock().unwrap();
    let last = recorded.last().expect("it is recorded");
    assert!(
        last.status.as_u16() == status && last.reason.contains(says),
        "{last:?}"
    );
    assert!(reply.header("x-amzn-requestid") == Some(&last.request_id.to_string()));
}

#[tokio::test]
async fn without_the_key_or_with_another() {
    let door = door().await;
    let wrong = format!("idp_proxy_{}", "A".repeat(43));
    let own = door.address;
    for (text, status, says) in [
        (
            "CONNECT s3.amazonaws.com:443 HTTP/1.1\r\nHost: s3.amazonaws.com:443\r\n\r\n"
                .to_owned(),
            407,
            "idp proxy env",
        ),
        (
            format!(
                "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nProxy-Authorization: {}\r\n\r\n",
                basic(&wrong)
            ),
            407,
            "not this proxy's",
        ),
        (
            "GET http://s3.amazonaws.com/ HTTP/1.1\r\nHost: s3.amazonaws.com\r\n\r\n".to_owned(),
            407,
            "idp proxy env",
        ),
        (
            "GET / HTTP/1.1\r\nHost: s3.amazonaws.com\r\n\r\n".to_owned(),
            401,
            "idp proxy env",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: {own}\r\n\r\n"),
            401,
            "idp proxy env",
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: s3.amazonaws.com\r\nAuthorization: {}\r\n\r\n",
                basic(&wrong)
            ),
            403,
            "neither this proxy's key",
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: {own}\r\nAuthorization: {}\r\n\r\n",
                signature("AKIAIOSFODNN7EXAMPLE", "s3")
            ),
            403,
            "AKIAIOSFODNN7EXAMPLE",
        ),
        (
            format!(
                "GET /?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2Fx HTTP/1.1\r\nHost: {own}\r\n\r\n"
            ),
            403,
            "AKIAIOSFODNN7EXAMPLE",
        ),
    ] {
        let reply = door.send(&text).await;
        is_refused(&door, &reply, status, says);
        let challenge = match status {
            401 => reply.header("www-authenticate"),
            407 => reply.header("proxy-authenticate"),
            _ => Some("Basic"),
        };
        assert!(
            challenge.is_some_and(|value| value.starts_with("Basic")),
            "{reply:?}"
        );
    }
    assert!(
        !door
            .seen
            .turned_away
            .lock()
            .unwrap()
            .iter()
            .any(|one| one.known)
    );
}

#[tokio::test]
async fn a_real_key_inside_a_tunnel() {
    let door = door().await;
    let host = "dynamodb.us-east-1.amazonaws.com";
    let mut tls = door.tls(host, host).await.unwrap();
    let signed = format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\n\
         Content-Type: application/x-amz-json-1.0\r\nContent-Length: 2\r\nAuthorization: {}\r\n\r\n{{}}",
        signature("AKIAIOSFODNN7EXAMPLE", "dynamodb")
    );
    let reply = ask(&mut tls, &signed).await;
    is_refused(&door, &reply, 403, "AKIAIOSFODNN7EXAMPLE");
    assert_eq!(reply.json()["__type"], "InvalidClientTokenId");
    assert_eq!(
        reply.header("content-type"),
        Some("application/x-amz-json-1.0")
    );
    assert!(door.seen.turned_away.lock().unwrap()[0].known);
}

/// An SDK shows an error that comes in its protocol's shape.
#[tokio::test]
async fn a_foreign_key_in_every_shape() {
    let door = door().await;
    for (service, more, says) in [
        (
            "s3",
            "",
            "<Error><Code>InvalidClientTokenId</Code><Message>",
        ),
        (
            "ec2",
            "",
            "<Response><Errors><Error><Code>InvalidClientTokenId",
        ),
        ("cloudfront", "", "<ErrorResponse><Error>"),
        (
            "iam",
            "Content-Type: application/x-www-form-urlencoded\r\n",
            "<ErrorResponse><Error>",
        ),
        ("lambda", "", "{\"message\":"),
        (
            "kms",
            "X-Amz-Target: TrentService.ListKeys\r\n",
            "\"__type\":\"InvalidClientTokenId\"",
        ),
    ] {
        let text = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\n{more}Content-Length: 0\r\nAuthorization: {}\r\n\r\n",
            door.address,
            signature("AKIAIOSFODNN7EXAMPLE", service)
        );
        let reply = door.send(&text).await;
        is_refused(&door, &reply, 403, "AKIAIOSFODNN7EXAMPLE");
        assert!(reply.body.contains(says), "{service}: {reply:?}");
        assert_eq!(
            reply.header("x-amzn-errortype"),
            Some("InvalidClientTokenId")
        );
    }
}

#[tokio::test]
async fn web_pages() {
    let door = door().await;
    let auth = door.basic();
    for text in [
        format!(
            "CONNECT s3.amazonaws.com:443 HTTP/1.1\r\nHost: s3.amazonaws.com:443\r\nOrigin: null\r\nProxy-Authorization: {auth}\r\n\r\n"
        ),
        format!(
            "GET / HTTP/1.1\r\nHost: s3.amazonaws.com\r\nOrigin: https://console.aws.amazon.com\r\nAuthorization: {auth}\r\n\r\n"
        ),
        "GET / HTTP/1.1\r\nHost: s3.amazonaws.com\r\nOrigin: x\r\n\r\n".to_owned(),
        format!(
            "GET http://s3.amazonaws.com/ HTTP/1.1\r\nHost: s3.amazonaws.com\r\norigin: x\r\nProxy-Authorization: {auth}\r\n\r\n"
        ),
    ] {
        let reply = door.send(&text).await;
        is_refused(&door, &reply, 403, "web page");
    }
    let mut tls = door
        .tls("s3.amazonaws.com", "s3.amazonaws.com")
        .await
        .unwrap();
    let reply = ask(
        &mut tls,
        "GET / HTTP/1.1\r\nHost: s3.amazonaws.com\r\nOrigin: x\r\n\r\n",
    )
    .await;
    is_refused(&door, &reply, 403, "web page");
}

#[tokio::test]
async fn tunnels_elsewhere() {
    let door = door().await;
    for (target, status, says) in [
        ("s3.amazonaws.com:80", 403, "port 443"),
        ("s3.amazonaws.com:22", 403, "port 443"),
        ("allowed.example:22", 403, "port 443"),
        ("example.com:443", 403, "tunnel_hosts"),
        ("s3.amazonaws.com.evil.com:443", 403, "tunnel_hosts"),
        ("169.254.169.254:443", 403, "AWS_EC2_METADATA_DISABLED"),
        ("[fd00:ec2::254]:443", 403, "addresses"),
        ("127.0.0.1:443", 403, "addresses"),
        ("2852039166:443", 400, "CONNECT cannot be read"),
        ("0xa9fea9fe:443", 400, "CONNECT cannot be read"),
        ("localhost:443", 403, "tunnel_hosts"),
        ("evil.com.:443", 400, "ends with a dot"),
        ("user@evil.com:443", 400, "user name"),
    ] {
        let auth = door.basic();
        let reply = door
            .send(&format!(
                "CONNECT {target} HTTP/1.1\r\nProxy-Authorization: {auth}\r\n\r\n"
            ))
            .await;
        is_refused(&door, &reply, status, says);
        // All that Python's http.client shows.
        let line = reply.head.lines().next().unwrap();
        assert!(line.contains(says), "{line}");
    }
    assert!(
        door.seen
            .turned_away
            .lock()
            .unwrap()
            .iter()
            .all(|one| one.known)
    );
}

/// An SDK reads what is said inside a tunnel, and shows nothing of one that is refused.
#[tokio::test]
async fn tunnels_to_aws_are_refused_inside() {
    let door = door().await;
    let own = door.basic();
    let wrong = basic(&format!("idp_proxy_{}", "A".repeat(43)));
    let host = "dynamodb.us-east-1.amazonaws.com";
    for (target, more, auth, status, says) in [
        (format!("{host}:443"), "", &wrong, 403, "not this proxy's"),
        (format!("{host}:8443"), "", &own, 403, "port 443"),
        (format!("{host}.:443"), "", &own, 400, "ends with a dot"),
        (
            format!("{host}:443"),
            "Host: sqs.us-east-1.amazonaws.com\r\n",
            &own,
            400,
            "must be the same host",
        ),
    ] {
        let mut stream = door.connect().await;
        let text =
            format!("CONNECT {target} HTTP/1.1\r\n{more}Proxy-Authorization: {auth}\r\n\r\n");
        assert_eq!(ask(&mut stream, &text).await.status, 200);
        let mut tls = door.tls_on(stream, host).await.unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {target}\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\n\
             Authorization: {}\r\nContent-Length: 2\r\n\r\n{{}}",
            door.signature("dynamodb")
        );
        let reply = ask(&mut tls, &request).await;
        is_refused(&door, &reply, status, says);
        assert!(reply.json()["message"].as_str().unwrap().contains(says));
        assert_eq!(reply.header("connection"), Some("close"));
        let recorded = door.seen.turned_away.lock().unwrap();
        let last = recorded.last().unwrap();
        assert_eq!(last.method, Some(http::Method::CONNECT));
        assert_eq!(last.known, *auth == own);
    }
    assert_eq!(door.seen.turned_away.lock().unwrap().len(), 4);
}

/// `localtest.me` is a public name with the address 127.0.0.1, as an attacker's would be.
#[tokio::test]
async fn a_name_that_is_allowed_and_leads_inside() {
    let door = door().await;
    let auth = door.basic();
    let reply = door
        .send(&format!(
            "CONNECT localtest.me:443 HTTP/1.1\r\nProxy-Authorization: {auth}\r\n\r\n"
        ))
        .await;
    // Where there is no network the name has no address at all.
    is_refused(&door, &reply, 502, "localtest.me cannot be reached");
    assert_eq!(door.seen.opened.lock().unwrap()[0].host, "localtest.me");
}

#[tokio::test]
async fn a_tunnel_that_cannot_be_recorded() {
    let door = door().await;
    *door.seen.log_is_full.lock().unwrap() = true;
    let reply = door
        .send(&format!(
            "CONNECT allowed.example:443 HTTP/1.1\r\nProxy-Authorization: {}\r\n\r\n",
            door.basic()
        ))
        .await;
    is_refused(&door, &reply, 503, "no space left");
    assert_eq!(door.seen.opened.lock().unwrap()[0].host, "allowed.example");
}

#[tokio::test]
async fn hosts_that_disagree() {
    let door = door().await;
    let auth = door.basic();
    let reply = door
        .send(&format!("GET http://s3.amazonaws.com/ HTTP/1.1\r\nHost: evil.com\r\nProxy-Authorization: {auth}\r\n\r\n"))
        .await;
    is_refused(&door, &reply, 400, "must be the same host");
    let mut tls = door
        .tls("s3.amazonaws.com", "s3.amazonaws.com")
        .await
        .unwrap();
    for (text, says) in [
        (
            "GET / HTTP/1.1\r\nHost: sts.amazonaws.com\r\n\r\n",
            "must be the same host",
        ),
        (
            "GET https://sts.amazonaws.com/ HTTP/1.1\r\nHost: s3.amazonaws.com\r\n\r\n",
            "must be the same host",
        ),
        (
            "GET / HTTP/1.1\r\nHost: s3.amazonaws.com.\r\n\r\n",
            "ends with a dot",
        ),
        (
            "GET / HTTP/1.1\r\nHost: s3.amazonaws.com:8443\r\n\r\n",
            "port 8443",
        ),
        (
            "GET / HTTP/1.1\r\nHost: x@s3.amazonaws.com\r\n\r\n",
            "user name",
        ),
        ("GET / HTTP/1.1\r\n\r\n", "no Host"),
    ] {
        let reply = ask(&mut tls, text).await;
        let status = if says.starts_with("port") { 403 } else { 400 };
        is_refused(&door, &reply, status, says);
    }
}

#[tokio::test]
async fn a_server_name_that_is_not_the_tunnels() {
    let door = door().await;
    let error = door
        .tls("s3.amazonaws.com", "sts.amazonaws.com")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("alert"), "{error}");
    let recorded = door.seen.turned_away.lock().unwrap();
    assert!(
        recorded[0].reason.contains("TLS names sts.amazonaws.com"),
        "{recorded:?}"
    );
}

#[tokio::test]
async fn plain_requests_for_other_hosts() {
    let door = door().await;
    let auth = door.basic();
    for (line, host, status, says) in [
        ("http://example.com/", "example.com", 403, "HTTP_PROXY"),
        (
            "http://169.254.169.254/latest/meta-data/",
            "169.254.169.254",
            403,
            "AWS_EC2_METADATA_DISABLED",
        ),
        (
            "http://s3.amazonaws.com:8080/",
            "s3.amazonaws.com:8080",
            403,
            "port 8080",
        ),
        ("ftp://s3.amazonaws.com/", "s3.amazonaws.com", 400, "scheme"),
        (
            "http://u:p@s3.amazonaws.com/",
            "s3.amazonaws.com",
            400,
            "user name",
        ),
        (
            "http://s3.amazonaws.com./",
            "s3.amazonaws.com.",
            400,
            "ends with a dot",
        ),
        ("/", "evil.example", 403, "evil.example"),
        ("/", "169.254.169.254", 403, "169.254.169.254"),
        ("/", "s3.amazonaws.com.evil.com", 403, "evil.com"),
        ("/", "s3.amazonaws.com.", 400, "ends with a dot"),
    ] {
        let reply = door
            .send(&format!(
                "GET {line} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: {auth}\r\n\r\n"
            ))
            .await;
        is_refused(&door, &reply, status, says);
        let recorded = door.seen.turned_away.lock().unwrap();
        assert!(!format!("{recorded:?}").contains("u:p"), "{recorded:?}");
    }
}

#[tokio::test]
async fn lengths_and_hosts_that_are_said_twice() {
    let door = door().await;
    let auth = door.basic();
    for twice in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Host: s3.amazonaws.com\r\n",
    ] {
        let mut stream = door.connect().await;
        let text = format!(
            "POST / HTTP/1.1\r\nHost: s3.amazonaws.com\r\nAuthorization: {auth}\r\n{twice}\r\n0\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nHost: s3.amazonaws.com\r\nAuthorization: {auth}\r\n\r\n"
        );
        let reply = ask(&mut stream, &text).await;
        is_refused(&door, &reply, 400, "more than one way");
        let mut rest = String::new();
        drop(stream.read_to_string(&mut rest).await);
        assert!(!rest.contains("HTTP/1.1 200"), "{twice}: {rest}");
    }
    for bad in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Content-Length: -1\r\n",
    ] {
        let mut stream = door.connect().await;
        let text = format!(
            "POST / HTTP/1.1\r\nHost: s3.amazonaws.com\r\nAuthorization: {auth}\r\n{bad}\r\n"
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert!(rest.starts_with("HTTP/1.1 400"), "{bad}: {rest}");
    }
    assert_eq!(*door.seen.requests.lock().unwrap(), 0);
}

#[tokio::test]
async fn heads_that_are_too_large() {
    let door = door().await;
    let big = format!(
        "GET / HTTP/1.1\r\nHost: s3.amazonaws.com\r\nX: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    let reply = ask(&mut door.connect().await, &big).await;
    assert_eq!(reply.status, 431);
    let many = "X: y\r\n".repeat(600);
    let text = format!("GET / HTTP/1.1\r\nHost: s3.amazonaws.com\r\n{many}\r\n");
    assert_eq!(door.send(&text).await.status, 431);
    assert_eq!(
        door.send("GET / HTTP/1.1\r\nHost : x\r\n\r\n").await.status,
        400
    );
    // Nobody but the record says why.
    for _ in 0..100 {
        if door.seen.turned_away.lock().unwrap().len() == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let recorded = door.seen.turned_away.lock().unwrap();
    for (one, (status, says)) in
        recorded
            .iter()
            .zip([(431, "64 KiB"), (431, "512 headers"), (400, "not HTTP/1.1")])
    {
        assert_eq!(one.status, status);
        assert!(one.reason.contains(says) && !one.known, "{one:?}");
    }
    assert_eq!(recorded.len(), 3);
}

#[tokio::test]
async fn a_refused_upload_still_reads_its_answer() {
    let door = door().await;
    let mut stream = door.connect().await;
    let head = "PUT /k HTTP/1.1\r\nHost: s3.amazonaws.com\r\nContent-Length: 2000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; 2_000_000]).await.unwrap();
    let reply = super::door::read(&mut stream, false).await;
    is_refused(&door, &reply, 401, "idp proxy env");
}
