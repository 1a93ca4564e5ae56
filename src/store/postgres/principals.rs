//! Listing everything that can ask for tokens.

use async_trait::async_trait;
use sqlx::query_scalar;

use super::{PostgresStore, after};
use crate::{
    domain::{EnvironmentId, OrganizationId},
    ports::{ListedPrincipal, Page, PrincipalStore, StoreError},
    store::{error::store_error, principals::read, sql::select_principals},
};

const SELECT: &str = select_principals!("json_agg", "json_build_array", "");
const SELECT_OF_ORGANIZATION: &str = select_principals!(
    "json_agg",
    "json_build_array",
    "e.organization_id = $3 AND "
);

#[async_trait]
impl PrincipalStore for PostgresStore {
    async fn principals(
        &self,
        organization: Option<OrganizationId>,
        page: Page<EnvironmentId>,
    ) -> Result<Vec<ListedPrincipal>, StoreError> {
        let mut select = query_scalar(match organization {
            None => SELECT,
            Some(_) => SELECT_OF_ORGANIZATION,
        })
        .bind(after(page.after))
        .bind(i64::from(page.limit));
        if let Some(organization) = organization {
            select = select.bind(organization.to_string());
        }
        let rows: String = select.fetch_one(&self.pool).await.map_err(store_error)?;
        read(&rows)
    }
}
