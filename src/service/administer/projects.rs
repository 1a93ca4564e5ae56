//! Projects, which group environments.

use serde_json::json;

use super::{AdminRefusal, Administrator, Service, check_name};
use crate::{
    domain::{Name, OrganizationId, Project, ProjectId},
    ports::{InsertOutcome, Page},
};

impl Service {
    /// Makes a project.
    ///
    /// # Errors
    /// The organisation is not there or out of reach; a name that session tags cannot carry while
    /// they are on; the database.
    pub async fn create_project(
        &self,
        admin: &Administrator,
        organization: OrganizationId,
        name: Name,
    ) -> Result<Project, AdminRefusal> {
        let parent = self.organization(admin, organization).await?;
        check_name(parent.aws_claims, "project", &name)?;
        let project = Project {
            id: ProjectId::new(&*self.clock, &*self.random),
            organization_id: organization,
            name,
            created_at: self.clock.now(),
        };
        let event = self.admin_event(
            admin,
            "project.create",
            organization,
            project.id.to_string(),
            json!({ "name": project.name }),
        );
        match self.store.create_project(&project, event).await? {
            InsertOutcome::Inserted => Ok(project),
            _ => Err(AdminRefusal::NotFound("organisation")),
        }
    }

    /// One project.
    ///
    /// # Errors
    /// Not there or out of reach; the database.
    pub async fn project(
        &self,
        admin: &Administrator,
        id: ProjectId,
    ) -> Result<Project, AdminRefusal> {
        let found = self.store.project(id).await?;
        found
            .filter(|found| admin.reaches(found.organization_id))
            .ok_or(AdminRefusal::NotFound("project"))
    }

    /// The projects of an organisation.
    ///
    /// # Errors
    /// The organisation is not there or out of reach; the database.
    pub async fn projects(
        &self,
        admin: &Administrator,
        organization: OrganizationId,
        page: Page<ProjectId>,
    ) -> Result<Vec<Project>, AdminRefusal> {
        self.organization(admin, organization).await?;
        Ok(self.store.projects(organization, page).await?)
    }
}
