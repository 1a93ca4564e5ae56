//! Many at once: each ends in its own way, and exactly one where there can be only one.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use idp::{
    domain::{AdminTokenId, SystemRandom},
    ports::{
        AdminToken, EnrolOutcome, InsertOutcome, KeyChange, KeyStep, MintOutcome, StopOutcome,
    },
    store::first_broken,
};

use super::{
    Database,
    fixture::{World, all, issuer},
};

pub(super) async fn mints_together_end_each_its_own_way(database: &impl Database) {
    let world = World::new(database).await;
    world.stored_signing_key().await;
    let organization = world.stored_organization().await.id;
    let other = world.stored_organization().await.id;
    let mut environments = Vec::new();
    for n in 0..64 {
        let home = if n % 2 == 0 { organization } else { other };
        environments.push(world.enrolled(home).await);
    }
    let stopped = &environments[17];
    world
        .store
        .stop_environment(
            stopped.id,
            world.now(),
            world.event(Some(stopped.organization)),
        )
        .await
        .unwrap();
    let replay = world.mint(&environments[40], "seen");
    world.store.record_mint(replay.clone()).await.unwrap();
    let before = world.length(Some(organization)).await + world.length(Some(other)).await;

    let mints = environments.iter().enumerate().map(|(n, environment)| {
        let mint = match n {
            23 => {
                let mut mint = world.mint(environment, "jti");
                "former".clone_into(&mut mint.credential_kid);
                mint
            }
            29 => {
                let mut mint = world.mint(environment, "jti");
                "former".clone_into(&mut mint.signing_kid);
                mint
            }
            40 => replay.clone(),
            _ => world.mint(environment, "jti"),
        };
        world.store.record_mint(mint)
    });
    for (n, outcome) in join_all(mints).await.into_iter().enumerate() {
        let expected = match n {
            17 => MintOutcome::Stopped,
            23 => MintOutcome::CredentialChanged,
            29 => MintOutcome::SigningKeyInactive,
            40 => MintOutcome::Replayed,
            _ => MintOutcome::Recorded,
        };
        assert_eq!(outcome.unwrap(), expected, "{n}");
    }
    let mut after = 0;
    for home in [organization, other] {
        let chain = world.chain(Some(home)).await;
        assert_eq!(first_broken(&chain), None);
        after += chain.len();
    }
    assert_eq!(after, before + 60);
}

pub(super) async fn one_assertion_many_times_mints_once(database: &impl Database) {
    let world = World::new(database).await;
    world.stored_signing_key().await;
    let organization = world.stored_organization().await.id;
    let environment = world.enrolled(organization).await;
    let before = world.length(Some(organization)).await;
    let tries = (0..100).map(|_| world.store.record_mint(world.mint(&environment, "one")));
    let outcomes: Vec<_> = join_all(tries)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let recorded = outcomes
        .iter()
        .filter(|outcome| **outcome == MintOutcome::Recorded)
        .count();
    let replayed = outcomes
        .iter()
        .filter(|outcome| **outcome == MintOutcome::Replayed)
        .count();
    assert_eq!((recorded, replayed), (1, 99));
    assert_eq!(world.length(Some(organization)).await, before + 1);
}

