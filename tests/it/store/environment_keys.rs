//! A case for every method that replaces environments' keys, and for what mints make of them.

use std::time::Duration;

use idp::{
    domain::{EnvironmentId, EnvironmentState, FORMER_KEY_GRACE, FORMER_KEYS_KEPT},
    ports::{
        EnrolOutcome, KeyRotation, KeyStanding, MintOutcome, QuarantineOutcome, ReleaseOutcome,
        RotationOutcome, StopOutcome,
    },
};

use super::{
    Database,
    fixture::{Enrolled, World, jwk},
};

const OPEN: KeyStanding = KeyStanding::Former { ends_at: None };

impl World {
    async fn rotate(&self, environment: &Enrolled, old: &str, new: &str) -> RotationOutcome {
        let rotation = KeyRotation {
            environment_id: environment.id,
            old_kid: old.to_owned(),
            new_kid: new.to_owned(),
            public: jwk(),
            at: self.now(),
        };
        let event = self.event(Some(environment.organization));
        let outcome = self.store.rotate_environment_key(&rotation, event).await;
        outcome.unwrap()
    }

    async fn rotated(&self, environment: &Enrolled, old: &str, new: &str) {
        let outcome = self.rotate(environment, old, new).await;
        let RotationOutcome::Rotated(rotated) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(rotated.kid.as_deref(), Some(new));
        assert_eq!(rotated.enrolled_at, Some(self.now()));
    }

    async fn standing(&self, environment: &Enrolled, kid: &str) -> Option<KeyStanding> {
        let found = self.store.credential_under(environment.id, kid).await;
        let (credential, standing) = found.unwrap()?;
        assert_eq!(credential.kid, kid);
        assert_eq!(credential.subject.environment, environment.id);
        Some(standing)
    }

    async fn mint_with(&self, environment: &Enrolled, kid: &str) -> MintOutcome {
        let mut mint = self.mint(environment, &format!("jti-{}", self.unique()));
        kid.clone_into(&mut mint.credential_kid);
        self.store.record_mint(mint).await.unwrap()
    }

    async fn quarantine(&self, id: EnvironmentId, kid: &str) -> QuarantineOutcome {
        let event = self.event(None);
        let outcome = self
            .store
            .quarantine_environment(id, kid, self.now(), event);
        outcome.await.unwrap()
    }

    async fn state(&self, id: EnvironmentId) -> EnvironmentState {
        self.store.environment(id).await.unwrap().unwrap().state
    }

    /// An environment with key `a`, and a signing key to mint with.
    async fn with_key_a(&self) -> Enrolled {
        self.stored_signing_key().await;
        let organization = self.stored_organization().await.id;
        let (environment, token) = self.stored_environment(organization, None).await;
        assert!(matches!(
            self.enrol(&token, "a").await,
            EnrolOutcome::Enrolled(_)
        ));
        Enrolled {
            id: environment.id,
            organization,
            kid: "a".to_owned(),
        }
    }
}

