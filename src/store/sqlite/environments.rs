//! Environments and their join tokens.

use async_trait::async_trait;
use sqlx::{SqliteConnection, query, query_as, query_scalar};

use super::{SqliteStore, after, record::record};
use crate::{
    domain::{
        AuditEvent, Credential, Environment, EnvironmentId, EnvironmentState, JoinToken, Name,
        OrganizationId, ProjectId, Timestamp,
    },
    ports::{
        Change, EnvironmentChange, EnvironmentStore, InsertOutcome, Page, StopOutcome, StoreError,
    },
    store::{error::store_error, json_text, rows::EnvironmentRow, sql},
};

#[async_trait]
impl EnvironmentStore for SqliteStore {
    async fn create_environment(
        &self,
        environment: &Environment,
        token: &JoinToken,
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError> {
        let mut change = self.change().await?;
        if !has_parents(&mut change, environment).await? {
            return Ok(InsertOutcome::ParentMissing);
        }
        if !insert_environment(&mut change, environment).await?
            || !insert_token(&mut change, token).await?
        {
            return Ok(InsertOutcome::Exists);
        }
        record(&mut change, event).await?;
        change.commit().await?;
        Ok(InsertOutcome::Inserted)
    }

    async fn environment(&self, id: EnvironmentId) -> Result<Option<Environment>, StoreError> {
        query_as::<_, EnvironmentRow>(sql::SELECT_ENVIRONMENT)
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(store_error)?
            .map(TryInto::try_into)
            .transpose()
    }

    async fn environments(
        &self,
        organization: OrganizationId,
        project: Option<ProjectId>,
        page: Page<EnvironmentId>,
    ) -> Result<Vec<Environment>, StoreError> {
        let mut select = query_as::<_, EnvironmentRow>(match project {
            None => sql::SELECT_ENVIRONMENTS,
            Some(_) => sql::SELECT_ENVIRONMENTS_OF_PROJECT,
        })
        .bind(organization.to_string())
        .bind(after(page.after))
        .bind(i64::from(page.limit));
        if let Some(project) = project {
            select = select.bind(project.to_string());
        }
        select
            .fetch_all(&self.readers)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(TryInto::try_into)
            .collect()
    }

    async fn update_environment(
        &self,
        id: EnvironmentId,
        asked: &EnvironmentChange,
        event: AuditEvent,
    ) -> Result<Change, StoreError> {
        let mut change = self.change().await?;
        let role_arns = asked.role_arns.as_ref().and_then(Option::as_ref);
        let updated = query(sql::UPDATE_ENVIRONMENT)
            .bind(id.to_string())
            .bind(asked.name.as_ref().map(Name::as_str))
            .bind(asked.role_arns.is_some())
            .bind(role_arns.map(json_text).transpose()?)
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

    async fn create_join_token(
        &self,
        token: &JoinToken,
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError> {
        let mut change = self.change().await?;
        match state(&mut change, token.environment_id).await? {
            None => return Ok(InsertOutcome::ParentMissing),
            Some(state) if state == EnvironmentState::Stopped.as_str() => {
                return Ok(InsertOutcome::ParentStopped);
            }
            Some(_) => {}
        }
        end_tokens(&mut change, token.environment_id, token.created_at).await?;
        if !insert_token(&mut change, token).await? {
            return Ok(InsertOutcome::Exists);
        }
        record(&mut change, event).await?;
        change.commit().await?;
        Ok(InsertOutcome::Inserted)
    }

    async fn stop_environment(
        &self,
        id: EnvironmentId,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<StopOutcome, StoreError> {
        let mut change = self.change().await?;
        let stopped = query(sql::STOP_ENVIRONMENT)
            .bind(id.to_string())
            .bind(at.ms())
            .execute(&mut *change)
            .await
            .map_err(store_error)?;
        if stopped.rows_affected() == 0 {
            return Ok(match state(&mut change, id).await? {
                Some(_) => StopOutcome::AlreadyStopped,
                None => StopOutcome::Missing,
            });
        }
        end_tokens(&mut change, id, at).await?;
        record(&mut change, event).await?;
        change.commit().await?;
        Ok(StopOutcome::Stopped)
    }

    async fn credential(&self, id: EnvironmentId) -> Result<Option<Credential>, StoreError> {
        self.lookup.credential(id).await
    }
}

/// Whether the organisation exists, and the project in it where there is one.
async fn has_parents(
    connection: &mut SqliteConnection,
    environment: &Environment,
) -> Result<bool, StoreError> {
    let organization = environment.organization_id.to_string();
    let parent = match environment.project_id {
        None => query(sql::ORGANIZATION_EXISTS).bind(organization),
        Some(project) => query(sql::PROJECT_EXISTS)
            .bind(project.to_string())
            .bind(organization),
    };
    Ok(parent
        .fetch_optional(connection)
        .await
        .map_err(store_error)?
        .is_some())
}

async fn insert_environment(
    connection: &mut SqliteConnection,
    environment: &Environment,
) -> Result<bool, StoreError> {
    let inserted = query(sql::INSERT_ENVIRONMENT)
        .bind(environment.id.to_string())
        .bind(environment.organization_id.to_string())
        .bind(environment.project_id.map(|id| id.to_string()))
        .bind(environment.name.as_str())
        .bind(environment.state.as_str())
        .bind(environment.kid.as_deref())
        .bind(environment.created_at.ms())
        .bind(environment.enrolled_at.map(Timestamp::ms))
        .bind(environment.quarantined_at.map(Timestamp::ms))
        .bind(environment.stopped_at.map(Timestamp::ms))
        .bind(environment.role_arns.as_ref().map(json_text).transpose()?)
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(inserted.rows_affected() == 1)
}

async fn insert_token(
    connection: &mut SqliteConnection,
    token: &JoinToken,
) -> Result<bool, StoreError> {
    let inserted = query(sql::INSERT_JOIN_TOKEN)
        .bind(token.id.to_string())
        .bind(token.hash.as_slice())
        .bind(token.environment_id.to_string())
        .bind(token.cidr.map(|cidr| cidr.to_string()))
        .bind(token.created_at.ms())
        .bind(token.expires_at.ms())
        .bind(token.used_at.map(Timestamp::ms))
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(inserted.rows_affected() == 1)
}

/// Ends what join tokens of an environment can still be used.
async fn end_tokens(
    connection: &mut SqliteConnection,
    environment: EnvironmentId,
    at: Timestamp,
) -> Result<(), StoreError> {
    query(sql::END_JOIN_TOKENS)
        .bind(environment.to_string())
        .bind(at.ms())
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(())
}

pub(super) async fn state(
    connection: &mut SqliteConnection,
    environment: EnvironmentId,
) -> Result<Option<String>, StoreError> {
    query_scalar(sql::SELECT_STATE)
        .bind(environment.to_string())
        .fetch_optional(connection)
        .await
        .map_err(store_error)
}
