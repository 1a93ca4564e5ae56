//! The proxy's directory: its key, its certificate authorities, and where it listens.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    client::{
        atomic_file::{AccessError, atomic_write, create_private_dir},
        lock_file::{LockError, LockFile},
        private_file::{self, PrivateFileError},
    },
    domain::{Clock, Random},
    jose::{SealError, SealingKey},
    proxy::{Authorities, Authority, AuthorityError, KeyError, ProxyKey},
};

/// What an authority's seal is bound to.
const KID: &str = "proxy-ca";
const RECORD: &str = "proxy-certificate-authority";

/// How long another process may take to make what is missing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the proxy's directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Others reach into it.
    #[error(
        "{} is {problem}; the proxy keeps its keys there: run chmod 700 {} as its owner, or set IDP_HOME \
         to another directory", path.display(), path.display()
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What it is.
        problem: String,
    },
    /// One of its files.
    #[error("{0}; run: chmod 600 on it as its owner, or remove it to have a new one made")]
    File(#[from] PrivateFileError),
    /// The proxy's key.
    #[error("{} cannot be used: {error}; remove it to have a new one made", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: KeyError,
    },
    /// The sealed authorities do not open.
    #[error(
        "the certificate authority in {} cannot be opened: {reason}; restore its sealing key \
         {}, or remove both to have a new authority made, which programs then have to be told of \
         (`idp proxy env`)", path.display(), sealing.display()
    )]
    Sealed {
        /// The sealed file.
        path: PathBuf,
        /// The file of the key.
        sealing: PathBuf,
        /// What happened.
        reason: String,
    },
    /// A certificate.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The seal of a new authority.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A file that was not written.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Another process.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// The directory, `$IDP_HOME/proxy`: 0700, and nobody else's.
#[derive(Clone, Debug)]
pub struct ProxyState {
    dir: PathBuf,
}

/// Where a running proxy is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its address, `127.0.0.1:PORT`.
    pub address: std::net::SocketAddr,
    /// The bundle of the system's certificate authorities and the proxy's.
    pub bundle: PathBuf,
    /// The proxy's certificate authorities alone.
    pub ca: PathBuf,
    /// The region of requests that name none.
    pub region: String,
}

