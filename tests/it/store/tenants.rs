//! Organisations, projects, and everything that can ask for tokens.

use idp::{
    domain::{Audience, AwsClaims, AwsClaimsChange, EnvironmentState, RoleArn},
    ports::{Change, EnvironmentChange, InsertOutcome, OrganizationChange, Page},
};

use super::{
    Database,
    fixture::{World, all},
};

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
    let one = world.stored_organization().await;
    let with_claims = OrganizationChange {
        aws_claims: AwsClaimsChange {
            session_tags: Some(true),
            role_pin: Some(true),
            ..AwsClaimsChange::default()
        },
        ..OrganizationChange::default()
    };
    let other = world.stored_organization().await.id;
    let event = world.event(Some(other));
    let changed = store.update_organization(other, &with_claims, event);
    changed.await.unwrap();
    let other = store.organization(other).await.unwrap().unwrap();
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
        let of = &principal.organization;
        assert_eq!(&of.audiences[..], &organization.audiences[..]);
        assert_eq!(of.name, organization.name);
        assert_eq!(of.claims, organization.aws_claims);
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
