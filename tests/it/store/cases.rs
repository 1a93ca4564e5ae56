//! A case for every method of the store: that it does what it says, and each way it can end.

use std::{sync::Arc, time::Duration};

use idp::{
    domain::{
        Actor, AdminTokenId, Audience, AuditCut, AuditFilter, AwsClaims, AwsClaimsChange,
        ChainVerifier, EnvironmentState, IssuerKey, KeyState, Outcome, RequestId, RoleArn,
        SigningAlgorithm, Subject, SystemRandom, Timestamp,
    },
    ports::{
        AdminToken, Change, EnrolOutcome, EnvironmentChange, InsertOutcome, KeyChange, KeyNote,
        KeyStep, MintOutcome, OrganizationChange, OutstandingTokens, Page, StopOutcome, Store,
        StoreError,
    },
    store::first_broken,
};

use super::{
    Database,
    fixture::{SIGNING_KID, World, issuer, jwk},
};

/// Everything from the beginning.
const fn all<Id>() -> Page<Id> {
    Page {
        after: None,
        limit: 100,
    }
}

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

pub(super) async fn organizations(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    store.ping().await.unwrap();
    let mut stored = Vec::new();
    for _ in 0..3 {
        stored.push(world.stored_organization().await);
    }
    let first = &stored[0];
    assert_eq!(
        store.organization(first.id).await.unwrap().as_ref(),
        Some(first)
    );
    assert_eq!(
        store.organization(world.organization().id).await.unwrap(),
        None
    );
    assert_eq!(store.organizations(all()).await.unwrap(), stored);
    let page = Page {
        after: Some(first.id),
        limit: 1,
    };
    assert_eq!(store.organizations(page).await.unwrap(), stored[1..2]);

    let again = store
        .create_organization(first, world.event(Some(first.id)))
        .await;
    assert_eq!(again.unwrap(), InsertOutcome::Exists);
    assert_eq!(
        world.length(Some(first.id)).await,
        1,
        "only changes are recorded"
    );
}

pub(super) async fn organization_changes(database: &impl Database) {
    let world = World::new(database).await;
    let organization = world.stored_organization().await;
    let audiences: Vec<Audience> = vec!["https://vault.example.com".parse().unwrap()];
    let event = || world.event(Some(organization.id));
    let change = OrganizationChange {
        audiences: Some(audiences.clone()),
        ..OrganizationChange::default()
    };
    let update = |change| {
        let store = world.store.clone();
        let event = event();
        async move {
            let done = store
                .update_organization(organization.id, &change, event)
                .await;
            assert_eq!(done.unwrap(), Change::Done);
            store.organization(organization.id).await.unwrap().unwrap()
        }
    };
    let changed = update(change.clone()).await;
    assert_eq!(changed.audiences, audiences);
    assert_eq!(changed.name, organization.name, "the rest stays");
    assert_eq!(changed.aws_claims, AwsClaims::default());
    let changed = update(OrganizationChange {
        name: Some("Other".parse().unwrap()),
        aws_claims: AwsClaimsChange {
            session_tags: Some(true),
            role_pin: Some(true),
            ..AwsClaimsChange::default()
        },
        ..OrganizationChange::default()
    })
    .await;
    assert_eq!(
        (changed.name.as_str(), changed.audiences),
        ("Other", audiences)
    );
    let claims = changed.aws_claims;
    assert!(claims.session_tags && claims.role_pin && !claims.source_identity);
    let changed = update(OrganizationChange {
        aws_claims: AwsClaimsChange {
            session_tags: Some(false),
            source_identity: Some(true),
            ..AwsClaimsChange::default()
        },
        ..OrganizationChange::default()
    })
    .await;
    let claims = changed.aws_claims;
    assert!(!claims.session_tags && claims.role_pin && claims.source_identity);
    assert_eq!(world.length(Some(organization.id)).await, 4);

    let missing = world
        .store
        .update_organization(world.organization().id, &change, event())
        .await;
    assert_eq!(missing.unwrap(), Change::Missing);
    assert_eq!(world.length(Some(organization.id)).await, 4);
}

