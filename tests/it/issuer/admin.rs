//! The administration API as somebody tries it who has no token, or one for less (case 20's start).

use serde_json::{Value, json};

use super::{Answer, Request, World};

const NOTHING: &str = "019527e4-75d5-704d-a5a4-a2b52cf56196";

/// Every route, with an organisation, a project and an environment put in.
fn routes(organization: &str, project: &str, environment: &str) -> Vec<Request> {
    let named = json!({ "name": "x" });
    let post = |path: String, body: &Value| Request::json("POST", &path, body);
    vec![
        Request::get(&format!("/api/v1/organizations/{organization}")),
        Request::json(
            "PATCH",
            &format!("/api/v1/organizations/{organization}"),
            &json!({ "audiences": ["sts.amazonaws.com"] }),
        ),
        Request::get(&format!("/api/v1/organizations/{organization}/mints")),
        Request::get(&format!("/api/v1/organizations/{organization}/projects")),
        post(
            format!("/api/v1/organizations/{organization}/projects"),
            &named,
        ),
        Request::get(&format!("/api/v1/projects/{project}")),
        Request::json("PATCH", &format!("/api/v1/projects/{project}"), &named),
        Request::get(&format!(
            "/api/v1/organizations/{organization}/environments"
        )),
        post(
            format!("/api/v1/organizations/{organization}/environments"),
            &named,
        ),
        Request::get(&format!("/api/v1/organizations/{organization}/audit")),
        Request::get(&format!("/api/v1/organizations/{organization}/audit/chain")),
        Request::get(&format!(
            "/api/v1/organizations/{organization}/audit/export"
        )),
        Request::get(&format!("/api/v1/environments/{environment}")),
        Request::json(
            "PATCH",
            &format!("/api/v1/environments/{environment}"),
            &named,
        ),
        post(
            format!("/api/v1/environments/{environment}/stop"),
            &json!({}),
        ),
        post(
            format!("/api/v1/environments/{environment}/join-tokens"),
            &json!({}),
        ),
    ]
}

fn all_routes(organization: &str, project: &str, environment: &str) -> Vec<Request> {
    let mut requests = routes(organization, project, environment);
    requests.extend([
        Request::get("/api/v1/organizations"),
        Request::json("POST", "/api/v1/organizations", &json!({ "name": "x" })),
        Request::get("/api/v1/keys"),
        Request::get("/api/v1/admin-tokens"),
        Request::json("POST", "/api/v1/admin-tokens", &json!({ "name": "x" })),
        Request::new("DELETE", &format!("/api/v1/admin-tokens/{NOTHING}")),
        Request::json(
            "POST",
            "/api/v1/principals/admitted",
            &json!({ "trust_policy": {} }),
        ),
        Request::get("/api/v1/audit"),
        Request::get("/api/v1/audit/chain"),
        Request::get("/api/v1/audit/chains"),
        Request::get("/api/v1/audit/export"),
        Request::get("/api/v1/audit/checkpoint-key"),
        Request::json("POST", "/api/v1/audit/checkpoints", &json!({})),
    ]);
    requests
}

