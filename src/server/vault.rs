//! Private keys in the hands of an operator, on the server's machine: export, import, and sealing under
//! another key-encryption key. The server may run meanwhile.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf, absolute},
    sync::Arc,
};

use zeroize::Zeroizing;

use super::{KeyFileError, StartError, build::open_store, key_file};
use crate::{
    client::atomic_file::{AccessError, Staged, atomic_write},
    config::{KeyBackend, Settings},
    domain::{Clock, Random},
    jose::{BackupError, PrivateKey, SealingKey, export_private_key},
    ports::Store,
    service::{
        Export, Imported, Keystore, Operator, Pool, PrivateKeyRefusal, Sealing, import_key,
        refuse_export, reseal_keys, take_private_key,
    },
};

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The installation does not open.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A key-encryption key's file.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The keys.
    #[error(transparent)]
    Refused(#[from] PrivateKeyRefusal),
    /// The exported or imported text.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A file that was not written.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// An export where something is already.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// An import where no private key may be in the process.
    #[error(
        "keys.backend is {0:?}, which keeps private keys out of this server; with \"sealed-file\" they \
         can be imported"
    )]
    External(&'static str),
    /// The new key-encryption key is the present one's file.
    #[error(
        "{} is the file of the present key-encryption key; name another one for the new key, which \
         is made if it is missing", .0.display()
    )]
    SameFile(PathBuf),
    /// Replicas that do not know the new key could not start again.
    #[error(
        "the key in {} is not in {} yet: replicas that share a database need both keys before \
         anything is sealed anew; add it to that file as a second line, on every replica, and run this \
         again", new.display(), present.display()
    )]
    NotShared {
        /// The file of the new key.
        new: PathBuf,
        /// The file that the settings name.
        present: PathBuf,
    },
}

/// What a re-sealing did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reseal {
    /// Keys that were sealed or vouched for anew just now.
    pub resealed: usize,
    /// Keys that were under the new key before.
    pub already: usize,
    /// The file that the settings name.
    pub present_file: PathBuf,
    /// Whether that file still holds a former key-encryption key.
    pub former_kept: bool,
}

/// An installation whose private keys can be opened.
pub struct Vault {
    store: Arc<dyn Store>,
    keystore: Keystore,
    settings: Settings,
    operator: Operator,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Vault {
    /// Opens the database and the key-encryption key for `operator`; makes what a first start would make,
    /// but no issuer's key.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn open(
        settings: Settings,
        operator: Operator,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, StartError> {
        let store = open_store(&settings.database_url, clock.clone()).await?;
        let may_create = store.any_bound_key().await?.is_none();
        let file = &settings.keys.encryption_key_file;
        let sealing = Sealing::new(key_file::read_or_create(file, may_create, &*random)?);
        let pool = Pool::new(NonZeroUsize::MIN, 16).map_err(StartError::Threads)?;
        let keystore = Keystore {
            issuer: settings.issuer.clone(),
            algorithm: settings.keys.algorithm,
            sealing: Arc::new(sealing),
            external: None,
            pool: Arc::new(pool),
        };
        Ok(Self {
            store,
            keystore,
            settings,
            operator,
            clock,
            random,
        })
    }

    /// Writes the private key of that `kid` under a passphrase, as a JWE and a newline, to `out`, which
    /// must not exist; mode 0600. It is recorded before the file is there. A refusal is recorded too.
    ///
    /// # Errors
    /// No such key, or none to take; a passphrase that is too short; the file; the database.
    pub async fn export(&self, kid: &str, passphrase: &str, out: &Path) -> Result<(), VaultError> {
        let (store, clock, random) = (&*self.store, &*self.clock, &*self.random);
        let file = absolute(out).unwrap_or_else(|_| out.to_owned());
        let wanted = Export {
            kid,
            file: &file,
            by: &self.operator,
        };
        let prepare = |private: &PrivateKey| {
            if out.exists() {
                return Err(VaultError::Exists(out.to_owned()));
            }
            let mut text = export_private_key(private, passphrase)?;
            text.push('\n');
            Ok(Staged::write(out, text.as_bytes(), 0o600)?)
        };
        let taken = take_private_key(store, &self.keystore, wanted, prepare, clock, random);
        let created = taken.await?.create();
        if let Err(error) = &created {
            refuse_export(store, wanted, error, clock, random).await?;
        }
        Ok(created?)
    }

    /// Lets a key that was made elsewhere be the next to sign.
    ///
    /// # Errors
    /// A key of another algorithm, one that was here before, a keystore outside the process; the
    /// database.
    pub async fn import(&self, private: &PrivateKey) -> Result<Imported, VaultError> {
        let backend = self.settings.keys.signer.backend;
        if backend != KeyBackend::SealedFile {
            return Err(VaultError::External(backend.as_str()));
        }
        let life = self.settings.tokens.max_ttl.duration();
        let (clock, random) = (&*self.clock, &*self.random);
        let (store, by) = (&*self.store, &self.operator);
        let imported = import_key(store, &self.keystore, private, life, by, clock, random);
        Ok(imported.await?)
    }

    /// Seals every private key under the key in `new`, which is made where it is missing. The server's
    /// own file gets the new key before anything is sealed under it, and loses the former one in a
    /// second run, when nothing is sealed under that any more.
    ///
    /// # Errors
    /// A file that cannot be read or written; replicas that may not know the new key; the database.
    pub async fn reseal(&self, new: &Path) -> Result<Reseal, VaultError> {
        let present = &self.settings.keys.encryption_key_file;
        if same_file(new, present) {
            return Err(VaultError::SameFile(new.to_owned()));
        }
        let new_key = single(new, key_file::read_or_create(new, true, &*self.random)?)?;
        let known = key_file::read_or_create(present, false, &*self.random)?;
        let new_text = new_key.to_text();
        let own_file = self.settings.database_url.sqlite_path().is_some();
        if known.iter().all(|key| *key.to_text() != *new_text) {
            if !own_file {
                return Err(VaultError::NotShared {
                    new: new.to_owned(),
                    present: present.clone(),
                });
            }
            write_keys(present, known.iter().chain([&new_key]))?;
        }
        let (clock, random) = (&*self.clock, &*self.random);
        let (store, by) = (&*self.store, &self.operator);
        let done = reseal_keys(store, &self.keystore, &new_key, by, clock, random).await?;
        let finished = done.now == 0;
        if own_file && finished {
            write_keys(present, [&new_key])?;
        }
        Ok(Reseal {
            resealed: done.now,
            already: done.before,
            present_file: present.clone(),
            former_kept: !(own_file && finished),
        })
    }

    /// Closes the database.
    pub async fn close(self) {
        self.store.close().await;
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

fn single(path: &Path, mut keys: Vec<SealingKey>) -> Result<SealingKey, KeyFileError> {
    match (keys.pop(), keys.is_empty()) {
        (Some(key), true) => Ok(key),
        _ => Err(KeyFileError::Malformed {
            path: path.to_owned(),
            reason: "it holds more than one key; the new key has a file of its own".to_owned(),
        }),
    }
}

fn write_keys<'k>(
    path: &Path,
    keys: impl IntoIterator<Item = &'k SealingKey>,
) -> Result<(), AccessError> {
    let mut text = Zeroizing::new(String::new());
    for key in keys {
        text.push_str(&key.to_text());
        text.push('\n');
    }
    atomic_write(path, text.as_bytes(), 0o600)
}
