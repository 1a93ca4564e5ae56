//! Whom a trust policy admits: `POST /api/v1/principals/admitted`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Request, World};

fn policy(world: &World, operator: &str, subject: &str) -> Value {
    let issuer = world.settings.issuer.provider().to_owned();
    json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": { "Federated": format!("arn:aws:iam::123456789012:oidc-provider/{issuer}") },
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": { format!("{issuer}:aud"): "sts.amazonaws.com" },
            operator: { format!("{issuer}:sub"): subject },
        },
    }] })
}

/// Every item, page by page of `limit`, and how many were looked at.
async fn admitted(world: &World, body: &Value, limit: u32) -> (Vec<Value>, u64) {
    let (mut items, mut scanned) = (Vec::new(), 0);
    let mut cursor = String::new();
    loop {
        let target = format!("/api/v1/principals/admitted?limit={limit}{cursor}");
        let answer = world.post(&target, body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json();
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        scanned += page["scanned"].as_u64().unwrap();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (items, scanned),
        }
    }
}

#[tokio::test]
async fn lists_exactly_those_that_sts_would_let_in() {
    let world = World::start().await;
    let other = world.new_organization("other").await;
    let mut here = Vec::new();
    for _ in 0..5 {
        here.push(world.ticket().await.environment);
    }
    world.ticket_with(other, &json!({ "name": "dev" })).await;
    world.stop(&here[1]).await;
    let organization = world.organization;
    let all = policy(&world, "StringLike", &format!("org:{organization}/env:*"));
    for limit in [1, 2, 5, 100] {
        let (items, scanned) = admitted(&world, &json!({ "trust_policy": all }), limit).await;
        let ids: Vec<_> = items
            .iter()
            .map(|item| item["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, here, "{limit}");
        assert!(scanned >= 6, "{scanned}");
        let states: BTreeSet<_> = items
            .iter()
            .map(|item| item["state"].as_str().unwrap())
            .collect();
        assert_eq!(states, BTreeSet::from(["pending", "stopped"]));
    }
    let one = policy(
        &world,
        "StringEquals",
        &format!("org:{organization}/env:{}", here[2]),
    );
    let (items, _) = admitted(&world, &json!({ "trust_policy": one }), 100).await;
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["type"], "environment");
    assert_eq!(items[0]["audience"], "sts.amazonaws.com");
    // A wildcard that is read as a character admits nobody.
    let none = policy(&world, "StringEquals", "org:*");
    let body = json!({ "trust_policy": none, "organization_id": organization });
    assert_eq!(admitted(&world, &body, 100).await, (Vec::new(), 5));
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_with_the_place() {
    let world = World::start().await;
    let ask = async |body: Value| {
        world
            .admin(Request::json("POST", "/api/v1/principals/admitted", &body))
            .await
    };
    let good = policy(&world, "StringLike", "*");
    let mut foreign = good.clone();
    foreign["Statement"][0]["Principal"]["Federated"] =
        "arn:aws:iam::123456789012:oidc-provider/idp.example.org".into();
    let mut wrong = good.clone();
    wrong["Statement"][0]["Effect"] = "allow".into();
    for (body, status, says) in [
        (
            json!({ "trust_policy": wrong }),
            400,
            "Statement[0].Effect: \"allow\" is no effect",
        ),
        (
            json!({ "trust_policy": foreign }),
            400,
            "no statement names the provider of this issuer",
        ),
        (
            json!({ "trust_policy": 7 }),
            400,
            "trust_policy: the policy: it is a number",
        ),
        (json!({}), 400, "trust_policy"),
        (
            json!({ "trust_policy": good, "organization_id": "019527e4-75d5-704d-a5a4-a2b52cf56196" }),
            404,
            "there is no such organisation",
        ),
    ] {
        let answer = ask(body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{detail}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_lists_them_and_counts_the_stopped_apart() {
    let world = World::start().await;
    let one = world.ticket().await.environment;
    let stopped = world.ticket().await.environment;
    world.stop(&stopped).await;
    let file = world.dir.path().join("trust.json");
    let trusted = policy(
        &world,
        "StringLike",
        &format!("org:{}/env:*", world.organization),
    );
    std::fs::write(&file, trusted.to_string()).unwrap();
    let run = |json: bool| {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_idp"));
        command
            .env_clear()
            .env("HOME", world.dir.path())
            .env("IDP_URL", format!("http://{}", world.address))
            .env("IDP_ADMIN_TOKEN", &world.admin)
            .args(json.then_some("--json"))
            .args(["aws", "lint", "--admits", "--trust-policy"])
            .arg(&file);
        tokio::task::spawn_blocking(move || command.assert().success().get_output().clone())
    };
    let output = run(false).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let subject = |id: &str| format!("org:{}/env:{id}", world.organization);
    assert_eq!(
        text,
        format!(
            "environment\tpending\t{}\tdev\nenvironment\tstopped\t{}\tdev\n",
            subject(&one),
            subject(&stopped)
        )
    );
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("1 of 2 principals are admitted; 1 more are stopped and get no tokens"),
        "{told}"
    );
    let output = run(true).await.unwrap();
    let items: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["subject"], subject(&one));
}

/// What the tokens of an organisation carry for AWS decides too.
#[tokio::test]
async fn principals_are_asked_for_with_the_tokens_that_they_would_get() {
    const ROLE: &str = "arn:aws:iam::123456789012:role/demo";
    const OTHER: &str = "arn:aws:iam::123456789012:role/other";

    let world = World::start().await;
    let (one, two) = (
        world.ticket().await.environment,
        world.ticket().await.environment,
    );
    let organization = world.organization;
    let all = policy(&world, "StringLike", &format!("org:{organization}/env:*"));
    let with = |actions: &[&str], operator: &str, key: &str, value: &str| {
        let mut policy = all.clone();
        let statement = &mut policy["Statement"][0];
        statement["Action"] = json!(actions);
        if !key.is_empty() {
            statement["Condition"][operator][key] = json!(value);
        }
        policy
    };
    let who = async |policy: &Value, role: Option<&str>| {
        let body = json!({ "trust_policy": policy, "role_arn": role });
        let (items, _) = admitted(&world, &body, 100).await;
        let ids = items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    let turn = async |switches: Value| {
        let target = format!("/api/v1/organizations/{organization}");
        let body = json!({ "aws_claims": switches });
        let answer = world.admin(Request::json("PATCH", &target, &body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    let update = async |id: &str, body: Value| {
        let target = format!("/api/v1/environments/{id}");
        let answer = world.admin(Request::json("PATCH", &target, &body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    let (assume, tag, identify) = (
        "sts:AssumeRoleWithWebIdentity",
        "sts:TagSession",
        "sts:SetSourceIdentity",
    );
    let (nobody, both) = (Vec::<String>::new(), vec![one.clone(), two.clone()]);

    let tagged = with(
        &[assume, tag],
        "StringEquals",
        "aws:RequestTag/environment_id",
        &two,
    );
    assert_eq!(who(&tagged, None).await, nobody, "no tags yet");
    turn(json!({ "session_tags": true })).await;
    assert_eq!(who(&tagged, None).await, [two.as_str()]);
    let named = with(
        &[assume, tag],
        "StringEquals",
        "aws:RequestTag/environment_name",
        "dev",
    );
    assert_eq!(who(&named, None).await, both);
    let transitive = "ForAnyValue:StringEquals";
    let kept = with(
        &[assume, tag],
        transitive,
        "sts:TransitiveTagKeys",
        "environment_id",
    );
    assert_eq!(who(&kept, None).await, both);
    assert_eq!(
        who(&all, None).await,
        nobody,
        "sts:TagSession is not allowed"
    );

    turn(json!({ "session_tags": false, "source_identity": true })).await;
    let identified = with(
        &[assume, identify],
        "StringEquals",
        "sts:SourceIdentity",
        &one,
    );
    assert_eq!(who(&identified, None).await, [one.as_str()]);
    assert_eq!(
        who(&all, None).await,
        nobody,
        "sts:SetSourceIdentity is not allowed"
    );

    turn(json!({ "source_identity": false, "role_pin": true })).await;
    update(&two, json!({ "role_arns": [OTHER] })).await;
    let pinned = with(&[assume], "Bool", "sts:RoleAuthorizedByIdp", "true");
    assert_eq!(who(&pinned, None).await, both, "the role is not known");
    assert_eq!(who(&pinned, Some(ROLE)).await, [one.as_str()]);
    assert_eq!(
        who(&all, Some(ROLE)).await,
        [one.as_str()],
        "STS refuses the other's token"
    );
    assert_eq!(who(&pinned, Some(OTHER)).await, both);
    turn(json!({ "role_pin": false })).await;
    assert_eq!(who(&pinned, Some(ROLE)).await, nobody);
    assert_eq!(who(&all, Some(ROLE)).await, both);
}
