//! Vouching for keys that were written by programs which knew of no MAC.

use serde_json::json;

use super::{KeyRingError, Keystore};
use crate::{
    domain::{AuditEvent, Clock, IssuerKey, Random},
    ports::{KeyStep, Store},
};

/// Gives a MAC to records that have none, where the key-encryption key is from a time when none had.
///
/// A record whose sealed private half opens and belongs to the public one proves itself; its certificate
/// does not, and is made anew. Of the others, in an external keystore or without a private half, nothing
/// proves that they are not a stranger's. They are believed once: when no record of the issuer has a MAC
/// yet.
///
/// # Errors
/// The database, or a certificate that cannot be made.
pub(super) async fn vouch_for_former_keys(
    store: &dyn Store,
    keystore: &Keystore,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<(), KeyRingError> {
    if !keystore.sealing.predates_vouching() {
        return Ok(());
    }
    let mut keys = store.issuer_keys(&keystore.issuer).await?;
    for ended in store.ended_external_keys(&keystore.issuer).await? {
        if keys.iter().all(|key| key.id != ended.id) {
            keys.push(ended);
        }
    }
    let first_time = keys.iter().all(|key| key.mac.is_none());
    let (mut steps, mut proved, mut believed) = (Vec::new(), Vec::new(), Vec::new());
    for key in keys.iter().filter(|key| key.mac.is_none()) {
        let mut vouched = key.clone();
        // With a reference as well, which would take precedence, it proves nothing.
        if key.sealed.is_some() && key.reference.is_none() {
            let Ok(signer) = keystore.signer(key) else {
                continue;
            };
            vouched.certificate = keystore.certificate(key, &*signer, random).await?;
            proved.push(&*key.kid);
        } else if first_time && key.sealed.is_none() {
            believed.push(&*key.kid);
        } else {
            continue;
        }
        steps.push(vouching(keystore, vouched)?);
    }
    if steps.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        ?proved,
        ?believed,
        "vouched for keys that an older version stored; those that are believed have no private half \
         here that proves whose they are: compare them with what this installation published before"
    );
    let mut event = AuditEvent::new(clock, random, "key.vouch", keystore.issuer.as_str());
    event.details = json!({ "proved": proved, "believed": believed });
    // Where another replica was quicker, it did the same.
    store.change_issuer_keys(&steps, clock.now(), event).await?;
    Ok(())
}

fn vouching(keystore: &Keystore, mut key: IssuerKey) -> Result<KeyStep, KeyRingError> {
    let to = keystore.sealing.vouch(&key)?;
    Ok(KeyStep::Vouch {
        id: key.id,
        from: key.mac.take(),
        to,
        certificate: key.certificate,
    })
}
