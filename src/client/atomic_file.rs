//! Replacing a file whole: a reader sees the old bytes or the new ones, and so does the next boot.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// As many symbolic links as Linux itself follows before it answers ELOOP.
const MAX_LINKS: usize = 40;
const TEMP_SUFFIX: &str = ".tmp";
/// How many random characters `tempfile` puts between prefix and suffix.
const TEMP_RANDOM: usize = 6;

/// A file or directory that could not be read or written. Displays what was tried, on which path,
/// the system's answer and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {cause}; {}", .path.display(), cure(.cause))]
pub struct AccessError {
    /// What it was about.
    pub path: PathBuf,
    /// What was tried, an infinitive: `write`, `open the lock file`.
    pub action: &'static str,
    /// The system's answer.
    pub cause: io::Error,
}

impl AccessError {
    /// Makes the closure that `map_err` wants.
    pub(crate) fn on(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |cause| Self {
            path,
            action,
            cause,
        }
    }
}

fn cure(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => {
            "check the owner and the mode of the file and of its directory (ls -ld)"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some disk space and try again"
        }
        io::ErrorKind::FileTooLarge => "raise the limit on file sizes (ulimit -f) and try again",
        io::ErrorKind::ReadOnlyFilesystem => {
            "name a file on a file system that is mounted writable"
        }
        io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput => "name a regular file",
        io::ErrorKind::NotADirectory => "a part of the path is a file, not a directory",
        io::ErrorKind::NotFound => "create the directory first",
        io::ErrorKind::AlreadyExists => "name a file that does not exist",
        _ => "mend that and try again",
    }
}

/// Replaces the contents of `path` with `bytes` and its mode with `mode` (such as `0o600`),
/// atomically and durably: a temporary file in the same directory, fsync, rename, fsync of the
/// directory.
///
/// A symbolic link stays a link: the file that it points at is replaced, or made where the link
/// dangles. The owner of an existing file is kept. Takes no lock: who must read, change and write
/// holds a [`super::lock_file::LockFile`].
///
/// # Errors
/// Names the path and the cure. The file is then as it was and no temporary file is left, except
/// that a failing fsync of the directory comes after the rename. Whatever is not a regular file
/// (a directory, `/dev/null`) is refused.
pub fn atomic_write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), AccessError> {
    Staged::write(path, bytes, mode)?.replace()
}

/// New contents of a file, complete and durable beside it, where nobody reads them yet. Dropped, they are
/// removed.
#[derive(Debug)]
pub struct Staged {
    temp: NamedTempFile,
    target: PathBuf,
    dir: File,
}

impl Staged {
    /// Writes what is going to be the contents of `path`, with the mode `mode`.
    ///
    /// # Errors
    /// As of [`atomic_write`].
    pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<Self, AccessError> {
        let target = resolve(path)?;
        let existing = regular_file(&target)?;
        let dir = directory_of(&target);
        // Opened before anything is written, so that a directory that cannot be synced is found in time.
        let dir_handle = File::open(dir).map_err(AccessError::on(dir, "open the directory"))?;

        let failed = || AccessError::on(&target, "write");
        let mut temp = tempfile::Builder::new()
            .prefix(&temp_prefix(&target)?)
            .suffix(TEMP_SUFFIX)
            .rand_bytes(TEMP_RANDOM)
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(dir)
            .map_err(failed())?;
        if let Some(existing) = existing {
            keep_owner(temp.as_file(), &existing).map_err(failed())?;
        }
        temp.write_all(bytes).map_err(failed())?;
        temp.as_file()
            .set_permissions(Permissions::from_mode(mode))
            .map_err(failed())?;
        temp.as_file().sync_all().map_err(failed())?;
        Ok(Self {
            temp,
            target,
            dir: dir_handle,
        })
    }

    /// Puts them in the place of what is there, if anything is.
    ///
    /// # Errors
    /// As of [`atomic_write`].
    pub fn replace(self) -> Result<(), AccessError> {
        self.put(|temp, target| temp.persist(target).map_err(|refused| refused.error))
    }

    /// Puts them where nothing is.
    ///
    /// # Errors
    /// As of [`atomic_write`]; something is there.
    pub fn create(self) -> Result<(), AccessError> {
        self.put(|temp, target| {
            let persisted = temp.persist_noclobber(target);
            persisted.map_err(|refused| refused.error)
        })
    }

