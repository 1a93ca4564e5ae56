//! The keys of issuers.

use std::time::Duration;

use idp::{
    domain::{IssuerKey, KeyState, Outcome, SigningAlgorithm, Timestamp},
    ports::{Change, InsertOutcome, KeyChange, KeyNote, KeyStep, OutstandingTokens},
    store::first_broken,
};

use super::{
    Database,
    fixture::{World, issuer},
};

/// The one stored key of that kid, whatever its state.
async fn stored(world: &World, key: &IssuerKey) -> IssuerKey {
    world.store.issuer_key(key.id).await.unwrap().unwrap()
}

async fn change(world: &World, steps: &[KeyStep]) -> KeyChange {
    let change = world
        .store
        .change_issuer_keys(steps, world.now(), world.event(None));
    change.await.unwrap()
}

pub(super) async fn issuer_keys(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    assert_eq!(store.any_bound_key().await.unwrap(), None);
    let mut active = world.issuer_key("active", issuer().as_str());
    active.activated_at = Some(world.now());
    let pending = world.issuer_key("pending", issuer().as_str());
    let mut retiring = world.issuer_key("retiring", issuer().as_str());
    retiring.activated_at = Some(world.now());
    retiring.retiring_at = Some(world.later(1));
    retiring.sealed = None;
    let mut retired = world.issuer_key("retired", issuer().as_str());
    retired.activated_at = Some(world.now());
    retired.retiring_at = Some(world.later(1));
    retired.retired_at = Some(world.later(2));
    let keys = [active, pending, retiring, retired];
    assert_eq!(
        store
            .create_issuer_keys(&keys, world.event(None))
            .await
            .unwrap(),
        InsertOutcome::Inserted
    );
    assert_eq!(world.length(None).await, 1);
    assert_eq!(
        store.issuer_keys(&issuer()).await.unwrap(),
        keys[..3],
        "by creation, without the retired"
    );
    let other = "https://other.example.com".parse().unwrap();
    assert_eq!(store.issuer_keys(&other).await.unwrap(), []);
    assert_eq!(
        store.issuer_key(keys[3].id).await.unwrap().as_ref(),
        Some(&keys[3])
    );
    let absent = world.issuer_key("x", issuer().as_str());
    assert_eq!(store.issuer_key(absent.id).await.unwrap(), None);
    let sealed = store.any_bound_key().await.unwrap().unwrap();
    assert!(sealed.sealed.is_some());
    assert_eq!(
        store.bound_keys().await.unwrap(),
        keys,
        "the retired one is sealed, which none should be"
    );
}

pub(super) async fn issuer_keys_that_collide(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    world.stored_signing_key().await;
    let mut retired = world.issuer_key("retired", issuer().as_str());
    retired.activated_at = Some(world.now());
    retired.retiring_at = Some(world.now());
    retired.retired_at = Some(world.now());
    let pending = world.issuer_key("pending", issuer().as_str());
    store
        .create_issuer_keys(&[retired, pending], world.event(None))
        .await
        .unwrap();
    let before = world.length(None).await;

    let mut second_active = world.issuer_key("a", issuer().as_str());
    second_active.activated_at = Some(world.now());
    let second_pending = world.issuer_key("b", issuer().as_str());
    let reused = world.issuer_key("retired", "https://other.example.com");
    for key in [second_active.clone(), second_pending, reused] {
        let good = world.issuer_key("good", "https://good.example.com");
        assert_eq!(
            store
                .create_issuer_keys(&[good.clone(), key], world.event(None))
                .await
                .unwrap(),
            InsertOutcome::Exists
        );
        assert_eq!(
            store.issuer_key(good.id).await.unwrap(),
            None,
            "all or none"
        );
    }
    assert_eq!(world.length(None).await, before);

    let mut other_algorithm = second_active.clone();
    other_algorithm.algorithm = SigningAlgorithm::Es256;
    let mut other_issuer = world.issuer_key("c", "https://other.example.com");
    other_issuer.activated_at = Some(world.now());
    assert_eq!(
        store
            .create_issuer_keys(&[other_algorithm, other_issuer], world.event(None))
            .await
            .unwrap(),
        InsertOutcome::Inserted
    );
}

