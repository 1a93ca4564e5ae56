//! Roles that are assumed with the session of another role, and the operations beside.

use serde_json::{Value, json};

use super::{
    sessions::signed_form,
    world::{ACCOUNT, ROLE, Reply, World},
};

const SECOND: &str = "arn:aws:iam::000000000000:role/second";

/// A world whose second role trusts the first under these conditions, for these actions.
async fn world(actions: &Value, condition: &Value) -> World {
    let mut world = World::new().await;
    let first = world.baseline();
    let second = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
        "Principal": { "AWS": ROLE }, "Action": actions, "Condition": condition }] });
    world.trust_two(&first, &second);
    world
}

async fn session(world: &World, claims: &Value) -> Reply {
    let session = world.assume(&world.token(claims), &[]).await;
    assert_eq!(session.status, 200, "{}", session.body);
    session
}

async fn call(world: &World, session: &Reply, params: &[(&str, &str)]) -> Reply {
    world.send(signed_form(world, session, params)).await
}

async fn chain(world: &World, session: &Reply, more: &[(&str, &str)]) -> Reply {
    let mut params = vec![
        ("Action", "AssumeRole"),
        ("RoleArn", SECOND),
        ("RoleSessionName", "chained"),
    ];
    for (name, value) in more {
        params.retain(|(known, _)| known != name);
        params.push((name, value));
    }
    call(world, session, &params).await
}

const TAGS: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";

#[tokio::test]
async fn an_external_id_opens_a_role_and_nothing_else_does() {
    let condition = json!({ "StringEquals": { "sts:ExternalId": "unguessable" } });
    let world = world(&json!("sts:AssumeRole"), &condition).await;
    let first = session(&world, &json!({})).await;
    let reply = chain(&world, &first, &[("ExternalId", "unguessable")]).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/second/chained");
    assert_eq!(reply.get("Arn"), Some(arn.as_str()));
    let caller = call(&world, &reply, &[("Action", "GetCallerIdentity")]).await;
    assert_eq!(caller.get("Arn"), Some(arn.as_str()));
    for more in [
        &[][..],
        &[("ExternalId", "guess")],
        &[("ExternalId", "Unguessable")],
    ] {
        let reply = chain(&world, &first, more).await;
        assert_eq!(reply.status, 403);
        let (code, message) = reply.refusal();
        assert_eq!(code, "AccessDenied");
        assert_eq!(
            message,
            format!(
                "User: arn:aws:sts::{ACCOUNT}:assumed-role/oidc-role/oidc-probe is not authorized \
                 to perform: sts:AssumeRole on resource: {SECOND}"
            )
        );
    }
    let unsigned = world
        .send(super::world::form(
            "Action=AssumeRole&Version=2011-06-15&RoleArn=x&RoleSessionName=y",
        ))
        .await;
    assert_eq!(unsigned.refusal().0, "MissingAuthenticationToken");
}

#[tokio::test]
async fn a_chain_lasts_an_hour_at_most() {
    let world = world(&json!("sts:AssumeRole"), &json!({})).await;
    let first = session(&world, &json!({})).await;
    let reply = chain(&world, &first, &[("DurationSeconds", "3600")]).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let reply = chain(&world, &first, &[("DurationSeconds", "3601")]).await;
    let (code, message) = reply.refusal();
    assert_eq!(code, "ValidationError");
    assert!(message.contains("1 hour session limit"), "{message}");
}

#[tokio::test]
async fn transitive_tags_and_the_source_identity_go_along_and_stay() {
    let all = json!(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]);
    let condition = json!({ "StringEquals": {
        "aws:RequestTag/environment_id": "e1", "sts:SourceIdentity": "e1",
        "aws:PrincipalTag/name": "n" } });
    let world_ = world(&all, &condition).await;
    let claims = json!({
        TAGS: { "principal_tags": { "environment_id": ["e1"], "name": ["n"] },
            "transitive_tag_keys": ["environment_id"] },
        SOURCE_IDENTITY: "e1",
    });
    let first = session(&world_, &claims).await;
    let reply = chain(&world_, &first, &[]).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.get("SourceIdentity"), Some("e1"));
    for (more, code) in [
        (&[("SourceIdentity", "e2")][..], "AccessDenied"),
        (
            &[
                ("Tags.member.1.Key", "Environment_Id"),
                ("Tags.member.1.Value", "e2"),
            ],
            "InvalidParameterValue",
        ),
        (
            &[("TransitiveTagKeys.member.1", "absent")],
            "InvalidParameterValue",
        ),
    ] {
        let reply = chain(&world_, &first, more).await;
        assert_eq!(reply.refusal().0, code, "{}", reply.body);
    }
    // A role that does not allow tags or a source identity cannot be reached with them.
    for actions in [
        json!(["sts:AssumeRole", "sts:TagSession"]),
        json!(["sts:AssumeRole", "sts:SetSourceIdentity"]),
    ] {
        let world = world(&actions, &json!({})).await;
        let first = session(&world, &claims).await;
        let reply = chain(&world, &first, &[]).await;
        assert_eq!(reply.refusal().0, "AccessDenied", "{actions}");
    }
}