pub(super) async fn environment_changes(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let organization = world.stored_organization().await.id;
    let project = world.stored_project(organization).await;
    let (environment, token) = world
        .stored_environment(organization, Some(project.id))
        .await;
    world.enrol(&token, "kid").await;
    let event = || world.event(Some(organization));
    let records = world.length(Some(organization)).await;
    let roles: Vec<RoleArn> = vec!["arn:aws:iam::123456789012:role/demo".parse().unwrap()];
    let change = EnvironmentChange {
        name: Some("Renamed".parse().unwrap()),
        role_arns: Some(Some(roles.clone())),
    };
    let done = store
        .update_environment(environment.id, &change, event())
        .await;
    assert_eq!(done.unwrap(), Change::Done);
    let read = store.environment(environment.id).await.unwrap().unwrap();
    assert_eq!(
        (read.name.as_str(), read.role_arns),
        ("Renamed", Some(roles.clone()))
    );

    let on = OrganizationChange {
        aws_claims: AwsClaimsChange {
            session_tags: Some(true),
            ..AwsClaimsChange::default()
        },
        ..OrganizationChange::default()
    };
    let aws = async || store.credential(environment.id).await.unwrap().unwrap().aws;
    assert_eq!(aws().await.names, None, "session tags are off");
    store
        .update_organization(organization, &on, event())
        .await
        .unwrap();
    let done = store
        .rename_project(project.id, &"Other project".parse().unwrap(), event())
        .await;
    assert_eq!(done.unwrap(), Change::Done);
    let credential = aws().await;
    assert_eq!(credential.role_arns, Some(roles));
    let names = credential.names.unwrap();
    assert_eq!(names.environment.as_str(), "Renamed");
    assert_eq!(names.project.unwrap().as_str(), "Other project");

    let lifted = EnvironmentChange {
        name: None,
        role_arns: Some(None),
    };
    for change in [EnvironmentChange::default(), lifted] {
        let done = store
            .update_environment(environment.id, &change, event())
            .await;
        assert_eq!(done.unwrap(), Change::Done);
        let read = store.environment(environment.id).await.unwrap().unwrap();
        assert_eq!(read.name.as_str(), "Renamed");
        assert_eq!(read.role_arns.is_none(), change.role_arns.is_some());
    }
    assert_eq!(world.length(Some(organization)).await, records + 5);

    let absent = world.environment(organization, None).id;
    let missing = store.update_environment(absent, &change, event()).await;
    assert_eq!(missing.unwrap(), Change::Missing);
    let absent = world.project(organization).id;
    let missing = store
        .rename_project(absent, &"x".parse().unwrap(), event())
        .await;
    assert_eq!(missing.unwrap(), Change::Missing);
    assert_eq!(world.length(Some(organization)).await, records + 5);
}

pub(super) async fn projects(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let organization = world.stored_organization().await.id;
    let other = world.stored_organization().await.id;
    let mut stored = Vec::new();
    for _ in 0..3 {
        stored.push(world.stored_project(organization).await);
    }
    world.stored_project(other).await;
    let first = &stored[0];
    assert_eq!(store.project(first.id).await.unwrap().as_ref(), Some(first));
    assert_eq!(
        store.project(world.project(organization).id).await.unwrap(),
        None
    );
    assert_eq!(store.projects(organization, all()).await.unwrap(), stored);
    let page = Page {
        after: Some(first.id),
        limit: 1,
    };
    assert_eq!(
        store.projects(organization, page).await.unwrap(),
        stored[1..2]
    );

    let event = || world.event(Some(organization));
    assert_eq!(
        store.create_project(first, event()).await.unwrap(),
        InsertOutcome::Exists
    );
    let orphan = world.project(world.organization().id);
    assert_eq!(
        store.create_project(&orphan, event()).await.unwrap(),
        InsertOutcome::ParentMissing
    );
    assert_eq!(world.length(Some(organization)).await, 4);
}