pub(super) async fn issuer_keys_step_by_step(database: &impl Database) {
    let world = World::new(database).await;
    let [first, second, third] =
        ["first", "second", "third"].map(|kid| world.issuer_key(kid, issuer().as_str()));
    assert_eq!(
        change(&world, &[KeyStep::Create(Box::new(first.clone()))]).await,
        KeyChange::Applied
    );
    assert_eq!(stored(&world, &first).await, first);
    let life = Duration::from_mins(30);
    assert_eq!(
        change(&world, &[KeyStep::Want(first.id)]).await,
        KeyChange::Applied
    );
    assert_eq!(
        stored(&world, &first).await.facts.wanted_at,
        Some(world.now())
    );
    let activate = [
        KeyStep::Activate(first.id, life),
        KeyStep::Create(Box::new(second.clone())),
    ];
    assert_eq!(change(&world, &activate).await, KeyChange::Applied);
    let active = stored(&world, &first).await;
    assert_eq!(active.state(), KeyState::Active);
    assert_eq!(active.activated_at, Some(world.now()));
    assert_eq!(active.facts.longest_life, life);
    assert!(active.sealed.is_some());

    let mut external = third.clone();
    (external.sealed, external.reference) = (None, Some("outside".to_owned()));
    let rotate = [
        KeyStep::Retire(first.id),
        KeyStep::Activate(second.id, life),
        KeyStep::Create(Box::new(external.clone())),
    ];
    let length = world.length(None).await;
    assert_eq!(change(&world, &rotate).await, KeyChange::Applied);
    assert_eq!(
        world.length(None).await,
        length + 1,
        "one record for all steps"
    );
    let retiring = stored(&world, &first).await;
    assert_eq!(
        (retiring.state(), retiring.sealed),
        (KeyState::Retiring, None)
    );
    assert_eq!(retiring.retiring_at, Some(world.now()));

    assert_eq!(
        change(
            &world,
            &[KeyStep::Expire(first.id, Some("expired".to_owned()))]
        )
        .await,
        KeyChange::Applied
    );
    let expired = stored(&world, &first).await;
    assert_eq!(expired.state(), KeyState::Retired);
    assert_eq!(expired.mac.as_deref(), Some("expired"));
    assert_eq!(world.store.issuer_keys(&issuer()).await.unwrap().len(), 2);

    let (from, to) = ("sealed".to_owned(), "sealed anew".to_owned());
    let reseal = KeyStep::Reseal {
        id: second.id,
        from,
        to,
    };
    assert_eq!(
        change(&world, std::slice::from_ref(&reseal)).await,
        KeyChange::Applied
    );
    assert_eq!(
        stored(&world, &second).await.sealed.as_deref(),
        Some("sealed anew")
    );
    assert_eq!(change(&world, &[reseal]).await, KeyChange::Overtaken);

    an_external_key_ends(&world, &external).await;
    assert_eq!(
        change(&world, &[KeyStep::Withdraw(second.id, None)]).await,
        KeyChange::Applied
    );
    let forgotten = stored(&world, &external).await.mac;
    assert_eq!(forgotten.as_deref(), Some("forgotten"));
    let withdrawn = stored(&world, &second).await;
    assert_eq!((withdrawn.sealed, withdrawn.mac), (None, None));
    assert_eq!(
        change(&world, &[KeyStep::Create(Box::new(first))]).await,
        KeyChange::Overtaken,
        "its kid was used"
    );
    assert_eq!(first_broken(&world.chain(None).await), None);
}

