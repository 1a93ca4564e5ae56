use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::{domain::SimulatedClock, ports::FetchError};

/// An issuer in memory that counts its fetches.
struct Fake {
    kid: Mutex<&'static str>,
    max_age: Duration,
    fetches: AtomicU32,
    /// Held by a test that wants fetches to wait.
    gate: tokio::sync::Mutex<()>,
}

impl Fake {
    fn new(max_age: u64) -> Self {
        Self {
            kid: Mutex::new("one"),
            max_age: Duration::from_secs(max_age),
            fetches: AtomicU32::new(0),
            gate: tokio::sync::Mutex::new(()),
        }
    }

    fn fetches(&self) -> u32 {
        self.fetches.load(Ordering::SeqCst)
    }
}

fn discovery() -> Value {
    json!({ "issuer": "https://idp.example.com", "jwks_uri": "https://idp.example.com/jwks",
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"] })
}

#[async_trait]
impl KeyFetch for Fake {
    async fn fetch(&self, _: &Issuer) -> Result<FetchedKeys, FetchError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        drop(self.gate.lock().await);
        let kid = *self.kid.lock().unwrap();
        if kid == "down" {
            return Err(FetchError::Unreachable {
                url: "https://idp.example.com".to_owned(),
                reason: "refused".to_owned(),
            });
        }
        Ok(FetchedKeys {
            discovery: discovery(),
            jwks: json!({ "keys": [{ "kty": "RSA", "kid": kid, "n": "AQAB", "e": "AQAB" }] }),
            max_age: self.max_age,
        })
    }
}

fn keys() -> ProviderKeys {
    ProviderKeys::new("https://idp.example.com".parse().unwrap())
}

fn clock() -> SimulatedClock {
    SimulatedClock::new(Timestamp::from_secs(1_000_000))
}

#[tokio::test]
async fn keeps_a_key_set_as_long_as_it_may() {
    let (fake, clock, keys) = (Fake::new(300), clock(), keys());
    for _ in 0..3 {
        keys.with_key(Some("one"), &fake, &clock).await.unwrap();
    }
    assert_eq!(fake.fetches(), 1);
    clock.advance(Duration::from_mins(5));
    keys.with_key(Some("one"), &fake, &clock).await.unwrap();
    assert_eq!(fake.fetches(), 2);
}

#[tokio::test]
async fn keeps_nothing_where_caching_is_forbidden() {
    let (fake, clock, keys) = (Fake::new(0), clock(), keys());
    for _ in 0..3 {
        keys.with_key(None, &fake, &clock).await.unwrap();
    }
    assert_eq!(fake.fetches(), 3);
}

#[tokio::test]
async fn looks_once_more_for_an_unknown_kid() {
    let (fake, clock, keys) = (Fake::new(300), clock(), keys());
    keys.with_key(Some("one"), &fake, &clock).await.unwrap();
    *fake.kid.lock().unwrap() = "two";
    keys.with_key(Some("two"), &fake, &clock).await.unwrap();
    assert_eq!(fake.fetches(), 2);
    let refusal = keys
        .with_key(Some("three"), &fake, &clock)
        .await
        .unwrap_err();
    assert_eq!(fake.fetches(), 3);
    assert!(refusal.message.contains("Couldn't retrieve"));
    assert!(refusal.reason.contains("\"three\""), "{}", refusal.reason);
}

#[tokio::test]
async fn a_flood_of_unknown_kids_fetches_only_so_often() {
    let (fake, clock, keys) = (Fake::new(3_000), clock(), keys());
    keys.with_key(Some("one"), &fake, &clock).await.unwrap();
    for n in 0..100 {
        let kid = n.to_string();
        keys.with_key(Some(&kid), &fake, &clock).await.unwrap_err();
    }
    assert_eq!(fake.fetches(), 1 + REFETCHES);
    clock.advance(REFILL);
    for _ in 0..5 {
        keys.with_key(Some("x"), &fake, &clock).await.unwrap_err();
    }
    assert_eq!(fake.fetches(), 2 + REFETCHES);
    keys.with_key(Some("one"), &fake, &clock).await.unwrap();
}

#[tokio::test]
async fn a_failure_is_told_and_not_kept() {
    let (fake, clock, keys) = (Fake::new(300), clock(), keys());
    *fake.kid.lock().unwrap() = "down";
    let refusal = keys.with_key(Some("one"), &fake, &clock).await.unwrap_err();
    assert!(refusal.message.contains("Couldn't retrieve"));
    assert!(refusal.reason.contains("refused"), "{}", refusal.reason);
    *fake.kid.lock().unwrap() = "one";
    keys.with_key(Some("one"), &fake, &clock).await.unwrap();
}

#[tokio::test]
async fn who_comes_during_a_fetch_shares_its_outcome() {
    let (fake, clock, keys) = (Fake::new(0), clock(), keys());
    let gate = fake.gate.lock().await;
    let many =
        futures_util::future::join_all((0..20).map(|_| keys.with_key(Some("one"), &fake, &clock)));
    let open = async {
        tokio::task::yield_now().await;
        drop(gate);
    };
    let (outcomes, ()) = tokio::join!(many, open);
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(fake.fetches(), 1);
}

#[test]
fn discovery_must_be_the_issuers_and_complete() {
    let keys = keys();
    let read = |discovery, jwks| {
        keys.read(&FetchedKeys {
            discovery,
            jwks,
            max_age: Duration::ZERO,
        })
        .map(drop)
        .map_err(|reason| reason.to_string())
    };
    let set = || json!({ "keys": [] });
    read(discovery(), set()).unwrap();
    let changed = |name: &str, value: Value| {
        let mut document = discovery();
        document[name] = value;
        document
    };
    for (document, jwks, says) in [
        (json!(null), set(), "issuer is \"missing\""),
        (
            changed("issuer", json!("https://other.example.com")),
            set(),
            "its issuer is \"https://other.example.com\"",
        ),
        (changed("jwks_uri", json!(7)), set(), "jwks_uri is missing"),
        (
            changed("subject_types_supported", json!([])),
            set(),
            "subject_types_supported is missing",
        ),
        (discovery(), json!([]), "no list of keys"),
        (discovery(), json!({ "keys": {} }), "no list of keys"),
    ] {
        let error = read(document, jwks).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}
