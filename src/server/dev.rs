//! The whole system on loopback, for a first look and for tests: SQLite, issuer, a local STS with one
//! role, and an environment that may assume it.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::Router;
use serde_json::json;
use tokio::sync::watch;
use url::Url;

use super::{
    DevLockError, Server, StartError,
    dev_lock::DevLock,
    listener::{Bound, bind},
};
use crate::{
    client::{
        atomic_file::{AccessError, atomic_write, create_private_dir},
        identity::Identity,
    },
    config::{
        AuditSettings, KeySettings, LimitSettings, LogSettings, Settings, ShutdownSettings,
        SignerSettings, TokenSettings,
    },
    domain::{
        Audience, AwsClaims, Clock, DEFAULT_AUDIENCE, DatabaseUrl, EnvironmentState,
        ExposeSecret as _, Issuer, IssuerError, Name, NameError, Random, RequestId, Rotation,
        SecretString, SigningAlgorithm, Subject, TokenLifetime,
    },
    http,
    iam::generate::{Hardening, Scope, TrustPolicy},
    ports::{Page, StoreError},
    service::{
        AdminRefusal, Administrator, CreateEnvironment, CreateOrganization, RequestContext,
        Service, bootstrap,
    },
    sts::{LocalSts, Roles, RolesError},
    upstream::{guard::Allow, http::HttpSettings, keys::HttpKeyFetch},
};

/// What everything in the demonstration is called.
const NAME: &str = "demo";

/// The account of the local STS.
const ACCOUNT: &str = "000000000000";

/// The role that the demonstration's environment may assume.
pub const ROLE_ARN: &str = "arn:aws:iam::000000000000:role/demo";

/// Why the demonstration does not start.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// The server.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Another process uses the directory.
    #[error(transparent)]
    Lock(#[from] DevLockError),
    /// A file or directory.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The operating system.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something in the directory does not fit.
    #[error("{0}; remove {1} to begin anew")]
    Stale(String, PathBuf),
    /// An administrator's step.
    #[error(transparent)]
    Admin(#[from] AdminRefusal),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A built-in name or address.
    #[error("{0}")]
    BuiltIn(String),
}

impl From<IssuerError> for DevError {
    fn from(error: IssuerError) -> Self {
        Self::BuiltIn(error.to_string())
    }
}

impl From<NameError> for DevError {
    fn from(error: NameError) -> Self {
        Self::BuiltIn(error.to_string())
    }
}

impl From<RolesError> for DevError {
    fn from(error: RolesError) -> Self {
        Self::BuiltIn(error.to_string())
    }
}

/// Where the demonstration keeps its things.
#[derive(Clone, Debug)]
pub struct DevDir(PathBuf);

impl DevDir {
    /// The directory itself, which is also the environment's `IDP_HOME`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The environment's identity.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.0.join("identity.json")
    }

    /// The AWS credentials file.
    #[must_use]
    pub fn credentials(&self) -> PathBuf {
        self.0.join("aws").join("credentials")
    }

    /// The AWS config file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.0.join("aws").join("config")
    }

    /// The environment's `IDP_CACHE_DIR`.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.0.join("cache")
    }

    /// The administrator token.
    #[must_use]
    pub fn admin_token(&self) -> PathBuf {
        self.0.join("admin-token")
    }

    /// The file to source.
    #[must_use]
    pub fn env(&self) -> PathBuf {
        self.0.join("env")
    }
}

/// The demonstration, ready to run.
pub struct Dev {
    /// Its files.
    pub dir: DevDir,
    /// The issuer, which is the server's address too.
    pub issuer: Issuer,
    /// The local STS's address.
    pub sts_url: String,
    /// What the environment's tokens say.
    pub subject: Subject,
    /// The ticket of an environment that has yet to enrol.
    pub join_token: Option<SecretString>,
    server: Server,
    bound: Bound,
    sts: Arc<LocalSts>,
    lock: DevLock,
}