pub(super) async fn issuer_keys_step_only_from_their_state(database: &impl Database) {
    let world = World::new(database).await;
    let mut active = world.issuer_key("active", issuer().as_str());
    active.activated_at = Some(world.now());
    let pending = world.issuer_key("pending", issuer().as_str());
    let mut retiring = world.issuer_key("retiring", issuer().as_str());
    (retiring.activated_at, retiring.retiring_at) = (Some(world.now()), Some(world.now()));
    let mut retired = world.issuer_key("retired", issuer().as_str());
    retired.retired_at = Some(world.now());
    let keys = [
        active.clone(),
        pending.clone(),
        retiring.clone(),
        retired.clone(),
    ];
    world
        .store
        .create_issuer_keys(&keys, world.event(None))
        .await
        .unwrap();
    let absent = world.issuer_key("absent", issuer().as_str()).id;
    let another = world.issuer_key("another", issuer().as_str());
    let life = Duration::from_mins(1);
    let length = world.length(None).await;
    let wrong = [
        [&active, &retiring, &retired]
            .map(|key| KeyStep::Activate(key.id, life))
            .to_vec(),
        [&pending, &retiring, &retired]
            .map(|key| KeyStep::Retire(key.id))
            .to_vec(),
        [&pending, &active, &retired]
            .map(|key| KeyStep::Expire(key.id, None))
            .to_vec(),
        [&active, &retiring, &retired]
            .map(|key| KeyStep::Want(key.id))
            .to_vec(),
        keys.each_ref()
            .map(|key| KeyStep::Forget(key.id, None))
            .to_vec(),
        vec![
            KeyStep::Withdraw(retired.id, None),
            KeyStep::Withdraw(absent, None),
            KeyStep::Activate(absent, life),
            KeyStep::Create(Box::new(another)),
        ],
    ];
    for step in wrong.into_iter().flatten() {
        // The first of the two steps could be taken, and is not.
        let steps = [KeyStep::Want(pending.id), step];
        assert_eq!(
            change(&world, &steps).await,
            KeyChange::Overtaken,
            "{steps:?}"
        );
    }
    for key in &keys {
        assert_eq!(stored(&world, key).await, *key);
    }
    assert_eq!(world.length(None).await, length);
    // Two active keys of one algorithm cannot be.
    let both = [KeyStep::Activate(pending.id, life)];
    let outcome = world
        .store
        .change_issuer_keys(&both, world.now(), world.event(None))
        .await;
    assert!(!matches!(outcome, Ok(KeyChange::Applied)), "{outcome:?}");
    assert_eq!(stored(&world, &pending).await, pending);
}

/// It goes from its keystore after it has gone from the JWKS.
async fn an_external_key_ends(world: &World, external: &IssuerKey) {
    assert_eq!(
        world.store.ended_external_keys(&issuer()).await.unwrap(),
        []
    );
    assert_eq!(
        change(
            world,
            &[KeyStep::Withdraw(external.id, Some("withdrawn".to_owned()))]
        )
        .await,
        KeyChange::Applied
    );
    let ended = world.store.ended_external_keys(&issuer()).await.unwrap();
    assert_eq!(ended.len(), 1, "though it is retired");
    assert_eq!(ended[0].reference.as_deref(), Some("outside"));
    assert_eq!(ended[0].mac.as_deref(), Some("withdrawn"));
    assert_eq!(
        change(
            world,
            &[KeyStep::Forget(external.id, Some("forgotten".to_owned()))]
        )
        .await,
        KeyChange::Applied
    );
    assert_eq!(
        world.store.ended_external_keys(&issuer()).await.unwrap(),
        []
    );
}

pub(super) async fn issuer_keys_are_vouched_for(database: &impl Database) {
    let world = World::new(database).await;
    let mut bare = world.issuer_key("bare", issuer().as_str());
    (bare.sealed, bare.mac) = (None, None);
    bare.activated_at = Some(world.now());
    let store = &world.store;
    let keys = [bare.clone()];
    store
        .create_issuer_keys(&keys, world.event(None))
        .await
        .unwrap();
    assert_eq!(store.any_bound_key().await.unwrap(), None);
    assert_eq!(store.bound_keys().await.unwrap(), keys, "it is published");
    let vouch = |from: Option<&str>, to: &str| KeyStep::Vouch {
        id: bare.id,
        from: from.map(str::to_owned),
        to: to.to_owned(),
        certificate: format!("certificate under {to}"),
    };
    for (from, to, outcome) in [
        (Some("x"), "a", KeyChange::Overtaken),
        (None, "b", KeyChange::Applied),
        (None, "c", KeyChange::Overtaken),
        (Some("x"), "d", KeyChange::Overtaken),
        (Some("b"), "e", KeyChange::Applied),
    ] {
        assert_eq!(change(&world, &[vouch(from, to)]).await, outcome, "{to}");
    }
    let vouched = stored(&world, &bare).await;
    assert_eq!(vouched.mac.as_deref(), Some("e"));
    assert_eq!(vouched.certificate, "certificate under e");
    assert_eq!(store.any_bound_key().await.unwrap(), Some(vouched));
}

