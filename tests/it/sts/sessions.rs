//! Trust policies, sessions and what they are good for.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use axum::{Router, body::Body, http::Request};
use serde_json::{Value, json};

use super::world::{ACCOUNT, ROLE, Reply, World, assume_form, form, reply};

const CALLER: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// A `GetCallerIdentity` at `path`, signed with the credentials of `session` at the world's time.
fn caller(world: &World, session: &Reply, path: &str) -> Request<Body> {
    signed(world, credentials(session), path)
}

fn credentials(session: &Reply) -> Credentials {
    let text = |name: &str| session.get(name).unwrap().to_owned();
    Credentials::new(
        text("AccessKeyId"),
        text("SecretAccessKey"),
        Some(text("SessionToken")),
        None,
        "test",
    )
}

/// Any operation, signed with the credentials of `session` at the world's time.
pub(super) fn signed_form(
    world: &World,
    session: &Reply,
    params: &[(&str, &str)],
) -> Request<Body> {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("Version", "2011-06-15")
        .extend_pairs(params)
        .finish();
    signed_body(world, credentials(session), "/", body)
}

fn signed(world: &World, credentials: Credentials, path: &str) -> Request<Body> {
    signed_body(world, credentials, path, CALLER.to_owned())
}

fn signed_body(world: &World, credentials: Credentials, path: &str, body: String) -> Request<Body> {
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("sts")
        .time(UNIX_EPOCH + Duration::from_secs(world.now().unsigned_abs()))
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let uri = format!("http://sts.example.com{path}");
    let headers = [
        ("host", "sts.example.com"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let signable = SignableRequest::new(
        "POST",
        &uri,
        headers.into_iter(),
        SignableBody::Bytes(body.as_bytes()),
    )
    .unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut request = Request::post(path);
    for (name, value) in headers.into_iter().chain(instructions.headers()) {
        request = request.header(name, value);
    }
    request.body(Body::from(body)).unwrap()
}

#[tokio::test]
async fn a_session_knows_who_it_is() {
    let world = World::new().await;
    let session = world.assume(&world.token(&json!({})), &[]).await;
    assert_eq!(session.get("AccessKeyId").unwrap().len(), 20);
    assert!(session.get("AccessKeyId").unwrap().starts_with("ASIA"));
    let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/oidc-role/oidc-probe");
    assert_eq!(session.get("Arn"), Some(arn.as_str()));
    let caller = world.send(caller(&world, &session, "/")).await;
    assert_eq!(caller.status, 200, "{}", caller.body);
    assert_eq!(caller.get("Arn"), Some(arn.as_str()));
    assert_eq!(caller.get("Account"), Some(ACCOUNT));
    assert_eq!(caller.get("UserId"), session.get("AssumedRoleId"));
}

#[tokio::test]
async fn below_a_prefix_signatures_cover_the_whole_path() {
    let world = World::new().await;
    let nested = Router::new().nest_service(
        "/sts",
        idp::http::sts_router(world.local_sts(&world.baseline())),
    );
    for path in ["/sts", "/sts/", "/sts/x"] {
        let mut request = form(&assume_form(&world.token(&json!({})), &[]));
        *request.uri_mut() = path.parse().unwrap();
        let session = reply(&nested, request).await;
        assert_eq!(session.status, 200, "{path}: {}", session.body);
        let caller = reply(&nested, caller(&world, &session, path)).await;
        assert_eq!(caller.status, 200, "{path}: {}", caller.body);
    }
}

#[tokio::test]
async fn a_session_ends() {
    let world = World::new().await;
    let token = world.token(&json!({}));
    let session = world.assume(&token, &[("DurationSeconds", "900")]).await;
    world.clock.advance(Duration::from_secs(899));
    let alive = world.send(caller(&world, &session, "/")).await;
    assert_eq!(alive.status, 200);
    world.clock.advance(Duration::from_secs(1));
    let ended = world.send(caller(&world, &session, "/")).await;
    assert_eq!(
        (ended.status, ended.refusal()),
        (
            403,
            (
                "ExpiredToken",
                "The security token included in the request is expired"
            )
        )
    );
}

#[tokio::test]
async fn signatures_are_verified() {
    let mut world = World::new().await;
    let session = world.assume(&world.token(&json!({})), &[]).await;
    let text = |name: &str| session.get(name).unwrap().to_owned();
    let with = |key: String, secret: String, token: Option<String>| {
        signed(
            &world,
            Credentials::new(key, secret, token, None, "test"),
            "/",
        )
    };
    let (key, secret, token) = (
        text("AccessKeyId"),
        text("SecretAccessKey"),
        text("SessionToken"),
    );
    let stale = caller(&world, &session, "/");
    let foreign = caller(&world, &session, "/");
    for (request, code) in [
        (form(CALLER), "MissingAuthenticationToken"),
        (
            with(key.clone(), "wrong".to_owned(), Some(token.clone())),
            "SignatureDoesNotMatch",
        ),
        (
            with(key.clone(), secret.clone(), None),
            "InvalidClientTokenId",
        ),
        (
            with(key, secret.clone(), Some(format!("{token}A"))),
            "InvalidClientTokenId",
        ),
        (
            with("ASIAXXXXXXXXXXXXXXXX".to_owned(), secret, Some(token)),
            "InvalidClientTokenId",
        ),
    ] {
        let reply = world.send(request).await;
        assert_eq!((reply.status, reply.refusal().0), (403, code));
    }
    world.clock.advance(Duration::from_secs(901));
    let reply = world.send(stale).await;
    assert_eq!(reply.refusal().0, "SignatureDoesNotMatch");
    assert!(reply.refusal().1.starts_with("Signature expired: "));
    world.trust(&world.baseline());
    let reply = world.send(foreign).await;
    assert_eq!(
        reply.refusal().0,
        "InvalidClientTokenId",
        "a session of another STS"
    );
}

#[tokio::test]
async fn unknown_roles_look_like_untrusting_ones() {
    let world = World::new().await;
    let token = world.token(&json!({}));
    let denied = (
        "AccessDenied",
        "Not authorized to perform sts:AssumeRoleWithWebIdentity",
    );
    for role in [
        "arn:aws:iam::000000000000:role/other",
        "arn:aws:iam::111111111111:role/oidc-role",
        "arn:aws:iam::000000000000:role/OIDC-ROLE",
    ] {
        let reply = world.assume(&token, &[("RoleArn", role)]).await;
        assert_eq!((reply.status, reply.refusal()), (403, denied));
    }
    for role in [
        "arn:aws:iam::000000000000:user/somebody",
        "x".repeat(30).as_str(),
    ] {
        let reply = world.assume(&token, &[("RoleArn", role)]).await;
        assert_eq!(
            reply.refusal(),
            ("ValidationError", "Request ARN is invalid")
        );
    }
}

#[tokio::test]
async fn a_role_limits_its_sessions() {
    let world = World::new().await;
    let token = world.token(&json!({}));
    let reply = world.assume(&token, &[("DurationSeconds", "7201")]).await;
    assert_eq!(
        reply.refusal(),
        (
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    );
    let reply = world.assume(&token, &[("DurationSeconds", "7200")]).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn tags_and_source_identities_need_permissions_of_their_own() {
    let mut world = World::new().await;
    let tags = json!({ "https://aws.amazon.com/tags": {
        "principal_tags": { "Team": ["blue"] }, "transitive_tag_keys": ["Team"] } });
    let source = json!({ "https://aws.amazon.com/source_identity": "env-1" });
    for claims in [&tags, &source] {
        assert_eq!(world.assume(&world.token(claims), &[]).await.status, 200);
    }
    let mut policy = world.baseline();
    policy["Statement"][0]["Action"] = json!("sts:AssumeRoleWithWebIdentity");
    world.trust(&policy);
    assert_eq!(
        world.assume(&world.token(&json!({})), &[]).await.status,
        200
    );
    for claims in [&tags, &source] {
        let reply = world.assume(&world.token(claims), &[]).await;
        assert_eq!((reply.status, reply.refusal().0), (403, "AccessDenied"));
    }
}

#[tokio::test]
async fn conditions_see_the_request() {
    let mut world = World::new().await;
    let host = world.host.clone();
    let tagged = json!({ "amr": ["mfa", "pwd"],
        "https://aws.amazon.com/source_identity": "env-1",
        "https://aws.amazon.com/tags": { "principal_tags": { "Team": ["blue"] },
            "transitive_tag_keys": ["Team"] } });
    let (aud, sub, amr) = (
        format!("{host}:aud"),
        format!("{host}:sub"),
        format!("{host}:amr"),
    );
    for (condition, admitted) in [
        (
            json!({ "StringEquals": { aud.clone(): "client-a", sub.clone(): "subject-probe" } }),
            true,
        ),
        (json!({ "StringEquals": { aud: "client-b" } }), false),
        (json!({ "StringLike": { sub.clone(): "subject-*" } }), true),
        (json!({ "StringNotLike": { sub: "subject-*" } }), false),
        (json!({ "ForAnyValue:StringEquals": { amr: "mfa" } }), true),
        (
            json!({ "StringEquals": { "aws:RequestTag/team": "blue" } }),
            true,
        ),
        (
            json!({ "ForAllValues:StringEquals": { "aws:TagKeys": ["Team"] } }),
            true,
        ),
        (
            json!({ "ForAllValues:StringEquals": { "sts:TransitiveTagKeys": ["x"] } }),
            false,
        ),
        (
            json!({ "StringEquals": { "sts:SourceIdentity": "env-1" } }),
            true,
        ),
        (
            json!({ "StringEquals": { "sts:RoleSessionName": "oidc-probe" } }),
            true,
        ),
        (json!({ "Null": { "aws:SourceIp": "true" } }), true),
    ] {
        let mut policy = world.baseline();
        policy["Statement"][0]["Condition"] = condition.clone();
        world.trust(&policy);
        let reply = world.assume(&world.token(&tagged), &[]).await;
        assert_eq!(reply.status == 200, admitted, "{condition}: {}", reply.body);
    }
}

#[tokio::test]
async fn the_reason_says_which_condition_failed() {
    let world = World::new().await;
    let mut policy = world.baseline();
    policy["Statement"][0]["Condition"] =
        json!({ "StringEquals": { format!("{}:sub", world.host): "somebody-else" } });
    let sts = world.local_sts(&policy);
    let body = assume_form(&world.token(&json!({})), &[]);
    let answer = sts
        .handle(&idp::sts::StsHttpRequest {
            method: "POST",
            path: "/",
            query: None,
            headers: &[],
            body: body.as_bytes(),
            source_ip: None,
        })
        .await;
    let reason = answer.refusal.unwrap().reason;
    for says in [
        "role oidc-role's trust policy",
        "StringEquals on",
        "not met: the policy has \"somebody-else\", the request has \"subject-probe\"",
    ] {
        assert!(reason.contains(says), "{reason}");
    }
}

/// The Rust SDK against a real server: what it sends is verified, what comes back is understood.
#[tokio::test]
async fn the_sdk_is_at_home() {
    let world = World::new().await;
    // The SDK signs by the machine's clock.
    let now = idp::domain::Clock::now(&idp::domain::SystemClock);
    world.clock.set(now);
    let router = Router::new().nest_service(
        "/sts",
        idp::http::sts_router(world.local_sts(&world.baseline())),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/sts", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = || {
        aws_sdk_sts::Config::builder()
            .behavior_version(aws_sdk_sts::config::BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .region(aws_sdk_sts::config::Region::new("us-east-1"))
            .endpoint_url(&endpoint)
    };
    let client = aws_sdk_sts::Client::from_conf(config().build());
    let assume = |token: String| {
        client
            .assume_role_with_web_identity()
            .role_arn(ROLE)
            .role_session_name("sdk")
            .web_identity_token(token)
            .send()
    };
    let granted = assume(world.token(&json!({}))).await.unwrap();
    let found = granted.credentials().unwrap();
    assert_eq!(found.expiration().secs(), world.now() + 3600);
    let credentials = Credentials::new(
        found.access_key_id(),
        found.secret_access_key(),
        Some(found.session_token().to_owned()),
        None,
        "test",
    );
    let caller = aws_sdk_sts::Client::from_conf(config().credentials_provider(credentials).build())
        .get_caller_identity()
        .send()
        .await
        .unwrap();
    assert_eq!(
        caller.arn().unwrap(),
        "arn:aws:sts::000000000000:assumed-role/oidc-role/sdk"
    );
    let expired: Value = json!({ "exp": world.now() - 1000 });
    let error = assume(world.token(&expired)).await.unwrap_err();
    assert!(error.into_service_error().is_expired_token_exception());
}
