//! Why a database was not opened.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{domain::Timestamp, store::error::sqlite_code};

/// Why a database was not opened. Every message names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not the address of a file.
    #[error(
        "{0:?} is not the address of an SQLite file; write one like sqlite:/var/lib/idp/idp.db"
    )]
    Url(String),
    /// A database in memory would forget used assertions and audit records.
    #[error("{0:?} names a database in memory, which forgets; name a file, like sqlite:idp.db")]
    Memory(String),
    /// The directory that the file would be in is not there.
    #[error("{} cannot be made: the directory {} does not exist; make it, or change [database] url", .path.display(), .parent.display())]
    NoDirectory {
        /// The file.
        path: PathBuf,
        /// The directory.
        parent: PathBuf,
    },
    /// The file cannot be made or reached.
    #[error("{} cannot be opened: {cause}; the server's user needs to read and write the file and its directory", .path.display())]
    Access {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A directory, a device.
    #[error("{} is not a file; name a file in [database] url", .0.display())]
    NotAFile(PathBuf),
    /// A file, but not SQLite's.
    #[error("{} is not an SQLite database; name another file, or move this one away to start with an empty database", .0.display())]
    NotADatabase(PathBuf),
    /// SQLite finds it damaged.
    #[error("{} is damaged ({reason}); restore it from a backup", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// It cannot be written.
    #[error("{} cannot be written; the server's user needs write permission on the file and on its directory, and the file system must not be mounted read-only", .0.display())]
    ReadOnly(PathBuf),
    /// Another program holds it.
    #[error("{} is locked by another program; stop it (`fuser` names it), then start again", .0.display())]
    Locked(PathBuf),
    /// Written by a version that this one cannot share it with.
    #[error("{} needs a newer idp: its schema can be served from version {min_compatible} on, this program knows {known}; upgrade idp", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The oldest schema number that a program must know.
        min_compatible: i64,
        /// The newest schema number that this program knows.
        known: i64,
    },
    /// The installation was copied elsewhere.
    #[error(
        "{} was moved to {to} on {at}: serve from there ([database] url, or url_file). If that copy is \
         given up and nobody serves from it, run: idp admin database reopen --from sqlite:{}",
        .path.display(), .path.display()
    )]
    Moved {
        /// The file.
        path: PathBuf,
        /// The address of the copy, without a password.
        to: String,
        /// When it was moved.
        at: Timestamp,
    },
    /// A migration failed.
    #[error("the schema of {} could not be brought up to date: {reason}", .path.display())]
    Migration {
        /// The file.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// SQLite does not keep to a setting that durability depends on.
    #[error("{} cannot be used safely: SQLite runs with {pragma}={actual} where {wanted} is needed; put the file on a local file system", .path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// SQLite's name of the setting.
        pragma: &'static str,
        /// What it is.
        actual: String,
        /// What it has to be.
        wanted: &'static str,
    },
    /// Anything else.
    #[error("{} cannot be opened: {reason}", .path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
}

/// What an error of SQLite's means to whoever starts the server
/// (<https://www.sqlite.org/rescode.html>).
pub(in crate::store) fn explain(path: &Path, error: &sqlx::Error) -> OpenError {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const READONLY: i32 = 8;
    const CORRUPT: i32 = 11;
    const NOTADB: i32 = 26;

    let path = path.to_owned();
    match sqlite_code(error) {
        Some(BUSY | LOCKED) => OpenError::Locked(path),
        Some(READONLY) => OpenError::ReadOnly(path),
        Some(NOTADB) => OpenError::NotADatabase(path),
        Some(CORRUPT) => OpenError::Damaged {
            path,
            reason: error.to_string(),
        },
        _ => OpenError::Other {
            path,
            reason: error.to_string(),
        },
    }
}
