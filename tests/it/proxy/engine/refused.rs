//! What must not be reached: refused in the client's own shape, recorded, and nothing of it reaches AWS.

use tokio::io::AsyncWriteExt as _;

use super::world::{Setup, read_some, world, world_with};
use idp::ports::CredentialError;

const BUCKET: &str = "bucket.s3.eu-central-1.amazonaws.com";
const SECRET: &str = "secret.s3.eu-central-1.amazonaws.com";
const DYNAMODB: &str = "dynamodb.eu-west-1.amazonaws.com";

#[tokio::test]
async fn in_the_shape_of_each_protocol() {
    let world = world().await;
    let form = "application/x-www-form-urlencoded";
    let cases = [
        (
            world.request("GET", SECRET, "/k"),
            "",
            403,
            "<Error><Code>AccessDenied</Code>",
        ),
        (
            world
                .request("POST", DYNAMODB, "/")
                .header("x-amz-target", "DynamoDB_20120810.DeleteTable")
                .header("content-type", "application/x-amz-json-1.0"),
            r#"{"TableName":"t"}"#,
            400,
            "{\"__type\":\"AccessDeniedException\"",
        ),
        (
            world
                .request("POST", "iam.amazonaws.com", "/")
                .header("content-type", form),
            "Action=DeleteUser&UserName=u&Version=2010-05-08",
            403,
            "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>",
        ),
        (
            world
                .request("POST", "ec2.eu-west-1.amazonaws.com", "/")
                .header("content-type", form),
            "Action=DeleteVpc&VpcId=vpc-1&Version=2016-11-15",
            403,
            "<Response><Errors><Error><Code>UnauthorizedOperation</Code>",
        ),
        (
            world.request(
                "DELETE",
                "lambda.us-east-1.amazonaws.com",
                "/2015-03-31/functions/f",
            ),
            "",
            403,
            "{\"message\":",
        ),
        (
            world.request(
                "DELETE",
                "route53.amazonaws.com",
                "/2013-04-01/hostedzone/Z1",
            ),
            "",
            403,
            "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>",
        ),
    ];
    let count = cases.len();
    for (request, body, status, begins) in cases {
        let got = world.send(request, body).await;
        assert_eq!(got.status, status, "{}", got.text());
        assert!(got.text().contains(begins), "{begins}: {}", got.text());
        assert!(
            got.text().contains("is blocked by the rule"),
            "{}",
            got.text()
        );
        assert!(got.headers.contains_key("x-amzn-requestid"));
    }
    world.nothing_happened();
    for record in world.records(count).await {
        assert_eq!(record["decision"], "block", "{record}");
        assert!(record["rule"].as_str().unwrap().starts_with("no "));
        assert!(record["reason"].as_str().unwrap().contains("is blocked by"));
    }
}

#[tokio::test]
async fn head_in_headers_alone() {
    let world = world().await;
    let got = world.send(world.request("HEAD", SECRET, "/k"), "").await;
    assert_eq!((got.status.as_u16(), got.body.len()), (403, 0));
    assert!(
        got.headers["x-idp-reason"]
            .to_str()
            .unwrap()
            .contains("no secrets")
    );
    world.nothing_happened();
}

