//! What is allowed: signed anew, with nothing of what the client presented, and recorded.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;

use super::{
    aws::{ACCESS_KEY, Reply, ok},
    world::{Setup, world, world_with},
};

const DYNAMODB: &str = "dynamodb.eu-west-1.amazonaws.com";
const BUCKET: &str = "bucket.s3.eu-central-1.amazonaws.com";

fn get_item(world: &super::world::World) -> http::request::Builder {
    world
        .request("POST", DYNAMODB, "/")
        .header("x-amz-target", "DynamoDB_20120810.GetItem")
        .header("content-type", "application/x-amz-json-1.0")
}

const ITEM: &str = r#"{"TableName":"orders","Key":{"id":{"S":"1"}}}"#;

#[tokio::test]
async fn a_read_is_signed_and_recorded() {
    let world = world().await;
    world.aws.answers(|_| ok("{}"));
    let got = world.send(get_item(&world), ITEM).await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (200, &b"{}"[..]));
    let reached = world.aws.only();
    assert_eq!((&*reached.method, &*reached.host), ("POST", DYNAMODB));
    assert!(
        reached
            .header("authorization")
            .contains("/eu-west-1/dynamodb/aws4_request")
    );
    let records = world.records(2).await;
    // What is known before it is sent stands in its first record as well.
    for (record, phase) in records.iter().zip(["sending", "answered"]) {
        assert_eq!(record["phase"], phase);
        assert_eq!(record["session"], "env");
        assert_eq!(record["subject"], "org:o/env:e");
        assert_eq!(record["region"], "eu-west-1");
    }
    let record = &records[1];
    assert_eq!(record["service"], "dynamodb");
    assert_eq!(record["operation"], "GetItem");
    assert_eq!(record["actions"], serde_json::json!(["dynamodb:GetItem"]));
    assert_eq!(
        record["resources"][0],
        "arn:aws:dynamodb:eu-west-1:*:table/orders"
    );
    assert_eq!(record["decision"], "allow");
    assert_eq!(record["rule"], "everything");
    assert_eq!(record["role"], "arn:aws:iam::123456789012:role/agent");
    assert_eq!(record["way"], "plain");
    assert_eq!(record["aws_request_id"], "aws-request-1");
    assert_eq!(record["status"], 200);
    assert_eq!(record["bytes_in"], ITEM.len());
    assert_eq!(record["bytes_out"], 2);
    assert!(record["duration_ms"].is_u64());
}

/// A download of a day is known of while it goes on.
#[tokio::test]
async fn a_read_is_recorded_before_its_answer_ends() {
    let world = world().await;
    world.aws.answers(|_| Reply::Silence);
    let _waits = world
        .raw(&format!(
            "GET /k HTTP/1.1\r\nHost: {BUCKET}\r\nProxy-Authorization: {}\r\n\r\n",
            world.basic()
        ))
        .await;
    let record = &world.records(1).await[0];
    assert_eq!(
        (&record["phase"], &record["path"]),
        (&"sending".into(), &"/k".into())
    );
}

#[tokio::test]
async fn a_change_is_on_the_disk_before_it_is_sent() {
    let world = world().await;
    let file = world.log_file.clone();
    world.aws.answers(move |_| {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("\"phase\":\"sending\"") && text.contains("\"path\":\"/k\""),
            "{text}"
        );
        ok("")
    });
    let got = world
        .send(
            world.request("PUT", BUCKET, "/k?tagging=secret-tag"),
            "<Tagging/>",
        )
        .await;
    assert_eq!(got.status, 200, "{}", got.text());
    let records = world.records(2).await;
    assert_eq!(records[0]["request_id"], records[1]["request_id"]);
    assert_eq!(records[1]["phase"], "answered");
    assert_eq!(records[1]["seq"], 2);
    assert!(!records[1].to_string().contains("secret-tag"));
}

#[tokio::test]
async fn nothing_that_the_client_presented_goes_on() {
    let world = world().await;
    // Its clock is years off, too.
    let request = world
        .request("GET", BUCKET, "/k?X-Amz-Meaningless=1")
        .header("authorization", world.dummy("eu-central-1", "s3"))
        .header("x-amz-date", "20200101T000000Z")
        .header("x-amz-security-token", "dummy-token")
        .header("x-forwarded-for", "10.0.0.1")
        .header("connection", "x-private")
        .header("x-private", "1")
        .header("te", "trailers")
        .header("range", "bytes=0-9");
    let got = world.send(request, "").await;
    assert_eq!(got.status, 200, "{}", got.text());
    let reached = world.aws.only();
    let all = format!("{:?}", reached.headers);
    for gone in [
        &world.key[..],
        "dummy-token",
        "2020",
        "proxy-",
        "forwarded",
        "x-private",
    ] {
        assert!(!all.contains(gone), "{gone}: {all}");
    }
    assert_eq!(reached.header("range"), "bytes=0-9");
}

