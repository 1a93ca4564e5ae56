//! What concerns the whole installation.

use std::sync::Arc;

use idp::{
    domain::{AdminTokenId, OrganizationId, SystemRandom},
    ports::{AdminToken, Change, InsertOutcome, OrganizationChange, Page, Store, StoreError},
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
        name: Some("ci".parse().unwrap()),
        revoked_at: None,
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

/// A token beside the first one.
fn another(world: &World, hash: u8, organization_id: Option<OrganizationId>) -> AdminToken {
    AdminToken {
        id: AdminTokenId::new(&*world.clock, &SystemRandom),
        hash: [hash; 32],
        name: None,
        organization_id,
        created_at: world.now(),
        expires_at: None,
        revoked_at: None,
    }
}

pub(super) async fn administrator_tokens(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let own = world.stored_organization().await.id;
    let all = another(&world, 1, None);
    let first = store.bootstrap_admin(&all, world.event(None)).await;
    assert_eq!(first.unwrap(), InsertOutcome::Inserted);
    let create_by = async |token: &AdminToken, maker: &AdminToken| {
        let made = store.create_admin_token(token, maker.id, world.event(None));
        made.await.unwrap()
    };
    let create = async |token: &AdminToken| create_by(token, &all).await;
    let again = AdminToken {
        id: AdminTokenId::new(&*world.clock, &SystemRandom),
        ..all.clone()
    };
    assert_eq!(create(&again).await, InsertOutcome::Exists);
    let nowhere = another(&world, 2, Some(world.organization().id));
    assert_eq!(create(&nowhere).await, InsertOutcome::ParentMissing);
    let mut scoped = another(&world, 3, Some(own));
    scoped.expires_at = Some(world.later(60));
    assert_eq!(create(&scoped).await, InsertOutcome::Inserted);
    assert_eq!(world.length(None).await, 2);

    let list = async |organization, after| {
        let page = Page { after, limit: 10 };
        store.admin_tokens(organization, page).await.unwrap()
    };
    let both = list(None, None).await;
    assert_eq!(both.len(), 2);
    assert!(both.contains(&all) && both.contains(&scoped));
    assert_eq!(list(None, Some(both[0].id)).await, both[1..]);
    assert_eq!(list(Some(own), None).await, [scoped.clone()]);
    assert_eq!(
        store.admin_token_by_id(scoped.id).await.unwrap(),
        Some(scoped.clone())
    );

    let revoke = async |id, at| {
        let event = world.event(None);
        store.revoke_admin_token(id, at, event).await.unwrap()
    };
    assert_eq!(revoke(nowhere.id, world.later(1)).await, Change::Missing);
    assert_eq!(revoke(scoped.id, world.later(5)).await, Change::Done);
    assert_eq!(revoke(scoped.id, world.later(9)).await, Change::Missing);
    let revoked = store.admin_token(&scoped.hash).await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(world.later(5)));
    assert_eq!(revoked.expires_at, revoked.revoked_at);
    assert_eq!(world.length(None).await, 3);

    // What ended by itself keeps its end.
    let mut ended = another(&world, 4, Some(own));
    ended.expires_at = Some(world.later(2));
    assert_eq!(create(&ended).await, InsertOutcome::Inserted);
    assert_eq!(revoke(ended.id, world.later(5)).await, Change::Done);
    let ended = store.admin_token_by_id(ended.id).await.unwrap().unwrap();
    assert_eq!(ended.expires_at, Some(world.later(2)));
    // Who was revoked, has ended or never was makes no other.
    let mut late = another(&world, 7, Some(own));
    late.created_at = world.later(1);
    let mut brief = another(&world, 8, Some(own));
    brief.expires_at = Some(world.later(1));
    assert_eq!(create(&brief).await, InsertOutcome::Inserted);
    for maker in [&scoped, &brief, &nowhere] {
        let outcome = create_by(&late, maker).await;
        assert_eq!(outcome, InsertOutcome::ParentStopped);
    }
    assert_eq!(store.admin_token(&late.hash).await.unwrap(), None);

    // A replacement revokes all that reach everything, and those alone.
    let kept = another(&world, 5, Some(own));
    assert_eq!(create(&kept).await, InsertOutcome::Inserted);
    let mut fresh = another(&world, 6, None);
    fresh.created_at = world.later(7);
    let replaced = store.replace_admin(&fresh, world.event(None)).await;
    assert_eq!(replaced.unwrap(), InsertOutcome::Inserted);
    let told = world.chain(None).await.pop().unwrap().details;
    let revoked = serde_json::json!({ "revoked": [all.id] });
    assert_eq!(told, revoked.to_string());
    let gone = store.admin_token(&all.hash).await.unwrap().unwrap();
    assert_eq!(gone.expires_at, Some(world.later(7)));
    assert_eq!(gone.revoked_at, gone.expires_at);
    for token in [kept, fresh] {
        let found = store.admin_token(&token.hash).await.unwrap();
        assert_eq!(found, Some(token));
    }
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