pub(super) async fn principals(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let (one, other) = (
        world.stored_organization().await,
        world.stored_organization().await,
    );
    let project = world.stored_project(one.id).await.id;
    let mut stored = Vec::new();
    for (organization, project) in [(&one, None), (&other, None), (&one, Some(project))] {
        let (environment, _) = world.stored_environment(organization.id, project).await;
        stored.push((environment, organization));
    }
    let stopped = stored[0].0.id;
    let now = stored[2].0.created_at;
    let event = world.event(Some(one.id));
    store.stop_environment(stopped, now, event).await.unwrap();
    stored.sort_by_key(|(environment, _)| environment.id);
    let roles: Vec<RoleArn> = vec!["arn:aws:iam::123456789012:role/demo".parse().unwrap()];
    let pinned = EnvironmentChange {
        role_arns: Some(Some(roles.clone())),
        ..EnvironmentChange::default()
    };
    let (event, pinned_id) = (world.event(Some(other.id)), stored[1].0.id);
    let changed = store.update_environment(pinned_id, &pinned, event).await;
    changed.unwrap();

    let everybody = store.principals(None, all()).await.unwrap();
    assert_eq!(everybody.len(), 3);
    for (principal, (environment, organization)) in everybody.iter().zip(&stored) {
        assert_eq!(principal.subject, environment.subject());
        assert_eq!(principal.name, environment.name);
        assert_eq!(
            principal.state == EnvironmentState::Stopped,
            environment.id == stopped
        );
        assert_eq!(&principal.audiences[..], &organization.audiences[..]);
        let expected = (environment.id == pinned_id).then(|| roles.clone());
        assert_eq!(principal.role_arns, expected);
    }
    let of_one = store.principals(Some(one.id), all()).await.unwrap();
    assert_eq!(of_one.len(), 2);
    assert!(
        of_one
            .iter()
            .all(|principal| principal.subject.organization == one.id)
    );
    let page = Page {
        after: Some(everybody[0].subject.environment),
        limit: 1,
    };
    assert_eq!(store.principals(None, page).await.unwrap(), everybody[1..2]);
    let nobody = world.organization().id;
    assert_eq!(store.principals(Some(nobody), all()).await.unwrap(), []);
}

pub(super) async fn environments(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let organization = world.stored_organization().await.id;
    let other = world.stored_organization().await.id;
    let project = world.stored_project(organization).await.id;
    let (bare, token) = world.stored_environment(organization, None).await;
    let (first, _) = world.stored_environment(organization, Some(project)).await;
    let (second, _) = world.stored_environment(organization, Some(project)).await;
    world.stored_environment(other, None).await;

    assert_eq!(
        store.environment(first.id).await.unwrap().as_ref(),
        Some(&first)
    );
    let absent = world.environment(organization, None);
    assert_eq!(store.environment(absent.id).await.unwrap(), None);
    assert_eq!(
        store.environments(organization, None, all()).await.unwrap(),
        [bare.clone(), first.clone(), second.clone()]
    );
    assert_eq!(
        store
            .environments(organization, Some(project), all())
            .await
            .unwrap(),
        [first.clone(), second.clone()]
    );
    assert_eq!(
        store
            .environments(other, Some(project), all())
            .await
            .unwrap(),
        [],
        "a project of another organisation"
    );
    let page = Page {
        after: Some(bare.id),
        limit: 1,
    };
    assert_eq!(
        store.environments(organization, None, page).await.unwrap(),
        std::slice::from_ref(&first)
    );
    let page = Page {
        after: Some(first.id),
        limit: 1,
    };
    assert_eq!(
        store
            .environments(organization, Some(project), page)
            .await
            .unwrap(),
        [second]
    );

    let before = world.length(Some(organization)).await;
    for (environment, token, outcome) in [
        (bare.clone(), world.token(bare.id), InsertOutcome::Exists),
        // A join token that there is already takes the environment down with it.
        (absent.clone(), token, InsertOutcome::Exists),
        (
            world.environment(world.organization().id, None),
            world.token(bare.id),
            InsertOutcome::ParentMissing,
        ),
        (
            world.environment(organization, Some(world.project(organization).id)),
            world.token(bare.id),
            InsertOutcome::ParentMissing,
        ),
        (
            world.environment(other, Some(project)),
            world.token(bare.id),
            InsertOutcome::ParentMissing,
        ),
    ] {
        let event = world.event(Some(organization));
        assert_eq!(
            store
                .create_environment(&environment, &token, event)
                .await
                .unwrap(),
            outcome
        );
    }
    assert_eq!(store.environment(absent.id).await.unwrap(), None);
    assert_eq!(world.length(Some(organization)).await, before);
}

