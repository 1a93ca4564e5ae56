//! What is judged is what goes over the wire.

use http::{HeaderMap, HeaderName, Method};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use super::*;
use crate::domain::{PathStyle, RequestTarget};

const PARTS: [&str; 25] = [
    "bucket",
    "secret",
    "s%65cret",
    "arn:aws:s3:::bucket/",
    "arn%3Aaws%3As3%3A%3A%3Abucket%2F",
    "v20180820/jobs",
    "..",
    ".",
    "%2e%2e",
    "%2F",
    "/",
    "//",
    "%252F",
    "+",
    "%2B",
    "%20",
    "\\",
    "%00",
    "%c3%a9",
    "*",
    ":",
    ";",
    "?versionId=1",
    "?acl",
    "k",
];

const HEADERS: [(&str, &str); 9] = [
    ("x-amz-account-id", "bucket"),
    ("x-amz-account-id", "secret"),
    ("x-amz-copy-source", "other/arn:aws:s3:::bucket/k"),
    ("x-amz-acl", "private"),
    ("x-forwarded-host", "bucket.s3.amazonaws.com"),
    ("x-original-url", "/bucket/k"),
    ("x-amz-bucket", "bucket"),
    ("x-amz-bucket-region", "bucket"),
    ("x-amz-request-route", "bucket"),
];

/// Where a request may come: at Amazon S3 itself, at a bucket, or at an overridden endpoint.
fn endpoints() -> Vec<(Endpoint, Option<&'static str>)> {
    let scoped = |own| scoped_endpoint("s3", "eu-west-1", own).unwrap();
    vec![
        (endpoint("s3.eu-west-1.amazonaws.com").unwrap(), None),
        (
            endpoint("bucket.s3.eu-west-1.amazonaws.com").unwrap(),
            Some("bucket"),
        ),
        (endpoint("secret.s3.amazonaws.com").unwrap(), Some("secret")),
        (scoped(None), None),
        (scoped(Some("bucket")), Some("bucket")),
        (scoped(Some("secret")), Some("secret")),
    ]
}

/// The ARN of what Amazon S3 finds: the bucket is in the host or before the first slash of the path, and all
/// that follows is the key.
fn on_the_wire(bucket: Option<&str>, path: &str) -> String {
    let path = percent_decode_str(&path[1..])
        .decode_utf8()
        .unwrap()
        .into_owned();
    let whole = match bucket {
        Some(bucket) => format!("{bucket}/{path}"),
        None => path,
    };
    match whole.split_once('/') {
        Some((bucket, "")) => format!("arn:aws:s3:::{bucket}"),
        _ if whole.is_empty() => "*".to_owned(),
        _ => format!("arn:aws:s3:::{whole}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_resource_of_s3_is_what_host_and_path_say(
        at in 0_usize..6,
        method in prop::sample::select(&["GET", "HEAD", "PUT", "POST", "DELETE"][..]),
        parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..6),
        headers in prop::collection::vec(prop::sample::select(&HEADERS[..]), 0..3),
    ) {
        let (endpoint, bucket) = endpoints().swap_remove(at);
        let Ok(target) = RequestTarget::parse(&format!("/{}", parts.concat()), PathStyle::S3) else {
            return Ok(());
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        let method: Method = method.parse().unwrap();
        let Ok(found) = recognise(&Incoming {
            endpoint: &endpoint,
            method: &method,
            target: &target,
            headers: &map,
            body: Some(b""),
            scope: None,
        }) else {
            return Ok(());
        };
        // A scoped endpoint is that of the control operations as well, which have the account in a header.
        prop_assume!(found.service.id() == "s3");
        // What stands first in a table is what the path names; then comes the source of a copy.
        prop_assert_eq!(found.resources[0].arn(), on_the_wire(bucket, target.path()));
        let is_copy = found.operation.name().contains("Copy");
        prop_assert_eq!(found.resources.len(), 1 + usize::from(is_copy), "{:?}", found);
        if is_copy {
            prop_assert_eq!(found.resources[1].arn(), "arn:aws:s3:::other/arn:aws:s3:::bucket/k");
        }
        if let Some(bucket) = bucket {
            let host = format!("{bucket}.s3.");
            prop_assert!(found.host.starts_with(&host), "{}", found.host);
        }
    }
}
