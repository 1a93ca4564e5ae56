//! Things to store, and a store that holds some.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use idp::{
    domain::{
        Actor, Audience, AuditEvent, AwsClaims, Clock, Environment, EnvironmentId,
        EnvironmentState, Issuer, IssuerKey, JOIN_TOKEN_LIFE, JoinToken, JoinTokenId, KeyFacts,
        KeyId, Organization, OrganizationId, Project, ProjectId, PublicJwk, Random as _,
        SigningAlgorithm, SimulatedClock, SystemRandom, Timestamp,
    },
    ports::{AuditRecord, EnrolOutcome, InsertOutcome, MintRequest, Page, Patience, Store},
};

use super::Database;

/// What every key of the issuer below signs under unless a test wants another.
pub(crate) const SIGNING_KID: &str = "signing-kid";

/// A store, and a clock that it and the tests share.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<SimulatedClock>,
    count: AtomicUsize,
}

/// An enrolled environment.
#[derive(Clone, Debug)]
pub(crate) struct Enrolled {
    pub(crate) id: EnvironmentId,
    pub(crate) organization: OrganizationId,
    pub(crate) kid: String,
}

impl World {
    pub(crate) async fn new(database: &impl Database) -> Self {
        Self::on(|clock| database.open(clock)).await
    }

    /// On a store that `open` opens.
    pub(crate) async fn on<F: Future<Output = Arc<dyn Store>>>(
        open: impl FnOnce(Arc<dyn Clock>) -> F,
    ) -> Self {
        let clock = Arc::new(SimulatedClock::new(Timestamp::from_secs(1_740_514_245)));
        Self {
            store: open(clock.clone()).await,
            clock,
            count: AtomicUsize::new(0),
        }
    }

