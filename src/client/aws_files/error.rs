//! What can be wrong with the AWS files.

use std::{fmt, path::PathBuf};

use super::ProfileName;
use crate::client::{atomic_file::AccessError, lock_file::LockError};

/// Why an AWS file was not changed. It is then as it was.
///
/// No message quotes a line or a value, which may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The environment does not say where the file is.
    #[error("cannot tell where the {file} is: {problem}; {cure}")]
    Location {
        /// `AWS credentials file` or `AWS config file`.
        file: &'static str,
        /// What is wrong.
        problem: String,
        /// What to do.
        cure: &'static str,
    },
    /// The AWS tools would refuse the file, or not agree on what it says.
    #[error("{} line {line}: {problem}; {cure}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
        /// How to mend it.
        cure: String,
    },
    /// A value that the file cannot hold.
    #[error("the value of {key} cannot be written to an AWS file: {problem}")]
    Value {
        /// The setting.
        key: String,
        /// What is wrong with its value.
        problem: &'static str,
    },
    /// `logout` found keys that `login` did not write.
    #[error(
        "profile {profile} in {} holds an access key that `idp login aws` did not write (it has no \
         x_security_token_expires), so it stays; remove it by hand if it is no longer wanted",
        .path.display()
    )]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// The profile.
        profile: ProfileName,
    },
    /// Another process kept the file locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The file could not be read or written.
    #[error(transparent)]
    Access(#[from] AccessError),
}

/// Something that the user should hear of though the write succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Others could read or write the file; now only its owner can.
    WasOpen {
        /// The file.
        path: PathBuf,
        /// The mode that it had, such as `0o644`.
        mode: u32,
    },
    /// The profile held an access key without a session token, a long-lived one, which the new
    /// credentials replaced.
    ReplacedLongLivedKey {
        /// The file.
        path: PathBuf,
        /// The profile.
        profile: ProfileName,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WasOpen { path, mode } => write!(
                f,
                "{} had mode {mode:04o} and was open to other users; it has mode 0600 now",
                path.display()
            ),
            Self::ReplacedLongLivedKey { path, profile } => write!(
                f,
                "profile {profile} in {} held a long-lived access key, which is replaced now; \
                 deactivate that key in IAM if nothing else uses it",
                path.display()
            ),
        }
    }
}
