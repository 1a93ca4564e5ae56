//! A store that fails when it is told to, and a server on it.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::Router;
use idp::{
    domain::{
        AdminTokenId, AuditChain, AuditCut, AuditEvent, AuditFilter, Credential, Environment,
        EnvironmentId, Issuer, IssuerKey, JoinToken, KeyId, Name, Organization, OrganizationId,
        Project, ProjectId, PublicJwk, SystemRandom, Timestamp,
    },
    http::{self, Ops},
    jose::{SealingKey, SeedKey},
    ports::{
        AdminStore, AdminToken, AuditRecord, AuditStore, Change, EnrolOutcome, EnrolmentStore,
        EnvironmentChange, EnvironmentKeyStore, EnvironmentStore, ExternalKeys, FoundRecords,
        InsertOutcome, IssuerKeyStore, KeyChange, KeyNote, KeyRotation, KeyStanding, KeyStep,
        ListedPrincipal, MintOutcome, MintRequest, MintStore, Notice, OrganizationChange,
        OrganizationStore, OutstandingTokens, Page, PrincipalStore, ProjectStore,
        QuarantineOutcome, ReleaseOutcome, ReplicaStore, RotationOutcome, StopOutcome, Store,
        StoreError, StoreUsage,
    },
    service::{
        Checkpoints, KeyRingError, Keystore, Nonces, Parts, Pool, Sealing, Service, open_key_ring,
    },
    store::SqliteStore,
};
use tokio::sync::{Semaphore, watch};

use super::{Answer, Request, World};

/// What a failing database would say of itself.
pub(crate) const REASON: &str = "disk I/O error at /secret/path";

/// A store in front of another.
pub(crate) struct Faulty {
    inner: SqliteStore,
    /// Whether writes fail.
    pub(crate) no_writes: AtomicBool,
    /// Whether reads fail.
    pub(crate) no_reads: AtomicBool,
    /// The method that fails, if one is named.
    pub(crate) refuses: Mutex<&'static str>,
    /// The method that does its work and whose answer is lost, if one is named.
    pub(crate) loses: Mutex<&'static str>,
    /// Where mints wait after they were recorded, if they are to.
    pub(crate) gate: Option<Gate>,
}

/// Holds mints back.
pub(crate) struct Gate {
    /// Has a permit for each mint that was recorded.
    pub(crate) recorded: Semaphore,
    /// Takes a permit for each mint to go on.
    pub(crate) go: Semaphore,
}

fn fail(on: &AtomicBool) -> Result<(), StoreError> {
    if on.load(Ordering::SeqCst) {
        Err(StoreError::Unavailable(REASON.to_owned()))
    } else {
        Ok(())
    }
}

impl Faulty {
    /// A second store on a world's database.
    pub(crate) async fn open(world: &World, gate: Option<Gate>) -> Arc<Self> {
        let url = world.settings.database_url.expose();
        let inner = SqliteStore::open(url, world.clock.clone()).await.unwrap();
        Arc::new(Self {
            inner,
            no_writes: AtomicBool::new(false),
            no_reads: AtomicBool::new(false),
            refuses: Mutex::default(),
            loses: Mutex::default(),
            gate,
        })
    }
}

/// Fails where it is this method that is named.
fn fail_if(named: &Mutex<&'static str>, method: &str) -> Result<(), StoreError> {
    fail(&AtomicBool::new(*named.lock().unwrap() == method))
}

/// Implements a port by delegation: `read` and `write` methods that fail on demand.
macro_rules! delegate {
    ($port:ident { $($kind:ident $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)* }) => {
        #[async_trait]
        impl $port for Faulty {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                fail(&self.$kind)?;
                fail_if(&self.refuses, stringify!($name))?;
                let answer = self.inner.$name($($argument),*).await?;
                fail_if(&self.loses, stringify!($name))?;
                Ok(answer)
            })*
        }
    };
}

delegate!(OrganizationStore {
    no_writes create_organization(organization: &Organization, event: AuditEvent) -> InsertOutcome;
    no_reads organization(id: OrganizationId) -> Option<Organization>;
    no_reads organizations(page: Page<OrganizationId>) -> Vec<Organization>;
    no_writes update_organization(
        id: OrganizationId, change: &OrganizationChange, event: AuditEvent
    ) -> Change;
});

