//! Projects.

use async_trait::async_trait;
use sqlx::{query, query_as};

use super::{SqliteStore, after, record::record};
use crate::{
    domain::{AuditEvent, Name, OrganizationId, Project, ProjectId},
    ports::{Change, InsertOutcome, Page, ProjectStore, StoreError},
    store::{error::store_error, rows::ProjectRow, sql},
};

#[async_trait]
impl ProjectStore for SqliteStore {
    async fn create_project(
        &self,
        project: &Project,
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError> {
        let mut change = self.change().await?;
        let parent = query(sql::ORGANIZATION_EXISTS)
            .bind(project.organization_id.to_string())
            .fetch_optional(&mut *change)
            .await
            .map_err(store_error)?;
        if parent.is_none() {
            return Ok(InsertOutcome::ParentMissing);
        }
        let inserted = query(sql::INSERT_PROJECT)
            .bind(project.id.to_string())
            .bind(project.organization_id.to_string())
            .bind(project.name.as_str())
            .bind(project.created_at.ms())
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

    async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        query_as::<_, ProjectRow>(sql::SELECT_PROJECT)
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(store_error)?
            .map(TryInto::try_into)
            .transpose()
    }

    async fn projects(
        &self,
        organization: OrganizationId,
        page: Page<ProjectId>,
    ) -> Result<Vec<Project>, StoreError> {
        query_as::<_, ProjectRow>(sql::SELECT_PROJECTS)
            .bind(organization.to_string())
            .bind(after(page.after))
            .bind(i64::from(page.limit))
            .fetch_all(&self.readers)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(TryInto::try_into)
            .collect()
    }

    async fn rename_project(
        &self,
        id: ProjectId,
        name: &Name,
        event: AuditEvent,
    ) -> Result<Change, StoreError> {
        let mut change = self.change().await?;
        let updated = query(sql::RENAME_PROJECT)
            .bind(id.to_string())
            .bind(name.as_str())
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
