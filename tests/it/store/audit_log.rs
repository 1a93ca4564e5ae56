//! The audit log.

use std::time::Duration;

use idp::{
    domain::{
        Actor, AdminTokenId, AuditCut, AuditFilter, ChainVerifier, Outcome, RequestId, SystemRandom,
    },
    ports::{Change, Page},
    store::first_broken,
};

use super::{
    Database,
    fixture::{World, all},
};

pub(super) async fn audit(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let organization = world.organization().id;
    let mut full = world.event(Some(organization));
    full.actor = Actor::Administrator(AdminTokenId::new(&*world.clock, &SystemRandom));
    "kid \u{0} \" \\ \u{7f} é \u{1F600} \u{202E}".clone_into(&mut full.target);
    full.outcome = Outcome::Refused;
    full.request_id = Some(RequestId::new(&*world.clock, &SystemRandom));
    full.source = Some("2001:db8::1".parse().unwrap());
    full.details = serde_json::json!({ "z": 1, "a": ["\u{0}", "'; DROP TABLE audit; --"] });
    store.append(full.clone()).await.unwrap();
    for _ in 0..4 {
        store.append(world.event(Some(organization))).await.unwrap();
        store.append(world.event(None)).await.unwrap();
    }

    let chain = world.chain(Some(organization)).await;
    let places: Vec<i64> = chain.iter().map(|record| record.seq).collect();
    assert_eq!(places, [1, 2, 3, 4, 5]);
    assert_eq!(first_broken(&chain), None);
    assert_eq!(first_broken(&world.chain(None).await), None);
    assert_eq!(world.length(None).await, 4);
    let other = world.organization().id;
    assert_eq!(world.length(Some(other)).await, 0);

    let record = &chain[0];
    assert_eq!(record.id, full.id);
    assert_eq!(record.organization_id, Some(organization));
    assert_eq!(record.at, full.at);
    assert_eq!(record.actor, full.actor.to_text());
    assert_eq!(record.action, full.action);
    assert_eq!(
        record.target, "kid \u{FFFD} \" \\ \u{7f} é \u{1F600} \u{202E}",
        "as it was but for U+0000, which no database can hold"
    );
    assert_eq!(record.outcome, "refused");
    assert_eq!(record.request_id, full.request_id.map(|id| id.to_string()));
    assert_eq!(record.source.as_deref(), Some("2001:db8::1"));
    assert_eq!(record.details, full.details.to_string());
    assert_eq!(record.previous, [0; 32]);

    let page = store.audit_records(Some(organization), 2, 2).await.unwrap();
    assert_eq!(page, chain[2..4]);
    assert_eq!(first_broken(&page), None, "a part can be verified alone");
}

pub(super) async fn audit_chains_betray_edits(database: &impl Database) {
    let world = World::new(database).await;
    for _ in 0..5 {
        world.store.append(world.event(None)).await.unwrap();
    }
    world.store.close().await;
    database
        .tamper("UPDATE audit SET target = 'somebody else' WHERE seq = 3")
        .await;
    let world = World::new(database).await;
    assert_eq!(first_broken(&world.chain(None).await), Some(3));
    world.store.append(world.event(None)).await.unwrap();
    world.store.close().await;
    database.tamper("DELETE FROM audit WHERE seq = 2").await;
    let world = World::new(database).await;
    assert_eq!(first_broken(&world.chain(None).await), Some(3));
    world.store.close().await;

    // The end of a chain is missed by what comes next.
    database.tamper("DELETE FROM audit WHERE seq >= 3").await;
    let world = World::new(database).await;
    world.store.append(world.event(None)).await.unwrap();
    assert_eq!(first_broken(&world.chain(None).await), Some(7));
}

