//! A key in an external keystore that nobody has a record of yet.

use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, time::sleep};

use super::ExternalKeys;

/// How long it takes until a destruction that failed is tried again, at first. Ten times as long after
/// each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest that it takes.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// A key that was made and is not stored. Dropped, it is destroyed, and that is tried until it succeeds:
/// whoever gives up, or is given up on, leaves no key behind that signs and that nobody knows of, and that
/// costs money in AWS KMS. A process that ends before has told of the key in its log.
pub struct UnkeptKey {
    keys: Arc<dyn ExternalKeys>,
    reference: String,
    kept: bool,
}

impl std::fmt::Debug for UnkeptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnkeptKey")
            .field("reference", &self.reference)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

impl UnkeptKey {
    /// Watches over the key that `keys` has made and knows by `reference`.
    #[must_use]
    pub fn new(keys: Arc<dyn ExternalKeys>, reference: String) -> Self {
        Self {
            keys,
            reference,
            kept: false,
        }
    }

    /// What the keystore knows it by.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// Leaves the key where it is: it is stored, or somebody else watches over it from now on.
    pub fn keep(mut self) {
        self.kept = true;
    }

    /// Destroys the key and waits for that, once. Where it fails it is tried again as if dropped.
    pub async fn destroy(mut self) {
        self.kept = self.keys.destroy(&self.reference).await.is_ok();
    }
}

impl Drop for UnkeptKey {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let (keys, reference) = (self.keys.clone(), std::mem::take(&mut self.reference));
        let Ok(runtime) = Handle::try_current() else {
            tracing::warn!(
                reference,
                "a key was made and not stored; destroy it in the keystore"
            );
            return;
        };
        tracing::info!(
            reference,
            "a key was made and not stored; it is being destroyed"
        );
        runtime.spawn(async move {
            let mut pause = FIRST_PAUSE;
            while let Err(error) = keys.destroy(&reference).await {
                tracing::warn!(
                    %error, reference, again_in = pause.as_secs(),
                    "a key that was made and not stored is left in the keystore; if this goes on, \
                     destroy it there"
                );
                sleep(pause).await;
                pause = pause.saturating_mul(10).min(LONGEST_PAUSE);
            }
            tracing::info!(reference, "destroyed a key that was not stored");
        });
    }
}
