//! Paths and queries: policy, signature and wire see the same bytes.

use proptest::{prelude::*, test_runner::TestRunner};

use super::world::world;

const S3: &str = "s3.eu-central-1.amazonaws.com";
const BUCKET: &str = "bucket.s3.eu-central-1.amazonaws.com";

#[tokio::test]
async fn keys_reach_s3_as_they_were_judged() {
    let world = world().await;
    for (sent, wired) in [
        ("/bucket/a%20b", "/bucket/a%20b"),
        ("/bucket/a+b", "/bucket/a%20b"),
        ("/bucket/a%2Bb", "/bucket/a%2Bb"),
        ("/bucket/%c3%a9", "/bucket/%C3%A9"),
        ("/bucket/a//b", "/bucket/a//b"),
        ("/bucket//leading", "/bucket//leading"),
        ("/bucket/a/../b", "/bucket/a/../b"),
        ("/bucket/%2e%2e/secret", "/bucket/../secret"),
        ("/bucket/a%2Fb", "/bucket/a/b"),
        ("/bucket/a%252Fb", "/bucket/a%252Fb"),
        ("/bucket/@=:~$", "/bucket/%40%3D%3A~%24"),
        ("/bucket/a%3Fb", "/bucket/a%3Fb"),
        ("/bucket/k?acl", "/bucket/k?acl="),
        ("/bucket/k?acl=", "/bucket/k?acl="),
        (
            "/bucket/k?versionId=b&response-cache-control=a",
            "/bucket/k?response-cache-control=a&versionId=b",
        ),
    ] {
        world.aws.reached.lock().unwrap().clear();
        let got = world.send(world.request("GET", S3, sent), "").await;
        assert_eq!(got.status, 200, "{sent}: {}", got.text());
        let reached = world.aws.only();
        assert_eq!(reached.target, wired, "{sent}");
    }
}

#[tokio::test]
async fn other_services_get_what_was_judged_or_nothing() {
    let world = world().await;
    let lambda = "lambda.us-east-1.amazonaws.com";
    let bedrock = "bedrock-runtime.us-east-1.amazonaws.com";
    let arn = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Af/invocations";
    for (method, host, sent, wired) in [
        ("POST", lambda, arn, arn),
        (
            "POST",
            lambda,
            "/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:f/invocations",
            arn,
        ),
        (
            "POST",
            bedrock,
            "/model/anthropic.claude-v2:1/invoke",
            "/model/anthropic.claude-v2%3A1/invoke",
        ),
    ] {
        world.aws.reached.lock().unwrap().clear();
        let got = world.send(world.request(method, host, sent), "{}").await;
        assert_eq!(got.status, 200, "{sent}: {}", got.text());
        assert_eq!(world.aws.only().target, wired);
    }
    world.aws.reached.lock().unwrap().clear();
    for sent in [
        "/2015-03-31/functions/a/../b/invocations",
        "/2015-03-31/functions/a%2F..%2Fb/invocations",
        "/2015-03-31//functions/f/invocations",
        "/2015-03-31/functions/%2e%2e/invocations",
    ] {
        let got = world.send(world.request("POST", lambda, sent), "{}").await;
        assert_eq!(got.status, 400, "{sent}");
        assert!(
            got.text().contains("only Amazon S3 takes literally"),
            "{}",
            got.text()
        );
    }
    assert_eq!(world.aws.count(), 0);
}

/// Nobody gets at the bucket `secret`, however its name or that of its neighbour is written.
#[test]
fn no_spelling_slips_past_a_rule() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(world());
    let part = prop::sample::select(vec![
        "bucket",
        "secret",
        "s%65cret",
        "..",
        ".",
        "%2e%2e",
        "%2F",
        "/",
        "//",
        "%252e",
        "%2E",
        "+",
        "%20",
        "\\",
        "?x=/",
        "?prefix=..",
        "%00",
        "%c3%a9",
        "*",
        "#",
        ";",
        "k",
    ]);
    let path = prop::collection::vec(part, 1..6).prop_map(|parts| format!("/{}", parts.concat()));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(200));
    let outcome = runner.run(&(path, any::<bool>()), |(path, virtual_hosted)| {
        let Ok(uri) = path.parse::<http::Uri>() else {
            return Ok(());
        };
        let Some(target) = uri.path_and_query() else {
            return Ok(());
        };
        let host = if virtual_hosted { BUCKET } else { S3 };
        let request = world.request("GET", host, target.as_str());
        world.aws.reached.lock().unwrap().clear();
        let got = runtime.block_on(world.send(request, ""));
        let reached = world.aws.reached.lock().unwrap().clone();
        for one in reached {
            prop_assert_eq!(&one.signature, &Ok(()));
            prop_assert!(one.host == S3 || one.host == BUCKET);
            let bucket = if virtual_hosted {
                "bucket".to_owned()
            } else {
                let first = one.target[1..].split(['/', '?']).next().unwrap();
                percent_encoding::percent_decode_str(first)
                    .decode_utf8()
                    .unwrap()
                    .into_owned()
            };
            prop_assert_ne!(bucket, "secret");
            prop_assert_eq!(got.status.as_u16(), 200);
        }
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test]
async fn parameters_are_judged_as_they_are_sent() {
    let world = world().await;
    // `?delete` is another operation than an upload, and `?policy` another than an object.
    let got = world
        .send(world.request("POST", BUCKET, "/?delete"), "<Delete/>")
        .await;
    assert_eq!(got.status, 403, "{}", got.text());
    let got = world
        .send(world.request("DELETE", BUCKET, "/?policy"), "")
        .await;
    assert!(
        got.text().contains("s3:DeleteBucketPolicy"),
        "{}",
        got.text()
    );
    // The source of a copy counts.
    let copy = world
        .request("PUT", BUCKET, "/k")
        .header("x-amz-copy-source", "/secret/k");
    let got = world.send(copy, "").await;
    assert_eq!(got.status, 403, "{}", got.text());
    // The action is named twice, and differently.
    let iam = world
        .request(
            "POST",
            "iam.amazonaws.com",
            "/?Action=ListUsers&Version=2010-05-08",
        )
        .header("content-type", "application/x-www-form-urlencoded");
    let got = world
        .send(iam, "Action=DeleteUser&UserName=u&Version=2010-05-08")
        .await;
    assert!(got.status.is_client_error(), "{}", got.text());
    world.nothing_happened();
}
