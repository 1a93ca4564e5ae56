//! The file with the key-encryption key: made on the first start, 0600, outside the database.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{domain::Random, jose::SealingKey};

/// Why there is no key-encryption key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The database has keys sealed under a key that is gone.
    #[error(
        "the key-encryption key is missing: {} does not exist, and the database holds keys that \
         were sealed with it; restore that file from its backup, or set keys.encryption_key_file to \
         where it is", .0.display()
    )]
    Missing(PathBuf),
    /// Others can read it.
    #[error(
        "the key-encryption key in {} can be read by others (mode {mode:04o}); run: chmod 600 {}",
        path.display(), path.display()
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Not a key.
    #[error("{} does not hold a key-encryption key: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It is not there, and cannot be made.
    #[error(
        "the key-encryption key {} is not there and cannot be made: {reason}; make its directory and let the \
         user who runs this write there, or set keys.encryption_key_file to another place",
        path.display()
    )]
    Unmade {
        /// The file.
        path: PathBuf,
        /// What happened.
        reason: io::Error,
    },
    /// The operating system.
    #[error(
        "the key-encryption key {} cannot be read: {reason}; let the user who runs this read it, and nobody \
         else", path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        reason: io::Error,
    },
}

/// Reads the keys, or makes one where `may_create` (no stored key was sealed yet). Of two processes
/// that make it together one does and the other reads it.
///
/// # Errors
/// See [`KeyFileError`].
pub(super) fn read_or_create(
    path: &Path,
    may_create: bool,
    random: &dyn Random,
) -> Result<Vec<SealingKey>, KeyFileError> {
    let failed = |reason| KeyFileError::Io {
        path: path.to_owned(),
        reason,
    };
    match fs::metadata(path) {
        Ok(_) => read(path),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(error)),
        Err(_) if !may_create => Err(KeyFileError::Missing(path.to_owned())),
        Err(_) => {
            let key = SealingKey::generate(random);
            match create(path, &key) {
                Ok(()) => Ok(vec![key]),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => read(path),
                // Its text names a file that nobody has asked for.
                Err(error) => Err(KeyFileError::Unmade {
                    path: path.to_owned(),
                    reason: io::Error::from(error.kind()),
                }),
            }
        }
    }
}

/// Writes beside the file and links it into place, which fails where one is there: nobody ever reads
/// half a key, and nobody overwrites one.
fn create(path: &Path, key: &SealingKey) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".key-encryption-key-")
        .tempfile_in(directory)?; // made with 0600
    file.write_all(key.to_text().as_bytes())?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}

/// The keys in the file, one a line: a second one while stored keys are sealed anew.
pub(super) fn read(path: &Path) -> Result<Vec<SealingKey>, KeyFileError> {
    let failed = |reason| KeyFileError::Io {
        path: path.to_owned(),
        reason,
    };
    let file = OpenOptions::new().read(true).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Permissions {
            path: path.to_owned(),
            mode,
        });
    }
    let malformed = |reason: String| KeyFileError::Malformed {
        path: path.to_owned(),
        reason,
    };
    if metadata.len() > 4096 {
        return Err(malformed("it is far too long".to_owned()));
    }
    let text = io::read_to_string(file)
        .map(Zeroizing::new)
        .map_err(failed)?;
    let mut keys: Vec<SealingKey> = Vec::new();
    for line in text.trim().lines() {
        let key = SealingKey::from_text(line).map_err(|error| malformed(error.to_string()))?;
        if keys.iter().any(|known| *known.to_text() == *key.to_text()) {
            return Err(malformed("it holds the same key twice".to_owned()));
        }
        keys.push(key);
    }
    if keys.is_empty() {
        return Err(malformed("it is empty".to_owned()));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::domain::SystemRandom;

    #[test]
    fn is_made_once_and_read_after() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = read_or_create(&path, true, &SystemRandom).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let read = read_or_create(&path, false, &SystemRandom).unwrap();
        assert_eq!(*made[0].to_text(), *read[0].to_text());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn may_hold_a_second_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        read_or_create(&path, true, &SystemRandom).unwrap();
        let first = fs::read_to_string(&path).unwrap();
        let second = SealingKey::generate(&SystemRandom).to_text();
        fs::write(&path, format!("{first}{}\n", *second)).unwrap();
        let keys = read(&path).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(*keys[0].to_text(), first.trim());
        fs::write(&path, format!("{first}{first}")).unwrap();
        assert!(
            read(&path)
                .unwrap_err()
                .to_string()
                .contains("same key twice")
        );
    }

    #[test]
    fn refusals_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let missing = read_or_create(&path, false, &SystemRandom).unwrap_err();
        assert!(matches!(missing, KeyFileError::Missing(_)));
        fs::write(&path, "hunter2").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let open = read_or_create(&path, true, &SystemRandom).unwrap_err();
        assert!(open.to_string().contains("chmod 600"), "{open}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let malformed = read_or_create(&path, true, &SystemRandom).unwrap_err();
        assert!(matches!(malformed, KeyFileError::Malformed { .. }));
        for error in [missing, open, malformed] {
            let text = error.to_string();
            assert!(text.contains(&*path.to_string_lossy()), "{text}");
            assert!(!text.contains("hunter2"));
        }
    }
}