#[tokio::test]
async fn parameters_are_what_the_service_model_says() {
    let world = world(&json!("sts:AssumeRole"), &json!({})).await;
    let first = session(&world, &json!({})).await;
    let long = "x".repeat(1225);
    for (name, value, says) in [
        (
            "ExternalId",
            "x",
            "'externalId' failed to satisfy constraint: Member must have length greater than or equal to 2",
        ),
        (
            "ExternalId",
            long.as_str(),
            "Member must have length less than or equal to 1224",
        ),
        (
            "ExternalId",
            "a b",
            "Member must satisfy regular expression pattern: [\\w+=,.@:\\/-]*",
        ),
        ("SourceIdentity", "x", "'sourceIdentity'"),
        ("SerialNumber", "short", "'serialNumber'"),
        (
            "TokenCode",
            "12345a",
            "'tokenCode' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\d]*",
        ),
        ("RoleSessionName", "a:b", "'roleSessionName'"),
        (
            "DurationSeconds",
            "899",
            "'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900",
        ),
        (
            "TransitiveTagKeys.member.1",
            "a*",
            "'transitiveTagKeys.1.member'",
        ),
        (
            "Tags.member.1.Key",
            "a",
            "Value null at 'tags.1.member.value'",
        ),
        (
            "PolicyArns.member.1.arn",
            "short",
            "'policyArns.1.member.arn'",
        ),
        (
            "Policy",
            "{\"Statement\":\"\u{20AC}\"}",
            "'policy' failed to satisfy constraint: Member must satisfy regular expression pattern",
        ),
    ] {
        let reply = chain(&world, &first, &[(name, value)]).await;
        let (code, message) = reply.refusal();
        assert_eq!(code, "ValidationError", "{name}: {}", reply.body);
        assert!(message.contains(says), "{name}: {message}");
    }
    let tags: Vec<(String, String)> = (0..51)
        .flat_map(|n| {
            [
                (format!("Tags.member.{}.Key", n + 1), format!("k{n}")),
                (format!("Tags.member.{}.Value", n + 1), String::new()),
            ]
        })
        .collect();
    let tags: Vec<_> = tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let reply = chain(&world, &first, &tags).await;
    assert!(reply.refusal().1.contains("'tags'"), "{}", reply.body);
}

#[tokio::test]
async fn the_other_operations_answer_as_aws_does_to_a_session() {
    let world = World::new().await;
    let session = session(&world, &json!({})).await;
    let key = session.get("AccessKeyId").unwrap().to_owned();
    let ask = async |action: &str, more: &[(&str, &str)]| {
        let mut params = vec![("Action", action)];
        params.extend(more);
        call(&world, &session, &params).await
    };
    let info = ask("GetAccessKeyInfo", &[("AccessKeyId", &key)]).await;
    assert_eq!(info.get("Account"), Some(ACCOUNT), "{}", info.body);
    for (action, more, code, status) in [
        (
            "GetAccessKeyInfo",
            &[("AccessKeyId", "short")][..],
            "ValidationError",
            400,
        ),
        ("DecodeAuthorizationMessage", &[], "ValidationError", 400),
        (
            "DecodeAuthorizationMessage",
            &[("EncodedMessage", "x")],
            "InvalidAuthorizationMessageException",
            400,
        ),
        ("GetSessionToken", &[], "AccessDenied", 403),
        ("GetFederationToken", &[("Name", "ab")], "AccessDenied", 403),
        ("AssumeRoot", &[], "AccessDenied", 403),
        (
            "GetWebIdentityToken",
            &[],
            "OutboundWebIdentityFederationDisabledException",
            403,
        ),
        ("AssumeRoleWithSAML", &[], "ValidationError", 400),
        ("DeleteEverything", &[], "InvalidAction", 400),
    ] {
        let reply = ask(action, more).await;
        assert_eq!(
            (reply.refusal().0, reply.status),
            (code, status),
            "{action}: {}",
            reply.body
        );
    }
}

#[tokio::test]
async fn other_roles_do_not_end_sessions() {
    let world = World::new().await;
    let sts = world.local_sts(&world.baseline());
    let changed = sts.with_roles(idp::sts::Roles::parse(r#"{"account":"000000000000"}"#).unwrap());
    let before = idp::http::sts_router(sts);
    let after = idp::http::sts_router(std::sync::Arc::new(changed));
    let body = super::world::assume_form(&world.token(&json!({})), &[]);
    let session = super::world::reply(&before, super::world::form(&body)).await;
    let caller = signed_form(&world, &session, &[("Action", "GetCallerIdentity")]);
    let reply = super::world::reply(&after, caller).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}