pub(super) async fn keys_are_replaced(database: &impl Database) {
    let world = World::new(database).await;
    let it = world.with_key_a().await;
    let other = world.enrolled(it.organization).await;
    let before = world.length(Some(it.organization)).await;
    world.clock.advance(Duration::from_secs(1));
    world.rotated(&it, "a", "b").await;
    assert_eq!(world.length(Some(it.organization)).await, before + 1);
    let present = world.store.credential(it.id).await.unwrap().unwrap();
    assert_eq!(present.kid, "b");
    assert_eq!(world.standing(&it, "b").await, Some(KeyStanding::Present));
    assert_eq!(world.standing(&it, "a").await, Some(OPEN));
    assert_eq!(world.standing(&it, "c").await, None);
    assert_eq!(world.standing(&other, "a").await, None, "another's key");

    // The answer was lost: the same again.
    let again = world.rotate(&it, "a", "b").await;
    assert!(
        matches!(&again, RotationOutcome::AlreadyRotated(found) if found.kid.as_deref() == Some("b")),
        "{again:?}"
    );
    assert_eq!(world.length(Some(it.organization)).await, before + 1);

    // The new key was lost before its use: the old one may ask for another, and the lost one ends.
    world.rotated(&it, "a", "c").await;
    let ended = KeyStanding::Former {
        ends_at: Some(world.now()),
    };
    assert_eq!(world.standing(&it, "b").await, Some(ended));
    assert_eq!(world.standing(&it, "a").await, Some(OPEN));

    // To ask for a successor is a key's first use.
    world.rotated(&it, "c", "d").await;
    let grace = KeyStanding::Former {
        ends_at: Some(world.now().plus(FORMER_KEY_GRACE)),
    };
    assert_eq!(world.standing(&it, "a").await, Some(grace));
    assert_eq!(world.standing(&it, "c").await, Some(OPEN));

    let before = world.length(Some(it.organization)).await;
    for (old, new, outcome) in [
        ("a", "e", RotationOutcome::OldKeyEnded),
        ("b", "e", RotationOutcome::OldKeyEnded),
        ("x", "e", RotationOutcome::OldKeyEnded),
        (&other.kid, "e", RotationOutcome::OldKeyEnded),
        ("d", "a", RotationOutcome::KeyInUse),
        ("d", &other.kid, RotationOutcome::KeyInUse),
        ("c", "b", RotationOutcome::KeyInUse),
    ] {
        assert_eq!(world.rotate(&it, old, new).await, outcome, "{old} {new}");
    }
    let absent = Enrolled {
        id: world.environment(it.organization, None).id,
        ..it.clone()
    };
    assert_eq!(
        world.rotate(&absent, "d", "e").await,
        RotationOutcome::Missing
    );
    assert_eq!(world.length(Some(it.organization)).await, before);
}

pub(super) async fn the_grace_begins_with_the_first_use(database: &impl Database) {
    let world = World::new(database).await;
    let it = world.with_key_a().await;
    world.rotated(&it, "a", "b").await;
    // However long it takes: the new key may have been lost.
    world.clock.advance(Duration::from_hours(100));
    assert_eq!(world.mint_with(&it, "a").await, MintOutcome::Recorded);
    assert_eq!(world.standing(&it, "a").await, Some(OPEN));

    // A refused mint is no use.
    let mut refused = world.mint(&it, "jti-refused");
    "b".clone_into(&mut refused.credential_kid);
    "no key".clone_into(&mut refused.signing_kid);
    assert_eq!(
        world.store.record_mint(refused).await.unwrap(),
        MintOutcome::SigningKeyInactive
    );
    assert_eq!(world.standing(&it, "a").await, Some(OPEN));

    assert_eq!(world.mint_with(&it, "b").await, MintOutcome::Recorded);
    let end = world.now().plus(FORMER_KEY_GRACE);
    let ends = Some(KeyStanding::Former { ends_at: Some(end) });
    assert_eq!(world.standing(&it, "a").await, ends);
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.mint_with(&it, "b").await, MintOutcome::Recorded);
    assert_eq!(world.standing(&it, "a").await, ends, "of the first use");
    world.clock.set(end.minus(Duration::from_millis(1)));
    assert_eq!(world.mint_with(&it, "a").await, MintOutcome::Recorded);
    world.clock.set(end);
    assert_eq!(
        world.mint_with(&it, "a").await,
        MintOutcome::CredentialChanged
    );
    assert_eq!(world.mint_with(&it, "b").await, MintOutcome::Recorded);
    assert_eq!(world.state(it.id).await, EnvironmentState::Enrolled);
}