#[tokio::test]
async fn before_a_byte_of_the_body_is_read() {
    let world = world().await;
    let mut stream = world
        .raw(&format!(
            "PUT /k HTTP/1.1\r\nHost: {SECRET}\r\nProxy-Authorization: {}\r\nExpect: 100-continue\r\n\
             Content-Length: 1000000\r\n\r\n",
            world.basic()
        ))
        .await;
    let answer = read_some(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(!answer.contains("100 Continue"));
    world.nothing_happened();

    let mut stream = world
        .raw(&format!(
            "PUT /k HTTP/1.1\r\nHost: {BUCKET}\r\nProxy-Authorization: {}\r\nExpect: 100-continue\r\n\
             Content-Length: 3\r\n\r\n",
            world.basic()
        ))
        .await;
    let answer = read_some(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 100 "), "{answer}");
    stream.write_all(b"abc").await.unwrap();
    assert!(read_some(&mut stream).await.starts_with("HTTP/1.1 200 "));
    assert!(!world.aws.only().headers.contains_key("expect"));
}

#[tokio::test]
async fn who_is_sending_already_reads_the_answer() {
    let world = world().await;
    let got = world
        .send(world.request("PUT", SECRET, "/k"), vec![0; 3_000_000])
        .await;
    assert_eq!(got.status, 403);
    world.nothing_happened();
}

#[tokio::test]
async fn what_the_body_names_is_judged() {
    let world = world().await;
    let item = |operation: &str| {
        world
            .request("POST", DYNAMODB, "/")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
    };
    let got = world
        .send(item("GetItem"), r#"{"TableName":"payroll","Key":{}}"#)
        .await;
    assert!(got.text().contains("not that table"), "{}", got.text());
    let long = format!(
        r#"{{"TableName":"orders","Item":"{}"}}"#,
        "x".repeat(1024 * 1024)
    );
    let got = world.send(item("PutItem"), long).await;
    assert_eq!(got.status, 400);
    assert!(got.text().contains("longer than 1 MiB"), "{}", got.text());
    let packed = item("PutItem").header("content-encoding", "gzip");
    let got = world.send(packed, "\x1f").await;
    assert_eq!(got.status, 400, "{}", got.text());
    world.nothing_happened();
}

#[tokio::test]
async fn operations_that_hand_out_credentials() {
    let world = world().await;
    let form = "application/x-www-form-urlencoded";
    let sts = world
        .request("POST", "sts.eu-west-1.amazonaws.com", "/")
        .header("content-type", form);
    let assume = "Action=AssumeRole&Version=2011-06-15&RoleSessionName=s&RoleArn=arn%3Aaws%3Aiam%3A%3A999999999999%3Arole%2Fadmin";
    let got = world.send(sts, assume).await;
    assert_eq!(got.status, 403, "{}", got.text());
    let secret = world
        .request("POST", "secretsmanager.eu-west-1.amazonaws.com", "/")
        .header("x-amz-target", "secretsmanager.GetSecretValue");
    let got = world.send(secret, r#"{"SecretId":"s"}"#).await;
    assert_eq!(got.status, 400, "{}", got.text());
    let session = world.request(
        "GET",
        "bucket--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
        "/?session",
    );
    let got = world.send(session, "").await;
    assert_eq!(got.status, 403, "{}", got.text());
    world.nothing_happened();
    assert_eq!(world.records(3).await.len(), 3);
}

/// What an agent did must not be pushed out of the log by what it was refused.
#[tokio::test]
async fn refusals_do_not_fill_the_log() {
    let world = world().await;
    let put = world.request("PUT", BUCKET, "/k");
    assert_eq!(world.send(put, "x").await.status, 200);
    for n in 0..30 {
        let refused = world.request("DELETE", BUCKET, "/k");
        assert_eq!(world.send(refused, "").await.status, 403, "{n}");
    }
    // Within a minute, or in two.
    let get = world.request("GET", BUCKET, "/k");
    assert_eq!(world.send(get, "").await.status, 200);
    let mut text = String::new();
    for _ in 0..100 {
        text = std::fs::read_to_string(&world.log_file).unwrap();
        if text.contains("\"unrecorded\":") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let refused = text.matches("s3:DeleteObject\"]").count();
    assert!(refused == 10 || refused == 20, "{text}");
    let counted: u64 = text
        .lines()
        .filter_map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            record["unrecorded"].as_u64()
        })
        .sum();
    assert_eq!(counted, 30 - refused as u64, "{text}");
}

#[tokio::test]
async fn hosts_that_are_not_aws_services() {
    let world = world().await;
    for host in [
        "169.254.169.254",
        "s3.amazonaws.com.evil.com",
        "abc123.execute-api.eu-west-1.amazonaws.com",
        "abc123.lambda-url.eu-west-1.on.aws",
        "search-x-abc.eu-west-1.es.amazonaws.com",
        "lb-1.eu-west-1.elb.amazonaws.com",
        "nonsense.eu-west-1.amazonaws.com",
    ] {
        let got = world.send(world.request("GET", host, "/"), "").await;
        assert!(got.status.is_client_error(), "{host}: {}", got.text());
    }
    world.nothing_happened();
    for record in world.records(7).await {
        assert_eq!(record["decision"], "block");
    }
}

#[tokio::test]
async fn a_name_that_leads_inside() {
    for address in [
        "169.254.169.254:443",
        "10.0.0.1:443",
        "127.0.0.1:443",
        "[fd00:ec2::254]:443",
    ] {
        let world = world_with(Setup {
            resolves_to: Some(address.parse().unwrap()),
            ..Setup::default()
        })
        .await;
        let got = world.send(world.request("GET", BUCKET, "/k"), "").await;
        assert_eq!(got.status, 403);
        assert!(
            got.text().contains("which is not fetched from here"),
            "{}",
            got.text()
        );
        assert_eq!(
            world
                .aws
                .connections
                .load(std::sync::atomic::Ordering::SeqCst),
            0
        );
        assert_eq!(world.records(2).await[1]["decision"], "block");
    }
}

#[tokio::test]
async fn another_key_another_scope_and_internal_headers() {
    let world = world().await;
    let foreign = world.request("GET", BUCKET, "/k").header(
        "authorization",
        world
            .dummy("eu-central-1", "s3")
            .replace(&world.key, "AKIAIOSFODNN7EXAMPLE"),
    );
    let scope = world
        .request("GET", BUCKET, "/k")
        .header("authorization", world.dummy("eu-central-1", "dynamodb"));
    let old = world
        .request("GET", BUCKET, "/k")
        .header("authorization", format!("AWS {}:c2lnbmF0dXJl", world.key));
    let internal = world
        .request("GET", BUCKET, "/k")
        .header("x-idp-role", "arn:aws:iam::999999999999:role/admin");
    for request in [foreign, scope, old, internal] {
        let got = world.send(request, "").await;
        assert!(got.status.is_client_error(), "{}", got.text());
    }
    world.nothing_happened();
}

#[tokio::test]
async fn what_nobody_recognises_is_never_signed() {
    let world = world().await;
    for request in [
        world
            .request("POST", DYNAMODB, "/")
            .header("x-amz-target", "DynamoDB_20120810.Nonsense"),
        world.request("POST", DYNAMODB, "/"),
        world.request(
            "PATCH",
            "lambda.us-east-1.amazonaws.com",
            "/2015-03-31/functions/f",
        ),
    ] {
        let got = world.send(request, "{}").await;
        assert!(got.status.is_client_error(), "{}", got.text());
    }
    world.nothing_happened();
}

#[tokio::test]
async fn where_the_log_is_down() {
    let world = world().await;
    *world.log.down.lock().unwrap() = true;
    let got = world.send(world.request("PUT", BUCKET, "/k"), "x").await;
    assert_eq!(got.status, 503);
    assert!(got.text().contains("ProxyLogUnavailable"), "{}", got.text());
    assert_eq!(world.aws.count(), 0);
    *world.log.down.lock().unwrap() = false;
    let got = world.send(world.request("PUT", BUCKET, "/k"), "x").await;
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn where_there_are_no_credentials() {
    let world = world().await;
    let role = || "arn:aws:iam::123456789012:role/agent".parse().unwrap();
    for (error, status) in [
        (
            CredentialError::Refused {
                role: role(),
                reason: "AccessDenied".to_owned(),
            },
            403,
        ),
        (
            CredentialError::Unavailable {
                role: role(),
                reason: "STS is away".to_owned(),
            },
            503,
        ),
    ] {
        *world.sessions.fails.lock().unwrap() = Some(error);
        let got = world.send(world.request("GET", BUCKET, "/k"), "").await;
        assert_eq!(got.status, status);
        assert!(got.text().contains("ProxyCredentials"), "{}", got.text());
    }
    assert_eq!(world.aws.count(), 0);
    for record in world.records(2).await {
        assert_eq!(record["decision"], "allow");
    }
}

#[tokio::test]
async fn without_a_rule_nothing_goes_on() {
    let world = world_with(Setup {
        rules: "[[role]]\narn = \"arn:aws:iam::123456789012:role/agent\"\n",
        ..Setup::default()
    })
    .await;
    let got = world.send(world.request("GET", BUCKET, "/k"), "").await;
    assert!(
        got.text().contains("no rule allows s3:GetObject"),
        "{}",
        got.text()
    );
    world.nothing_happened();
}