impl Dev {
    /// Takes `dir`, makes what is missing in it and listens on the loopback `port` (any free one for 0).
    ///
    /// # Errors
    /// See [`DevError`].
    pub async fn prepare(
        dir: &Path,
        port: u16,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, DevError> {
        create_private_dir(dir)?;
        let dir = DevDir(fs::canonicalize(dir)?);
        let lock = DevLock::acquire(dir.path())?;
        create_private_dir(&dir.path().join("aws"))?;
        let bound = bind((Ipv4Addr::LOCALHOST, port).into())
            .await
            .map_err(StartError::from)?;
        forget_sessions(&dir)?;
        let issuer = issuer(bound.address()?)?;
        let settings = settings(&dir, &issuer)?;
        let server = Server::build(settings, clock.clone(), random.clone()).await?;
        let context = RequestContext {
            id: RequestId::new(&*clock, &*random),
            source: None,
        };
        let admin = administrator(&server, &dir, context, &*clock, &*random).await?;
        let (subject, join_token) = world(&server.service, &admin, &dir, &issuer).await?;
        let fetch = HttpKeyFetch::new(&HttpSettings::default(), Allow::LoopbackToo);
        let sts = LocalSts::new(roles(&issuer, &subject)?, Arc::new(fetch), clock, random);
        Ok(Self {
            sts_url: format!("{issuer}/sts"),
            issuer,
            dir,
            subject,
            join_token,
            server,
            bound,
            sts: Arc::new(sts),
            lock,
        })
    }

    /// Writes the file to source.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_env(&self) -> Result<(), AccessError> {
        let exports = [
            ("IDP_HOME", self.dir.path().display().to_string()),
            ("IDP_CACHE_DIR", self.dir.cache().display().to_string()),
            (
                "AWS_SHARED_CREDENTIALS_FILE",
                self.dir.credentials().display().to_string(),
            ),
            ("AWS_CONFIG_FILE", self.dir.config().display().to_string()),
            ("AWS_ENDPOINT_URL_STS", self.sts_url.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            // Version 1 of the AWS CLI reads this one only.
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
            ("IDP_URL", self.issuer.to_string()),
        ];
        let token = self.dir.admin_token().display().to_string();
        let mut lines: Vec<String> = exports
            .iter()
            .map(|(name, value)| format!("export {name}={}\n", shell_quote(value)))
            .collect();
        // The secret itself stays in its own file.
        lines.push(format!(
            "export IDP_ADMIN_TOKEN=\"$(cat {})\"\n",
            shell_quote(&token)
        ));
        atomic_write(&self.dir.env(), lines.concat().as_bytes(), 0o600)
    }

    /// Serves until `stop` turns true.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn run(self, stop: watch::Receiver<bool>) -> Result<(), StartError> {
        let sts = Router::new().nest_service("/sts", http::sts_router(self.sts));
        let served = self.server.run(self.bound, sts, stop).await;
        drop(self.lock);
        served
    }
}

/// The issuer at a loopback address, in the one spelling that an issuer has: without port 80.
fn issuer(address: SocketAddr) -> Result<Issuer, DevError> {
    let url = Url::parse(&format!("http://{address}"))
        .map_err(|error| DevError::BuiltIn(error.to_string()))?;
    Ok(url.as_str().trim_end_matches('/').parse()?)
}