pub(super) async fn one_join_token_enrols_one(database: &impl Database) {
    let world = Arc::new(World::new(database).await);
    let organization = world.stored_organization().await.id;
    let (environment, token) = world.stored_environment(organization, None).await;
    let tries: Vec<_> = (0..50)
        .map(|n| {
            let (world, token) = (Arc::clone(&world), token.clone());
            tokio::spawn(async move {
                let kid = format!("contender-{n}");
                (world.enrol(&token, &kid).await, kid)
            })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tries {
        match task.await.unwrap() {
            (EnrolOutcome::Enrolled(enrolled), kid) => {
                assert_eq!(enrolled.kid.as_ref(), Some(&kid));
                winners.push(kid);
            }
            (outcome, _) => assert_eq!(outcome, EnrolOutcome::Refused),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    let credential = world.store.credential(environment.id).await.unwrap();
    assert_eq!(credential.unwrap().kid, winners[0]);
    assert_eq!(world.length(None).await, 1);
}

/// The record of the stop is the last that the environment's chain ever gets, and every mint that
/// was told `Recorded` lies before it.
pub(super) async fn nothing_is_minted_after_a_stop(database: &impl Database) {
    let world = Arc::new(World::new(database).await);
    world.stored_signing_key().await;
    let organization = world.stored_organization().await.id;
    let environment = world.enrolled(organization).await;
    let before = world.length(Some(organization)).await;
    let minters: Vec<_> = (0..8)
        .map(|minter| {
            let (world, environment) = (Arc::clone(&world), environment.clone());
            tokio::spawn(async move {
                let mut recorded = 0;
                for n in 0.. {
                    let mint = world.mint(&environment, &format!("{minter}-{n}"));
                    match world.store.record_mint(mint).await.unwrap() {
                        MintOutcome::Recorded => recorded += 1,
                        outcome => {
                            assert_eq!(outcome, MintOutcome::Stopped);
                            break;
                        }
                    }
                }
                recorded
            })
        })
        .collect();
    while world.length(Some(organization)).await < before + 50 {
        tokio::task::yield_now().await;
    }
    let mut event = world.event(Some(organization));
    event.action = "environment.stop";
    let stopped = world
        .store
        .stop_environment(environment.id, world.now(), event)
        .await;
    assert_eq!(stopped.unwrap(), StopOutcome::Stopped);
    let at_stop = world.chain(Some(organization)).await;
    assert_eq!(at_stop.last().unwrap().action, "environment.stop");

    let mut recorded = 0;
    for minter in minters {
        recorded += minter.await.unwrap();
    }
    let chain = world.chain(Some(organization)).await;
    assert_eq!(chain, at_stop, "nothing came after");
    assert_eq!(chain.len(), before + recorded + 1);
    assert_eq!(first_broken(&chain), None);
}

pub(super) async fn waiters_that_leave_harm_nobody(database: &impl Database) {
    let world = Arc::new(World::new(database).await);
    world.stored_signing_key().await;
    let organization = world.stored_organization().await.id;
    let environment = world.enrolled(organization).await;
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let (world, environment) = (Arc::clone(&world), environment.clone());
            tokio::spawn(async move {
                let mint = world.mint(&environment, &format!("jti-{n}"));
                world.store.record_mint(mint).await.unwrap()
            })
        })
        .collect();
    tokio::task::yield_now().await;
    for task in tasks.iter().step_by(2) {
        task.abort();
    }
    for (n, task) in tasks.into_iter().enumerate() {
        match task.await {
            Ok(outcome) => assert_eq!(outcome, MintOutcome::Recorded),
            Err(error) => assert!(error.is_cancelled() && n % 2 == 0),
        }
    }
    // A change that is abandoned half-way is rolled back, and the next begins afresh.
    for _ in 0..20 {
        let world = Arc::clone(&world);
        let task = tokio::spawn(async move {
            world.stored_organization().await;
        });
        tokio::task::yield_now().await;
        task.abort();
        let _ = task.await;
    }
    let last = world.mint(&environment, "last");
    assert_eq!(
        world.store.record_mint(last).await.unwrap(),
        MintOutcome::Recorded
    );
    world.stored_organization().await;
    assert_eq!(first_broken(&world.chain(Some(organization)).await), None);
}

pub(super) async fn changes_and_mints_interleave(database: &impl Database) {
    let world = Arc::new(World::new(database).await);
    world.stored_signing_key().await;
    let organization = world.stored_organization().await.id;
    let environment = world.enrolled(organization).await;
    let before = world.length(Some(organization)).await;
    let mints = (0..50).map(|n| {
        let mint = world.mint(&environment, &format!("jti-{n}"));
        let store = Arc::clone(&world.store);
        tokio::spawn(async move {
            assert_eq!(
                store.record_mint(mint).await.unwrap(),
                MintOutcome::Recorded
            );
        })
    });
    let changes = (0..50).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            world.stored_project(organization).await;
        })
    });
    for task in join_all(mints.zip(changes).flat_map(|(a, b)| [a, b])).await {
        task.unwrap();
    }
    let chain = world.chain(Some(organization)).await;
    assert_eq!(chain.len(), before + 100);
    assert_eq!(first_broken(&chain), None, "both append to one chain");
}

