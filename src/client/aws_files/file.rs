//! One change of one file: lock, read, edit, replace.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use zeroize::Zeroizing;

use super::{
    FileError, Note,
    document::{Document, Problem, decode},
};
use crate::client::{
    atomic_file::{self, AccessError},
    lock_file::LockFile,
};

/// How long another writer may hold the lock. One write takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
const MODE: u32 = 0o600;

/// What an edit makes of a document: the new text, or `None` to leave the file as it is, and what
/// the caller wants to know besides.
pub(super) type Edited<T> = (Option<Zeroizing<String>>, T);

/// Why an edit is refused.
pub(super) enum Refusal {
    /// The file is the reason.
    Malformed(Problem),
    /// Something else is.
    Other(FileError),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Malformed(problem)
    }
}

/// Changes the file at `path`, which may be a symbolic link and need not exist. Its directory is
/// made where it is missing.
///
/// What `edit` decides is decided on the file as it is under the lock. Temporary files of writers
/// that were killed are removed.
pub(super) fn change<T>(
    path: &Path,
    edit: impl Fn(&Document<'_>) -> Result<Edited<T>, Refusal>,
) -> Result<(T, Vec<Note>), FileError> {
    let (target, _lock) = lock(path)?;
    atomic_file::remove_leftovers(&target);
    let found = atomic_file::regular_file(&target)?;
    let (text, outcome) = read(path, &target, found.is_some(), edit)?;

    let mut notes = Vec::new();
    if let Some(text) = text {
        atomic_file::atomic_write(&target, text.as_bytes(), MODE)?;
        notes.extend(found.and_then(|found| was_open(path, &found)));
    }
    Ok((outcome, notes))
}

/// What `look` says of the file as it is now, without the lock: for finding out early what a change
/// would refuse.
pub(super) fn inspect<T>(
    path: &Path,
    look: impl Fn(&Document<'_>) -> Result<T, Refusal>,
) -> Result<T, FileError> {
    let target = atomic_file::resolve(path)?;
    let found = atomic_file::regular_file(&target)?;
    read(path, &target, found.is_some(), look)
}

fn read<T>(
    path: &Path,
    target: &Path,
    exists: bool,
    look: impl Fn(&Document<'_>) -> Result<T, Refusal>,
) -> Result<T, FileError> {
    let bytes = if exists {
        Zeroizing::new(fs::read(target).map_err(AccessError::on(target, "read"))?)
    } else {
        Zeroizing::default()
    };
    let malformed = |problem: Problem| FileError::Malformed {
        path: path.to_owned(),
        line: problem.line,
        problem: problem.what,
        cure: problem.cure,
    };
    let document = decode(&bytes)
        .and_then(Document::parse)
        .map_err(malformed)?;
    look(&document).map_err(|refusal| match refusal {
        Refusal::Malformed(problem) => malformed(problem),
        Refusal::Other(error) => error,
    })
}

/// Locks what `path` leads to. The link may be turned to another file while the lock is waited
/// for, so it is followed again under the lock.
fn lock(path: &Path) -> Result<(PathBuf, LockFile), FileError> {
    loop {
        let target = atomic_file::resolve(path)?;
        atomic_file::create_private_dir(atomic_file::directory_of(&target))?;
        let lock = LockFile::acquire(&target, PATIENCE)?;
        if atomic_file::resolve(path)? == target {
            return Ok((target, lock));
        }
    }
}

fn was_open(path: &Path, found: &fs::Metadata) -> Option<Note> {
    use std::os::unix::fs::PermissionsExt;

    let mode = found.permissions().mode() & 0o7777;
    (mode & 0o077 != 0).then(|| Note::WasOpen {
        path: path.to_owned(),
        mode,
    })
}
