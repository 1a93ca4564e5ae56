//! Anything at all, at every route: never a 5xx, never a broken answer, and every error is JSON.

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{Answer, Environment, Request, World, world::token_parameters};

const NOTHING: &str = "019527e4-75d5-704d-a5a4-a2b52cf56196";

const TARGETS: [&str; 16] = [
    "/.well-known/openid-configuration",
    "/.well-known/jwks.json",
    "/oauth2/token",
    "/enroll/nonce",
    "/enroll",
    "/api/v1/organizations",
    "/api/v1/organizations/ID",
    "/api/v1/organizations/ID/projects",
    "/api/v1/organizations/ID/environments",
    "/api/v1/projects/ID",
    "/api/v1/environments/ID",
    "/api/v1/environments/ID/stop",
    "/api/v1/environments/ID/join-tokens",
    "/api/v1/keys",
    "/",
    "/PATH",
];

#[track_caller]
fn assert_well_formed(answer: &Answer) -> Result<(), TestCaseError> {
    prop_assert!(answer.status < 500, "{answer:?}");
    prop_assert!(answer.get("x-request-id").is_some(), "{answer:?}");
    if answer.status >= 400 && !answer.body.is_empty() {
        let body: Value = serde_json::from_slice(&answer.body)
            .map_err(|error| TestCaseError::fail(format!("{error}: {answer:?}")))?;
        let described = body["error"].is_string() && body["error_description"].is_string()
            || body["title"].is_string() && body["detail"].is_string();
        prop_assert!(described, "{answer:?}");
        prop_assert_eq!(answer.get("cache-control"), Some("no-store"));
        if let Some(description) = body["error_description"].as_str() {
            // RFC 6749 §5.2.
            let allowed = |c: char| (' '..='~').contains(&c) && !matches!(c, '"' | '\\');
            prop_assert!(description.chars().all(allowed), "{description:?}");
        }
    }
    Ok(())
}

fn target() -> impl Strategy<Value = String> {
    let id = prop_oneof![
        Just(NOTHING.to_owned()),
        "[!$-;=@A-Z_a-z~]{1,40}",
        "(%[0-9a-f]{2}){1,20}",
    ];
    let query = option::weighted(0.3, "[!$-;=?@A-Z_a-z~]{0,60}");
    (select(TARGETS.as_slice()), id, query).prop_map(|(target, id, query)| {
        let target = target.replace("ID", &id).replace("PATH", &id);
        query.map_or(target.clone(), |query| format!("{target}?{query}"))
    })
}

