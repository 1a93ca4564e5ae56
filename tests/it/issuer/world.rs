//! A server with everything around it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use idp::{
    config::{
        AuditSettings, KeySettings, LimitSettings, LogSettings, Settings, ShutdownSettings,
        SignerSettings, TokenSettings,
    },
    domain::{
        Clock, DatabaseUrl, ExposeSecret as _, OrganizationId, Rotation, SigningAlgorithm,
        SimulatedClock, SystemRandom, Timestamp, TokenLifetime,
    },
    ports::{AuditRecord, Store},
    server::{self, Server, StartError},
    service::Service,
    store::{PostgresStore, SqliteStore, first_broken},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};

use super::{Answer, Environment, Request, Ticket};

/// The issuer, which is not the address that it listens on.
pub(crate) const ISSUER: &str = "https://idp.example.com";

/// When every test begins.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_740_514_245);

/// A running server.
pub(crate) struct World {
    pub(crate) clock: Arc<SimulatedClock>,
    pub(crate) settings: Settings,
    pub(crate) service: Arc<Service>,
    pub(crate) address: SocketAddr,
    /// The administrator of everything.
    pub(crate) admin: String,
    /// The one organisation that is there from the start.
    pub(crate) organization: OrganizationId,
    running: Running,
    observer: Arc<dyn Store>,
    pub(crate) dir: TempDir,
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), StartError>>,
}

/// Settings for a server in a directory: ES256, which is quicker to start than RS256.
pub(crate) fn settings(dir: &TempDir) -> Settings {
    Settings {
        issuer: ISSUER.parse().unwrap(),
        server_url: ISSUER.parse().unwrap(),
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        database_url: DatabaseUrl::sqlite(&dir.path().join("idp.db")),
        keys: KeySettings {
            encryption_key_file: dir.path().join("key-encryption-key"),
            algorithm: SigningAlgorithm::Es256,
            rotation: Rotation::default(),
            check_publication: false,
            signer: SignerSettings::default(),
        },
        tls: None,
        ops_listen: None,
        tokens: TokenSettings {
            default_ttl: TokenLifetime::default(),
            max_ttl: TokenLifetime::from_secs(1800).unwrap(),
        },
        audit: AuditSettings::default(),
        // The clock stands still, and so no bucket fills up again.
        limits: LimitSettings {
            address: None,
            client: None,
            ..LimitSettings::default()
        },
        trusted_proxies: Vec::new(),
        shutdown: ShutdownSettings::default(),
        log: LogSettings::default(),
        otel_endpoint: None,
    }
}

/// Another store on the settings' database.
pub(crate) async fn open_store(settings: &Settings, clock: Arc<dyn Clock>) -> Arc<dyn Store> {
    let url = &settings.database_url;
    if url.sqlite_path().is_some() {
        Arc::new(SqliteStore::open(url.expose(), clock).await.unwrap())
    } else {
        Arc::new(PostgresStore::open(url, clock).await.unwrap())
    }
}