    /// A number that was not there before, for names and keys.
    pub(crate) fn unique(&self) -> usize {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn later(&self, secs: u64) -> Timestamp {
        self.now().plus(Duration::from_secs(secs))
    }

    pub(crate) fn event(&self, organization: Option<OrganizationId>) -> AuditEvent {
        let mut event = AuditEvent::new(&*self.clock, &SystemRandom, "test.change", "target");
        event.organization_id = organization;
        event
    }

    pub(crate) fn organization(&self) -> Organization {
        // Ids of one millisecond do not sort by age.
        self.clock.advance(Duration::from_millis(1));
        Organization {
            id: OrganizationId::new(&*self.clock, &SystemRandom),
            name: format!("Organisation {}", self.unique()).parse().unwrap(),
            audiences: vec![Audience::sts(), "api://other".parse().unwrap()],
            aws_claims: AwsClaims::default(),
            created_at: self.now(),
        }
    }

    pub(crate) async fn stored_organization(&self) -> Organization {
        let organization = self.organization();
        let outcome = self
            .store
            .create_organization(&organization, self.event(Some(organization.id)))
            .await;
        assert_eq!(outcome.unwrap(), InsertOutcome::Inserted);
        organization
    }

    pub(crate) fn project(&self, organization: OrganizationId) -> Project {
        self.clock.advance(Duration::from_millis(1));
        Project {
            id: ProjectId::new(&*self.clock, &SystemRandom),
            organization_id: organization,
            name: format!("Project {}", self.unique()).parse().unwrap(),
            created_at: self.now(),
        }
    }

    pub(crate) async fn stored_project(&self, organization: OrganizationId) -> Project {
        let project = self.project(organization);
        let outcome = self
            .store
            .create_project(&project, self.event(Some(organization)))
            .await;
        assert_eq!(outcome.unwrap(), InsertOutcome::Inserted);
        project
    }

    pub(crate) fn environment(
        &self,
        organization: OrganizationId,
        project: Option<ProjectId>,
    ) -> Environment {
        self.clock.advance(Duration::from_millis(1));
        Environment {
            id: EnvironmentId::new(&*self.clock, &SystemRandom),
            organization_id: organization,
            project_id: project,
            name: format!("Environment {}", self.unique()).parse().unwrap(),
            role_arns: None,
            state: EnvironmentState::Pending,
            kid: None,
            created_at: self.now(),
            enrolled_at: None,
            quarantined_at: None,
            stopped_at: None,
        }
    }

    pub(crate) fn token(&self, environment: EnvironmentId) -> JoinToken {
        let mut hash = [0; 32];
        SystemRandom.fill(&mut hash);
        JoinToken {
            id: JoinTokenId::new(&*self.clock, &SystemRandom),
            hash,
            environment_id: environment,
            cidr: None,
            created_at: self.now(),
            expires_at: self.now().plus(JOIN_TOKEN_LIFE),
            used_at: None,
        }
    }

    pub(crate) async fn stored_environment(
        &self,
        organization: OrganizationId,
        project: Option<ProjectId>,
    ) -> (Environment, JoinToken) {
        let environment = self.environment(organization, project);
        let token = self.token(environment.id);
        let outcome = self
            .store
            .create_environment(&environment, &token, self.event(Some(organization)))
            .await;
        assert_eq!(outcome.unwrap(), InsertOutcome::Inserted);
        (environment, token)
    }

    pub(crate) async fn enrol(&self, token: &JoinToken, kid: &str) -> EnrolOutcome {
        self.store
            .enrol(&token.hash, kid, &jwk(), self.now(), self.event(None))
            .await
            .unwrap()
    }

    pub(crate) async fn enrolled(&self, organization: OrganizationId) -> Enrolled {
        let (environment, token) = self.stored_environment(organization, None).await;
        let kid = format!("kid-{}", self.unique());
        let outcome = self.enrol(&token, &kid).await;
        assert!(matches!(outcome, EnrolOutcome::Enrolled(_)), "{outcome:?}");
        Enrolled {
            id: environment.id,
            organization,
            kid,
        }
    }

    pub(crate) fn issuer_key(&self, kid: &str, issuer: &str) -> IssuerKey {
        self.clock.advance(Duration::from_millis(1));
        IssuerKey {
            id: KeyId::new(&*self.clock, &SystemRandom),
            issuer: issuer.parse().unwrap(),
            kid: kid.to_owned(),
            algorithm: SigningAlgorithm::Rs256,
            public: PublicJwk::Rsa {
                n: "AQAB".to_owned(),
                e: "AQAB".to_owned(),
            },
            certificate: "MII=".to_owned(),
            sealed: Some("sealed".to_owned()),
            reference: None,
            mac: Some(format!("mac of {kid}")),
            created_at: self.now(),
            activated_at: None,
            retiring_at: None,
            retired_at: None,
            facts: KeyFacts::default(),
        }
    }

    /// The issuer's active key, [`SIGNING_KID`].
    pub(crate) async fn stored_signing_key(&self) {
        let mut key = self.issuer_key(SIGNING_KID, issuer().as_str());
        key.activated_at = Some(self.now());
        let outcome = self
            .store
            .create_issuer_keys(&[key], self.event(None))
            .await;
        assert_eq!(outcome.unwrap(), InsertOutcome::Inserted);
    }

    pub(crate) fn mint(&self, environment: &Enrolled, jti: &str) -> MintRequest {
        let mut event = AuditEvent::new(&*self.clock, &SystemRandom, "token.mint", SIGNING_KID);
        event.organization_id = Some(environment.organization);
        event.actor = Actor::Environment(environment.id);
        event.details = serde_json::json!({ "jti": jti });
        MintRequest {
            environment_id: environment.id,
            credential_kid: environment.kid.clone(),
            assertion_jti: jti.to_owned(),
            jti_expires_at: self.later(180),
            signing_kid: SIGNING_KID.to_owned(),
            event,
            patience: Patience::default(),
        }
    }

    /// A chain from its beginning.
    pub(crate) async fn chain(&self, organization: Option<OrganizationId>) -> Vec<AuditRecord> {
        self.store
            .audit_records(organization, 0, 100_000)
            .await
            .unwrap()
    }

    /// How many records a chain has.
    pub(crate) async fn length(&self, organization: Option<OrganizationId>) -> usize {
        self.chain(organization).await.len()
    }
}

pub(crate) fn issuer() -> Issuer {
    "https://idp.example.com".parse().unwrap()
}

/// An environment's public key; the store does not look into it.
pub(crate) fn jwk() -> PublicJwk {
    PublicJwk::Ec {
        crv: "P-256".to_owned(),
        x: "x".to_owned(),
        y: "y".to_owned(),
    }
}

/// Everything from the beginning.
pub(crate) const fn all<Id>() -> Page<Id> {
    Page {
        after: None,
        limit: 100,
    }
}
