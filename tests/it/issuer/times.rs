//! The times and the `jti` of an assertion (case 4). The server's clock stands still.

use serde_json::{Value, json};

use super::World;

/// Presents an assertion with other times: `(status, description)`.
async fn present(world: &World, change: impl FnOnce(&mut Value)) -> (u16, String) {
    let environment = world.environment().await;
    let mut claims = environment.claims(world.now());
    change(&mut claims);
    let answer = world
        .present(&environment.sign(&environment.header(), &claims))
        .await;
    if answer.status == 200 {
        return (200, String::new());
    }
    let (error, description) = answer.refusal();
    assert_eq!(error, "401 invalid_client");
    (answer.status, description)
}

#[tokio::test]
async fn case_4_life_and_leeway() {
    let world = World::start().await;
    let now = world.now();
    for (iat, exp, says) in [
        (0, 120, ""),
        (-119, -59, ""),
        (-60, 60, ""),
        (60, 180, ""),
        (0, 1, ""),
        (0, 121, "exp is 121 s after iat, at most 120 s are allowed"),
        (-3_600, 60, "at most 120 s are allowed"),
        (-120, -60, "exp passed 60 s ago"),
        (-86_400, -86_340, "exp passed 86340 s ago"),
        (61, 120, "iat lies 61 s in the future"),
        (86_400, 86_460, "in the future"),
        (0, 0, "exp is not after iat"),
        (10, 5, "exp is not after iat"),
    ] {
        let (status, description) = present(&world, |claims| {
            claims["iat"] = (now + iat).into();
            claims["exp"] = (now + exp).into();
        })
        .await;
        let expected = if says.is_empty() { 200 } else { 401 };
        assert_eq!(status, expected, "{iat} {exp}: {description}");
        assert!(description.contains(says), "{description}");
    }
}

#[tokio::test]
async fn case_4_what_is_no_time() {
    let world = World::start().await;
    let now = world.now();
    let whole = "must be a whole number of seconds since the epoch";
    for (name, value) in [
        ("exp", json!((now + 60).to_string())),
        ("exp", json!(1_740_514_305.5)),
        ("exp", json!(9_223_372_036_854_775_808_u64)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(i64::MIN)),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("exp", json!(true)),
        ("exp", json!([now + 60])),
        ("exp", Value::Null),
        ("iat", json!(now.to_string())),
        ("iat", json!(9_223_372_036_854_775_808_u64)),
        ("iat", json!(i64::MIN)),
        ("iat", Value::Null),
        ("nbf", json!("0")),
        ("nbf", Value::Null),
        ("nbf", json!(i64::MAX)),
    ] {
        let (status, description) = present(&world, |claims| claims[name] = value.clone()).await;
        assert_eq!(status, 401, "{name} {value}");
        let expected = format!("client_assertion: {name} {whole}");
        assert_eq!(description, expected, "{value}");
    }
    for name in ["exp", "iat"] {
        let (_, description) = present(&world, |claims| {
            claims.as_object_mut().unwrap().remove(name);
        })
        .await;
        assert_eq!(description, format!("client_assertion: {name} {whole}"));
    }
    let (_, description) = present(&world, |claims| claims["nbf"] = (now + 61).into()).await;
    assert_eq!(description, "client_assertion: nbf lies in the future");
    let (status, _) = present(&world, |claims| claims["nbf"] = (now + 60).into()).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn an_assertion_has_a_jti_of_reasonable_length() {
    let world = World::start().await;
    for jti in [
        json!("1234567"),
        json!("x".repeat(256)),
        json!(""),
        json!(12_345_678),
        json!(["12345678"]),
        Value::Null,
    ] {
        let (_, description) = present(&world, |claims| claims["jti"] = jti.clone()).await;
        assert_eq!(
            description,
            "client_assertion: jti must be a string of 8 to 255 bytes, used once"
        );
    }
    for jti in [
        "12345678",
        &"x".repeat(255),
        "nul \0 is a character",
        "'; --   ",
    ] {
        let (status, _) = present(&world, |claims| claims["jti"] = jti.into()).await;
        assert_eq!(status, 200, "{jti:?}");
    }
}

/// A clock that was set back, or forward, spoils no client for longer than the difference.
#[tokio::test]
async fn a_servers_clock_that_is_set_back() {
    let world = World::start().await;
    let environment = world.environment().await;
    let start = world.now();
    assert_eq!(world.token(&environment).await.status, 200);
    world
        .clock
        .set(idp::domain::Timestamp::from_secs(start - 3_600));
    let answer = world.present(&environment.assertion(start)).await;
    answer.assert_refused("401 invalid_client", "iat lies 3600 s in the future");
    assert_eq!(world.token(&environment).await.status, 200);
}