pub(super) async fn audit_searches(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let organization = world.organization().id;
    let actor = Actor::Administrator(AdminTokenId::new(&*world.clock, &SystemRandom));
    for number in 0..10 {
        let mut event = world.event(Some(organization));
        event.action = ["project.create", "environment.stop"][number % 2];
        event.target = format!("target {}", number / 2);
        if number == 3 {
            event.actor = actor;
            event.outcome = Outcome::Refused;
            event.request_id = Some(RequestId::new(&*world.clock, &SystemRandom));
        }
        store.append(event).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
    }
    store.append(world.event(None)).await.unwrap();
    let chain = world.chain(Some(organization)).await;
    let start = chain[0].at;
    let find = async |filter: AuditFilter, before, limit| {
        let found = store
            .find_audit_records(Some(organization), &filter, before, limit)
            .await
            .unwrap();
        for record in &found.records {
            let place = usize::try_from(record.seq).unwrap() - 1;
            assert_eq!(record, &chain[place], "what a search returns is whole");
        }
        let places: Vec<i64> = found.records.iter().map(|record| record.seq).collect();
        (places, found.next)
    };
    let any = AuditFilter::default;
    assert_eq!(
        find(any(), None, 100).await.0,
        [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    );
    assert_eq!(find(any(), None, 4).await, (vec![10, 9, 8, 7], Some(7)));
    assert_eq!(find(any(), Some(7), 4).await, (vec![6, 5, 4, 3], Some(3)));
    assert_eq!(find(any(), Some(3), 4).await, (vec![2, 1], None));
    assert_eq!(find(any(), Some(1), 4).await, (vec![], None));

    let with = |change: &dyn Fn(&mut AuditFilter)| {
        let mut filter = any();
        change(&mut filter);
        filter
    };
    let action = |text: &str| with(&|filter| filter.action = Some(text.to_owned()));
    let some = |text: &str| Some(text.to_owned());
    let at = |secs| Some(start.plus(Duration::from_secs(secs)));
    for (filter, expected) in [
        (action("environment.stop"), vec![10, 8, 6, 4, 2]),
        (action("environment."), vec![10, 8, 6, 4, 2]),
        (action("environment"), vec![]),
        (action("%."), vec![]),
        (with(&|filter| filter.target = some("target 1")), vec![4, 3]),
        (with(&|filter| filter.outcome = some("refused")), vec![4]),
        (
            with(&|filter| filter.actor = some(&actor.to_text())),
            vec![4],
        ),
        (
            with(&|filter| filter.request_id.clone_from(&chain[3].request_id)),
            vec![4],
        ),
        (
            with(&|filter| filter.since = Some(chain[7].at)),
            vec![10, 9, 8],
        ),
        (with(&|filter| filter.until = Some(chain[2].at)), vec![2, 1]),
        (
            AuditFilter {
                since: at(2),
                until: at(7),
                ..action("project.create")
            },
            vec![7, 5, 3],
        ),
    ] {
        let found = find(filter.clone(), None, 100).await.0;
        assert_eq!(found, expected, "{filter:?}");
    }
    let nowhere = store
        .find_audit_records(Some(world.organization().id), &any(), None, 10)
        .await
        .unwrap();
    assert_eq!((nowhere.records.len(), nowhere.next), (0, None));
}

pub(super) async fn audit_chains_are_listed(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    assert_eq!(store.audit_chain(None).await.unwrap(), None);
    store.append(world.event(None)).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(world.stored_organization().await.id);
    }
    let system = store.audit_chain(None).await.unwrap().unwrap();
    let record = world.chain(None).await.pop().unwrap();
    assert_eq!((system.head.seq, system.head.hash), (1, record.hash));
    assert_eq!((system.head.organization_id, system.cut), (None, None));
    let owners = async |page| -> Vec<_> {
        let chains = store.audit_chains(page).await.unwrap();
        chains
            .iter()
            .filter_map(|chain| chain.head.organization_id)
            .collect()
    };
    assert_eq!(owners(all()).await, ids);
    let page = Page {
        after: Some(ids[0]),
        limit: 1,
    };
    assert_eq!(owners(page).await, ids[1..2]);
}

pub(super) async fn audit_chains_are_cut(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let organization = world.organization().id;
    // More than one slice of a purge.
    let appended = (0..3_000).map(|_| store.append(world.event(Some(organization))));
    for result in futures_util::future::join_all(appended).await {
        result.unwrap();
    }
    let whole = world.chain(Some(organization)).await;
    let cut = |seq: i64| AuditCut {
        seq,
        hash: whole[usize::try_from(seq).unwrap() - 1].hash,
        checkpoint: 7,
        at: world.now(),
    };
    let try_cut = async |cut: AuditCut| {
        let event = world.event(Some(organization));
        let done = store.cut_audit_chain(Some(organization), cut, event).await;
        done.unwrap()
    };
    let mut other_hash = cut(2_500);
    other_hash.hash[0] ^= 1;
    assert_eq!(try_cut(other_hash).await, Change::Missing);
    assert_eq!(
        try_cut(cut(3_000)).await,
        Change::Missing,
        "the last one stays"
    );
    assert_eq!(world.length(Some(organization)).await, 3_000);
    assert_eq!(try_cut(cut(2_500)).await, Change::Done);
    assert_eq!(try_cut(cut(2_500)).await, Change::Missing);
    assert_eq!(try_cut(cut(1_000)).await, Change::Missing);

    // What is cut is gone for readers at once, whenever it is deleted.
    for purged in [2_500, 0] {
        let left = world.chain(Some(organization)).await;
        assert_eq!(left.len(), 501, "with the record of the cut");
        assert_eq!(left[0], whole[2_500], "it still says what it follows");
        let page = store.audit_records(Some(organization), 2_700, 10).await;
        assert_eq!(page.unwrap(), whole[2_700..2_710]);
        let found = store
            .find_audit_records(Some(organization), &AuditFilter::default(), Some(2_503), 10)
            .await
            .unwrap();
        assert_eq!(found.records, [whole[2_501].clone(), whole[2_500].clone()]);
        assert_eq!(found.next, None);
        let chain = store
            .audit_chain(Some(organization))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((chain.head.seq, chain.cut), (3_001, Some(cut(2_500))));
        assert_eq!(store.purge_audit_records().await.unwrap(), purged);
    }
    let mut verifier = ChainVerifier::new(Some(organization), Some(cut(2_500)), Vec::new());
    for record in world.chain(Some(organization)).await {
        verifier.check(&record);
    }
    assert_eq!(verifier.finish(None), []);
}
