//! An assertion serves once (case 5), whatever happens to the server in between.

use idp::jose::{base64url_decode, base64url_encode};

use super::{World, world::START};

const REPLAYED: &str = "client_assertion: its jti was used before";

#[tokio::test]
async fn case_5_in_series_and_after_a_restart() {
    let mut world = World::start().await;
    let environment = world.environment().await;
    let assertion = environment.assertion(world.now());
    assert_eq!(world.present(&assertion).await.status, 200);
    for _ in 0..3 {
        let answer = world.present(&assertion).await;
        answer.assert_refused("401 invalid_client", REPLAYED);
    }
    world.restart().await;
    let answer = world.present(&assertion).await;
    answer.assert_refused("401 invalid_client", REPLAYED);
    assert_eq!(world.token(&environment).await.status, 200);
}

/// The `jti` counts, not the bytes around it.
#[tokio::test]
async fn case_5_the_same_jti_in_other_bytes() {
    let world = World::start().await;
    let environment = world.environment().await;
    let now = world.now();
    let claims = environment.claims(now);
    let first = environment.sign(&environment.header(), &claims);
    assert_eq!(world.present(&first).await.status, 200);

    let mut later = claims.clone();
    later["exp"] = (now + 90).into();
    let again = environment.sign(&environment.header(), &later);
    let answer = world.present(&again).await;
    answer.assert_refused("401 invalid_client", REPLAYED);

    // An ECDSA signature has a twin, s and n − s, that anybody can compute.
    let twin = with_twin_signature(&first);
    assert_ne!(twin, first);
    let answer = world.present(&twin).await;
    answer.assert_refused("401 invalid_client", REPLAYED);

    // Another client's `jti` is another.
    let other = world.environment().await;
    let text = other.claiming(now, "jti", claims["jti"].clone());
    assert_eq!(world.present(&text).await.status, 200);
}

fn with_twin_signature(assertion: &str) -> String {
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let (input, signature) = assertion.rsplit_once('.').unwrap();
    let mut signature = base64url_decode(signature).unwrap();
    let mut borrow = 0;
    for (digit, order) in signature[32..].iter_mut().zip(order.unwrap()).rev() {
        let difference = i16::from(order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{input}.{}", base64url_encode(signature))
}

#[tokio::test]
async fn case_5_a_refused_assertion_is_not_used_up() {
    let world = World::start().await;
    let environment = world.environment().await;
    let assertion = environment.assertion(world.now());
    let mut parameters = super::world::token_parameters(&assertion);
    parameters[3].1 = "not.allowed";
    let request = super::Request::form("/oauth2/token", &parameters);
    assert_eq!(world.send(request).await.status, 400);
    assert_eq!(world.present(&assertion).await.status, 200);
}

/// What is forgotten could no longer be replayed: between its use and its oblivion there is no
/// moment at which the assertion is taken again.
#[tokio::test]
async fn case_5_the_purge_forgets_only_what_cannot_be_replayed() {
    let world = World::start().await;
    let environment = world.environment().await;
    world.clock.set(START);
    let now = world.now();
    let assertion = environment.assertion(now);
    assert_eq!(world.present(&assertion).await.status, 200);
    let remembered = || async {
        let count: (i64,) = sqlx::query_as("SELECT count(*) FROM used_jtis")
            .fetch_one(&world.sql().await)
            .await
            .unwrap();
        count.0
    };
    assert_eq!(remembered().await, 1);
    // It lives for 60 s, and the leeway is 60 s.
    for millis in [1, 59_999, 60_000, 118_999, 119_000, 119_999] {
        world
            .clock
            .set(START.plus(std::time::Duration::from_millis(millis)));
        world.service.keep_house().await.unwrap();
        let answer = world.present(&assertion).await;
        answer.assert_refused("401 invalid_client", REPLAYED);
        assert_eq!(remembered().await, 1, "{millis}");
    }
    for millis in [120_000, 120_001, 240_000] {
        world
            .clock
            .set(START.plus(std::time::Duration::from_millis(millis)));
        world.service.keep_house().await.unwrap();
        let answer = world.present(&assertion).await;
        answer.assert_refused("401 invalid_client", "exp passed");
    }
    assert_eq!(remembered().await, 0, "and then it is forgotten");
}