    fn put(
        self,
        persist: impl FnOnce(NamedTempFile, &Path) -> io::Result<File>,
    ) -> Result<(), AccessError> {
        let Self { temp, target, dir } = self;
        persist(temp, &target).map_err(AccessError::on(&target, "write"))?;
        let synced = sync_directory(&dir);
        synced.map_err(AccessError::on(directory_of(&target), "sync the directory"))
    }
}

/// Where a write to `path` ends up: the end of the chain of symbolic links, which need not exist.
///
/// # Errors
/// The links go in a circle, or a directory on the way cannot be searched.
pub fn resolve(path: &Path) -> Result<PathBuf, AccessError> {
    let mut at = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&at) {
            Ok(next) => at = at.parent().unwrap_or(Path::new("")).join(next),
            // Not a link, or nothing there.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::NotFound
                ) =>
            {
                return Ok(at);
            }
            Err(e) => return Err(AccessError::on(&at, "follow")(e)),
        }
    }
    let circle = io::Error::other("its symbolic links go in a circle");
    Err(AccessError::on(path, "follow")(circle))
}

/// Makes the directory `path` and what is missing above it, mode 0700; one that exists is left as
/// it is.
///
/// # Errors
/// Names the directory and the cure.
pub fn create_private_dir(path: &Path) -> Result<(), AccessError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(AccessError::on(path, "create the directory"))
}