delegate!(ProjectStore {
    no_writes create_project(project: &Project, event: AuditEvent) -> InsertOutcome;
    no_reads project(id: ProjectId) -> Option<Project>;
    no_reads projects(organization: OrganizationId, page: Page<ProjectId>) -> Vec<Project>;
    no_writes rename_project(id: ProjectId, name: &Name, event: AuditEvent) -> Change;
});

delegate!(EnvironmentStore {
    no_writes create_environment(
        environment: &Environment, token: &JoinToken, event: AuditEvent
    ) -> InsertOutcome;
    no_reads environment(id: EnvironmentId) -> Option<Environment>;
    no_reads environments(
        organization: OrganizationId, project: Option<ProjectId>, page: Page<EnvironmentId>
    ) -> Vec<Environment>;
    no_writes update_environment(
        id: EnvironmentId, change: &EnvironmentChange, event: AuditEvent
    ) -> Change;
    no_writes create_join_token(token: &JoinToken, event: AuditEvent) -> InsertOutcome;
    no_writes stop_environment(id: EnvironmentId, at: Timestamp, event: AuditEvent) -> StopOutcome;
    no_reads credential(id: EnvironmentId) -> Option<Credential>;
});

delegate!(PrincipalStore {
    no_reads principals(
        organization: Option<OrganizationId>, page: Page<EnvironmentId>
    ) -> Vec<ListedPrincipal>;
});

delegate!(EnvironmentKeyStore {
    no_reads credential_under(id: EnvironmentId, kid: &str) -> Option<(Credential, KeyStanding)>;
    no_writes rotate_environment_key(rotation: &KeyRotation, event: AuditEvent) -> RotationOutcome;
    no_writes quarantine_environment(
        id: EnvironmentId, kid: &str, at: Timestamp, event: AuditEvent
    ) -> QuarantineOutcome;
    no_writes release_environment(id: EnvironmentId, event: AuditEvent) -> ReleaseOutcome;
});

delegate!(EnrolmentStore {
    no_reads join_token(hash: &[u8; 32]) -> Option<JoinToken>;
    no_writes enrol(
        token_hash: &[u8; 32], kid: &str, public: &PublicJwk, at: Timestamp, event: AuditEvent
    ) -> EnrolOutcome;
});

delegate!(IssuerKeyStore {
    no_reads issuer_keys(issuer: &Issuer) -> Vec<IssuerKey>;
    no_reads any_bound_key() -> Option<IssuerKey>;
    no_reads bound_keys() -> Vec<IssuerKey>;
    no_writes create_issuer_keys(keys: &[IssuerKey], event: AuditEvent) -> InsertOutcome;
    no_reads issuer_key(id: KeyId) -> Option<IssuerKey>;
    no_writes change_issuer_keys(
        steps: &[KeyStep], at: Timestamp, event: AuditEvent
    ) -> KeyChange;
    no_writes note_issuer_key(id: KeyId, note: KeyNote) -> Change;
    no_reads ended_external_keys(issuer: &Issuer) -> Vec<IssuerKey>;
    no_writes note_time(now: Timestamp) -> Timestamp;
    no_reads outstanding_tokens(kid: &str, now: Timestamp) -> Vec<OutstandingTokens>;
});

#[async_trait]
impl MintStore for Faulty {
    async fn record_mint(&self, mint: MintRequest) -> Result<MintOutcome, StoreError> {
        fail(&self.no_writes)?;
        let outcome = self.inner.record_mint(mint).await?;
        if let Some(gate) = &self.gate {
            gate.recorded.add_permits(1);
            gate.go.acquire().await.unwrap().forget();
        }
        Ok(outcome)
    }

    async fn purge_jtis(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.inner.purge_jtis(now).await
    }
}

delegate!(AuditStore {
    no_writes append(event: AuditEvent) -> ();
    no_reads audit_records(
        organization: Option<OrganizationId>, after: i64, limit: u32
    ) -> Vec<AuditRecord>;
    no_reads find_audit_records(
        organization: Option<OrganizationId>, filter: &AuditFilter, before: Option<i64>, limit: u32
    ) -> FoundRecords;
    no_reads audit_chains(page: Page<OrganizationId>) -> Vec<AuditChain>;
    no_reads audit_chain(organization: Option<OrganizationId>) -> Option<AuditChain>;
    no_writes cut_audit_chain(
        organization: Option<OrganizationId>, cut: AuditCut, event: AuditEvent
    ) -> Change;
    no_writes purge_audit_records() -> u64;
});

