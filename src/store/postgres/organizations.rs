//! Organisations.

use async_trait::async_trait;
use sqlx::{query, query_as};

use super::{PostgresStore, after, commit, record::record};
use crate::{
    domain::{Audience, AuditEvent, Organization, OrganizationId},
    ports::{Change, InsertOutcome, OrganizationStore, Page, StoreError},
    store::{error::store_error, json_text, rows::OrganizationRow, sql},
};

#[async_trait]
impl OrganizationStore for PostgresStore {
    async fn create_organization(
        &self,
        organization: &Organization,
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError> {
        let mut change = self.change().await?;
        let inserted = query(sql::INSERT_ORGANIZATION)
            .bind(organization.id.to_string())
            .bind(organization.name.as_str())
            .bind(json_text(&organization.audiences)?)
            .bind(organization.created_at.ms())
            .execute(&mut *change)
            .await
            .map_err(store_error)?;
        if inserted.rows_affected() == 0 {
            return Ok(InsertOutcome::Exists);
        }
        record(&mut change, event).await?;
        commit(change).await?;
        Ok(InsertOutcome::Inserted)
    }

    async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
        query_as::<_, OrganizationRow>(sql::SELECT_ORGANIZATION)
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(store_error)?
            .map(TryInto::try_into)
            .transpose()
    }

    async fn organizations(
        &self,
        page: Page<OrganizationId>,
    ) -> Result<Vec<Organization>, StoreError> {
        query_as::<_, OrganizationRow>(sql::SELECT_ORGANIZATIONS)
            .bind(after(page.after))
            .bind(i64::from(page.limit))
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(TryInto::try_into)
            .collect()
    }

    async fn set_audiences(
        &self,
        id: OrganizationId,
        audiences: &[Audience],
        event: AuditEvent,
    ) -> Result<Change, StoreError> {
        let mut change = self.change().await?;
        let updated = query(sql::UPDATE_AUDIENCES)
            .bind(id.to_string())
            .bind(json_text(&audiences)?)
            .execute(&mut *change)
            .await
            .map_err(store_error)?;
        if updated.rows_affected() == 0 {
            return Ok(Change::Missing);
        }
        record(&mut change, event).await?;
        commit(change).await?;
        Ok(Change::Done)
    }
}
