//! Administrator tokens. Who makes one gives away nothing that they do not have: neither a further
//! reach nor a longer life.

use std::time::Duration;

use serde_json::json;

use super::{AdminRefusal, Administrator, Service};
use crate::{
    domain::{AdminTokenId, AuditEvent, Name, OrganizationId, SecretString},
    ports::{AdminToken, Change, InsertOutcome, Page},
    service::authenticate_admin::new_secret,
};

/// The longest life that a token can be given: ten years, in seconds.
const LONGEST: u64 = 10 * 366 * 86_400;

/// The administrator token that is to be made.
#[derive(Clone, Debug)]
pub struct CreateAdminToken {
    /// What people call it.
    pub name: Option<Name>,
    /// The one organisation that it reaches; `None` for all of them, those to come included.
    pub organization_id: Option<OrganizationId>,
    /// Its life in seconds; `None` where it ends with its maker's, if that ever ends.
    pub expires_in: Option<u64>,
}

/// An administrator token that was made. Its secret is nowhere else.
#[derive(Debug)]
pub struct IssuedAdminToken {
    /// The token as it is stored.
    pub token: AdminToken,
    /// Its text.
    pub secret: SecretString,
}

impl Service {
    /// Makes an administrator token.
    ///
    /// # Errors
    /// It would reach further or live longer than the maker's own, or that one ended meanwhile; the
    /// organisation is not there or out of reach; a life of no time or of more than ten years; the
    /// database.
    pub async fn create_admin_token(
        &self,
        admin: &Administrator,
        wanted: CreateAdminToken,
    ) -> Result<IssuedAdminToken, AdminRefusal> {
        match wanted.organization_id {
            Some(organization) => drop(self.organization(admin, organization).await?),
            None if admin.reaches_all() => {}
            None => {
                return Err(AdminRefusal::Forbidden(
                    "this token is for one organisation and makes tokens for that one only; pass \
                     organization_id (--org)",
                ));
            }
        }
        let now = self.clock.now();
        if !wanted
            .expires_in
            .is_none_or(|secs| (1..=LONGEST).contains(&secs))
        {
            return Err(AdminRefusal::Invalid(
                "expires_in must be a whole number of seconds, from 1 to ten years",
            ));
        }
        let wished = wanted
            .expires_in
            .map(|secs| now.plus(Duration::from_secs(secs)));
        if let (Some(wished), Some(own)) = (wished, admin.expires_at())
            && wished > own
        {
            return Err(AdminRefusal::Forbidden(
                "the new token would outlive the one that makes it; pass a shorter expires_in \
                 (--expires-in)",
            ));
        }
        let (hash, secret) = new_secret(&*self.random);
        let token = AdminToken {
            id: AdminTokenId::new(&*self.clock, &*self.random),
            hash,
            name: wanted.name,
            organization_id: wanted.organization_id,
            created_at: now,
            expires_at: wished.or(admin.expires_at()),
            revoked_at: None,
        };
        let event = self.token_event(admin, "admin_token.create", &token);
        match self
            .store
            .create_admin_token(&token, admin.id(), event)
            .await?
        {
            InsertOutcome::Inserted => Ok(IssuedAdminToken { token, secret }),
            InsertOutcome::ParentStopped => Err(AdminRefusal::Forbidden(
                "the token that asks was revoked or has expired in this moment",
            )),
            InsertOutcome::ParentMissing | InsertOutcome::Exists => {
                Err(AdminRefusal::NotFound("organisation"))
            }
        }
    }

    /// The administrator tokens within reach: of one organisation, or all of them. Those that ended are
    /// among them.
    ///
    /// # Errors
    /// The database.
    pub async fn admin_tokens(
        &self,
        admin: &Administrator,
        page: Page<AdminTokenId>,
    ) -> Result<Vec<AdminToken>, AdminRefusal> {
        let reach = admin.organization();
        Ok(self.store.admin_tokens(reach, page).await?)
    }

    /// Ends an administrator token: once this has returned, every replica refuses a request that comes
    /// with it. One that was revoked before stays as it is.
    ///
    /// # Errors
    /// Not there or out of reach; the database.
    pub async fn revoke_admin_token(
        &self,
        admin: &Administrator,
        id: AdminTokenId,
    ) -> Result<AdminToken, AdminRefusal> {
        let token = self.admin_token_within_reach(admin, id).await?;
        if token.revoked_at.is_some() {
            return Ok(token);
        }
        let event = self.token_event(admin, "admin_token.revoke", &token);
        let now = self.clock.now();
        match self.store.revoke_admin_token(id, now, event).await? {
            // Where it is missing, somebody else was quicker, which comes to the same.
            Change::Done | Change::Missing => self.admin_token_within_reach(admin, id).await,
        }
    }

    async fn admin_token_within_reach(
        &self,
        admin: &Administrator,
        id: AdminTokenId,
    ) -> Result<AdminToken, AdminRefusal> {
        let found = self.store.admin_token_by_id(id).await?;
        let reached = |token: &AdminToken| match token.organization_id {
            Some(organization) => admin.reaches(organization),
            None => admin.reaches_all(),
        };
        found
            .filter(reached)
            .ok_or(AdminRefusal::NotFound("administrator token"))
    }

    /// In the chain of whoever is affected.
    fn token_event(
        &self,
        admin: &Administrator,
        action: &'static str,
        token: &AdminToken,
    ) -> AuditEvent {
        let mut event = self.event(action, token.id.to_string());
        event.actor = admin.actor();
        event.organization_id = token.organization_id;
        event.request_id = Some(admin.context.id);
        event.source = admin.context.source;
        event.details = json!({
            "name": token.name,
            "expires_at": token.expires_at.map(|at| at.to_string()),
        });
        event
    }
}
