//! The audit log, as administrators read it.

use super::{AdminRefusal, Administrator, Service};
use crate::{
    domain::{AuditChain, AuditFilter, AuditRecord, OrganizationId},
    ports::{FoundRecords, Page},
    service::{CheckpointFailure, MadeCheckpoint},
};

impl Service {
    /// Records of a chain that `filter` admits, before the place `before`, newest first.
    ///
    /// # Errors
    /// The chain is not there or out of reach; the database.
    pub async fn find_audit_records(
        &self,
        admin: &Administrator,
        chain: Option<OrganizationId>,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<FoundRecords, AdminRefusal> {
        self.reach_chain(admin, chain).await?;
        Ok(self
            .store
            .find_audit_records(chain, filter, before, limit)
            .await?)
    }

    /// Records of a chain after the place `after`, in order.
    ///
    /// # Errors
    /// The chain is not there or out of reach; the database.
    pub async fn audit_records(
        &self,
        admin: &Administrator,
        chain: Option<OrganizationId>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, AdminRefusal> {
        self.reach_chain(admin, chain).await?;
        Ok(self.store.audit_records(chain, after, limit).await?)
    }

    /// A chain's end, and where it was cut; `None` where it has no record yet.
    ///
    /// # Errors
    /// The chain is not there or out of reach; the database.
    pub async fn audit_chain(
        &self,
        admin: &Administrator,
        chain: Option<OrganizationId>,
    ) -> Result<Option<AuditChain>, AdminRefusal> {
        self.reach_chain(admin, chain).await?;
        Ok(self.store.audit_chain(chain).await?)
    }

    /// The chains of the organisations within reach.
    ///
    /// # Errors
    /// The database.
    pub async fn audit_chains(
        &self,
        admin: &Administrator,
        page: Page<OrganizationId>,
    ) -> Result<Vec<AuditChain>, AdminRefusal> {
        match admin.organization() {
            None => Ok(self.store.audit_chains(page).await?),
            Some(own) if page.after.is_none_or(|after| after < own) => {
                let chain = self.store.audit_chain(Some(own)).await?;
                Ok(chain.into_iter().collect())
            }
            Some(_) => Ok(Vec::new()),
        }
    }

    /// Makes a checkpoint now.
    ///
    /// # Errors
    /// The administrator's token is for one organisation only; the database; the place.
    pub async fn create_checkpoint(
        &self,
        admin: &Administrator,
    ) -> Result<MadeCheckpoint, AdminRefusal> {
        if !admin.reaches_all() {
            return Err(AdminRefusal::Forbidden(
                "this administrator token is for one organisation and cannot make checkpoints",
            ));
        }
        self.make_checkpoint().await.map_err(|error| match error {
            CheckpointFailure::Store(error) => AdminRefusal::Store(error),
            other => AdminRefusal::Conflict(other.to_string()),
        })
    }

    async fn reach_chain(
        &self,
        admin: &Administrator,
        chain: Option<OrganizationId>,
    ) -> Result<(), AdminRefusal> {
        match chain {
            Some(organization) => self.organization(admin, organization).await.map(drop),
            None if admin.reaches_all() => Ok(()),
            None => Err(AdminRefusal::Forbidden(
                "this administrator token is for one organisation and cannot see the system's records",
            )),
        }
    }
}
