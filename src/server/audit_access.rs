//! The audit log on the server's own machine, without a server.

use std::sync::Arc;

use super::{
    StartError,
    build::{checkpoint_key, open_store},
    key_file,
};
use crate::{
    config::Settings,
    domain::{Clock, Random},
    jose::thumbprint,
    ports::Store,
    service::Sealing,
};

/// The database, and the key whose checkpoints are to be trusted.
pub struct AuditAccess {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The thumbprint of the key that is derived from the key-encryption key.
    pub checkpoint_key: String,
}

/// Opens what `settings` name.
///
/// # Errors
/// The database or the key-encryption key's file.
pub async fn open_audit(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    random: &dyn Random,
) -> Result<AuditAccess, StartError> {
    let store = open_store(&settings.database_url, clock).await?;
    let sealing = Sealing::new(key_file::read_or_create(
        &settings.keys.encryption_key_file,
        false,
        random,
    )?);
    if let Some(key) = store.any_bound_key().await?
        && let Some(sealed) = &key.sealed
    {
        // Tells which of two keys is in use; one that opens nothing is said where keys are read.
        drop(sealing.open(&key.kid, &key.id.to_string(), sealed));
    }
    Ok(AuditAccess {
        checkpoint_key: thumbprint(checkpoint_key(&sealing)?.public()),
        store,
    })
}
