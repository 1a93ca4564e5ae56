//! Advisory locks between processes that change the same file.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::atomic_file::AccessError;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// An exclusive lock on `<target>.lock`, held until it is dropped or the process ends, however it
/// ends.
///
/// The lock is beside its target and not on it because the target is replaced by rename: a waiter
/// would hold the lock of a file that is no longer there. The lock file is never removed, because
/// whoever has just opened it would then lock a file that the next one does not see.
#[derive(Debug)]
pub struct LockFile {
    _held: File,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has had it all the time.
    #[error(
        "another process has held {} for {} s; wait for it to finish, or find it with `fuser` and end it",
        .path.display(), .waited.as_secs()
    )]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The lock file could not be opened or locked.
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl LockFile {
    /// Waits for the lock of `target` (a resolved path, see [`super::atomic_file::resolve`]) for
    /// at most `patience`, blocking the thread.
    ///
    /// # Errors
    /// [`LockError::Busy`] after `patience`; [`LockError::Access`] where the lock file cannot be
    /// made, such as in a directory that is not writable.
    pub fn acquire(target: &Path, patience: Duration) -> Result<Self, LockError> {
        let path = lock_path(target);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(AccessError::on(&path, "open the lock file"))?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _held: file }),
                Err(TryLockError::WouldBlock) if waited < patience => {
                    thread::sleep(PAUSE);
                    waited += PAUSE;
                }
                Err(TryLockError::WouldBlock) => return Err(LockError::Busy { path, waited }),
                Err(TryLockError::Error(e)) => {
                    return Err(AccessError::on(&path, "lock")(e).into());
                }
            }
        }
    }
}

fn lock_path(target: &Path) -> PathBuf {
    let mut path = OsString::from(target);
    path.push(".lock");
    path.into()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn is_exclusive_bounded_and_freed_on_drop() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("f");
        let held = LockFile::acquire(&target, Duration::ZERO).unwrap();
        let error = LockFile::acquire(&target, Duration::from_millis(30)).unwrap_err();
        assert!(matches!(error, LockError::Busy { .. }));
        assert!(error.to_string().contains("f.lock"), "{error}");
        drop(held);
        LockFile::acquire(&target, Duration::ZERO).unwrap();
    }

    #[test]
    fn the_file_is_private_stays_and_does_not_touch_the_target() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("f");
        drop(LockFile::acquire(&target, Duration::ZERO).unwrap());
        let lock = fs::metadata(dir.path().join("f.lock")).unwrap();
        assert_eq!(lock.permissions().mode() & 0o777, 0o600);
        assert!(!target.exists());
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = LockFile::acquire(Path::new("/nowhere/f"), Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("/nowhere/f.lock"), "{error}");
    }
}
