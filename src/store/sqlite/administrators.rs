//! Administrators.

use async_trait::async_trait;
use sqlx::{query, query_as, query_scalar};

use super::{SqliteStore, after, record::record};
use crate::{
    domain::{AdminTokenId, AuditEvent, Name, OrganizationId, Timestamp},
    ports::{AdminStore, AdminToken, Change, InsertOutcome, Page, StoreError},
    store::{error::store_error, rows::AdminTokenRow, sql},
};

#[async_trait]
impl AdminStore for SqliteStore {
    async fn bootstrap_admin(
        &self,
        token: &AdminToken,
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError> {
        let mut change = self.change().await?;
        let first = query(sql::ADMIN_EXISTS)
            .fetch_optional(&mut *change)
            .await
            .map_err(store_error)?;
        if first.is_some() {
            return Ok(InsertOutcome::Exists);
        }
        let outcome = insert(&mut change, token).await?;
        if outcome == InsertOutcome::Inserted {
            record(&mut change, event).await?;
            change.commit().await?;
        }
        Ok(outcome)
    }

    async fn replace_admin(
        &self,
        token: &AdminToken,
        mut event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError> {
        let mut change = self.change().await?;
        let revoked: Vec<String> = query_scalar(sql::REVOKE_UNSCOPED_ADMIN_TOKENS)
            .bind(token.created_at.ms())
            .fetch_all(&mut *change)
            .await
            .map_err(store_error)?;
        event.details["revoked"] = revoked.into();
        let outcome = insert(&mut change, token).await?;
        if outcome == InsertOutcome::Inserted {
            record(&mut change, event).await?;
            change.commit().await?;
        }
        Ok(outcome)
    }

    async fn create_admin_token(
        &self,
        token: &AdminToken,
        maker: AdminTokenId,
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError> {
        let mut change = self.change().await?;
        let works = query(sql::ADMIN_TOKEN_WORKS)
            .bind(maker.to_string())
            .bind(token.created_at.ms())
            .fetch_optional(&mut *change)
            .await
            .map_err(store_error)?;
        if works.is_none() {
            return Ok(InsertOutcome::ParentStopped);
        }
        let outcome = insert(&mut change, token).await?;
        if outcome == InsertOutcome::Inserted {
            record(&mut change, event).await?;
            change.commit().await?;
        }
        Ok(outcome)
    }

    async fn admin_token(&self, hash: &[u8; 32]) -> Result<Option<AdminToken>, StoreError> {
        query_as::<_, AdminTokenRow>(sql::SELECT_ADMIN_TOKEN)
            .bind(hash.as_slice())
            .fetch_optional(&self.readers)
            .await
            .map_err(store_error)?
            .map(TryInto::try_into)
            .transpose()
    }

    async fn admin_token_by_id(&self, id: AdminTokenId) -> Result<Option<AdminToken>, StoreError> {
        query_as::<_, AdminTokenRow>(sql::SELECT_ADMIN_TOKEN_BY_ID)
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(store_error)?
            .map(TryInto::try_into)
            .transpose()
    }

    async fn admin_tokens(
        &self,
        organization: Option<OrganizationId>,
        page: Page<AdminTokenId>,
    ) -> Result<Vec<AdminToken>, StoreError> {
        query_as::<_, AdminTokenRow>(sql::SELECT_ADMIN_TOKENS)
            .bind(organization.map(|id| id.to_string()))
            .bind(after(page.after))
            .bind(i64::from(page.limit))
            .fetch_all(&self.readers)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(TryInto::try_into)
            .collect()
    }

    async fn revoke_admin_token(
        &self,
        id: AdminTokenId,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<Change, StoreError> {
        let mut change = self.change().await?;
        let revoked = query(sql::REVOKE_ADMIN_TOKEN)
            .bind(id.to_string())
            .bind(at.ms())
            .execute(&mut *change)
            .await
            .map_err(store_error)?;
        if revoked.rows_affected() == 0 {
            return Ok(Change::Missing);
        }
        record(&mut change, event).await?;
        change.commit().await?;
        Ok(Change::Done)
    }
}

async fn insert(
    change: &mut sqlx::SqliteConnection,
    token: &AdminToken,
) -> Result<InsertOutcome, StoreError> {
    if let Some(organization) = token.organization_id {
        let parent = query(sql::ORGANIZATION_EXISTS)
            .bind(organization.to_string())
            .fetch_optional(&mut *change)
            .await
            .map_err(store_error)?;
        if parent.is_none() {
            return Ok(InsertOutcome::ParentMissing);
        }
    }
    let inserted = query(sql::INSERT_ADMIN_TOKEN)
        .bind(token.id.to_string())
        .bind(token.hash.as_slice())
        .bind(token.name.as_ref().map(Name::as_str))
        .bind(token.organization_id.map(|id| id.to_string()))
        .bind(token.created_at.ms())
        .bind(token.expires_at.map(Timestamp::ms))
        .execute(change)
        .await
        .map_err(store_error)?;
    Ok(if inserted.rows_affected() == 0 {
        InsertOutcome::Exists
    } else {
        InsertOutcome::Inserted
    })
}