pub(super) async fn join_tokens(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let organization = world.stored_organization().await.id;
    let (environment, first) = world.stored_environment(organization, None).await;
    assert_eq!(
        store.join_token(&first.hash).await.unwrap().as_ref(),
        Some(&first)
    );
    assert_eq!(store.join_token(&[9; 32]).await.unwrap(), None);

    world.clock.advance(Duration::from_secs(1));
    let mut second = world.token(environment.id);
    second.cidr = Some("2001:db8::/32".parse().unwrap());
    let event = || world.event(Some(organization));
    assert_eq!(
        store.create_join_token(&second, event()).await.unwrap(),
        InsertOutcome::Inserted
    );
    assert_eq!(
        store.join_token(&second.hash).await.unwrap().as_ref(),
        Some(&second)
    );
    let replaced = store.join_token(&first.hash).await.unwrap().unwrap();
    assert!(replaced.expires_at <= world.now(), "the first has ended");
    assert_eq!(world.enrol(&first, "k").await, EnrolOutcome::Refused);
    world.clock.set(first.created_at);
    assert_eq!(
        world.enrol(&first, "k").await,
        EnrolOutcome::Refused,
        "a clock set back does not bring it to life again"
    );

    assert_eq!(
        store.create_join_token(&second, event()).await.unwrap(),
        InsertOutcome::Exists
    );
    assert_eq!(
        store.join_token(&second.hash).await.unwrap().as_ref(),
        Some(&second),
        "what failed has ended nothing"
    );
    let orphan = world.token(world.environment(organization, None).id);
    assert_eq!(
        store.create_join_token(&orphan, event()).await.unwrap(),
        InsertOutcome::ParentMissing
    );
    store
        .stop_environment(environment.id, world.now(), event())
        .await
        .unwrap();
    let late = world.token(environment.id);
    assert_eq!(
        store.create_join_token(&late, event()).await.unwrap(),
        InsertOutcome::ParentStopped
    );
}

pub(super) async fn stopping(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let organization = world.stored_organization().await.id;
    let (environment, token) = world.stored_environment(organization, None).await;
    let event = || world.event(Some(organization));
    let at = world.later(5);
    assert_eq!(
        store
            .stop_environment(environment.id, at, event())
            .await
            .unwrap(),
        StopOutcome::Stopped
    );
    let stopped = store.environment(environment.id).await.unwrap().unwrap();
    assert_eq!(stopped.state, EnvironmentState::Stopped);
    assert_eq!(stopped.stopped_at, Some(at));
    assert_eq!(
        world.enrol(&token, "k").await,
        EnrolOutcome::Refused,
        "its join tokens have ended"
    );

    let before = world.length(Some(organization)).await;
    assert_eq!(
        store
            .stop_environment(environment.id, world.later(9), event())
            .await
            .unwrap(),
        StopOutcome::AlreadyStopped
    );
    let still = store.environment(environment.id).await.unwrap().unwrap();
    assert_eq!(still.stopped_at, Some(at));
    let absent = world.environment(organization, None).id;
    assert_eq!(
        store.stop_environment(absent, at, event()).await.unwrap(),
        StopOutcome::Missing
    );
    assert_eq!(world.length(Some(organization)).await, before);
}

