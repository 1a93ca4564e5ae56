//! From settings to a server that is ready to run.

use std::{num::NonZeroUsize, sync::Arc, thread};

use url::Url;

use super::{ListenError, key_file, metrics, open_objects};
use crate::{
    config::Settings,
    domain::{Clock, DatabaseUrl, Random},
    jose::SeedKey,
    ports::{ExternalKeys, KeyFetch, Store, StoreError},
    service::{
        Checkpoints, KeyRingError, Keystore, Nonces, Parts, Pool, Sealing, Service, open_key_ring,
    },
    store::{OpenError, PostgresOpenError, PostgresStore, SqliteStore},
    upstream::{
        guard::Allow, http::HttpSettings, keys::HttpKeyFetch, s3::S3LocationError,
        signers::Keystores,
    },
};

/// Why the server does not start. Each names the file or the setting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The PostgreSQL database does not open.
    #[error(transparent)]
    OpenPostgres(#[from] PostgresOpenError),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key-encryption key.
    #[error(transparent)]
    KeyFile(#[from] super::KeyFileError),
    /// The issuer's keys do not open.
    #[error(
        "{error}; the key-encryption key in {file} is not the one that sealed the issuer's keys: \
         restore that file from its backup, or set keys.encryption_key_file to where it is"
    )]
    KeyRing {
        /// The key-encryption key's file.
        file: String,
        /// What does not open.
        error: String,
    },
    /// Keys could not be made or read.
    #[error(transparent)]
    Keys(KeyRingError),
    /// The place of the checkpoints.
    #[error("audit.checkpoints: {0}")]
    Checkpoints(#[from] S3LocationError),
    /// Threads.
    #[error("cannot start the signing threads: {0}")]
    Threads(std::io::Error),
    /// The listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// Opens the database that the settings name.
pub(super) async fn open_store(
    url: &DatabaseUrl,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, StartError> {
    Ok(if url.sqlite_path().is_some() {
        Arc::new(SqliteStore::open(url.expose(), clock).await?)
    } else {
        Arc::new(PostgresStore::open(url, clock).await?)
    })
}

/// A server, put together.
pub struct Server {
    /// The use cases.
    pub service: Arc<Service>,
    /// Where environments reach it.
    pub server_url: Url,
    pub(super) store: Arc<dyn Store>,
    /// Keystores outside the process, where the settings name any; [`Keystores::reports`] says how
    /// they are.
    pub keystores: Option<Keystores>,
    pub(super) settings: Settings,
}

impl Server {
    /// Opens the database, the key-encryption key and the issuer's keys; makes what a first start
    /// needs.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn build(
        settings: Settings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, StartError> {
        // Before anything is made that counts.
        metrics::recorder();
        let store = open_store(&settings.database_url, clock.clone()).await?;
        let file = &settings.keys.encryption_key_file;
        let may_create = store.any_bound_key().await?.is_none();
        let sealing = Sealing::new(key_file::read_or_create(file, may_create, &*random)?);
        let again = file.clone();
        let sealing = Arc::new(sealing.rereading(move || key_file::read(&again).ok()));
        let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let pool =
            Pool::new(threads, settings.limits.signing_queue).map_err(StartError::Threads)?;
        let pool = Arc::new(pool);
        let keystores = Keystores::load(
            &settings.keys.signer,
            settings.limits.signing_queue,
            &clock,
            &random,
        )
        .await;
        let keystore = Keystore {
            issuer: settings.issuer.clone(),
            algorithm: settings.keys.algorithm,
            sealing: sealing.clone(),
            external: keystores
                .clone()
                .map(|keystores| Arc::new(keystores) as Arc<dyn ExternalKeys>),
            pool: pool.clone(),
        };
        let longest_life = settings.tokens.max_ttl.duration();
        let keys = open_key_ring(&*store, keystore, longest_life, &*clock, &*random);
        let keys = keys.await.map_err(|error| match error {
            KeyRingError::Unreadable(error) => StartError::KeyRing {
                file: file.display().to_string(),
                error,
            },
            other => StartError::Keys(other),
        })?;
        // Now it is known which key-encryption key is in use.
        let checkpoints = checkpoints(&settings, &sealing, clock.clone()).await?;
        let service = Service::new(Parts {
            store: store.clone(),
            clock,
            random,
            issuer: settings.issuer.clone(),
            tokens: settings.tokens,
            limits: settings.limits,
            keys: Arc::new(keys),
            rotation: settings.keys.rotation,
            publication: publication(&settings),
            nonces: Nonces::new(sealing, settings.issuer.clone()),
            pool,
            checkpoints,
        });
        Ok(Self {
            service: Arc::new(service),
            server_url: settings.server_url.clone(),
            store,
            keystores,
            settings,
        })
    }
}

/// What looks whether a pending key has come to the issuer's public address, where that is not this
/// server's own.
fn publication(settings: &Settings) -> Option<Arc<dyn KeyFetch>> {
    let own = settings.server_url.as_str().trim_end_matches('/');
    if !settings.keys.check_publication || own == settings.issuer.as_str() {
        return None;
    }
    // The operator named the issuer; on loopback it is a test or a trial.
    let allow = if settings.issuer.is_loopback() {
        Allow::LoopbackToo
    } else {
        Allow::PublicOnly
    };
    Some(Arc::new(HttpKeyFetch::new(&HttpSettings::default(), allow)))
}

/// The key that signs checkpoints is derived, so that it is wherever the key-encryption key is, and
/// nowhere else.
async fn checkpoints(
    settings: &Settings,
    sealing: &Sealing,
    clock: Arc<dyn Clock>,
) -> Result<Checkpoints, StartError> {
    let objects = match &settings.audit.checkpoints {
        Some(place) => Some(open_objects(place, HttpSettings::default(), clock).await?),
        None => None,
    };
    Ok(Checkpoints::new(checkpoint_key(sealing)?, objects))
}

/// See [`checkpoints`].
pub(super) fn checkpoint_key(sealing: &Sealing) -> Result<SeedKey, StartError> {
    let seed = sealing
        .derive("audit checkpoint")
        .map_err(|error| StartError::Keys(error.into()))?;
    SeedKey::new(&seed).map_err(|error| StartError::Keys(error.into()))
}

impl Server {
    /// Closes the database of a server that was not run.
    pub async fn close(self) {
        self.store.close().await;
    }
}
