//! Administrator tokens: who may administer what.

use async_trait::async_trait;

use super::{Change, InsertOutcome, Page, StoreError};
use crate::domain::{AdminTokenId, AuditEvent, Name, OrganizationId, Timestamp};

/// An administrator token, without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminToken {
    /// Its id.
    pub id: AdminTokenId,
    /// SHA-256 of the token's text.
    pub hash: [u8; 32],
    /// What people call it.
    pub name: Option<Name>,
    /// The one organisation it administers; all of them if `None`.
    pub organization_id: Option<OrganizationId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ceases to work, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked. It has expired by then at the latest.
    pub revoked_at: Option<Timestamp>,
}

/// Administrators.
#[async_trait]
pub trait AdminStore: Send + Sync {
    /// Adds the first administrator token; [`InsertOutcome::Exists`] where there is any already.
    async fn bootstrap_admin(
        &self,
        token: &AdminToken,
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError>;

    /// Revokes every administrator token that reaches all organisations, at the time when `token` was
    /// made, and adds that one. Their ids become the member `revoked` of the event's details.
    async fn replace_admin(
        &self,
        token: &AdminToken,
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError>;

    /// Adds an administrator token that the holder of the token `maker` asks for.
    /// [`InsertOutcome::ParentMissing`] where its organisation is not there;
    /// [`InsertOutcome::ParentStopped`] where the maker's token has ended or was revoked, so that nobody
    /// outlives a revocation by a token that was made in the same moment.
    async fn create_admin_token(
        &self,
        token: &AdminToken,
        maker: AdminTokenId,
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError>;

    /// The administrator token with that SHA-256, expired ones too.
    async fn admin_token(&self, hash: &[u8; 32]) -> Result<Option<AdminToken>, StoreError>;

    /// The administrator token with that id, expired ones too.
    async fn admin_token_by_id(&self, id: AdminTokenId) -> Result<Option<AdminToken>, StoreError>;

    /// The administrator tokens of one organisation, or all of them, expired ones too.
    async fn admin_tokens(
        &self,
        organization: Option<OrganizationId>,
        page: Page<AdminTokenId>,
    ) -> Result<Vec<AdminToken>, StoreError>;

    /// Ends an administrator token at `at`, if it has not ended before; [`Change::Missing`] where there
    /// is none or it is revoked already.
    async fn revoke_admin_token(
        &self,
        id: AdminTokenId,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<Change, StoreError>;
}
