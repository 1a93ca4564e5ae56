//! Administrators: bearer tokens, stored hashed.

use serde_json::json;

use super::{
    RequestContext, Service,
    known_refusals::Known,
    limits::{Caller, Limited},
};
use crate::{
    domain::{
        Actor, AdminTokenId, AuditEvent, Clock, ExposeSecret as _, OrganizationId, Random,
        SecretString, bearer_secret,
    },
    jose::sha256,
    ports::{AdminToken, InsertOutcome, Store, StoreError},
};

/// What every administrator token begins with.
pub const ADMIN_TOKEN_PREFIX: &str = "idp_admin_";

/// Somebody who presented a valid administrator token, and what it reaches.
#[derive(Clone, Copy, Debug)]
pub struct Administrator {
    id: AdminTokenId,
    organization: Option<OrganizationId>,
    pub(super) context: RequestContext,
}

impl Administrator {
    /// Whether the organisation is within reach. What is not looks as if it did not exist.
    #[must_use]
    pub fn reaches(&self, organization: OrganizationId) -> bool {
        self.organization.is_none_or(|own| own == organization)
    }

    /// Whether every organisation is within reach, those to come included.
    #[must_use]
    pub const fn reaches_all(&self) -> bool {
        self.organization.is_none()
    }

    pub(super) const fn actor(&self) -> Actor {
        Actor::Administrator(self.id)
    }

    /// The one organisation within reach, if it is one.
    pub(super) const fn organization(&self) -> Option<OrganizationId> {
        self.organization
    }
}

impl Service {
    /// The administrator whose token this is; `None` for an unknown or expired one.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn authenticate_admin(
        &self,
        token: &SecretString,
        context: RequestContext,
    ) -> Result<Option<Administrator>, StoreError> {
        let text = token.expose_secret();
        // The database finds the token by its hash, so that no secret is compared byte by byte.
        let found = if text.starts_with(ADMIN_TOKEN_PREFIX) {
            self.store.admin_token(&sha256(text.as_bytes())).await?
        } else {
            None
        };
        let Some(token) = found else {
            self.metrics.administrator_refused("unauthenticated");
            self.refusals.count("admin.authenticate", context);
            return Ok(None);
        };
        let admin = Administrator {
            id: token.id,
            organization: token.organization_id,
            context,
        };
        let now = self.clock.now();
        if let Some(expired) = token.expires_at.filter(|at| *at <= now) {
            let mut event = self.event("admin.authenticate", token.id.to_string());
            event.details = json!({ "reason": "expired", "expired_at": expired.to_string() });
            self.metrics.administrator_refused("expired");
            self.record_admin_refusal(&admin, "expired", event).await?;
            return Ok(None);
        }
        Ok(Some(admin))
    }

    /// Records that a request of a known administrator was refused: `says` is what they were told,
    /// `reason` one of a few words for it, `request` its method and path.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn record_refused_request(
        &self,
        admin: &Administrator,
        reason: &'static str,
        request: String,
        says: &str,
    ) -> Result<(), StoreError> {
        let mut event = self.event("admin.request", request);
        let says: String = says.chars().take(500).collect();
        event.details = json!({ "reason": says });
        self.record_admin_refusal(admin, reason, event).await
    }

    /// In the chain that the administrator can see.
    async fn record_admin_refusal(
        &self,
        admin: &Administrator,
        reason: &'static str,
        mut event: AuditEvent,
    ) -> Result<(), StoreError> {
        event.actor = admin.actor();
        event.organization_id = admin.organization();
        event.request_id = Some(admin.context.id);
        event.source = admin.context.source;
        self.record_refusal_of(Known::Administrator(admin.id), reason, event)
            .await
    }
}

impl Service {
    /// Counts one request of an administrator.
    ///
    /// # Errors
    /// There were too many of late.
    pub fn admit(&self, admin: &Administrator) -> Result<(), Limited> {
        let caller = Caller::Administrator(admin.id);
        self.limits
            .admits_caller(caller)
            .inspect_err(|_| self.metrics.administrator_refused("rate_limited"))?;
        self.limits.charge_caller(caller);
        Ok(())
    }
}

/// Makes the first administrator token of an installation; `None` where there is one already.
///
/// # Errors
/// The database is not available.
pub async fn bootstrap(
    store: &dyn Store,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<Option<SecretString>, StoreError> {
    let secret = bearer_secret(ADMIN_TOKEN_PREFIX, random);
    let token = AdminToken {
        id: AdminTokenId::new(clock, random),
        hash: sha256(secret.expose_secret().as_bytes()),
        organization_id: None,
        created_at: clock.now(),
        expires_at: None,
    };
    let event = AuditEvent::new(clock, random, "admin.bootstrap", token.id.to_string());
    match store.bootstrap_admin(&token, event).await? {
        InsertOutcome::Inserted => Ok(Some(secret)),
        _ => Ok(None),
    }
}
