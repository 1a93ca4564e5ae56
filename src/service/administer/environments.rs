//! Environments: the identities that get tokens.

use ipnet::IpNet;
use serde_json::json;

use super::{AdminRefusal, Administrator, IssuedJoinToken, Service, check_name};
use crate::{
    domain::{Environment, EnvironmentId, EnvironmentState, Name, OrganizationId, ProjectId},
    ports::{InsertOutcome, Page, StopOutcome},
};

/// A new environment.
#[derive(Clone, Debug)]
pub struct CreateEnvironment {
    /// The organisation it belongs to.
    pub organization: OrganizationId,
    /// The project it belongs to, if any.
    pub project: Option<ProjectId>,
    /// What people call it.
    pub name: Name,
    /// Where its join token may be used from.
    pub cidr: Option<IpNet>,
}

/// An environment that was made, and its ticket.
#[derive(Clone, Debug)]
pub struct Created {
    /// The environment.
    pub environment: Environment,
    /// Its join token.
    pub join_token: IssuedJoinToken,
}

impl Service {
    /// Makes an environment and its first join token.
    ///
    /// # Errors
    /// The organisation or the project is not there or out of reach; a name that session tags cannot
    /// carry while they are on; the database.
    pub async fn create_environment(
        &self,
        admin: &Administrator,
        new: CreateEnvironment,
    ) -> Result<Created, AdminRefusal> {
        let parent = self.organization(admin, new.organization).await?;
        check_name(parent.aws_claims, "environment", &new.name)?;
        let environment = Environment {
            id: EnvironmentId::new(&*self.clock, &*self.random),
            organization_id: new.organization,
            project_id: new.project,
            name: new.name,
            role_arns: None,
            state: EnvironmentState::Pending,
            kid: None,
            created_at: self.clock.now(),
            enrolled_at: None,
            quarantined_at: None,
            stopped_at: None,
        };
        let (token, join_token) = self.make_join_token(environment.id, new.cidr);
        let event = self.admin_event(
            admin,
            "environment.create",
            new.organization,
            environment.id.to_string(),
            json!({
                "name": environment.name, "project_id": environment.project_id,
                "join_token": token.id, "cidr": token.cidr,
            }),
        );
        match self
            .store
            .create_environment(&environment, &token, event)
            .await?
        {
            InsertOutcome::Inserted => Ok(Created {
                environment,
                join_token,
            }),
            _ => Err(AdminRefusal::NotFound("project in this organisation")),
        }
    }

    /// One environment.
    ///
    /// # Errors
    /// Not there or out of reach; the database.
    pub async fn environment(
        &self,
        admin: &Administrator,
        id: EnvironmentId,
    ) -> Result<Environment, AdminRefusal> {
        let found = self.store.environment(id).await?;
        found
            .filter(|found| admin.reaches(found.organization_id))
            .ok_or(AdminRefusal::NotFound("environment"))
    }

    /// The environments of an organisation, of one project where it is named.
    ///
    /// # Errors
    /// The organisation is not there or out of reach; the database.
    pub async fn environments(
        &self,
        admin: &Administrator,
        organization: OrganizationId,
        project: Option<ProjectId>,
        page: Page<EnvironmentId>,
    ) -> Result<Vec<Environment>, AdminRefusal> {
        self.organization(admin, organization).await?;
        Ok(self.store.environments(organization, project, page).await?)
    }

    /// Stops an environment for good. When this returns, no further token is minted for it. Stopping
    /// a stopped one changes nothing.
    ///
    /// # Errors
    /// Not there or out of reach; the database.
    pub async fn stop_environment(
        &self,
        admin: &Administrator,
        id: EnvironmentId,
    ) -> Result<Environment, AdminRefusal> {
        let environment = self.environment(admin, id).await?;
        let event = self.admin_event(
            admin,
            "environment.stop",
            environment.organization_id,
            id.to_string(),
            json!({ "state": environment.state.as_str() }),
        );
        let outcome = self
            .store
            .stop_environment(id, self.clock.now(), event)
            .await?;
        self.credentials.forget(id);
        // Tokens that were recorded before the stop are signed before it returns.
        drop(self.in_flight.write().await);
        match outcome {
            StopOutcome::Missing => Err(AdminRefusal::NotFound("environment")),
            StopOutcome::Stopped | StopOutcome::AlreadyStopped => self.environment(admin, id).await,
        }
    }
}