fn header() -> impl Strategy<Value = (String, String)> {
    let name = select(
        [
            "accept",
            "accept-encoding",
            "authorization",
            "content-type",
            "cookie",
            "if-modified-since",
            "if-none-match",
            "origin",
            "range",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-http-method-override",
            "x-request-id",
        ]
        .as_slice(),
    );
    (name.prop_map(str::to_owned), "[!-~]{0,60}")
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let name = prop_oneof![
        select(
            [
                "name",
                "audiences",
                "project_id",
                "cidr",
                "join_token",
                "jwk",
                "proof",
                "kty",
                "crv",
                "x",
                "y",
                "n",
                "e",
                "d",
            ]
            .as_slice()
        )
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((name.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn form() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        select(
            [
                "grant_type",
                "client_assertion_type",
                "client_assertion",
                "client_id",
                "client_secret",
                "audience",
                "ttl",
                "scope",
            ]
            .as_slice()
        )
        .prop_map(str::to_owned),
        "\\PC{0,20}",
    ];
    let value = prop_oneof![
        Just("client_credentials".to_owned()),
        Just("urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned()),
        Just("sts.amazonaws.com".to_owned()),
        any::<String>(),
    ];
    vec((name, value), 0..8).prop_map(|pairs| {
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
            .into_bytes()
    })
}

/// A body, and the content type that goes with it.
fn body() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    prop_oneof![
        form().prop_map(|body| ("application/x-www-form-urlencoded", body)),
        json().prop_map(|body| ("application/json", body.to_string().into_bytes())),
        vec(any::<u8>(), 0..400).prop_map(|body| ("application/json", body)),
        vec(any::<u8>(), 0..400).prop_map(|body| ("application/x-www-form-urlencoded", body)),
        vec(any::<u8>(), 0..40).prop_map(|body| ("application/octet-stream", body)),
    ]
}

fn world() -> (Runtime, World) {
    let runtime = Runtime::new().unwrap();
    let world = runtime.block_on(World::start());
    (runtime, world)
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[test]
fn any_request_at_any_route() {
    let (runtime, world) = world();
    let method = select(
        [
            "GET", "GET", "HEAD", "POST", "POST", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
            "X-Y",
        ]
        .as_slice(),
    );
    let strategy = (method, target(), vec(header(), 0..4), body(), any::<bool>());
    proptest!(cases(512), |((method, target, headers, (kind, body), is_admin) in strategy)| {
        let mut request = Request::new(method, &target).body(body);
        if !headers.iter().any(|(name, _)| name == "content-type") {
            request = request.header("content-type", kind);
        }
        if is_admin && !headers.iter().any(|(name, _)| name == "authorization") {
            request = request.bearer(&world.admin);
        }
        request.headers.extend(headers);
        let answer = runtime.block_on(world.send(request));
        assert_well_formed(&answer)?;
    });
    // The server is as it was.
    assert_eq!(
        runtime.block_on(world.get("/.well-known/jwks.json")).status,
        200
    );
}

/// Claims and headers of every kind under a good signature: whatever an enrolled client says.
#[test]
fn any_assertion_of_a_client_that_proves_its_key() {
    let (runtime, world) = world();
    let environment = runtime.block_on(world.environment());
    let member = |names: &'static [&'static str]| (select(names), json());
    let claim = member(&["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "azp"]);
    let parameter = member(&[
        "alg", "typ", "kid", "crit", "b64", "jwk", "jku", "zip", "cty",
    ]);
    let strategy = (option::of(claim), option::of(parameter), "\\PC{0,30}");
    proptest!(cases(256), |((claim, parameter, audience) in strategy)| {
        let mut claims = environment.claims(world.now());
        let mut header = environment.header();
        for (changed, map) in [(claim, &mut claims), (parameter, &mut header)] {
            if let Some((name, value)) = changed {
                map[name] = value;
            }
        }
        let assertion = environment.sign(&header, &claims);
        let mut parameters = token_parameters(&assertion);
        parameters[3].1 = &audience;
        let request = Request::form("/oauth2/token", &parameters);
        let answer = runtime.block_on(world.send(request));
        assert_well_formed(&answer)?;
        // No audience but AWS's is allowed, and a random text is not that.
        prop_assert_ne!(answer.status, 200);
    });
    assert_eq!(runtime.block_on(world.token(&environment)).status, 200);
}

/// Bytes of a good assertion, changed anywhere: never a token, never more than a refusal.
#[test]
fn any_edit_of_a_good_assertion() {
    let (runtime, world) = world();
    let environment = runtime.block_on(world.environment());
    let strategy = (any::<prop::sample::Index>(), "[A-Za-z0-9_.=+/ -]");
    proptest!(cases(256), |((at, replacement) in strategy)| {
        let mut assertion = environment.assertion(world.now());
        let at = at.index(assertion.len());
        let original = assertion[at..=at].to_owned();
        assertion.replace_range(at..=at, &replacement);
        let answer = runtime.block_on(world.present(&assertion));
        assert_well_formed(&answer)?;
        if original == replacement {
            prop_assert_eq!(answer.status, 200);
        } else {
            prop_assert_eq!(answer.status, 401, "{}", assertion);
        }
    });
}

/// Whatever body an enrolment has, the join token is not lost by it.
#[test]
fn any_enrolment() {
    let (runtime, world) = world();
    let ticket = runtime.block_on(world.ticket());
    let environment = Environment::new(&ticket.environment);
    let strategy = (select(["join_token", "jwk", "proof"].as_slice()), json());
    proptest!(cases(256), |((name, value) in strategy)| {
        let nonce = runtime.block_on(world.nonce());
        let mut body = environment.enrolment(&ticket.secret, &nonce);
        body[name] = value;
        let answer = runtime.block_on(world.send(Request::json("POST", "/enroll", &body)));
        assert_well_formed(&answer)?;
        prop_assert_eq!(answer.status, 400);
    });
    let answer = runtime.block_on(world.try_enrol(&ticket, &environment));
    assert_eq!(answer.status, 200);
}