pub(super) async fn one_administrator_is_the_first(database: &impl Database) {
    let world = World::new(database).await;
    let tries = (0..20_u8).map(|n| {
        let token = AdminToken {
            id: AdminTokenId::new(&*world.clock, &SystemRandom),
            hash: [n; 32],
            organization_id: None,
            created_at: world.now(),
            expires_at: None,
            name: None,
            revoked_at: None,
        };
        let (store, event) = (Arc::clone(&world.store), world.event(None));
        async move { store.bootstrap_admin(&token, event).await.unwrap() }
    });
    let outcomes = join_all(tries).await;
    let first = outcomes
        .iter()
        .filter(|outcome| **outcome == InsertOutcome::Inserted)
        .count();
    assert_eq!(first, 1);
}

/// Whoever has a stolen token and makes others with it in the moment of the replacement.
pub(super) async fn no_token_slips_past_a_replacement(database: &impl Database) {
    let world = World::new(database).await;
    let token = |hash: [u8; 32]| AdminToken {
        id: AdminTokenId::new(&*world.clock, &SystemRandom),
        hash,
        organization_id: None,
        created_at: world.now(),
        expires_at: None,
        name: None,
        revoked_at: None,
    };
    let store = &world.store;
    let stolen = token([255; 32]);
    let first = store.bootstrap_admin(&stolen, world.event(None)).await;
    assert_eq!(first.unwrap(), InsertOutcome::Inserted);
    let made = (0..40_u8).map(|n| {
        let (token, event, maker) = (token([n; 32]), world.event(None), stolen.id);
        async move {
            store
                .create_admin_token(&token, maker, event)
                .await
                .unwrap()
        }
    });
    let mut fresh = token([254; 32]);
    fresh.created_at = world.later(1);
    let replaced = store.replace_admin(&fresh, world.event(None));
    let (made, replaced) = tokio::join!(join_all(made), replaced);
    assert_eq!(replaced.unwrap(), InsertOutcome::Inserted);
    let outcomes = [InsertOutcome::Inserted, InsertOutcome::ParentStopped];
    assert!(made.iter().all(|outcome| outcomes.contains(outcome)));
    let mut left = store.admin_tokens(None, all()).await.unwrap();
    left.retain(|token| token.revoked_at.is_none());
    assert_eq!(left, [fresh]);
}

pub(super) async fn one_of_many_rotations_is_applied(database: &impl Database) {
    let world = Arc::new(World::new(database).await);
    let mut active = world.issuer_key("active", issuer().as_str());
    active.activated_at = Some(world.now());
    let pending = world.issuer_key("pending", issuer().as_str());
    let keys = [active.clone(), pending.clone()];
    world
        .store
        .create_issuer_keys(&keys, world.event(None))
        .await
        .unwrap();
    let rotations: Vec<_> = (0..16)
        .map(|n| {
            let next = world.issuer_key(&format!("next-{n}"), issuer().as_str());
            let steps = [
                KeyStep::Retire(active.id),
                KeyStep::Activate(pending.id, Duration::from_mins(1)),
                KeyStep::Create(Box::new(next)),
            ];
            let (world, event) = (world.clone(), world.event(None));
            tokio::spawn(async move {
                world
                    .store
                    .change_issuer_keys(&steps, world.now(), event)
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut applied = 0;
    for rotation in rotations {
        applied += usize::from(rotation.await.unwrap() == KeyChange::Applied);
    }
    assert_eq!(applied, 1);
    assert_eq!(world.store.issuer_keys(&issuer()).await.unwrap().len(), 3);
    assert_eq!(world.length(None).await, 2);
}
