//! What a program behind the proxy has to read, whoever it runs as.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::client::atomic_file::AccessError;

/// A directory that everybody can read, with empty files in the place of the AWS tools' own. It goes when it
/// is dropped.
pub(super) struct PublicDir(tempfile::TempDir);

impl PublicDir {
    /// Makes it below the system's temporary directory.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn new() -> Result<Self, AccessError> {
        let parent = std::env::temp_dir();
        let dir = tempfile::Builder::new()
            .prefix("idp-proxy-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(&parent)
            .map_err(AccessError::on(&parent, "make a directory in"))?;
        // A umask may have taken something away.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))
            .map_err(AccessError::on(dir.path(), "open"))?;
        let public = Self(dir);
        for file in [public.config(), public.credentials()] {
            fs::write(&file, "")
                .and_then(|()| fs::set_permissions(&file, Permissions::from_mode(0o644)))
                .map_err(AccessError::on(&file, "write"))?;
        }
        Ok(public)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// In the place of `~/.aws/config`.
    pub(super) fn config(&self) -> PathBuf {
        self.0.path().join("config")
    }

    /// In the place of `~/.aws/credentials`.
    pub(super) fn credentials(&self) -> PathBuf {
        self.0.path().join("credentials")
    }
}