/// A token for one organisation only, with a life in seconds.
pub(super) async fn scoped(world: &World, organization: &str, expires_in: Option<i64>) -> String {
    let body = json!({ "organization_id": organization, "expires_in": expires_in });
    let made = world.post("/api/v1/admin-tokens", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.json()["admin_token"].as_str().unwrap().to_owned()
}

/// An organisation with a project and an environment.
struct Tenant {
    organization: String,
    project: String,
    environment: String,
}

async fn tenant(world: &World, name: &str) -> Tenant {
    let organization = world.new_organization(name).await;
    let target = format!("/api/v1/organizations/{organization}/projects");
    let project = world.post(&target, &json!({ "name": "web" })).await.json()["id"].clone();
    let body = json!({ "name": "dev", "project_id": project });
    let ticket = world.ticket_with(organization, &body).await;
    Tenant {
        organization: organization.to_string(),
        project: project.as_str().unwrap().to_owned(),
        environment: ticket.environment,
    }
}

#[track_caller]
pub(super) fn assert_unauthenticated(answer: &Answer) {
    answer.assert_refused(
        "401",
        "present an administrator token: Authorization: Bearer idp_admin_",
    );
    assert_eq!(answer.get("www-authenticate"), Some("Bearer realm=\"idp\""));
}

#[tokio::test]
async fn nobody_comes_in_without_a_token() {
    let world = World::start().await;
    let environment = world.environment().await;
    let token = world.token(&environment).await.json()["access_token"].clone();
    let token = token.as_str().unwrap();
    let here = tenant(&world, "here").await;
    let before = world.audit(Some(world.organization)).await.len();
    for request in all_routes(&here.organization, &here.project, &here.environment) {
        let plain = world.send(request.clone()).await;
        assert_unauthenticated(&plain);
        for authorization in [
            "Bearer",
            "Bearer ",
            "Bearer idp_admin_",
            "Bearer idp_admin_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            &format!("Bearer {token}"),
            &format!("Basic {}", world.admin),
            &world.admin,
            &format!("Bearer {}x", world.admin),
            &format!("Bearer {}", &world.admin[..world.admin.len() - 1]),
            &format!("Bearer {}", world.admin.to_uppercase()),
            &format!("Bearer {0}, Bearer {0}", world.admin),
        ] {
            let request = request.clone().header("authorization", authorization);
            let answer = world.send(request).await;
            assert_eq!(
                answer.without_id(),
                plain.clone().without_id(),
                "{authorization}"
            );
        }
        for query in [
            format!("access_token={}", world.admin),
            format!("token={}", world.admin),
        ] {
            let mut request = request.clone();
            request.target = format!("{}?{query}", request.target);
            assert_unauthenticated(&world.send(request).await);
        }
        let request = request.header("cookie", &format!("token={}", world.admin));
        assert_unauthenticated(&world.send(request).await);
    }
    let after = world.audit(Some(world.organization)).await.len();
    assert_eq!(after, before);
    snapshot!("unauthenticated", world.get("/api/v1/keys").await);
    // The scheme's name has no case (RFC 9110 §11.1).
    let request =
        Request::get("/api/v1/keys").header("authorization", &format!("bearer {}", world.admin));
    assert_eq!(world.send(request).await.status, 200);
}

/// Who misspells a filter must not take everything for the answer.
#[tokio::test]
async fn a_parameter_that_a_route_does_not_know_is_refused_and_nothing_is_done() {
    let world = World::start().await;
    let here = tenant(&world, "here").await;
    let environment = format!("/api/v1/environments/{}", here.environment);
    let before = world.admin(Request::get(&environment)).await.json();
    for mut request in all_routes(&here.organization, &here.project, &here.environment) {
        request.target = format!("{}?colour=red", request.target);
        let answer = world.admin(request).await;
        answer.assert_refused("400", "\"colour\" is not a parameter; this takes ");
    }
    let after = world.admin(Request::get(&environment)).await.json();
    assert_eq!(after, before);
    let organization = format!("/api/v1/organizations/{}", here.organization);
    for (target, says) in [
        (
            format!("{organization}?limit=1"),
            "\"limit\" is not a parameter; this takes none",
        ),
        (
            "/api/v1/organizations?after=x".to_owned(),
            "this takes limit, cursor",
        ),
        (
            "/api/v1/audit?limit=1&actors=x".to_owned(),
            "\"actors\" is not a parameter; this takes limit, cursor, actor, action",
        ),
        (
            "/api/v1/audit/export?cursor=1".to_owned(),
            "this takes after",
        ),
        (
            format!("{organization}/environments?project=x"),
            "this takes limit, cursor, project_id",
        ),
        (
            format!("{organization}/mints?from=x"),
            "this takes limit, cursor, since, until",
        ),
        ("/api/v1/keys?%00".to_owned(), "is not a parameter"),
    ] {
        let answer = world.admin(Request::get(&target)).await;
        answer.assert_refused("400", says);
    }
    // An empty query is none.
    let answer = world.admin(Request::get(&format!("{organization}?"))).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_token_ends_when_it_says() {
    let world = World::start().await;
    let organization = world.organization.to_string();
    let token = scoped(&world, &organization, Some(60)).await;
    let target = format!("/api/v1/organizations/{organization}");
    let request = Request::get(&target).bearer(&token);
    world.advance(59);
    assert_eq!(world.send(request.clone()).await.status, 200);
    world.advance(1);
    assert_unauthenticated(&world.send(request).await);
}

/// Case 20: what is out of reach looks as if it did not exist.
#[tokio::test]
async fn case_20_another_organisations_things_do_not_exist() {
    let world = World::start().await;
    let (own, other) = (tenant(&world, "own").await, tenant(&world, "other").await);
    let token = scoped(&world, &own.organization, None).await;
    let records = async || {
        world
            .audit(Some(other.organization.parse().unwrap()))
            .await
            .len()
    };
    let before = records().await;

    let others = routes(&other.organization, &other.project, &other.environment);
    let nothing = routes(NOTHING, NOTHING, NOTHING);
    for (other, nothing) in others.into_iter().zip(nothing) {
        let (other, nothing) = (other.bearer(&token), nothing.bearer(&token));
        let target = format!("{} {}", other.method, other.target);
        let (other, nothing) = (world.send(other).await, world.send(nothing).await);
        assert_eq!(other.status, 404, "{target}");
        assert_eq!(other.without_id(), nothing.without_id(), "{target}");
    }
    // Another's project in one's own organisation, and in its listings.
    let target = format!("/api/v1/organizations/{}/environments", own.organization);
    for project in [&other.project, NOTHING] {
        let body = json!({ "name": "x", "project_id": project });
        let answer = world
            .send(Request::json("POST", &target, &body).bearer(&token))
            .await;
        answer.assert_refused("404", "there is no such project in this organisation");
        let listed = format!("{target}?project_id={project}");
        let answer = world.send(Request::get(&listed).bearer(&token)).await;
        assert_eq!(answer.json()["items"], json!([]));
    }
    assert_eq!(records().await, before, "nothing happened there");

    // One's own is all there, and all of it works.
    let answer = world
        .send(Request::get("/api/v1/organizations").bearer(&token))
        .await
        .json();
    assert_eq!(answer["items"].as_array().unwrap().len(), 1);
    assert_eq!(answer["items"][0]["id"], own.organization);
    let target = format!("/api/v1/organizations?cursor={}", own.organization);
    let answer = world.send(Request::get(&target).bearer(&token)).await;
    assert_eq!(answer.json()["items"], json!([]));
    for request in routes(&own.organization, &own.project, &own.environment) {
        let target = format!("{} {}", request.method, request.target);
        let answer = world.send(request.bearer(&token)).await;
        // The last one asks for a join token of the environment that the one before it stopped.
        let expected = target.ends_with("/join-tokens");
        assert_eq!(answer.status == 409, expected, "{target}: {answer:?}");
        assert!(expected || answer.status < 300, "{target}: {answer:?}");
    }
    for (request, says) in [
        (Request::get("/api/v1/keys"), "cannot see the issuer's keys"),
        (
            Request::json("POST", "/api/v1/organizations", &json!({ "name": "x" })),
            "cannot make another",
        ),
    ] {
        let answer = world.send(request.bearer(&token)).await;
        answer.assert_refused("403", says);
    }
}

#[tokio::test]
async fn what_is_made_is_shown_and_listed() {
    let world = World::start().await;
    let target = "/api/v1/organizations";
    let body = json!({ "name": "Müller & Söhne", "audiences": ["sts.amazonaws.com", "api://x"] });
    let made = world.post(target, &body).await;
    assert_eq!(made.status, 201);
    snapshot!("organization-created", made);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let shown = world.admin(Request::get(&format!("{target}/{id}"))).await;
    assert_eq!(shown.json(), made.json());

    let projects = format!("{target}/{id}/projects");
    let project = world.post(&projects, &json!({ "name": "web" })).await;
    assert_eq!(project.status, 201);
    let project_id = project.json()["id"].as_str().unwrap().to_owned();
    let shown = world
        .admin(Request::get(&format!("/api/v1/projects/{project_id}")))
        .await;
    assert_eq!(shown.json(), project.json());

    let environments = format!("{target}/{id}/environments");
    let body = json!({ "name": "dev", "project_id": project_id, "cidr": "10.0.0.0/8" });
    let environment = world.post(&environments, &body).await;
    assert_eq!(environment.status, 201);
    snapshot!("environment-created", environment);
    let made = environment.json()["environment"].clone();
    let path = format!("/api/v1/environments/{}", made["id"].as_str().unwrap());
    let shown = world.admin(Request::get(&path)).await;
    assert_eq!(shown.json(), made);
    assert!(!shown.text().contains("idp_join_"), "shown once only");
    let ticket = world.post(&format!("{path}/join-tokens"), &json!({})).await;
    snapshot!("join-token-created", ticket);
    let keys = world.admin(Request::get("/api/v1/keys")).await;
    snapshot!("keys", keys);
}

#[tokio::test]
async fn listings_are_paged() {
    let world = World::start().await;
    let organization = world.organization;
    let base = format!("/api/v1/organizations/{organization}/projects");
    let mut made = Vec::new();
    for number in 0..7 {
        world.clock.advance(std::time::Duration::from_millis(1));
        let body = json!({ "name": format!("p{number}") });
        made.push(world.post(&base, &body).await.json()["id"].clone());
    }
    for limit in [1, 2, 3, 7, 8, 500] {
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let target = format!("{base}?limit={limit}{cursor}");
            let page = world.admin(Request::get(&target)).await.json();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= limit);
            seen.extend(items.iter().map(|item| item["id"].clone()));
            pages += 1;
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, made);
        assert_eq!(pages, made.len().div_ceil(limit), "no empty last page");
    }
    for (query, says) in [
        ("limit=0", "limit must be from 1 to 500"),
        ("limit=501", "limit must be from 1 to 500"),
        ("limit=-1", "limit: "),
        ("limit=x", "limit: "),
        ("limit=", "limit: "),
        ("limit=1&limit=2", "limit"),
        ("cursor=x", "cursor is not one that a listing gave"),
        ("cursor=", "cursor is not one"),
        ("cursor=%00", "cursor is not one"),
    ] {
        let answer = world.admin(Request::get(&format!("{base}?{query}"))).await;
        answer.assert_refused("400", says);
    }
    let target = format!("/api/v1/organizations/{organization}/environments?project_id=x");
    let answer = world.admin(Request::get(&target)).await;
    answer.assert_refused("400", "project_id: ");
    snapshot!("bad-query", answer);
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "a table of bodies and what is said of them"
)]
async fn bodies_are_checked_and_the_member_is_named() {
    let world = World::start().await;
    let organizations = "/api/v1/organizations";
    let own = format!("{organizations}/{}", world.organization);
    let environments = format!("{own}/environments");
    let many: Vec<String> = (0..101).map(|number| format!("a{number}")).collect();
    let before = world.audit(None).await.len();
    for (method, target, body, says) in [
        ("POST", organizations, json!({}), "missing field `name`"),
        (
            "POST",
            organizations,
            json!({ "name": "" }),
            "name: a name must not be empty",
        ),
        (
            "POST",
            organizations,
            json!({ "name": " a" }),
            "name: a name must not begin",
        ),
        (
            "POST",
            organizations,
            json!({ "name": "a\u{0}b" }),
            "name: a name must not contain the character U+0000",
        ),
        (
            "POST",
            organizations,
            json!({ "name": "a\nb" }),
            "name: a name must not contain the character U+000A",
        ),
        (
            "POST",
            organizations,
            json!({ "name": "a\u{1b}[2J" }),
            "name: a name must not contain the character U+001B",
        ),
        (
            "POST",
            organizations,
            json!({ "name": "a\u{202e}b" }),
            "name: a name must not contain the character U+202E",
        ),
        (
            "POST",
            organizations,
            json!({ "name": "a\u{200b}b" }),
            "U+200B",
        ),
        (
            "POST",
            organizations,
            json!({ "name": "a".repeat(129) }),
            "name: a name may have at most 128 characters",
        ),
        (
            "POST",
            organizations,
            json!({ "name": 1 }),
            "name: invalid type",
        ),
        (
            "POST",
            organizations,
            json!({ "name": null }),
            "name: invalid type",
        ),
        (
            "POST",
            organizations,
            json!({ "name": "a", "id": NOTHING }),
            "unknown field `id`",
        ),
        (
            "POST",
            organizations,
            json!({ "name": "a", "audiences": ["*"] }),
            "audiences[0]: an audience must not contain '*'",
        ),
        (
            "POST",
            organizations,
            json!({ "name": "a", "audiences": "x" }),
            "audiences: invalid type",
        ),
        (
            "POST",
            organizations,
            json!({ "name": "a", "audiences": many }),
            "audiences: an organisation allows from 1 to 100",
        ),
        (
            "PATCH",
            &own,
            json!({ "audiences": many }),
            "audiences: an organisation allows from 1 to 100",
        ),
        (
            "PATCH",
            &own,
            json!({ "audiences": [] }),
            "audiences: an organisation allows from 1 to 100",
        ),
        ("PATCH", &own, json!({}), "there is nothing to change"),
        (
            "PATCH",
            &own,
            json!({ "names": "a" }),
            "unknown field `names`",
        ),
        (
            "POST",
            &environments,
            json!({ "name": "a", "cidr": "x" }),
            "cidr: ",
        ),
        (
            "POST",
            &environments,
            json!({ "name": "a", "cidr": "10.0.0.0/33" }),
            "cidr: ",
        ),
        (
            "POST",
            &environments,
            json!({ "name": "a", "cidr": "10.0.0.0" }),
            "cidr: ",
        ),
        (
            "POST",
            &environments,
            json!({ "name": "a", "cidr": "::/129" }),
            "cidr: ",
        ),
        (
            "POST",
            &environments,
            json!({ "name": "a", "cidr": ["10.0.0.0/8"] }),
            "cidr: ",
        ),
        (
            "POST",
            &environments,
            json!({ "name": "a", "project_id": "x" }),
            "project_id: ",
        ),
        (
            "POST",
            &environments,
            json!({ "name": "a", "project_id": NOTHING.to_uppercase() }),
            "project_id: ",
        ),
        (
            "POST",
            &environments,
            json!({ "name": "a", "organization_id": NOTHING }),
            "unknown field",
        ),
    ] {
        let answer = world.admin(Request::json(method, target, &body)).await;
        let (status, detail) = answer.refusal();
        assert_eq!(status, "400", "{body}: {detail}");
        assert!(
            detail.replace('"', "'").contains(says),
            "{body}: {says:?} in {detail:?}"
        );
        assert!(!detail.contains('\u{202e}') && !detail.contains('\u{1b}'));
    }
    let json = |body: &str| Request::json("POST", organizations, &json!({})).body(body);
    for (request, status, says) in [
        (json(""), "400", "not acceptable JSON"),
        (json("[]"), "400", "it is not a JSON object"),
        (
            json(r#"{"name":"a","name":"b"}"#),
            "400",
            "the member \"name\" occurs twice",
        ),
        (
            json(r#"{"name":"a","n\u0061me":"b"}"#),
            "400",
            "occurs twice",
        ),
        (
            json(&" ".repeat(33 * 1024)),
            "413",
            "the body is over 32768 bytes",
        ),
        (
            Request::new("POST", organizations).body(r#"{"name":"a"}"#),
            "415",
            "the content type must be application/json",
        ),
        (
            Request::form(organizations, &[("name", "a")]),
            "415",
            "must be application/json",
        ),
    ] {
        let answer = world.admin(request).await;
        answer.assert_refused(status, says);
    }
    for id in [
        "x",
        "..",
        "%2e%2e",
        "%00",
        "0",
        &NOTHING.to_uppercase(),
        "a%2Fb",
        "*",
    ] {
        for collection in ["organizations", "projects", "environments"] {
            let target = format!("/api/v1/{collection}/{id}");
            let answer = world.admin(Request::get(&target)).await;
            assert_eq!(answer.refusal().0, "404", "{target}");
        }
    }
    let records = world.audit(None).await;
    let records = &records[before..];
    assert!(
        records
            .iter()
            .all(|record| record.action == "admin.request" && record.outcome == "refused")
    );
    let kinds = records.len();
    assert!(
        kinds < 8,
        "a minute's refusals are one record a kind, not {kinds}"
    );
}

#[tokio::test]
async fn every_change_is_recorded_with_its_author() {
    let world = World::start().await;
    let bootstrap = world.audit(None).await;
    let author = &bootstrap[0];
    assert_eq!(author.action, "admin.bootstrap");
    let here = tenant(&world, "here").await;
    let chain = async || world.audit(Some(here.organization.parse().unwrap())).await;
    let made = chain().await.len();
    let mut expected = Vec::new();
    for (action, request) in [
        "organization.update",
        "project.create",
        "project.update",
        "environment.create",
        "environment.update",
        "environment.stop",
    ]
    .into_iter()
    .zip(
        routes(&here.organization, &here.project, &here.environment)
            .into_iter()
            .filter(|request| request.method != "GET"),
    ) {
        let answer = world.admin(request).await;
        assert!(answer.status < 300, "{answer:?}");
        expected.push((action, answer.get("x-request-id").unwrap().to_owned()));
    }
    let records = &chain().await[made..];
    assert_eq!(records.len(), expected.len());
    for (record, (action, request)) in records.iter().zip(&expected) {
        assert_eq!(record.action, *action);
        assert_eq!(record.request_id.as_deref(), Some(request.as_str()));
        assert_eq!(record.actor, format!("administrator:{}", author.target));
        assert_eq!(record.source.as_deref(), Some("127.0.0.1"));
        assert_eq!(record.outcome, "success");
    }
}
