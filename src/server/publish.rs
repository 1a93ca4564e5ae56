//! Static publication: discovery and JWKS as files for any https host, so that the server itself can
//! stay private.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::Server;
use crate::{client::atomic_file::atomic_write, http};

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The directory or a file.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
}

/// Writes `.well-known/jwks.json` and `.well-known/openid-configuration` below `directory`, which
/// stands for the issuer's URL: keys first, so that discovery never points at a set that is not there.
/// Returns the paths.
///
/// # Errors
/// See [`PublishError`]. Each file is whole or as it was.
pub fn publish(server: &Server, directory: &Path) -> Result<Vec<PathBuf>, PublishError> {
    let folder = directory.join(".well-known");
    let failed = |path: &Path, reason: String| PublishError::File {
        path: path.to_owned(),
        reason,
    };
    fs::create_dir_all(&folder).map_err(|error: io::Error| failed(&folder, error.to_string()))?;
    let service = &server.service;
    let discovery = http::discovery(
        service.issuer(),
        service.keys().algorithm(),
        &server.server_url,
    );
    let mut written = Vec::new();
    for (name, body) in [
        ("jwks.json", service.keys().jwks().body.to_vec()),
        ("openid-configuration", discovery),
    ] {
        let path = folder.join(name);
        atomic_write(&path, &body, 0o644).map_err(|error| failed(&path, error.to_string()))?;
        written.push(path);
    }
    Ok(written)
}