delegate!(AdminStore {
    no_writes bootstrap_admin(token: &AdminToken, event: AuditEvent) -> InsertOutcome;
    no_writes replace_admin(token: &AdminToken, event: AuditEvent) -> InsertOutcome;
    no_writes create_admin_token(
        token: &AdminToken, maker: AdminTokenId, event: AuditEvent
    ) -> InsertOutcome;
    no_reads admin_token(hash: &[u8; 32]) -> Option<AdminToken>;
    no_reads admin_token_by_id(id: AdminTokenId) -> Option<AdminToken>;
    no_reads admin_tokens(
        organization: Option<OrganizationId>, page: Page<AdminTokenId>
    ) -> Vec<AdminToken>;
    no_writes revoke_admin_token(id: AdminTokenId, at: Timestamp, event: AuditEvent) -> Change;
});

#[async_trait]
impl ReplicaStore for Faulty {
    async fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        fail(&self.no_writes)?;
        self.inner.acquire_lease(name, holder, now, until).await
    }

    async fn next_notice(&self) -> Result<Notice, StoreError> {
        fail(&self.no_reads)?;
        self.inner.next_notice().await
    }
}

#[async_trait]
impl Store for Faulty {
    async fn ping(&self) -> Result<(), StoreError> {
        fail(&self.no_reads)?;
        self.inner.ping().await
    }

    fn usage(&self) -> StoreUsage {
        self.inner.usage()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// A second server on a world's database, which fails on demand.
pub(crate) struct FaultyServer {
    pub(crate) store: Arc<Faulty>,
    pub(crate) service: Arc<Service>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) address: SocketAddr,
}

impl FaultyServer {
    pub(crate) async fn start(world: &World, gate: Option<Gate>) -> Self {
        let store = Faulty::open(world, gate).await;
        Self::with_keys(world, store, None).await.unwrap()
    }

    /// One on that store, whose keys are made in `external` if that is given. One signing thread, for
    /// which one job may wait.
    pub(crate) async fn with_keys(
        world: &World,
        store: Arc<Faulty>,
        external: Option<Arc<dyn ExternalKeys>>,
    ) -> Result<Self, KeyRingError> {
        let settings = &world.settings;
        let key = std::fs::read_to_string(&settings.keys.encryption_key_file).unwrap();
        let pool = Arc::new(Pool::new(NonZeroUsize::MIN, 1).unwrap());
        let sealing = SealingKey::from_text(&key).unwrap();
        let sealing = Arc::new(Sealing::from(sealing));
        let keystore = Keystore {
            issuer: settings.issuer.clone(),
            algorithm: settings.keys.algorithm,
            sealing: sealing.clone(),
            external,
            pool: pool.clone(),
        };
        let life = settings.tokens.max_ttl.duration();
        let keys = open_key_ring(&*store, keystore, life, &*world.clock, &SystemRandom);
        let service = Arc::new(Service::new(Parts {
            keys: Arc::new(keys.await?),
            store: store.clone(),
            clock: world.clock.clone(),
            random: Arc::new(SystemRandom),
            issuer: settings.issuer.clone(),
            tokens: settings.tokens,
            limits: settings.limits,
            rotation: settings.keys.rotation,
            publication: None,
            nonces: Nonces::new(sealing, settings.issuer.clone()),
            pool: pool.clone(),
            checkpoints: Checkpoints::new(SeedKey::new(&[0; 32]).unwrap(), None),
        }));
        let limit = Duration::from_secs(15);
        let router = http::router(service.clone(), &settings.server_url, Router::new(), limit)
            .merge(http::ops_router(Ops {
                service: service.clone(),
                stopping: watch::channel(false).1,
                metrics: Box::new(String::new),
            }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok(Self {
            store,
            service,
            pool,
            address,
        })
    }

    pub(crate) async fn send(&self, request: Request) -> Answer {
        request.send(self.address).await
    }
}