/// Removes the credentials that `idp aws credential-process` has kept: a local STS that starts anew
/// does not know the sessions of the one before it.
fn forget_sessions(dir: &DevDir) -> io::Result<()> {
    match fs::remove_dir_all(dir.cache()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn settings(dir: &DevDir, issuer: &Issuer) -> Result<Settings, DevError> {
    let server_url =
        Url::parse(issuer.as_str()).map_err(|error| DevError::BuiltIn(error.to_string()))?;
    Ok(Settings {
        issuer: issuer.clone(),
        server_url,
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        database_url: DatabaseUrl::sqlite(&dir.path().join("idp.db")),
        keys: KeySettings {
            encryption_key_file: dir.path().join("key-encryption-key"),
            algorithm: SigningAlgorithm::default(),
            rotation: Rotation::default(),
            check_publication: false,
            signer: SignerSettings::default(),
        },
        tls: None,
        ops_listen: None,
        tokens: TokenSettings {
            default_ttl: TokenLifetime::default(),
            max_ttl: TokenLifetime::from_secs(TokenLifetime::MAX.into()).unwrap_or_default(),
        },
        limits: LimitSettings::default(),
        audit: AuditSettings::default(),
        trusted_proxies: Vec::new(),
        shutdown: ShutdownSettings::default(),
        log: LogSettings::default(),
        otel_endpoint: None,
    })
}

/// The administrator: made on the first run, read from its file after.
async fn administrator(
    server: &Server,
    dir: &DevDir,
    context: RequestContext,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<Administrator, DevError> {
    let path = dir.admin_token();
    let token = if let Some(token) = bootstrap(&*server.store, clock, random).await? {
        atomic_write(&path, token.expose_secret().as_bytes(), 0o600)?;
        token
    } else {
        let stale = |error: io::Error| {
            DevError::Stale(
                format!("{}: {error}", path.display()),
                dir.path().to_owned(),
            )
        };
        SecretString::from(fs::read_to_string(&path).map_err(stale)?.trim())
    };
    let admin = server.service.authenticate_admin(&token, context).await?;
    admin.ok_or_else(|| {
        let what = format!("{} holds another installation's token", path.display());
        DevError::Stale(what, dir.path().to_owned())
    })
}

/// An organisation, a project and an environment; a join token where the environment's identity file
/// does not fit.
async fn world(
    service: &Service,
    admin: &Administrator,
    dir: &DevDir,
    issuer: &Issuer,
) -> Result<(Subject, Option<SecretString>), DevError> {
    let name: Name = NAME.parse()?;
    let mut organizations = service.organizations(admin, first_page()).await?;
    let organization = if let Some(organization) = organizations.pop() {
        organization.id
    } else {
        let new = CreateOrganization {
            name: name.clone(),
            audiences: Vec::new(),
        };
        service.create_organization(admin, new).await?.id
    };
    let mut projects = service.projects(admin, organization, first_page()).await?;
    let project = if let Some(project) = projects.pop() {
        project.id
    } else {
        let made = service.create_project(admin, organization, name.clone());
        made.await?.id
    };
    if let Ok(identity) = Identity::load(&dir.identity())
        && let Ok(environment) = service.environment(admin, identity.environment_id).await
        && environment.state == EnvironmentState::Enrolled
    {
        if identity.issuer == *issuer && environment.kid.as_ref() == Some(&identity.kid) {
            return Ok((environment.subject(), None));
        }
        let ticket = service
            .create_join_token(admin, environment.id, None)
            .await?;
        return Ok((environment.subject(), Some(ticket.token)));
    }
    let new = CreateEnvironment {
        organization,
        project: Some(project),
        name,
        cidr: None,
    };
    let made = service.create_environment(admin, new).await?;
    Ok((made.environment.subject(), Some(made.join_token.token)))
}

fn first_page<Id>() -> Page<Id> {
    Page {
        after: None,
        limit: 1,
    }
}

/// One role, which trusts the environments of the demonstration's project, whatever claims for AWS
/// their organisation turns on.
fn roles(issuer: &Issuer, subject: &Subject) -> Result<Roles, RolesError> {
    let trust = TrustPolicy {
        issuer: issuer.clone(),
        audience: Audience::sts(),
        scope: Scope {
            organization: subject.organization,
            project: subject.project,
            environment: None,
        },
        claims: AwsClaims {
            session_tags: true,
            source_identity: true,
            role_pin: false,
        },
        hardening: Hardening::default(),
    };
    let provider = format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{}", issuer.provider());
    let file = json!({
        "account": ACCOUNT,
        "providers": [{ "url": issuer, "client_ids": [DEFAULT_AUDIENCE] }],
        "roles": [{
            "name": NAME,
            "max_session_duration": 3600,
            "trust_policy": trust.document(&json!(provider)),
        }]
    });
    Roles::parse(&file.to_string())
}

/// A text as one word of a POSIX shell.
fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_has_one_spelling() {
        for (address, expected) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("127.0.0.1:80", "http://127.0.0.1"),
        ] {
            let issuer = issuer(address.parse().unwrap()).unwrap();
            assert_eq!(issuer.as_str(), expected);
        }
    }

    #[test]
    fn quotes_for_a_shell() {
        assert_eq!(shell_quote("a b"), "'a b'");
        assert_eq!(shell_quote("it's $x"), r"'it'\''s $x'");
    }
}