pub(super) async fn quarantines(database: &impl Database) {
    let world = World::new(database).await;
    let it = world.with_key_a().await;
    world.rotated(&it, "a", "b").await;
    world.mint_with(&it, "b").await;
    for kid in ["a", "b", "c"] {
        assert_eq!(
            world.quarantine(it.id, kid).await,
            QuarantineOutcome::Unchanged,
            "{kid} has not ended"
        );
    }
    world.clock.advance(FORMER_KEY_GRACE);
    let before = world.length(None).await;
    assert_eq!(
        world.quarantine(it.id, "a").await,
        QuarantineOutcome::Quarantined
    );
    let stored = world.store.environment(it.id).await.unwrap().unwrap();
    assert_eq!(stored.state, EnvironmentState::Quarantined);
    assert_eq!(stored.quarantined_at, Some(world.now()));
    assert_eq!(world.length(None).await, before + 1);
    assert_eq!(
        world.quarantine(it.id, "a").await,
        QuarantineOutcome::Unchanged
    );
    assert_eq!(world.length(None).await, before + 1);

    // Whoever proves a key of it is told; the mint's transaction knows too.
    assert_eq!(world.mint_with(&it, "b").await, MintOutcome::Quarantined);
    assert_eq!(world.mint_with(&it, "a").await, MintOutcome::Quarantined);
    assert_eq!(
        world.mint_with(&it, "c").await,
        MintOutcome::CredentialChanged
    );
    assert!(world.standing(&it, "b").await.is_some());
    assert_eq!(
        world.rotate(&it, "b", "c").await,
        RotationOutcome::NotEnrolled(EnvironmentState::Quarantined)
    );

    let event = || world.event(Some(it.organization));
    let released = world.store.release_environment(it.id, event()).await;
    let ReleaseOutcome::Released(released) = released.unwrap() else {
        panic!("not released");
    };
    assert_eq!(released.state, EnvironmentState::Enrolled);
    assert_eq!(released.quarantined_at, None);
    assert_eq!(released.kid.as_deref(), Some("b"));
    assert_eq!(world.mint_with(&it, "b").await, MintOutcome::Recorded);
    assert_eq!(
        world.mint_with(&it, "a").await,
        MintOutcome::CredentialChanged,
        "what ended stays ended"
    );
    let again = world.store.release_environment(it.id, event()).await;
    assert_eq!(again.unwrap(), ReleaseOutcome::NotQuarantined);
    let absent = world.environment(it.organization, None).id;
    let missing = world.store.release_environment(absent, event()).await;
    assert_eq!(missing.unwrap(), ReleaseOutcome::Missing);
}

pub(super) async fn a_join_token_ends_all_keys_and_a_quarantine(database: &impl Database) {
    let world = World::new(database).await;
    let it = world.with_key_a().await;
    world.rotated(&it, "a", "b").await;
    world.mint_with(&it, "b").await;
    world.clock.advance(FORMER_KEY_GRACE);
    world.quarantine(it.id, "a").await;
    let ticket = async || {
        let token = world.token(it.id);
        let made = world.store.create_join_token(&token, world.event(None));
        made.await.unwrap();
        token
    };
    let token = ticket().await;
    assert_eq!(
        world.enrol(&token, "a").await,
        EnrolOutcome::KeyInUse,
        "a key that was replaced does not come back"
    );
    let enrolled = world.enrol(&token, "c").await;
    let EnrolOutcome::Enrolled(enrolled) = enrolled else {
        panic!("{enrolled:?}");
    };
    assert_eq!(enrolled.state, EnvironmentState::Enrolled);
    assert_eq!(enrolled.quarantined_at, None);
    for ended in ["a", "b"] {
        assert_eq!(world.standing(&it, ended).await, None);
        assert_eq!(
            world.quarantine(it.id, ended).await,
            QuarantineOutcome::Unchanged
        );
    }
    assert_eq!(world.mint_with(&it, "c").await, MintOutcome::Recorded);

    // A stop is final, whatever keys there were.
    world.rotated(&it, "c", "d").await;
    world.mint_with(&it, "d").await;
    world.clock.advance(FORMER_KEY_GRACE);
    let stopped = world
        .store
        .stop_environment(it.id, world.now(), world.event(None))
        .await;
    assert_eq!(stopped.unwrap(), StopOutcome::Stopped);
    assert_eq!(
        world.quarantine(it.id, "c").await,
        QuarantineOutcome::Unchanged
    );
    assert_eq!(world.mint_with(&it, "d").await, MintOutcome::Stopped);
    assert_eq!(
        world.rotate(&it, "d", "e").await,
        RotationOutcome::NotEnrolled(EnvironmentState::Stopped)
    );
}

pub(super) async fn former_keys_are_remembered_for_a_while(database: &impl Database) {
    let world = World::new(database).await;
    let it = world.with_key_a().await;
    // Never used: the one before it waits for its grace, and is not forgotten.
    world.rotated(&it, "a", "k0").await;
    for number in 0..FORMER_KEYS_KEPT + 2 {
        world.clock.advance(Duration::from_secs(1));
        let new = format!("k{}", number + 1);
        world.rotated(&it, "a", &new).await;
    }
    assert_eq!(world.standing(&it, "a").await, Some(OPEN));
    assert_eq!(world.standing(&it, "k0").await, None, "forgotten");
    let last = format!("k{}", FORMER_KEYS_KEPT + 1);
    assert!(world.standing(&it, &last).await.is_some());
}
