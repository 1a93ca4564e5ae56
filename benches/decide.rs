//! What recognising a request and deciding it by a thousand rules costs beside one signature of it.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times are far below 2^52"
)]

#[expect(dead_code, reason = "each benchmark uses its part of what they share")]
mod support;

use std::{
    fmt::Write as _,
    hint::black_box,
    time::{Duration, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use http::{HeaderMap, HeaderValue, Method};
use idp::{
    catalog::{Incoming, endpoint, recognise},
    domain::RequestTarget,
    policy::{Decision, Question, Recognition, Rules},
};

use support::{
    crypto::cost_here,
    median,
    report::{Bound, dependency, figure, finish},
};

const ROUNDS: usize = 7;

/// Rules of the file.
const RULES: usize = 1_000;

const HOST: &str = "dynamodb.us-east-1.amazonaws.com";

const BODY: &str = r#"{"TableName":"users","Key":{"id":{"S":"user-123456"}}}"#;

fn main() {
    if !support::wanted() {
        return;
    }
    let headers = headers();
    let rules = rules();
    let (mut ratios, mut ours, mut theirs) = (vec![], vec![], vec![]);
    for round in 0..=ROUNDS {
        let signature = cost_here(&|| sign_once(&headers));
        let decision = cost_here(&|| decide_once(&rules, &headers));
        // The first one warms both up.
        if round > 0 {
            ratios.push(decision / signature);
            ours.push(decision);
            theirs.push(signature);
        }
    }
    figure(
        "decide_1000_rules_ratio",
        median(ratios),
        Bound::AtMost(0.5),
    );
    figure("decide_1000_rules_us", median(ours), Bound::None);
    figure("decide_signature_us", median(theirs), Bound::None);
    finish(&[dependency("aws-sigv4")]);
}

/// A request as an SDK sends it.
fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", HOST),
        ("user-agent", "aws-sdk-rust/1.3 os/linux lang/rust/1.95"),
        ("content-type", "application/x-amz-json-1.0"),
        ("content-length", "54"),
        ("x-amz-target", "DynamoDB_20120810.GetItem"),
        (
            "amz-sdk-invocation-id",
            "4a9ab9b3-7c0d-4b7c-9fd4-6b2c6f1d4a43",
        ),
        ("amz-sdk-request", "attempt=1"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}

/// Rules for a thousand tables, buckets and queues. Many are about the operation that is asked for, and
/// the one that allows it is the last.
fn rules() -> Rules {
    let mut text = String::from("default_region = \"us-east-1\"\n");
    for number in 0..RULES - 1 {
        let (effect, actions, resource) = match number % 4 {
            0 => ("allow", "dynamodb:Get*", "arn:aws:dynamodb:*:*:table/t"),
            1 => ("allow", "dynamodb:*Item", "arn:aws:dynamodb:*:*:table/u"),
            2 => ("block", "s3:*", "arn:aws:s3:::bucket-"),
            _ => ("allow", "sqs:SendMessage", "arn:aws:sqs:*:*:queue-"),
        };
        write!(
            text,
            "[[rule]]\nname = \"rule {number}\"\neffect = \"{effect}\"\nactions = [\"{actions}\"]\n\
             resources = [\"{resource}{number}*\"]\n"
        )
        .expect("a string takes it");
    }
    text.push_str(
        "[[rule]]\nname = \"users\"\neffect = \"allow\"\nactions = [\"dynamodb:GetItem\"]\n\
         resources = [\"arn:aws:dynamodb:*:*:table/users\"]\n",
    );
    let nothing = |_: &str| Err("there are no files".to_owned());
    Rules::parse(&text, "rules.toml", &nothing)
        .expect("they are rules")
        .with_default_role(support::demo::ROLE_ARN.parse().expect("it is a role"))
}

/// All that comes between a request's head and the permission to sign.
fn decide_once(rules: &Rules, headers: &HeaderMap) {
    let endpoint = endpoint(black_box(HOST)).expect("it is AWS's");
    let target = RequestTarget::parse(black_box("/"), endpoint.path_style()).expect("it is a path");
    let recognised = recognise(&Incoming {
        endpoint: &endpoint,
        method: &Method::POST,
        target: &target,
        headers,
        body: Some(BODY.as_bytes()),
        scope: None,
    })
    .expect("it is GetItem");
    let decision = rules.decide(&Question {
        recognition: Recognition::Known(&recognised),
        host: HOST,
        method: &Method::POST,
        target: &target,
        region: endpoint.region(),
    });
    assert!(matches!(decision, Decision::Allow(_)), "{decision:?}");
}

/// The signature of the same request by the SDKs' own crate.
fn sign_once(headers: &HeaderMap) {
    let credentials = Credentials::new(
        "ASIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        Some("x".repeat(800)),
        None,
        "bench",
    );
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("dynamodb")
        .time(UNIX_EPOCH + Duration::from_secs(1_795_335_547))
        .settings(SigningSettings::default())
        .build()
        .expect("nothing is missing")
        .into();
    let names = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().expect("it is ASCII")));
    let request = SignableRequest::new(
        "POST",
        black_box("https://dynamodb.us-east-1.amazonaws.com/"),
        names,
        SignableBody::Bytes(BODY.as_bytes()),
    )
    .expect("it can be signed");
    black_box(sign(request, &parameters).expect("it signs"));
}
