//! Organisations.

use async_trait::async_trait;
use sqlx::{query, query_as};

use super::{SqliteStore, after, record::record};
use crate::{
    domain::{AuditEvent, Name, Organization, OrganizationId},
    ports::{Change, InsertOutcome, OrganizationChange, OrganizationStore, Page, StoreError},
    store::{error::store_error, json_text, rows::OrganizationRow, sql},
};

#[async_trait]
impl OrganizationStore for SqliteStore {
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
            .bind(organization.aws_claims.session_tags)
            .bind(organization.aws_claims.source_identity)
            .bind(organization.aws_claims.role_pin)
            .execute(&mut *change)
            .await
            .map_err(store_error)?;
        if inserted.rows_affected() == 0 {
            return Ok(InsertOutcome::Exists);
        }
        record(&mut change, event).await?;
        change.commit().await?;
        Ok(InsertOutcome::Inserted)
    }

    async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
        query_as::<_, OrganizationRow>(sql::SELECT_ORGANIZATION)
            .bind(id.to_string())
            .fetch_optional(&self.readers)
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
            .fetch_all(&self.readers)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(TryInto::try_into)
            .collect()
    }

    async fn update_organization(
        &self,
        id: OrganizationId,
        asked: &OrganizationChange,
        event: AuditEvent,
    ) -> Result<Change, StoreError> {
        let mut change = self.change().await?;
        let updated = query(sql::UPDATE_ORGANIZATION)
            .bind(id.to_string())
            .bind(asked.name.as_ref().map(Name::as_str))
            .bind(asked.audiences.as_ref().map(json_text).transpose()?)
            .bind(asked.aws_claims.session_tags)
            .bind(asked.aws_claims.source_identity)
            .bind(asked.aws_claims.role_pin)
            .execute(&mut *change)
            .await
            .map_err(store_error)?;
        if updated.rows_affected() == 0 {
            return Ok(Change::Missing);
        }
        record(&mut change, event).await?;
        change.commit().await?;
        Ok(Change::Done)
    }
}
