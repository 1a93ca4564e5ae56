//! The form of a request (cases 9 and 14): every malformed one gets the RFC's error and the name of
//! what is wrong.

use serde_json::{Value, json};

use super::{Answer, Environment, Request, World, world::token_parameters};

/// A token request with one parameter changed, or left out for `None`.
async fn with(world: &World, environment: &Environment, name: &str, value: Option<&str>) -> Answer {
    let assertion = environment.assertion(world.now());
    let mut parameters = token_parameters(&assertion).to_vec();
    parameters.retain(|(known, _)| *known != name);
    parameters.extend(value.map(|value| (name, value)));
    world
        .send(Request::form("/oauth2/token", &parameters))
        .await
}

#[tokio::test]
async fn case_9_every_parameter_is_named() {
    let world = World::start().await;
    let environment = world.environment().await;
    for (name, value, error, says) in [
        (
            "grant_type",
            None,
            "400 invalid_request",
            "grant_type is missing",
        ),
        (
            "grant_type",
            Some(""),
            "400 invalid_request",
            "grant_type is missing",
        ),
        (
            "grant_type",
            Some("password"),
            "400 unsupported_grant_type",
            "grant_type must be client_credentials",
        ),
        (
            "client_assertion_type",
            None,
            "400 invalid_request",
            "client_assertion_type is missing",
        ),
        (
            "client_assertion_type",
            Some("urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
            "400 invalid_request",
            "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        (
            "client_assertion",
            None,
            "400 invalid_request",
            "client_assertion is missing",
        ),
        (
            "client_assertion",
            Some("x"),
            "401 invalid_client",
            "separated by dots, this has 1",
        ),
        (
            "audience",
            None,
            "400 invalid_request",
            "audience is missing",
        ),
        ("ttl", Some("59"), "400 invalid_request", "ttl must be"),
        (
            "ttl",
            Some("1801"),
            "400 invalid_request",
            "from 60 to 1800",
        ),
        ("ttl", Some("-1"), "400 invalid_request", "ttl must be"),
        ("ttl", Some("60.0"), "400 invalid_request", "ttl must be"),
        (
            "ttl",
            Some("18446744073709551616"),
            "400 invalid_request",
            "ttl must be",
        ),
        ("ttl", Some(" 60"), "400 invalid_request", "ttl must be"),
        (
            "scope",
            Some("openid"),
            "400 invalid_scope",
            "scope is not supported",
        ),
        (
            "resource",
            Some("https://a.example"),
            "400 invalid_target",
            "resource is not supported",
        ),
        (
            "role_arn",
            Some("arn:aws:iam::000000000000:user/demo"),
            "400 invalid_request",
            "names no IAM role",
        ),
    ] {
        let answer = with(&world, &environment, name, value).await;
        answer.assert_refused(error, says);
    }
    for (ttl, life) in [(None, 900), (Some("60"), 60), (Some("1800"), 1_800)] {
        let answer = with(&world, &environment, "ttl", ttl).await;
        assert_eq!(answer.json()["expires_in"], life);
    }
    // What is unknown is ignored (RFC 6749 §3.2).
    let answer = with(&world, &environment, "unknown", Some("x")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn case_9_a_form_has_one_meaning() {
    let world = World::start().await;
    let environment = world.environment().await;
    let assertion = environment.assertion(world.now());
    for name in [
        "grant_type",
        "client_assertion",
        "audience",
        "ttl",
        "unknown",
    ] {
        let mut parameters = token_parameters(&assertion).to_vec();
        parameters.extend([(name, "sts.amazonaws.com"), (name, "sts.amazonaws.com")]);
        let answer = world
            .send(Request::form("/oauth2/token", &parameters))
            .await;
        let says = format!("{name} occurs more than once");
        answer.assert_refused("400 invalid_request", &says);
    }
    let form = Request::form("/oauth2/token", &token_parameters(&assertion));
    for target in [
        "/oauth2/token?",
        "/oauth2/token?audience=x",
        &format!("/oauth2/token?client_assertion={assertion}"),
    ] {
        let mut request = form.clone();
        request.target = target.to_owned();
        let answer = world.send(request).await;
        answer.assert_refused(
            "400 invalid_request",
            "belong in the body, not in the query",
        );
        assert!(!answer.text().contains(&assertion));
    }
    for content_type in [
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded-not",
        "",
        "\u{ff}",
    ] {
        let mut request = form.clone();
        request.headers = vec![("content-type".to_owned(), content_type.to_owned())];
        let answer = world.send(request).await;
        answer.assert_refused(
            "400 invalid_request",
            "the content type must be application/x-www-form-urlencoded",
        );
    }
    let mut request = form.clone();
    request.headers.clear();
    let answer = world.send(request).await;
    answer.assert_refused("400 invalid_request", "the content type must be");
    for content_type in [
        "application/x-www-form-urlencoded; charset=utf-8",
        "APPLICATION/X-WWW-FORM-URLENCODED",
    ] {
        let assertion = environment.assertion(world.now());
        let mut request = Request::form("/oauth2/token", &token_parameters(&assertion));
        request.headers = vec![("content-type".to_owned(), content_type.to_owned())];
        assert_eq!(world.send(request).await.status, 200, "{content_type}");
    }
    for (body, says) in [
        (b"audience=%ff".as_slice(), "audience is not UTF-8"),
        (b"%ff=x", "is not UTF-8"),
        (b"\xff\xfe", "the body is not UTF-8"),
        (b"audience=%zz", "grant_type is missing"),
        (b"&&&=&=", "occurs more than once"),
    ] {
        let answer = world.send(form.clone().body(body)).await;
        answer.assert_refused("400 invalid_request", says);
    }
}

#[tokio::test]
async fn case_9_a_body_has_a_limit() {
    let world = World::start().await;
    let form = "application/x-www-form-urlencoded";
    for (target, content_type, error) in [
        ("/oauth2/token", form, "413 invalid_request"),
        ("/enroll", "application/json", "413 invalid_request"),
    ] {
        let request = Request::new("POST", target)
            .header("content-type", content_type)
            .body(vec![b'a'; 33 * 1024]);
        let answer = world.send(request).await;
        answer.assert_refused(error, "the body is over 32768 bytes");
        // The same without a length that is known beforehand.
        let chunk = format!("8400\r\n{}\r\n0\r\n\r\n", "a".repeat(0x8400));
        let bytes = format!(
            "POST {target} HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\n\
             transfer-encoding: chunked\r\nconnection: close\r\n\r\n{chunk}"
        );
        let answer = super::wire::send_bytes(world.address, bytes.as_bytes()).await;
        answer.assert_refused(error, "the body is over 32768 bytes");
        snapshot!(format!("too-large{}", target.replace('/', "-")), answer);
    }
    let request =
        Request::json("POST", "/api/v1/organizations", &json!({})).body(vec![b' '; 33 * 1024]);
    let answer = world.admin(request).await;
    answer.assert_refused("413", "the body is over 32768 bytes");
}

#[tokio::test]
async fn case_9_json_has_one_meaning() {
    let world = World::start().await;
    let ticket = world.ticket().await;
    let environment = Environment::new(&ticket.environment);
    let good = environment.enrolment(&ticket.secret, &world.nonce().await);
    for (body, says) in [
        (
            good.to_string().replacen('{', "{\"proof\":\"x\",", 1),
            "the member 'proof' occurs twice",
        ),
        (String::new(), "the body: it is not acceptable JSON"),
        ("[]".to_owned(), "the body: it is not a JSON object"),
        ("{}".to_owned(), "missing field `join_token`"),
        (format!("{good}x"), "not acceptable JSON"),
        ("[".repeat(30_000), "not acceptable JSON"),
        ("\u{feff}{}".to_owned(), "not acceptable JSON"),
    ] {
        let request = Request::new("POST", "/enroll")
            .header("content-type", "application/json")
            .body(body);
        let answer = world.send(request).await;
        answer.assert_refused("400 invalid_request", says);
    }
    let mut more = good.clone();
    more["more"] = json!(1);
    for (name, value, says) in [
        ("more", json!(1), "unknown field `more`"),
        ("proof", json!(1), "proof: invalid type"),
        ("join_token", Value::Null, "join_token: invalid type"),
        ("jwk", json!("x"), "jwk: invalid type"),
        ("jwk", json!({}), "jwk: missing field `kty`"),
        (
            "jwk",
            json!({ "kty": "oct", "k": "AA" }),
            "jwk.kty: unknown variant `oct`",
        ),
    ] {
        let mut body = good.clone();
        body[name] = value;
        let answer = world.send(Request::json("POST", "/enroll", &body)).await;
        answer.assert_refused("400 invalid_request", says);
    }
    let request = Request::json("POST", "/enroll", &good);
    let mut other = request.clone();
    other.headers = vec![("content-type".to_owned(), "text/json".to_owned())];
    let answer = world.send(other).await;
    answer.assert_refused(
        "415 invalid_request",
        "the content type must be application/json",
    );
    assert_eq!(world.send(request).await.status, 200, "nothing was used up");
}

#[tokio::test]
async fn case_14_audiences() {
    let world = World::start().await;
    let environment = world.environment().await;
    for (audience, error, says) in [
        ("", "400 invalid_request", "audience is missing"),
        (
            "STS.amazonaws.com",
            "400 invalid_target",
            "is not one that the organisation allows",
        ),
        ("sts.amazonaws.com.cn", "400 invalid_target", "is not one"),
        (
            " sts.amazonaws.com",
            "400 invalid_target",
            "audience: an audience must not contain ' '",
        ),
        (
            "sts.amazonaws.com sts.amazonaws.com",
            "400 invalid_target",
            "must not contain",
        ),
        ("sts.amazonaws.com,x", "400 invalid_target", "is not one"),
        ("*", "400 invalid_target", "must not contain '*'"),
        (
            "sts.amazonaws.co?",
            "400 invalid_target",
            "must not contain '?'",
        ),
        (
            "sts.amazonaws.com\0",
            "400 invalid_target",
            "must not contain",
        ),
        (
            "sts.amazonaws.com\n",
            "400 invalid_target",
            "must not contain",
        ),
        (
            "stѕ.amazonaws.com",
            "400 invalid_target",
            "must not contain",
        ),
        (
            "[\"sts.amazonaws.com\"]",
            "400 invalid_target",
            "must not contain",
        ),
        (
            &"a".repeat(10 * 1024),
            "400 invalid_target",
            "at most 255 characters, this one has 10240",
        ),
    ] {
        let answer = with(&world, &environment, "audience", Some(audience)).await;
        answer.assert_refused(error, says);
    }
    // What the organisation adds is allowed at once, and what it removes is not.
    let target = format!("/api/v1/organizations/{}", world.organization);
    for (audiences, status) in [
        (
            json!(["sts.amazonaws.com", "api://AzureADTokenExchange"]),
            200,
        ),
        (json!(["sts.amazonaws.com"]), 400),
    ] {
        let body = json!({ "audiences": audiences });
        let answer = world.admin(Request::json("PATCH", &target, &body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let audience = Some("api://AzureADTokenExchange");
        let answer = with(&world, &environment, "audience", audience).await;
        assert_eq!(answer.status, status);
    }
}
