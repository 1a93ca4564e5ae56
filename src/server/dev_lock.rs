//! One `idp dev` at a time in a directory.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DevLockError {
    /// Another process uses it.
    #[error(
        "{} is in use by {}; end it, or choose another directory with --dir", dir.display(),
        holder.map_or_else(|| "another process".to_owned(), |id| format!("process {id} (idp dev)"))
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// That process, where it said who it is.
        holder: Option<u32>,
    },
    /// The operating system.
    #[error("cannot lock {}: {error}", path.display())]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
}

/// The lock of a directory, held until it is dropped or the process ends, however it ends. Its file stays and
/// names the process that has had the lock last.
#[derive(Debug)]
pub(super) struct DevLock {
    _held: File,
}

impl DevLock {
    /// Takes the lock of `dir` without waiting.
    pub(super) fn acquire(dir: &Path) -> Result<Self, DevLockError> {
        let path = dir.join("dev.lock");
        let failed = |error| DevLockError::Io {
            path: path.clone(),
            error,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                note(&mut file).map_err(failed)?;
                Ok(Self { _held: file })
            }
            Err(TryLockError::WouldBlock) => Err(DevLockError::InUse {
                dir: dir.to_owned(),
                holder: holder(file),
            }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

/// Writes down who has the lock.
fn note(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Who wrote that they have the lock; nobody where they have yet to write it.
fn holder(file: File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_the_second_is_told_who() {
        let dir = tempfile::tempdir().unwrap();
        let held = DevLock::acquire(dir.path()).unwrap();
        let error = DevLock::acquire(dir.path()).unwrap_err().to_string();
        let own = format!("is in use by process {} (idp dev)", std::process::id());
        assert!(error.contains(&own) && error.contains("--dir"), "{error}");
        drop(held);
        DevLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn what_the_file_says_does_not_matter_where_nobody_has_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["1\n", "", "garbage that is longer than any process id is"] {
            std::fs::write(dir.path().join("dev.lock"), text).unwrap();
            drop(DevLock::acquire(dir.path()).unwrap());
            let noted = std::fs::read_to_string(dir.path().join("dev.lock")).unwrap();
            assert_eq!(noted, format!("{}\n", std::process::id()));
        }
    }
}
