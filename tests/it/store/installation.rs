//! What concerns the whole installation.

use std::sync::Arc;

use idp::{
    domain::{AdminTokenId, SystemRandom},
    ports::{AdminToken, InsertOutcome, OrganizationChange, Store, StoreError},
};

use super::{Database, fixture::World};

pub(super) async fn usage(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    store.ping().await.unwrap();
    let quiet = store.usage();
    assert!(quiet.connections >= 1, "{quiet:?}");
    assert!(quiet.idle <= quiet.connections, "{quiet:?}");
    assert_eq!(quiet.waiting, 0);
    let asked = (0..20).map(|_| store.append(world.event(None)));
    for answer in futures_util::future::join_all(asked).await {
        answer.unwrap();
    }
    assert_eq!(store.usage().waiting, 0);
}

pub(super) async fn administrators(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let mut token = AdminToken {
        id: AdminTokenId::new(&*world.clock, &SystemRandom),
        hash: [1; 32],
        organization_id: Some(world.organization().id),
        created_at: world.now(),
        expires_at: Some(world.later(1)),
    };
    assert_eq!(
        store
            .bootstrap_admin(&token, world.event(None))
            .await
            .unwrap(),
        InsertOutcome::ParentMissing
    );
    token.organization_id = Some(world.stored_organization().await.id);
    assert_eq!(store.admin_token(&token.hash).await.unwrap(), None);
    assert_eq!(
        store
            .bootstrap_admin(&token, world.event(None))
            .await
            .unwrap(),
        InsertOutcome::Inserted
    );
    assert_eq!(
        store.admin_token(&token.hash).await.unwrap(),
        Some(token.clone())
    );
    let second = AdminToken {
        id: AdminTokenId::new(&*world.clock, &SystemRandom),
        hash: [2; 32],
        organization_id: None,
        ..token
    };
    assert_eq!(
        store
            .bootstrap_admin(&second, world.event(None))
            .await
            .unwrap(),
        InsertOutcome::Exists
    );
    assert_eq!(store.admin_token(&second.hash).await.unwrap(), None);
    assert_eq!(world.length(None).await, 1);
}

pub(super) async fn leases(database: &impl Database) {
    let world = World::new(database).await;
    let other = database.open(world.clock.clone()).await;
    let acquire = async |store: &Arc<dyn Store>, name: &str, holder: &str, now, until| {
        let acquired = store.acquire_lease(name, holder, world.later(now), world.later(until));
        acquired.await.unwrap()
    };
    assert!(acquire(&world.store, "rotation", "a", 0, 30).await);
    assert!(!acquire(&other, "rotation", "b", 29, 60).await, "a has it");
    assert!(acquire(&other, "purge", "b", 0, 30).await, "another lease");
    assert!(
        acquire(&world.store, "rotation", "a", 20, 50).await,
        "prolonged"
    );
    assert!(!acquire(&other, "rotation", "b", 49, 80).await);
    assert!(acquire(&other, "rotation", "b", 50, 80).await, "it ended");
    assert!(!acquire(&world.store, "rotation", "a", 51, 90).await);
    other.close().await;
}

pub(super) async fn closing(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let accepted: Vec<_> = (0..100)
        .map(|_| {
            let store = store.clone();
            let event = world.event(None);
            tokio::spawn(async move { store.append(event).await.is_ok() })
        })
        .collect();
    tokio::task::yield_now().await;
    store.close().await;
    store.close().await;
    let mut acknowledged = 0;
    for task in accepted {
        acknowledged += usize::from(task.await.unwrap());
    }
    let event = world.event(None);
    assert!(matches!(
        store.append(event.clone()).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store
            .update_organization(
                world.organization().id,
                &OrganizationChange::default(),
                event
            )
            .await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store
            .credential(world.environment(world.organization().id, None).id)
            .await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store.ping().await,
        Err(StoreError::Unavailable(_))
    ));
    let reopened = World::new(database).await;
    assert_eq!(
        reopened.length(None).await,
        acknowledged,
        "what was acknowledged, and nothing else"
    );
}
