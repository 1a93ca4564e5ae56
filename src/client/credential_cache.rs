//! Credentials that `credential_process` hands out again until they near their end.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    atomic_file::{AccessError, atomic_write, create_private_dir},
    credentials::PlainCredentials,
    lock_file::{LockError, LockFile},
    private_file,
};
use crate::{domain::Timestamp, ports::StsCredentials};

/// Credentials with less than this left are exchanged anew: botocore begins to refresh at 15 min.
const MARGIN: Duration = Duration::from_mins(15);

/// How long another process's exchange is waited for: longer than all its tries take.
const PATIENCE: Duration = Duration::from_mins(3);

/// One cache file, for one combination of everything that decides what credentials are got.
#[derive(Clone, Debug)]
pub struct CredentialCache {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct CacheFile {
    obtained_at: Timestamp,
    credentials: PlainCredentials,
}

/// What a cache holds.
#[derive(Clone, Debug)]
pub struct Cached {
    /// The credentials, not expired.
    pub credentials: StsCredentials,
    /// Whether they have so much life left that nothing needs to be asked for.
    pub fresh: bool,
}

impl CredentialCache {
    /// The cache in `dir` for that `key`: the values, in a fixed order, of all that decides.
    #[must_use]
    pub fn new(dir: &Path, key: &[&str]) -> Self {
        let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for value in key {
            // The length keeps ("ab", "c") and ("a", "bc") apart.
            digest.update(&(value.len() as u64).to_be_bytes());
            digest.update(value.as_bytes());
        }
        let name = hex::encode(&digest.finish().as_ref()[..16]);
        Self {
            path: dir.join(format!("aws-credentials-{name}.json")),
        }
    }

    /// What the cache holds; `None` where it is missing, expired, unreadable, malformed or open to
    /// others: all of these are replaced.
    #[must_use]
    pub fn read(&self, now: Timestamp) -> Option<Cached> {
        let bytes = private_file::read(&self.path).ok()?;
        let file: CacheFile = serde_json::from_slice(&bytes).ok()?;
        let credentials = file.credentials.into_credentials()?;
        let left = credentials.expires_at.since(now);
        if left.is_zero() {
            return None;
        }
        let life = credentials.expires_at.since(file.obtained_at);
        Some(Cached {
            credentials,
            fresh: left > MARGIN.min(life / 4),
        })
    }

    /// Lets one process at a time exchange; the others read the cache again afterwards.
    pub fn lock(&self) -> Result<LockFile, LockError> {
        if let Some(dir) = self.path.parent() {
            create_private_dir(dir)?;
        }
        LockFile::acquire(&self.path, PATIENCE)
    }

    /// Keeps `credentials`, mode 0600.
    pub fn write(&self, credentials: &StsCredentials, now: Timestamp) -> Result<(), AccessError> {
        let file = CacheFile {
            obtained_at: now,
            credentials: credentials.into(),
        };
        let json = serde_json::to_vec(&file)
            .map(Zeroizing::new)
            .map_err(|error| AccessError::on(&self.path, "write")(error.into()))?;
        atomic_write(&self.path, &json, 0o600)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt as _,
    };

    use super::*;
    use crate::client::credentials::tests::example;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn after(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn serves_until_a_quarter_or_fifteen_minutes_are_left() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CredentialCache::new(dir.path(), &["a"]);
        assert!(cache.read(NOW).is_none());
        for (life, fresh_until) in [(3600, 2699), (900, 674), (43_200, 42_299)] {
            cache.write(&example(after(life)), NOW).unwrap();
            assert!(cache.read(after(fresh_until)).unwrap().fresh, "{life}");
            assert!(!cache.read(after(fresh_until + 1)).unwrap().fresh, "{life}");
            assert!(cache.read(after(life - 1)).is_some());
            assert!(cache.read(after(life)).is_none(), "expired at {life}");
        }
    }

    #[test]
    fn what_cannot_be_trusted_is_not_served() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CredentialCache::new(dir.path(), &["a"]);
        cache.write(&example(after(3600)), NOW).unwrap();
        fs::set_permissions(&cache.path, Permissions::from_mode(0o644)).unwrap();
        assert!(cache.read(NOW).is_none());
        cache.write(&example(after(3600)), NOW).unwrap();
        assert!(cache.read(NOW).is_some());
        for corrupt in ["", "{", "[]", "null", "{\"obtained_at\":1}"] {
            fs::write(&cache.path, corrupt).unwrap();
            assert!(cache.read(NOW).is_none(), "{corrupt}");
        }
    }

    #[test]
    fn every_part_of_the_key_counts() {
        let dir = Path::new("/c");
        let path = |key: &[&str]| CredentialCache::new(dir, key).path;
        assert_eq!(path(&["a", "b"]), path(&["a", "b"]));
        assert_ne!(path(&["a", "b"]), path(&["ab", ""]));
        assert_ne!(path(&["a", "b"]), path(&["b", "a"]));
        assert_ne!(path(&["a"]), path(&["a", ""]));
    }
}