async fn run(
    settings: &Settings,
    clock: &Arc<SimulatedClock>,
) -> (Arc<Service>, SocketAddr, Running) {
    let server = Server::build(settings.clone(), clock.clone(), Arc::new(SystemRandom))
        .await
        .unwrap();
    let service = server.service.clone();
    let bound = server::bind(settings.listen).await.unwrap();
    let address = bound.address().unwrap();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(server.run(bound, Router::new(), stopped));
    (service, address, Running { stop, task })
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimulatedClock::new(START));
        let mut settings = settings(&dir);
        change(&mut settings);
        let admin = server::bootstrap_admin(&settings, clock.clone(), &SystemRandom)
            .await
            .unwrap()
            .unwrap();
        let (service, address, running) = run(&settings, &clock).await;
        let observer = open_store(&settings, clock.clone()).await;
        let mut world = Self {
            clock,
            settings,
            service,
            address,
            admin: admin.expose_secret().to_owned(),
            organization: "0191e223-1c3c-7607-badf-303c98b52d2f".parse().unwrap(),
            running,
            observer,
            dir,
        };
        world.organization = world.new_organization("Acme").await;
        world
    }

    /// Stops the server as a signal would, and starts it again on the same files.
    pub(crate) async fn restart(&mut self) {
        self.running.stop.send_replace(true);
        (&mut self.running.task).await.unwrap().unwrap();
        (self.service, self.address, self.running) = run(&self.settings, &self.clock).await;
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().secs()
    }

    pub(crate) fn advance(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.path().join("idp.db")
    }

    pub(crate) async fn send(&self, request: Request) -> Answer {
        request.send(self.address).await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send(Request::get(target)).await
    }

    /// A request of the administrator of everything.
    pub(crate) async fn admin(&self, request: Request) -> Answer {
        self.send(request.bearer(&self.admin)).await
    }

    /// `POST` by the administrator.
    pub(crate) async fn post(&self, target: &str, body: &Value) -> Answer {
        self.admin(Request::json("POST", target, body)).await
    }

    pub(crate) async fn new_organization(&self, name: &str) -> OrganizationId {
        // Ids of one millisecond do not sort by age.
        self.clock.advance(Duration::from_millis(1));
        let answer = self
            .post("/api/v1/organizations", &json!({ "name": name }))
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().parse().unwrap()
    }

    /// A new environment's join token.
    pub(crate) async fn ticket(&self) -> Ticket {
        self.ticket_with(self.organization, &json!({ "name": "dev" }))
            .await
    }

    pub(crate) async fn ticket_with(&self, organization: OrganizationId, body: &Value) -> Ticket {
        self.clock.advance(Duration::from_millis(1));
        let answer = self
            .post(
                &format!("/api/v1/organizations/{organization}/environments"),
                body,
            )
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        Ticket::of(&answer.json())
    }

    /// Another join token for an environment.
    pub(crate) async fn another_ticket(&self, environment: &str) -> Ticket {
        let target = format!("/api/v1/environments/{environment}/join-tokens");
        let answer = self.post(&target, &json!({})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        Ticket::of(&answer.json())
    }

    /// An enrolled environment.
    pub(crate) async fn environment(&self) -> Environment {
        let ticket = self.ticket().await;
        self.enrol(&ticket).await
    }

    pub(crate) async fn enrol(&self, ticket: &Ticket) -> Environment {
        let environment = Environment::new(&ticket.environment);
        let answer = self.try_enrol(ticket, &environment).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        environment
    }

    pub(crate) async fn try_enrol(&self, ticket: &Ticket, environment: &Environment) -> Answer {
        let nonce = self.nonce().await;
        let body = environment.enrolment(&ticket.secret, &nonce);
        self.send(Request::json("POST", "/enroll", &body)).await
    }

    pub(crate) async fn nonce(&self) -> String {
        let answer = self.get("/enroll/nonce").await;
        answer.json()["nonce"].as_str().unwrap().to_owned()
    }

    /// Presents an assertion for AWS's audience.
    pub(crate) async fn present(&self, assertion: &str) -> Answer {
        self.send(token_request(assertion)).await
    }

    /// Asks for a token as a well-behaved environment does.
    pub(crate) async fn token(&self, environment: &Environment) -> Answer {
        self.present(&environment.assertion(self.now())).await
    }

    pub(crate) async fn stop(&self, environment: &str) -> Answer {
        let target = format!("/api/v1/environments/{environment}/stop");
        self.admin(Request::new("POST", &target)).await
    }

    /// A whole audit chain, which is checked to be unbroken.
    pub(crate) async fn audit(&self, organization: Option<OrganizationId>) -> Vec<AuditRecord> {
        let records = self
            .observer
            .audit_records(organization, 0, 100_000)
            .await
            .unwrap();
        assert_eq!(first_broken(&records), None);
        records
    }

    /// The records of one action in the organisation's chain.
    pub(crate) async fn audited(&self, action: &str) -> Vec<AuditRecord> {
        let mut records = self.audit(Some(self.organization)).await;
        records.retain(|record| record.action == action);
        records
    }

    /// A second store on the same database.
    pub(crate) fn observer(&self) -> &dyn Store {
        &*self.observer
    }

    /// The database itself, for what no port offers.
    pub(crate) async fn sql(&self) -> sqlx::SqlitePool {
        sqlx::SqlitePool::connect(self.settings.database_url.expose())
            .await
            .unwrap()
    }
}

/// A token request with an assertion, for AWS's audience.
pub(crate) fn token_request(assertion: &str) -> Request {
    Request::form("/oauth2/token", &token_parameters(assertion))
}

pub(crate) fn token_parameters(assertion: &str) -> [(&str, &str); 4] {
    [
        ("grant_type", "client_credentials"),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion),
        ("audience", "sts.amazonaws.com"),
    ]
}