pub(super) async fn issuer_keys_are_noted(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let mut active = world.issuer_key("active", issuer().as_str());
    active.activated_at = Some(world.now());
    let pending = world.issuer_key("pending", issuer().as_str());
    let keys = [active.clone(), pending.clone()];
    store
        .create_issuer_keys(&keys, world.event(None))
        .await
        .unwrap();
    for (noted, longest) in [(900, 900), (1_800, 1_800), (600, 1_800)] {
        let life = KeyNote::TokenLife(Duration::from_secs(noted));
        assert_eq!(
            store.note_issuer_key(active.id, life).await.unwrap(),
            Change::Done
        );
        let facts = stored(&world, &active).await.facts;
        assert_eq!(facts.longest_life.as_secs(), longest);
        assert_eq!(
            store.note_issuer_key(pending.id, life).await.unwrap(),
            Change::Missing
        );
    }
    let seen = KeyNote::Seen {
        at: world.now(),
        max_age: Duration::from_hours(2),
    };
    assert_eq!(
        store.note_issuer_key(pending.id, seen).await.unwrap(),
        Change::Done
    );
    assert_eq!(
        store.note_issuer_key(pending.id, seen).await.unwrap(),
        Change::Missing,
        "once"
    );
    assert_eq!(
        store.note_issuer_key(active.id, seen).await.unwrap(),
        Change::Missing
    );
    let facts = stored(&world, &pending).await.facts;
    assert_eq!(facts.seen_at, Some(world.now()));
    assert_eq!(facts.seen_max_age.as_secs(), 7_200);
    assert_eq!(world.length(None).await, 1, "notes need no record");
}

pub(super) async fn outstanding_tokens(database: &impl Database) {
    let world = World::new(database).await;
    world.stored_signing_key().await;
    let mut expected = Vec::new();
    for count in [2, 1] {
        let organization = world.stored_organization().await.id;
        let environment = world.enrolled(organization).await;
        for (n, (kid, ttl)) in [("a", 60), ("a", 600), ("b", 900), ("a", 0)]
            .into_iter()
            .enumerate()
        {
            if n == 1 && count == 1 {
                continue;
            }
            let mut mint = world.mint(&environment, &format!("{n}"));
            let exp = world.later(ttl).secs();
            mint.event.details = serde_json::json!({ "jti": "x", "exp": exp, "kid": kid });
            world.store.record_mint(mint).await.unwrap();
        }
        let mut refused = world.event(Some(organization));
        (refused.action, refused.outcome) = ("token.mint", Outcome::Refused);
        refused.details = serde_json::json!({ "exp": world.later(60).secs(), "kid": "a" });
        world.store.append(refused).await.unwrap();
        expected.push(OutstandingTokens {
            organization_id: organization,
            count,
            latest_exp: Timestamp::from_secs(world.later(if count == 2 { 600 } else { 60 }).secs()),
        });
    }
    expected.sort_by_key(|tokens| tokens.organization_id.to_string());
    assert_eq!(
        world
            .store
            .outstanding_tokens("a", world.now())
            .await
            .unwrap(),
        expected
    );
    assert_eq!(
        world
            .store
            .outstanding_tokens("c", world.now())
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        world
            .store
            .outstanding_tokens("a", world.later(700))
            .await
            .unwrap(),
        []
    );
}

pub(super) async fn the_newest_time(database: &impl Database) {
    let world = World::new(database).await;
    let (now, later) = (world.now(), world.later(100));
    assert_eq!(world.store.note_time(now).await.unwrap(), now);
    assert_eq!(world.store.note_time(later).await.unwrap(), later);
    assert_eq!(world.store.note_time(now).await.unwrap(), later);
    world.store.close().await;
    let reopened = database.open(world.clock.clone()).await;
    assert_eq!(reopened.note_time(now).await.unwrap(), later);
}
