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
        SecretString, Timestamp, bearer_secret,
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
    expires_at: Option<Timestamp>,
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

    /// When the token ceases to work, if ever.
    pub(super) const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// The token's id.
    pub(super) const fn id(&self) -> AdminTokenId {
        self.id
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
    /// The administrator whose token this is; `None` for one that is unknown, expired or revoked. It is
    /// looked up for every request, so that a revocation holds for all replicas from its commit on.
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
            expires_at: token.expires_at,
            context,
        };
        let now = self.clock.now();
        // A revocation counts whatever time it is: the clock of the replica that took it may be ahead.
        let revoked = token.revoked_at.map(|at| ("revoked", at));
        let expired = token.expires_at.filter(|at| *at <= now);
        if let Some((reason, at)) = revoked.or(expired.map(|at| ("expired", at))) {
            let mut event = self.event("admin.authenticate", token.id.to_string());
            event.details = json!({ "reason": reason, format!("{reason}_at"): at.to_string() });
            self.metrics.administrator_refused(reason);
            self.record_admin_refusal(&admin, reason, event).await?;
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
    let (token, secret) = first_token(clock, random);
    let event = AuditEvent::new(clock, random, "admin.bootstrap", token.id.to_string());
    match store.bootstrap_admin(&token, event).await? {
        InsertOutcome::Inserted => Ok(Some(secret)),
        _ => Ok(None),
    }
}

/// Makes an administrator token that reaches everything and revokes all others that do: for whoever
/// lost theirs, or fears that somebody else has it. Tokens for one organisation stay.
///
/// # Errors
/// The database is not available.
pub async fn replace_administrator(
    store: &dyn Store,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<SecretString, StoreError> {
    let (token, secret) = first_token(clock, random);
    let mut event = AuditEvent::new(clock, random, "admin.bootstrap", token.id.to_string());
    event.details = json!({ "replaced": true });
    match store.replace_admin(&token, event).await? {
        InsertOutcome::Inserted => Ok(secret),
        // A fresh id of a token for no organisation.
        other => Err(StoreError::Corrupt(format!(
            "a new administrator token was not stored: {other:?}"
        ))),
    }
}

/// A token that reaches everything, for good.
fn first_token(clock: &dyn Clock, random: &dyn Random) -> (AdminToken, SecretString) {
    let (hash, secret) = new_secret(random);
    let token = AdminToken {
        id: AdminTokenId::new(clock, random),
        hash,
        name: "bootstrap".parse().ok(),
        organization_id: None,
        created_at: clock.now(),
        expires_at: None,
        revoked_at: None,
    };
    (token, secret)
}

/// An administrator token's text, and what is stored of it.
pub(super) fn new_secret(random: &dyn Random) -> ([u8; 32], SecretString) {
    let secret = bearer_secret(ADMIN_TOKEN_PREFIX, random);
    (sha256(secret.expose_secret().as_bytes()), secret)
}