#[tokio::test]
async fn a_presigned_url_is_signed_anew() {
    let world = world().await;
    let target = format!(
        "/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}%2F20200101%2Feu-central-1%2Fs3%2Faws4_request\
         &X-Amz-Date=20200101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature={}&versionId=v",
        world.key,
        "0".repeat(64)
    );
    let request = http::Request::builder().uri(target).header("host", BUCKET);
    let got = world.send(request, "").await;
    assert_eq!(got.status, 200, "{}", got.text());
    let reached = world.aws.only();
    assert_eq!(reached.target, "/k?versionId=v");
}

#[tokio::test]
async fn an_overridden_endpoint_takes_the_service_from_the_dummy_signature() {
    let world = world().await;
    let own = world.proxy.to_string();
    for (host, region, service, target, wanted) in [
        (own.clone(), "eu-west-1", "dynamodb", "/", DYNAMODB),
        (
            own.clone(),
            "eu-central-1",
            "s3",
            "/bucket/k",
            "s3.eu-central-1.amazonaws.com",
        ),
        (
            format!("bucket.localhost:{}", world.proxy.port()),
            "eu-central-1",
            "s3",
            "/k",
            BUCKET,
        ),
    ] {
        world.aws.reached.lock().unwrap().clear();
        let mut request = http::Request::builder()
            .method(if service == "s3" { "GET" } else { "POST" })
            .uri(target)
            .header("host", host)
            .header("authorization", world.dummy(region, service));
        if service == "dynamodb" {
            request = request.header("x-amz-target", "DynamoDB_20120810.GetItem");
        }
        let got = world
            .send(request, if service == "s3" { "" } else { ITEM })
            .await;
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(world.aws.only().host, wanted);
    }
}

#[tokio::test]
async fn answers_pass_untouched() {
    let world = world().await;
    let s3 = |target: &str| world.request("GET", BUCKET, target);
    let redirect = "<Error><Code>PermanentRedirect</Code></Error>";
    for (status, headers, body) in [
        (
            200,
            vec![("content-encoding", "gzip"), ("etag", "\"x\"")],
            &b"\x1f\x8b"[..],
        ),
        (206, vec![("content-range", "bytes 0-1/9")], b"ab"),
        (
            301,
            vec![("x-amz-bucket-region", "eu-west-3")],
            redirect.as_bytes(),
        ),
        (
            307,
            vec![("location", "https://elsewhere.s3.amazonaws.com/k")],
            b"",
        ),
        (304, vec![("etag", "\"x\"")], b""),
        (204, vec![], b""),
        (
            503,
            vec![("retry-after", "1")],
            b"<Error><Code>SlowDown</Code></Error>",
        ),
    ] {
        let (sent, bytes) = (headers.clone(), Bytes::copy_from_slice(body));
        world
            .aws
            .answers(move |_| Reply::Http(status, sent.clone(), bytes.clone()));
        let before = world.aws.count();
        let got = world.send(s3("/k"), "").await;
        assert_eq!((got.status.as_u16(), &got.body[..]), (status, body));
        for (name, value) in headers {
            assert_eq!(got.headers[name], value);
        }
        assert!(!got.headers.contains_key("x-idp-refused"));
        assert_eq!(world.aws.count(), before + 1);
    }
    world
        .aws
        .answers(|_| Reply::Http(200, vec![("content-length", "9")], Bytes::new()));
    let got = world.send(world.request("HEAD", BUCKET, "/k"), "").await;
    assert_eq!(got.headers["content-length"], "9");
}

const EVERYTHING: &str = r#"
[[role]]
arn = "arn:aws:iam::123456789012:role/agent"

[[rule]]
name = "everything"
effect = "allow"
actions = ["*"]
"#;

#[tokio::test]
async fn a_multi_region_access_point_gets_a_signature_of_version_4a() {
    // Without a rule that blocks a bucket: nobody knows which one is behind the access point.
    let world = world_with(Setup {
        rules: EVERYTHING,
        ..Setup::default()
    })
    .await;
    let host = "mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com";
    let got = world.send(world.request("GET", host, "/k"), "").await;
    assert_eq!(got.status, 200, "{}", got.text());
    let reached = world.aws.only();
    assert!(
        reached
            .header("authorization")
            .starts_with("AWS4-ECDSA-P256-SHA256 Credential=")
    );
    assert!(reached.header("authorization").contains(ACCESS_KEY));
    assert_eq!(reached.header("x-amz-region-set"), "*");
}

