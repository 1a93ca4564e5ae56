//! Organisations, the tenants.

use serde_json::json;

use super::{AdminRefusal, Administrator, Service};
use crate::{
    domain::{Audience, AwsClaims, Name, Organization, OrganizationId},
    ports::{InsertOutcome, Page},
};

/// A new organisation.
#[derive(Clone, Debug)]
pub struct CreateOrganization {
    /// What people call it.
    pub name: Name,
    /// The audiences that its environments may ask for; AWS STS if empty.
    pub audiences: Vec<Audience>,
}

/// As many audiences as an IAM provider may have client ids.
pub(in crate::service) fn few(audiences: Vec<Audience>) -> Result<Vec<Audience>, AdminRefusal> {
    if (1..=100).contains(&audiences.len()) {
        Ok(audiences)
    } else {
        Err(AdminRefusal::Invalid(
            "audiences: an organisation allows from 1 to 100",
        ))
    }
}

impl Service {
    /// Makes an organisation.
    ///
    /// # Errors
    /// The administrator's token is for one organisation only; too many audiences; the database.
    pub async fn create_organization(
        &self,
        admin: &Administrator,
        new: CreateOrganization,
    ) -> Result<Organization, AdminRefusal> {
        if !admin.reaches_all() {
            return Err(AdminRefusal::Forbidden(
                "this administrator token is for one organisation and cannot make another",
            ));
        }
        let audiences = if new.audiences.is_empty() {
            vec![Audience::sts()]
        } else {
            few(new.audiences)?
        };
        let organization = Organization {
            id: OrganizationId::new(&*self.clock, &*self.random),
            name: new.name,
            audiences,
            aws_claims: AwsClaims::default(),
            created_at: self.clock.now(),
        };
        let event = self.admin_event(
            admin,
            "organization.create",
            organization.id,
            organization.id.to_string(),
            json!({ "name": organization.name, "audiences": organization.audiences }),
        );
        match self.store.create_organization(&organization, event).await? {
            InsertOutcome::Inserted => Ok(organization),
            _ => Err(AdminRefusal::Conflict(
                "the organisation exists already".to_owned(),
            )),
        }
    }

    /// The organisations within reach.
    ///
    /// # Errors
    /// The database.
    pub async fn organizations(
        &self,
        admin: &Administrator,
        page: Page<OrganizationId>,
    ) -> Result<Vec<Organization>, AdminRefusal> {
        match admin.organization() {
            None => Ok(self.store.organizations(page).await?),
            Some(own) if page.after.is_none_or(|after| after < own) => {
                Ok(self.store.organization(own).await?.into_iter().collect())
            }
            Some(_) => Ok(Vec::new()),
        }
    }

    /// One organisation.
    ///
    /// # Errors
    /// Not there or out of reach; the database.
    pub async fn organization(
        &self,
        admin: &Administrator,
        id: OrganizationId,
    ) -> Result<Organization, AdminRefusal> {
        let found = self.store.organization(id).await?;
        found
            .filter(|found| admin.reaches(found.id))
            .ok_or(AdminRefusal::NotFound("organisation"))
    }
}