pub(super) async fn enrolment(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let organization = world.stored_organization().await.id;
    let (environment, token) = world.stored_environment(organization, None).await;
    world.clock.advance(Duration::from_secs(1));
    let EnrolOutcome::Enrolled(enrolled) = world.enrol(&token, "first").await else {
        panic!("refused");
    };
    assert_eq!(enrolled.state, EnvironmentState::Enrolled);
    assert_eq!(enrolled.kid.as_deref(), Some("first"));
    assert_eq!(enrolled.enrolled_at, Some(world.now()));
    assert_eq!(
        store.environment(environment.id).await.unwrap(),
        Some(enrolled)
    );
    let used = store.join_token(&token.hash).await.unwrap().unwrap();
    assert_eq!(used.used_at, Some(world.now()));
    assert_eq!(world.length(None).await, 1, "the event is in its chain");

    // An environment that lost its key enrols again; the former key ends.
    let again = world.token(environment.id);
    store
        .create_join_token(&again, world.event(Some(organization)))
        .await
        .unwrap();
    assert!(matches!(
        world.enrol(&again, "second").await,
        EnrolOutcome::Enrolled(_)
    ));
    let credential = store.credential(environment.id).await.unwrap().unwrap();
    assert_eq!(credential.kid, "second");
}

pub(super) async fn enrolment_refused(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let organization = world.stored_organization().await.id;
    let (environment, token) = world.stored_environment(organization, None).await;
    let holder = world.enrolled(organization).await;
    let before = world.length(None).await;

    let unknown = world.token(environment.id);
    assert_eq!(world.enrol(&unknown, "k").await, EnrolOutcome::Refused);

    assert_eq!(
        world.enrol(&token, &holder.kid).await,
        EnrolOutcome::KeyInUse
    );
    assert_eq!(
        store.join_token(&token.hash).await.unwrap().as_ref(),
        Some(&token),
        "both or neither: the token was not consumed"
    );

    world.clock.set(token.expires_at);
    assert_eq!(
        world.enrol(&token, "k").await,
        EnrolOutcome::Refused,
        "expired"
    );
    assert_eq!(world.length(None).await, before);
    world.clock.set(token.created_at);
    assert!(matches!(
        world.enrol(&token, "k").await,
        EnrolOutcome::Enrolled(_)
    ));
    assert_eq!(
        world.enrol(&token, "k").await,
        EnrolOutcome::Refused,
        "used"
    );
}

pub(super) async fn credentials(database: &impl Database) {
    let world = World::new(database).await;
    let store = &world.store;
    let organization = world.stored_organization().await;
    let project = world.stored_project(organization.id).await.id;
    let (environment, token) = world
        .stored_environment(organization.id, Some(project))
        .await;
    assert_eq!(
        store.credential(environment.id).await.unwrap(),
        None,
        "pending"
    );
    let absent = world.environment(organization.id, None).id;
    assert_eq!(store.credential(absent).await.unwrap(), None);

    world.enrol(&token, "kid").await;
    let credential = store.credential(environment.id).await.unwrap().unwrap();
    assert_eq!(
        credential.subject,
        Subject {
            organization: organization.id,
            project: Some(project),
            environment: environment.id
        }
    );
    assert_eq!(credential.kid, "kid");
    assert_eq!(credential.public, jwk());
    assert_eq!(credential.audiences, organization.audiences);

    store
        .update_organization(
            organization.id,
            &OrganizationChange {
                audiences: Some(Vec::new()),
                ..OrganizationChange::default()
            },
            world.event(None),
        )
        .await
        .unwrap();
    store
        .stop_environment(environment.id, world.now(), world.event(None))
        .await
        .unwrap();
    let after = store.credential(environment.id).await.unwrap().unwrap();
    assert_eq!(after.audiences, [], "as the organisation allows now");
    assert_eq!(after.kid, "kid", "whatever the environment's state");
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

    assert_eq!(
        world.store.ended_external_keys(&issuer()).await.unwrap(),
        []
    );
    assert_eq!(
        change(
            &world,
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
            &world,
            &[KeyStep::Forget(external.id, Some("forgotten".to_owned()))]
        )
        .await,
        KeyChange::Applied
    );
    assert_eq!(
        world.store.ended_external_keys(&issuer()).await.unwrap(),
        []
    );
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
