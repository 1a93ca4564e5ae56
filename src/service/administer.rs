//! What administrators do: organisations, projects, environments, join tokens.

use ipnet::IpNet;
use serde_json::{Value, json};

use super::{Administrator, Service, update::check_name};
use crate::{
    domain::{
    Audience, AuditEvent, AwsClaims, Environment, EnvironmentId, EnvironmentState, ExposeSecret, as, _, IssuerKey, JOIN_TOKEN_LIFE, JOIN_TOKEN_PREFIX, JoinToken, JoinTokenId, Name, Organization, OrganizationId, Project, ProjectId, SecretString, Timestamp, bearer_secret,
    },
    iam::PolicyError,
    jose::sha256,
    ports::{InsertOutcome, Page, StopOutcome, StoreError},
};

/// Why an administrator's request was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminRefusal {
    /// Not there, or not within the administrator's reach: one answer for both.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// A value that cannot be.
    #[error("{0}")]
    Invalid(&'static str),
    /// A trust policy that is none.
    #[error("trust_policy: {0}")]
    Policy(#[from] PolicyError),
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// The token does not reach that far.
    #[error("{0}")]
    Forbidden(&'static str),
    /// A keystore that is out of reach, or too much work.
    #[error("{0}")]
    Unavailable(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A new organisation.
#[derive(Clone, Debug)]
pub struct CreateOrganization {
    /// What people call it.
    pub name: Name,
    /// The audiences that its environments may ask for; AWS STS if empty.
    pub audiences: Vec<Audience>,
}

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

/// A join token, which is shown once.
#[derive(Clone, Debug)]
pub struct IssuedJoinToken {
    /// The environment that it lets in.
    pub environment_id: EnvironmentId,
    /// The secret.
    pub token: SecretString,
    /// Until when it can be used.
    pub expires_at: Timestamp,
}

/// An environment that was made, and its ticket.
#[derive(Clone, Debug)]
pub struct Created {
    /// The environment.
    pub environment: Environment,
    /// Its join token.
    pub join_token: IssuedJoinToken,
}

/// As many audiences as an IAM provider may have client ids.
pub(super) fn few(audiences: Vec<Audience>) -> Result<Vec<Audience>, AdminRefusal> {
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

    /// Makes another join token for an environment; unused ones end.
    ///
    /// # Errors
    /// Not there or out of reach; stopped; the database.
    pub async fn create_join_token(
        &self,
        admin: &Administrator,
        id: EnvironmentId,
        cidr: Option<IpNet>,
    ) -> Result<IssuedJoinToken, AdminRefusal> {
        let environment = self.environment(admin, id).await?;
        let (token, issued) = self.make_join_token(id, cidr);
        let event = self.admin_event(
            admin,
            "join_token.create",
            environment.organization_id,
            id.to_string(),
            json!({ "join_token": token.id, "cidr": token.cidr }),
        );
        match self.store.create_join_token(&token, event).await? {
            InsertOutcome::Inserted => Ok(issued),
            InsertOutcome::ParentStopped => Err(AdminRefusal::Conflict(format!(
                "environment {id} is stopped for good; make a new environment"
            ))),
            _ => Err(AdminRefusal::NotFound("environment")),
        }
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

    fn make_join_token(
        &self,
        environment_id: EnvironmentId,
        cidr: Option<IpNet>,
    ) -> (JoinToken, IssuedJoinToken) {
        let secret = bearer_secret(JOIN_TOKEN_PREFIX, &*self.random);
        let now = self.clock.now();
        let token = JoinToken {
            id: JoinTokenId::new(&*self.clock, &*self.random),
            hash: sha256(secret.expose_secret().as_bytes()),
            environment_id,
            cidr,
            created_at: now,
            expires_at: now.plus(JOIN_TOKEN_LIFE),
            used_at: None,
        };
        let issued = IssuedJoinToken {
            environment_id,
            token: secret,
            expires_at: token.expires_at,
        };
        (token, issued)
    }

    pub(super) fn admin_event(
        &self,
        admin: &Administrator,
        action: &'static str,
        organization: OrganizationId,
        target: String,
        details: Value,
    ) -> AuditEvent {
        let mut event = self.event(action, target);
        event.actor = admin.actor();
        event.organization_id = Some(organization);
        event.request_id = Some(admin.context.id);
        event.source = admin.context.source;
        event.details = details;
        event
    }
}
