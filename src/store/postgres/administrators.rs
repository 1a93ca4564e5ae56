//! Administrators.

use async_trait::async_trait;
use sqlx::{query, query_as};

use super::{PostgresStore, commit, record::record};
use crate::{
    domain::{AuditEvent, Timestamp},
    ports::{AdminStore, AdminToken, InsertOutcome, StoreError},
    store::{error::store_error, rows::AdminTokenRow, sql},
};

#[async_trait]
impl AdminStore for PostgresStore {
    async fn bootstrap_admin(
        &self,
        token: &AdminToken,
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError> {
        let mut change = self.change().await?;
        // Two that look at the same time would both find none.
        query("LOCK TABLE admin_tokens IN SHARE ROW EXCLUSIVE MODE")
            .execute(&mut *change)
            .await
            .map_err(store_error)?;
        let first = query(sql::ADMIN_EXISTS)
            .fetch_optional(&mut *change)
            .await
            .map_err(store_error)?;
        if first.is_some() {
            return Ok(InsertOutcome::Exists);
        }
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
        query(sql::INSERT_ADMIN_TOKEN)
            .bind(token.id.to_string())
            .bind(token.hash.as_slice())
            .bind(token.organization_id.map(|id| id.to_string()))
            .bind(token.created_at.ms())
            .bind(token.expires_at.map(Timestamp::ms))
            .execute(&mut *change)
            .await
            .map_err(store_error)?;
        record(&mut change, event).await?;
        commit(change).await?;
        Ok(InsertOutcome::Inserted)
    }

    async fn admin_token(&self, hash: &[u8; 32]) -> Result<Option<AdminToken>, StoreError> {
        query_as::<_, AdminTokenRow>(sql::SELECT_ADMIN_TOKEN)
            .bind(hash.as_slice())
            .fetch_optional(&self.pool)
            .await
            .map_err(store_error)?
            .map(TryInto::try_into)
            .transpose()
    }
}