#[tokio::test]
async fn iam_signs_in_its_own_region() {
    let world = world().await;
    let request = world
        .request("POST", "iam.amazonaws.com", "/")
        .header("content-type", "application/x-www-form-urlencoded");
    let got = world
        .send(request, "Action=ListUsers&Version=2010-05-08")
        .await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert!(
        world
            .aws
            .only()
            .header("authorization")
            .contains("/us-east-1/iam/")
    );
}

#[tokio::test]
async fn an_expired_session_is_replaced_once() {
    let world = world().await;
    let json = r#"{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"m"}"#;
    let first = std::sync::atomic::AtomicBool::new(true);
    world.aws.answers(move |_| {
        if first.swap(false, Ordering::SeqCst) {
            Reply::Http(400, Vec::new(), Bytes::from_static(json.as_bytes()))
        } else {
            ok("{}")
        }
    });
    let got = world.send(get_item(&world), ITEM).await;
    assert_eq!(got.status, 200);
    assert_eq!(world.aws.count(), 2);
    assert_eq!(world.sessions.forgotten.load(Ordering::SeqCst), 1);
    let bodies: Vec<_> = world
        .aws
        .reached
        .lock()
        .unwrap()
        .iter()
        .map(|one| one.body.clone())
        .collect();
    assert_eq!(bodies[0], bodies[1]);

    // Not twice, and nothing else is tried again.
    for (status, body) in [
        (400, json),
        (400, "{\"__type\":\"ValidationException\"}"),
        (500, "{}"),
    ] {
        world.aws.reached.lock().unwrap().clear();
        world
            .aws
            .answers(move |_| Reply::Http(status, Vec::new(), Bytes::from_static(body.as_bytes())));
        let got = world.send(get_item(&world), ITEM).await;
        assert_eq!((got.status.as_u16(), got.text().as_str()), (status, body));
        assert_eq!(world.aws.count(), if body == json { 2 } else { 1 });
    }
}

#[tokio::test]
async fn connections_are_kept_and_a_stale_one_is_replaced() {
    let world = world().await;
    for _ in 0..5 {
        world.send(get_item(&world), ITEM).await;
    }
    assert_eq!(world.aws.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn http_2_towards_aws() {
    let world = world_with(Setup {
        h2: true,
        ..Setup::default()
    })
    .await;
    for number in 1..4 {
        let got = world.send(get_item(&world), ITEM).await;
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(world.aws.count(), number);
    }
    let reached = world.aws.reached.lock().unwrap().clone();
    for one in reached {
        assert_eq!(one.signature, Ok(()));
        assert_eq!(one.version, http::Version::HTTP_2);
        assert!(!one.headers.contains_key("host"));
    }
    assert_eq!(world.aws.connections.load(Ordering::SeqCst), 1);
    let big = vec![7; 300_000];
    let put = world
        .send(world.request("PUT", BUCKET, "/k"), big.clone())
        .await;
    assert_eq!(put.status, 200);
    let last = world.aws.reached.lock().unwrap().last().cloned().unwrap();
    assert_eq!(
        (last.signature, last.body.unwrap().len()),
        (Ok(()), big.len())
    );
}

/// As much metadata as Amazon S3 takes, there and back.
#[tokio::test]
async fn an_object_with_two_kilobytes_of_metadata() {
    const NAMES: usize = 256;
    let world = world().await;
    world.aws.answers(|_| {
        let metadata = (0..NAMES).map(|n| {
            let name: &'static str = format!("x-amz-meta-k{n:03}").leak();
            (name, "abcd")
        });
        Reply::Http(200, metadata.collect(), Bytes::new())
    });
    let mut put = world.request("PUT", BUCKET, "/k");
    for n in 0..NAMES {
        put = put.header(format!("x-amz-meta-k{n:03}"), "abcd");
    }
    let got = world.send(put, "x").await;
    assert_eq!(got.status, 200, "{}", got.text());
    let metadata = |headers: &http::HeaderMap| {
        let names = headers.keys();
        names
            .filter(|name| name.as_str().starts_with("x-amz-meta-"))
            .count()
    };
    assert_eq!(metadata(&got.headers), NAMES);
    let reached = world.aws.only();
    assert_eq!(metadata(&reached.headers), NAMES);
    assert_eq!(reached.signature, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_at_once() {
    let world = Arc::new(world().await);
    world.aws.answers(|_| ok("{}"));
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move {
                for _ in 0..3 {
                    let put = world.request("PUT", BUCKET, "/k");
                    assert_eq!(world.send(put, "x").await.status, 200);
                    assert_eq!(world.send(get_item(&world), ITEM).await.status, 200);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(world.aws.count(), 1200);
    assert!(
        world
            .aws
            .reached
            .lock()
            .unwrap()
            .iter()
            .all(|one| one.signature.is_ok())
    );
    world.records(2400).await;
}
