//! Keys in an external keystore of which the database never heard, or may have: none is left behind, and
//! none is destroyed that is stored.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use idp::{
    domain::{Issuer, KeyState},
    ports::IssuerKeyStore as _,
};

use super::{
    World,
    faulty::{Faulty, FaultyServer},
    outsider::Outsider,
};

const DAY: u64 = 86_400;

/// A server on a database that fails on demand, after two rotations: both of its keys are in the keystore,
/// and no other is published.
async fn server(world: &World, outsider: &Arc<Outsider>) -> FaultyServer {
    let store = Faulty::open(world, None).await;
    let server = FaultyServer::with_keys(world, store, Some(outsider.clone()));
    let server = server.await.unwrap();
    while references(world).await.len() < 2 {
        world.advance(30 * DAY);
        server.service.keep_keys().await.unwrap();
    }
    // So that a promotion is all that is due next.
    world.advance(2 * DAY);
    server.service.keep_keys().await.unwrap();
    server
}

/// The external keys that the database knows of.
async fn references(world: &World) -> BTreeSet<String> {
    let keys = world.observer().bound_keys().await.unwrap();
    keys.into_iter().filter_map(|key| key.reference).collect()
}

fn alive(outsider: &Outsider) -> BTreeSet<String> {
    outsider.alive().into_iter().collect()
}

/// Waits for what is done in the background, for five seconds at most.
async fn comes_to(what: &str, is: impl AsyncFn() -> bool) {
    for _ in 0..500 {
        if is().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}");
}

/// Waits until the keystore has those keys that the database knows of, and no others.
async fn nothing_is_left(world: &World, outsider: &Outsider) {
    let known = async || references(world).await == alive(outsider);
    comes_to("keys are left in the keystore", known).await;
}

#[tokio::test]
async fn a_key_that_was_not_stored_is_destroyed_once_that_is_certain() {
    let world = World::start().await;
    let outsider = Arc::new(Outsider::default());
    let server = server(&world, &outsider).await;
    world.advance(30 * DAY);
    *server.store.refuses.lock().unwrap() = "change_issuer_keys";
    server.service.keep_keys().await.unwrap_err();
    let alive = outsider.alive();
    assert_eq!(alive.len(), 3, "nobody has looked yet");
    // Who cannot look destroys nothing.
    *server.store.refuses.lock().unwrap() = "bound_keys";
    server.service.keep_keys().await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(outsider.alive(), alive);
    *server.store.refuses.lock().unwrap() = "";
    world.advance(60);
    server.service.keep_keys().await.unwrap();
    nothing_is_left(&world, &outsider).await;
    assert!(!outsider.alive().contains(&alive[2]));
    let records = world.audit(None).await;
    let rechecked = records.iter().find(|one| one.action == "key.recheck");
    assert_eq!(rechecked.unwrap().target, alive[2]);
}

#[tokio::test]
async fn a_key_that_was_stored_without_an_answer_is_kept() {
    let world = World::start().await;
    let outsider = Arc::new(Outsider::default());
    let server = server(&world, &outsider).await;
    world.advance(30 * DAY);
    *server.store.loses.lock().unwrap() = "change_issuer_keys";
    server.service.keep_keys().await.unwrap_err();
    *server.store.loses.lock().unwrap() = "";
    let made = outsider.alive()[2].clone();
    assert!(references(&world).await.contains(&made));
    server.service.keep_keys().await.unwrap();
    nothing_is_left(&world, &outsider).await;
    assert!(outsider.alive().contains(&made));
    // It signs when it is its turn.
    world.advance(30 * DAY);
    server.service.keep_keys().await.unwrap();
    let keys = world.observer().issuer_keys(&world.settings.issuer).await;
    let made = keys
        .unwrap()
        .into_iter()
        .find(|key| key.reference.as_ref() == Some(&made));
    assert_eq!(server.service.keys().kid(), made.unwrap().kid);
}

#[tokio::test]
async fn keys_that_are_not_stored_are_made_less_and_less_often() {
    let world = World::start().await;
    let outsider = Arc::new(Outsider::default());
    let server = server(&world, &outsider).await;
    world.advance(30 * DAY);
    let before = outsider.asked.load(Ordering::SeqCst);
    let tries_within = async |secs: u64| {
        let before = outsider.asked.load(Ordering::SeqCst);
        for _ in 0..secs / 10 {
            // A round that tries nothing is no failure.
            drop(server.service.keep_keys().await);
            world.advance(10);
        }
        outsider.asked.load(Ordering::SeqCst) - before
    };
    *server.store.refuses.lock().unwrap() = "change_issuer_keys";
    assert_eq!(tries_within(310).await, 5, "at 0, 10, 30, 70 and 150 s");
    *server.store.refuses.lock().unwrap() = "";
    outsider.room.store(0, Ordering::SeqCst);
    assert_eq!(
        tries_within(3_600).await,
        4,
        "the pauses go on as they were"
    );
    outsider.room.store(usize::MAX, Ordering::SeqCst);
    world.advance(3_600);
    server.service.keep_keys().await.unwrap();
    assert_eq!(outsider.asked.load(Ordering::SeqCst), before + 10);
    nothing_is_left(&world, &outsider).await;
}

#[tokio::test]
async fn a_key_that_was_overtaken_is_destroyed() {
    let world = World::start().await;
    let outsider = Arc::new(Outsider::default());
    let first = server(&world, &outsider).await;
    let second = server(&world, &outsider).await;
    world.advance(30 * DAY);
    let asked = outsider.asked.load(Ordering::SeqCst);
    outsider.crowd.store(asked + 2, Ordering::SeqCst);
    let (one, other) = tokio::join!(first.service.keep_keys(), second.service.keep_keys());
    one.and(other).unwrap();
    assert_eq!(outsider.asked.load(Ordering::SeqCst), asked + 2);
    nothing_is_left(&world, &outsider).await;
}

/// A start that fails leaves no keys behind, however often it is tried again.
#[tokio::test]
async fn a_start_that_fails_destroys_what_it_made() {
    let mut world = World::start().await;
    let issuer: Issuer = "https://other.example.com".parse().unwrap();
    world.settings.issuer = issuer.clone();
    let outsider = Arc::new(Outsider::default());
    let store = Faulty::open(&world, None).await;
    let start = || FaultyServer::with_keys(&world, store.clone(), Some(outsider.clone()));
    *store.refuses.lock().unwrap() = "create_issuer_keys";
    assert!(start().await.is_err());
    assert_eq!(outsider.asked.load(Ordering::SeqCst), 2);
    assert!(outsider.alive().is_empty());
    // The second key cannot be made.
    *store.refuses.lock().unwrap() = "";
    outsider.room.store(1, Ordering::SeqCst);
    assert!(start().await.is_err());
    assert!(outsider.alive().is_empty());
    outsider.room.store(usize::MAX, Ordering::SeqCst);
    // The answer is lost: the start goes on with what is there.
    *store.loses.lock().unwrap() = "create_issuer_keys";
    let started = start().await.unwrap();
    let keys = store.issuer_keys(&issuer).await.unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(references(&world).await, alive(&outsider));
    let active = keys.iter().find(|key| key.state() == KeyState::Active);
    assert_eq!(started.service.keys().kid(), active.unwrap().kid);
}