impl ProxyState {
    /// Opens the directory, and makes it where it is missing.
    ///
    /// # Errors
    /// [`StateError::Directory`] where others reach into it.
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        create_private_dir(dir)?;
        let refused = |problem: String| StateError::Directory {
            path: dir.to_owned(),
            problem,
        };
        let metadata = fs::metadata(dir).map_err(|error| refused(error.to_string()))?;
        let (user, mode) = (
            rustix::process::geteuid().as_raw(),
            metadata.mode() & 0o7777,
        );
        if metadata.uid() != user {
            return Err(refused(format!("the directory of user {}", metadata.uid())));
        }
        if mode & 0o077 != 0 {
            return Err(refused(format!("open to others (mode {mode:04o})")));
        }
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// A file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The proxy's key; made where there is none.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn key(&self, random: &dyn Random) -> Result<ProxyKey, StateError> {
        let path = self.path("key");
        let _lock = LockFile::acquire(&path, PATIENCE)?;
        match private_file::read(&path) {
            Ok(text) => std::str::from_utf8(&text)
                .map_err(|_| KeyError)
                .and_then(ProxyKey::from_text)
                .map_err(|error| StateError::Key { path, error }),
            Err(PrivateFileError::Missing(_)) => {
                let key = ProxyKey::generate(random);
                let text = Zeroizing::new(format!("{}\n", key.expose()));
                atomic_write(&path, text.as_bytes(), 0o600)?;
                Ok(key)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The certificate authorities: read, made where there is none, and given a successor in time.
    /// Writes `ca.pem` and `bundle.pem` anew where they are not what they should be.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn authorities(
        &self,
        clock: &dyn Clock,
        random: &dyn Random,
    ) -> Result<Authorities, StateError> {
        let path = self.path("ca.key");
        let _lock = LockFile::acquire(&path, PATIENCE)?;
        let now = clock.now();
        let (sealing, stored) = self.read_sealed(random)?;
        let mut authorities = Authorities::new(stored, now);
        if authorities.needs_another(now) {
            authorities.add(Authority::generate(now, random)?);
            let mut sealed = String::new();
            for one in authorities.all() {
                sealed.push_str(&sealing.seal(KID, RECORD, &one.to_record()?)?);
                sealed.push('\n');
            }
            atomic_write(&path, sealed.as_bytes(), 0o600)?;
        }
        self.publish(&self.dir, &authorities, 0o600)?;
        Ok(authorities)
    }

    /// Writes what clients have to trust into a directory: `ca.pem` and `bundle.pem`, with this mode.
    ///
    /// # Errors
    /// [`StateError::Access`].
    pub fn publish(
        &self,
        dir: &Path,
        authorities: &Authorities,
        mode: u32,
    ) -> Result<(PathBuf, PathBuf), StateError> {
        let (ca, bundle) = (dir.join("ca.pem"), dir.join("bundle.pem"));
        let own: String = authorities.all().iter().map(Authority::pem).collect();
        let whole = super::bundle::with_system_roots(&own);
        for (path, text) in [(&ca, &own), (&bundle, &whole)] {
            if fs::read(path).is_ok_and(|found| found == text.as_bytes()) {
                continue;
            }
            atomic_write(path, text.as_bytes(), mode)?;
        }
        Ok((ca, bundle))
    }

    /// Notes where the proxy is.
    ///
    /// # Errors
    /// [`StateError::Access`].
    pub fn announce(&self, running: &Running) -> Result<(), StateError> {
        let text = serde_json::json!(running).to_string();
        Ok(atomic_write(
            &self.path("running.json"),
            text.as_bytes(),
            0o600,
        )?)
    }

    /// Where a proxy of this directory said that it was.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn running(&self) -> Result<Option<Running>, StateError> {
        match private_file::read(&self.path("running.json")) {
            // What cannot be read says as much as nothing.
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(PrivateFileError::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes back what [`ProxyState::announce`] noted, unless another proxy has noted itself since.
    pub fn withdraw(&self, running: &Running) {
        if self.running().ok().flatten().as_ref() == Some(running) {
            // Where it stays, `idp proxy env` finds that nobody listens there.
            drop(fs::remove_file(self.path("running.json")));
        }
    }

    fn read_sealed(&self, random: &dyn Random) -> Result<(SealingKey, Vec<Authority>), StateError> {
        let (path, sealing_path) = (self.path("ca.key"), self.path("ca.sealing-key"));
        let sealed = optional(private_file::read(&path))?;
        let key = optional(private_file::read(&sealing_path))?;
        let refused = |reason: String| StateError::Sealed {
            path: path.clone(),
            sealing: sealing_path.clone(),
            reason,
        };
        let key = match (key, &sealed) {
            (Some(text), _) => std::str::from_utf8(&text)
                .map_err(|_| SealError::Key)
                .and_then(SealingKey::from_text)
                .map_err(|error| refused(error.to_string()))?,
            (None, Some(_)) => return Err(refused("its sealing key is missing".to_owned())),
            (None, None) => {
                let key = SealingKey::generate(random);
                let text = Zeroizing::new(format!("{}\n", key.to_text().as_str()));
                atomic_write(&sealing_path, text.as_bytes(), 0o600)?;
                key
            }
        };
        let sealed = sealed.unwrap_or_default();
        let text = std::str::from_utf8(&sealed).map_err(|error| refused(error.to_string()))?;
        let mut authorities = Vec::new();
        for line in text.lines() {
            let record = key
                .open(KID, RECORD, line)
                .map_err(|error| refused(error.to_string()))?;
            authorities.push(Authority::from_record(&record)?);
        }
        Ok((key, authorities))
    }
}

fn optional(
    read: Result<Zeroizing<Vec<u8>>, PrivateFileError>,
) -> Result<Option<Zeroizing<Vec<u8>>>, PrivateFileError> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(PrivateFileError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use super::*;
    use crate::domain::{SimulatedClock, SystemRandom, Timestamp};

    fn clock() -> SimulatedClock {
        SimulatedClock::new(Timestamp::from_secs(1_795_350_000))
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn state(dir: &Path) -> ProxyState {
        ProxyState::open(&dir.join("proxy")).unwrap()
    }

    #[test]
    fn what_is_missing_is_made_once_and_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(dir.path());
        let key = state.key(&SystemRandom).unwrap();
        let made = state.authorities(&clock(), &SystemRandom).unwrap();
        assert_eq!(mode(&dir.path().join("proxy")), 0o700);
        for entry in fs::read_dir(dir.path().join("proxy")).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
        }
        let read = state.authorities(&clock(), &SystemRandom).unwrap();
        assert_eq!(read.all()[0].pem(), made.all()[0].pem());
        assert!(
            state
                .key(&SystemRandom)
                .unwrap()
                .matches(key.expose().as_bytes())
        );
        let sealed = fs::read_to_string(state.path("ca.key")).unwrap();
        assert_eq!(sealed.trim().split('.').count(), 5, "a compact JWE");
        let bundle = fs::read_to_string(state.path("bundle.pem")).unwrap();
        assert!(bundle.ends_with(made.all()[0].pem()));
    }

    #[test]
    fn a_successor_comes_in_time_and_the_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(dir.path());
        let clock = clock();
        let day = Duration::from_hours(24);
        state.authorities(&clock, &SystemRandom).unwrap();
        for (days, trusted) in [(364, 1), (2, 2), (300, 2), (90, 2)] {
            clock.advance(day * days);
            let found = state.authorities(&clock, &SystemRandom).unwrap();
            assert_eq!(found.all().len(), trusted);
            let pem = fs::read_to_string(state.path("ca.pem")).unwrap();
            assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), trusted);
        }
    }

    #[test]
    fn a_directory_or_file_that_others_reach_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(dir.path());
        state.key(&SystemRandom).unwrap();
        let chmod =
            |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        chmod(&state.path("key"), 0o640);
        let error = state.key(&SystemRandom).unwrap_err().to_string();
        assert!(
            error.contains("0640") && error.contains("chmod 600"),
            "{error}"
        );
        chmod(&dir.path().join("proxy"), 0o750);
        let error = ProxyState::open(&dir.path().join("proxy"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("0750") && error.contains("chmod 700"),
            "{error}"
        );
    }

    #[test]
    fn a_lost_or_foreign_sealing_key_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(dir.path());
        state.authorities(&clock(), &SystemRandom).unwrap();
        let other = SealingKey::generate(&SystemRandom);
        fs::write(state.path("ca.sealing-key"), other.to_text().as_bytes()).unwrap();
        let error = state
            .authorities(&clock(), &SystemRandom)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("another key") && error.contains("remove both"),
            "{error}"
        );
        fs::remove_file(state.path("ca.sealing-key")).unwrap();
        let error = state
            .authorities(&clock(), &SystemRandom)
            .unwrap_err()
            .to_string();
        assert!(error.contains("is missing"), "{error}");
        fs::write(state.path("key"), "hunter2").unwrap();
        fs::set_permissions(state.path("key"), Permissions::from_mode(0o600)).unwrap();
        let error = state.key(&SystemRandom).unwrap_err().to_string();
        assert!(
            error.contains("idp_proxy_") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn only_its_own_note_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(dir.path());
        let running = |port| Running {
            address: ([127, 0, 0, 1], port).into(),
            bundle: state.path("bundle.pem"),
            ca: state.path("ca.pem"),
            region: "us-east-1".to_owned(),
        };
        state.announce(&running(1)).unwrap();
        state.announce(&running(2)).unwrap();
        state.withdraw(&running(1));
        assert_eq!(state.running().unwrap(), Some(running(2)));
        state.withdraw(&running(2));
        assert_eq!(state.running().unwrap(), None);
    }
}