/// Removes the temporary files that killed writers of `target` (a resolved path) left behind.
///
/// Only for callers whose lock keeps every other writer of `target` out: a living writer's
/// temporary file looks the same. What cannot be removed stays; the next write tries again.
pub(crate) fn remove_leftovers(target: &Path) {
    let Ok(prefix) = temp_prefix(target) else {
        return;
    };
    let entries = fs::read_dir(directory_of(target)).into_iter().flatten();
    for entry in entries.flatten() {
        if is_leftover(&entry.file_name(), &prefix) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_leftover(name: &OsStr, prefix: &OsStr) -> bool {
    name.as_encoded_bytes()
        .strip_prefix(prefix.as_encoded_bytes())
        .and_then(|rest| rest.strip_suffix(TEMP_SUFFIX.as_bytes()))
        .is_some_and(|random| {
            random.len() == TEMP_RANDOM && random.iter().all(u8::is_ascii_alphanumeric)
        })
}

/// The metadata of the regular file at `target`, or `None` where nothing is there.
pub(crate) fn regular_file(target: &Path) -> Result<Option<fs::Metadata>, AccessError> {
    let refused =
        |kind, what: &str| AccessError::on(target, "write")(io::Error::new(kind, what.to_owned()));
    match fs::symlink_metadata(target) {
        Ok(found) if found.is_file() => Ok(Some(found)),
        Ok(found) if found.is_dir() => {
            Err(refused(io::ErrorKind::IsADirectory, "it is a directory"))
        }
        Ok(_) => Err(refused(
            io::ErrorKind::InvalidInput,
            "it is a device, a pipe or a socket",
        )),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(AccessError::on(target, "write")(e)),
    }
}

/// The directory that holds `target`.
pub(crate) fn directory_of(target: &Path) -> &Path {
    match target.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

fn temp_prefix(target: &Path) -> Result<OsString, AccessError> {
    let name = target.file_name().ok_or_else(|| {
        let nameless = io::Error::new(io::ErrorKind::InvalidInput, "the path names no file");
        AccessError::on(target, "write")(nameless)
    })?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".idp-");
    Ok(prefix)
}

/// A rename puts the writer's own file in place: root that logs in for a user would take the
/// user's file away.
fn keep_owner(temp: &File, existing: &fs::Metadata) -> io::Result<()> {
    if temp.metadata()?.uid() == existing.uid() {
        return Ok(());
    }
    fchown(temp, Some(existing.uid()), Some(existing.gid()))
}

fn sync_directory(dir: &File) -> io::Result<()> {
    match dir.sync_all() {
        // Some network file systems do not know fsync on a directory; the rename stands.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn makes_and_replaces_with_the_given_mode() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        atomic_write(&file, b"one", 0o600).unwrap();
        assert_eq!(
            (fs::read(&file).unwrap(), mode(&file)),
            (b"one".to_vec(), 0o600)
        );
        atomic_write(&file, b"two", 0o644).unwrap();
        assert_eq!(
            (fs::read(&file).unwrap(), mode(&file)),
            (b"two".to_vec(), 0o644)
        );
        assert_eq!(names(dir.path()), ["f"]);
    }

    #[test]
    fn what_is_staged_is_put_where_nothing_is_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        drop(Staged::write(&file, b"dropped", 0o600).unwrap());
        assert_eq!(names(dir.path()), [""; 0]);
        let late = Staged::write(&file, b"late", 0o600).unwrap();
        assert!(!file.exists());
        Staged::write(&file, b"one", 0o600)
            .unwrap()
            .create()
            .unwrap();
        assert_eq!(mode(&file), 0o600);
        let error = late.create().unwrap_err();
        assert_eq!(error.cause.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&file).unwrap(), b"one");
        assert_eq!(names(dir.path()), ["f"]);
    }

    #[test]
    fn a_link_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        fs::write(dir.path().join("real/f"), "old").unwrap();
        symlink("real/f", dir.path().join("inner")).unwrap();
        symlink(dir.path().join("inner"), dir.path().join("outer")).unwrap();
        atomic_write(&dir.path().join("outer"), b"new", 0o600).unwrap();
        assert_eq!(fs::read(dir.path().join("real/f")).unwrap(), b"new");
        assert_eq!(
            fs::read_link(dir.path().join("inner")).unwrap(),
            Path::new("real/f")
        );
        assert!(dir.path().join("outer").is_symlink());
    }

    #[test]
    fn a_dangling_link_is_filled() {
        let dir = tempfile::tempdir().unwrap();
        symlink("later", dir.path().join("link")).unwrap();
        atomic_write(&dir.path().join("link"), b"x", 0o600).unwrap();
        assert_eq!(fs::read(dir.path().join("later")).unwrap(), b"x");
    }

    #[test]
    fn a_circle_of_links_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        let error = atomic_write(&dir.path().join("a"), b"x", 0o600).unwrap_err();
        assert!(error.to_string().contains("circle"), "{error}");
    }

    #[test]
    fn refuses_what_is_not_a_regular_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = atomic_write(dir.path(), b"x", 0o600).unwrap_err();
        assert!(error.to_string().contains("it is a directory"), "{error}");
        let error = atomic_write(Path::new("/dev/null"), b"x", 0o600).unwrap_err();
        assert!(error.to_string().contains("device"), "{error}");
        assert!(atomic_write(Path::new("/"), b"x", 0o600).is_err());
        assert!(atomic_write(Path::new(""), b"x", 0o600).is_err());
    }

    #[test]
    fn a_missing_directory_is_named_with_the_cure() {
        let dir = tempfile::tempdir().unwrap();
        let error = atomic_write(&dir.path().join("no/f"), b"x", 0o600).unwrap_err();
        assert!(
            error.to_string().contains("create the directory first"),
            "{error}"
        );
    }

    #[test]
    fn a_bare_name_is_written_to_the_current_directory() {
        assert_eq!(directory_of(Path::new("f")), Path::new("."));
        assert_eq!(directory_of(Path::new("a/f")), Path::new("a"));
    }

    #[test]
    fn private_directories_are_made_all_the_way() {
        let dir = tempfile::tempdir().unwrap();
        create_private_dir(&dir.path().join("a/b")).unwrap();
        assert_eq!(mode(&dir.path().join("a")), 0o700);
        assert_eq!(mode(&dir.path().join("a/b")), 0o700);
        create_private_dir(&dir.path().join("a/b")).unwrap();
    }

    #[test]
    fn leftovers_of_this_file_only_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            ".f.idp-aB3dE6.tmp",
            ".f.idp-toolong.tmp",
            ".f.idp-x.idp-aB3dE6.tmp",
            ".g.idp-aB3dE6.tmp",
        ] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        remove_leftovers(&dir.path().join("f"));
        assert_eq!(
            names(dir.path()),
            [
                ".f.idp-toolong.tmp",
                ".f.idp-x.idp-aB3dE6.tmp",
                ".g.idp-aB3dE6.tmp"
            ]
        );
    }
}
