//! Environments, their join tokens and their enrolment.

use std::time::Duration;

use idp::{
    domain::{AwsClaimsChange, EnvironmentState, RoleArn, Subject},
    ports::{
        Change, EnrolOutcome, EnvironmentChange, InsertOutcome, OrganizationChange, Page,
        StopOutcome,
    },
};

use super::{
    Database,
    fixture::{World, all, jwk},
};

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
