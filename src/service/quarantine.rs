//! A key that was replaced and is used again: somebody has a copy of it.

use serde_json::json;

use super::{RequestContext, Service};
use crate::{
    domain::{Credential, EnvironmentId, Timestamp},
    ports::{KeyStanding, QuarantineOutcome, StoreError},
};

/// What came of the use of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyUse {
    /// It is accepted.
    Accepted,
    /// It ended before this moment, but was used before that: a request that was late.
    Late {
        /// When it ended.
        ended_at: Timestamp,
    },
    /// It was used after its end; the environment is quarantined.
    Quarantined,
}

impl Service {
    /// Judges the use of a key that a client proved to hold, `signed_at` by the client's clock or
    /// ours. Only a use after the key's end quarantines: a request that was held up on its way, or
    /// captured and sent again, does not.
    pub(super) async fn judge_key_use(
        &self,
        credential: &Credential,
        standing: KeyStanding,
        signed_at: Timestamp,
        context: RequestContext,
    ) -> Result<KeyUse, StoreError> {
        let KeyStanding::Former {
            ends_at: Some(ended_at),
        } = standing
        else {
            return Ok(KeyUse::Accepted);
        };
        let now = self.clock.now();
        if standing.is_accepted(now) {
            return Ok(KeyUse::Accepted);
        }
        if signed_at < ended_at {
            return Ok(KeyUse::Late { ended_at });
        }
        let id = credential.subject.environment;
        let mut event = self.event("environment.quarantine", id.to_string());
        event.organization_id = Some(credential.subject.organization);
        event.request_id = Some(context.id);
        event.source = context.source;
        event.details = json!({
            "reason": "a key was used after it had been replaced and its grace had ended",
            "kid": credential.kid, "ended_at": ended_at.to_string(),
        });
        let outcome = self
            .store
            .quarantine_environment(id, &credential.kid, now, event)
            .await?;
        self.credentials.forget(id);
        if outcome == QuarantineOutcome::Quarantined {
            // Tokens that were recorded before are signed before this returns, as with a stop.
            drop(self.in_flight.write().await);
            tracing::warn!(environment = %id, kid = %credential.kid, "quarantined: a replaced key was used");
        }
        Ok(KeyUse::Quarantined)
    }
}

/// What an environment in quarantine is told, once it has proved one of its keys.
pub(super) fn quarantined(id: EnvironmentId) -> String {
    format!(
        "environment {id} is quarantined and gets no tokens: one of its keys was used after it had been \
         replaced, so there may be a copy of its identity; an administrator releases it (idp admin \
         environment release) or lets it enrol anew with a join token"
    )
}
