//! Listing everything that can ask for tokens.

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::{Row as _, query};

use super::{SqliteStore, after};
use crate::{
    domain::{EnvironmentId, OrganizationId},
    ports::{ListedPrincipal, Page, PrincipalStore, StoreError},
    store::{
        error::store_error,
        rows::{PrincipalColumns, PrincipalReader},
        sql,
    },
};

#[async_trait]
impl PrincipalStore for SqliteStore {
    async fn principals(
        &self,
        organization: Option<OrganizationId>,
        page: Page<EnvironmentId>,
    ) -> Result<Vec<ListedPrincipal>, StoreError> {
        let mut select = query(match organization {
            None => sql::SELECT_PRINCIPALS,
            Some(_) => sql::SELECT_PRINCIPALS_OF_ORGANIZATION,
        })
        .bind(after(page.after))
        .bind(i64::from(page.limit));
        if let Some(organization) = organization {
            select = select.bind(organization.to_string());
        }
        let mut rows = select.fetch(&self.readers);
        let mut reader = PrincipalReader::default();
        let mut found = Vec::new();
        while let Some(row) = rows.try_next().await.map_err(store_error)? {
            found.push(reader.read(&PrincipalColumns {
                id: row.try_get(0).map_err(store_error)?,
                organization_id: row.try_get(1).map_err(store_error)?,
                project_id: row.try_get(2).map_err(store_error)?,
                name: row.try_get(3).map_err(store_error)?,
                state: row.try_get(4).map_err(store_error)?,
                audiences: row.try_get(5).map_err(store_error)?,
                role_arns: row.try_get(6).map_err(store_error)?,
            })?);
        }
        Ok(found)
    }
}
