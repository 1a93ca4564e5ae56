//! Mints, and the `jti`s that they use up.

use idp::{ports::MintOutcome, store::first_broken};

use super::{
    Database,
    fixture::{SIGNING_KID, World, issuer},
};

pub(super) async fn mints(database: &impl Database) {
    let world = World::new(database).await;
    world.stored_signing_key().await;
    let organization = world.stored_organization().await.id;
    let environment = world.enrolled(organization).await;
    let before = world.length(Some(organization)).await;
    let mint = world.mint(&environment, "jti-1");
    let event = mint.event.clone();
    assert_eq!(
        world.store.record_mint(mint).await.unwrap(),
        MintOutcome::Recorded
    );
    let chain = world.chain(Some(organization)).await;
    assert_eq!(chain.len(), before + 1);
    let record = chain.last().unwrap();
    assert_eq!(record.id, event.id);
    assert_eq!(record.actor, format!("environment:{}", environment.id));
    assert_eq!(record.action, "token.mint");
    assert_eq!(record.details, r#"{"jti":"jti-1"}"#);
    assert_eq!(first_broken(&chain), None);
}

pub(super) async fn mints_refused(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    world.stored_signing_key().await;
    let pending_key = world.issuer_key("pending", issuer().as_str());
    let mut retiring_key = world.issuer_key("retiring", issuer().as_str());
    retiring_key.activated_at = Some(world.now());
    retiring_key.retiring_at = Some(world.now());
    store
        .create_issuer_keys(&[pending_key, retiring_key], world.event(None))
        .await
        .unwrap();
    let organization = world.stored_organization().await.id;
    let environment = world.enrolled(organization).await;
    let other = world.enrolled(organization).await;
    let stopped = world.enrolled(organization).await;
    store
        .stop_environment(stopped.id, world.now(), world.event(None))
        .await
        .unwrap();
    let (pending, _) = world.stored_environment(organization, None).await;
    let first = world.mint(&environment, "used");
    assert_eq!(
        store.record_mint(first).await.unwrap(),
        MintOutcome::Recorded
    );
    let before = world.length(Some(organization)).await;

    let mut cases = vec![
        (world.mint(&environment, "used"), MintOutcome::Replayed),
        (world.mint(&stopped, "x"), MintOutcome::Stopped),
    ];
    for kid in ["", "kid", &*format!("{}\0", environment.kid), &other.kid] {
        let mut mint = world.mint(&environment, "x");
        kid.clone_into(&mut mint.credential_kid);
        cases.push((mint, MintOutcome::CredentialChanged));
    }
    for id in [pending.id, world.environment(organization, None).id] {
        let mut mint = world.mint(&environment, "x");
        mint.environment_id = id;
        cases.push((mint, MintOutcome::CredentialChanged));
    }
    for kid in [
        "pending",
        "retiring",
        "absent",
        &*format!("{SIGNING_KID}\0"),
    ] {
        let mut mint = world.mint(&environment, "x");
        kid.clone_into(&mut mint.signing_kid);
        cases.push((mint, MintOutcome::SigningKeyInactive));
    }
    for (mint, outcome) in cases {
        assert_eq!(
            store.record_mint(mint.clone()).await.unwrap(),
            outcome,
            "{mint:?}"
        );
    }
    assert_eq!(
        world.length(Some(organization)).await,
        before,
        "only a recorded mint leaves a trace"
    );
    for environment in [&environment, &other] {
        assert_eq!(
            store
                .record_mint(world.mint(environment, "x"))
                .await
                .unwrap(),
            MintOutcome::Recorded,
            "refusals have not used the jti up, and it is one client's only"
        );
    }
}

pub(super) async fn jtis_outlive_a_restart(database: &impl Database) {
    let world = World::new(database).await;
    world.stored_signing_key().await;
    let organization = world.stored_organization().await.id;
    let environment = world.enrolled(organization).await;
    let mint = world.mint(&environment, "once");
    assert_eq!(
        world.store.record_mint(mint.clone()).await.unwrap(),
        MintOutcome::Recorded
    );
    world.store.close().await;
    let reopened = database.open(world.clock.clone()).await;
    assert_eq!(
        reopened.record_mint(mint).await.unwrap(),
        MintOutcome::Replayed
    );
}

pub(super) async fn jtis_are_forgotten_once_expired(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    world.stored_signing_key().await;
    let organization = world.stored_organization().await.id;
    let environment = world.enrolled(organization).await;
    assert_eq!(store.purge_jtis(world.now()).await.unwrap(), 0);
    // More than a slice, so that several are gone through.
    let mints = (0..9_000).map(|n| {
        let mut mint = world.mint(&environment, &format!("jti-{n}"));
        mint.jti_expires_at = world.later(n % 2);
        store.record_mint(mint)
    });
    for outcome in futures_util::future::join_all(mints).await {
        assert_eq!(outcome.unwrap(), MintOutcome::Recorded);
    }
    assert_eq!(
        store.purge_jtis(world.now()).await.unwrap(),
        0,
        "remembered until the time itself"
    );
    assert_eq!(store.purge_jtis(world.later(1)).await.unwrap(), 4_500);
    assert_eq!(
        store
            .record_mint(world.mint(&environment, "jti-0"))
            .await
            .unwrap(),
        MintOutcome::Recorded
    );
    assert_eq!(
        store
            .record_mint(world.mint(&environment, "jti-1"))
            .await
            .unwrap(),
        MintOutcome::Replayed
    );
    assert_eq!(store.purge_jtis(world.later(2)).await.unwrap(), 4_500);
}
