//! What administrators change: names, audiences, and the claims for AWS.

use serde_json::json;

use super::{AdminRefusal, Administrator, Service, administer::few};
use crate::{
    domain::{
        AwsClaims, Environment, EnvironmentId, Name, Organization, OrganizationId, Project,
        ProjectId, RoleArn, TagError, tag_value,
    },
    ports::{Change, EnvironmentChange, OrganizationChange},
};

/// As many roles as fit into a token, which AWS takes with up to 20,000 characters.
const MOST_ROLES: usize = 50;
/// The most characters that they may have together.
const MOST_ROLE_CHARACTERS: usize = 8192;

impl From<TagError> for AdminRefusal {
    fn from(error: TagError) -> Self {
        Self::Conflict(format!(
            "{error}; choose another name, or turn session tags off"
        ))
    }
}

/// Refuses a name that the organisation's tokens could not carry.
pub(super) fn check_name(
    claims: AwsClaims,
    what: &'static str,
    name: &Name,
) -> Result<(), AdminRefusal> {
    if claims.session_tags {
        tag_value(what, name)?;
    }
    Ok(())
}

impl Service {
    /// Changes an organisation.
    ///
    /// # Errors
    /// Not there or out of reach; nothing to change; no audience or too many; a name that session tags cannot carry
    /// while they are on; the database.
    pub async fn update_organization(
        &self,
        admin: &Administrator,
        id: OrganizationId,
        mut change: OrganizationChange,
    ) -> Result<Organization, AdminRefusal> {
        let before = self.organization(admin, id).await?;
        if change == OrganizationChange::default() {
            return Err(AdminRefusal::Invalid(
                "there is nothing to change: give name, audiences or aws_claims",
            ));
        }
        change.audiences = change.audiences.map(few).transpose()?;
        let aws_claims = change.aws_claims.applied_to(before.aws_claims);
        let name = change.name.as_ref().unwrap_or(&before.name);
        check_name(aws_claims, "organisation", name)?;
        let event = self.admin_event(
            admin,
            "organization.update",
            id,
            id.to_string(),
            json!({
                "name": change.name, "audiences": change.audiences, "aws_claims": aws_claims,
                "before": {
                    "name": before.name, "audiences": before.audiences,
                    "aws_claims": before.aws_claims,
                },
            }),
        );
        match self.store.update_organization(id, &change, event).await? {
            Change::Done => {
                self.credentials.forget_all();
                self.organization(admin, id).await
            }
            Change::Missing => Err(AdminRefusal::NotFound("organisation")),
        }
    }

    /// Renames a project.
    ///
    /// # Errors
    /// Not there or out of reach; a name that session tags cannot carry while they are on; the
    /// database.
    pub async fn rename_project(
        &self,
        admin: &Administrator,
        id: ProjectId,
        name: Name,
    ) -> Result<Project, AdminRefusal> {
        let project = self.project(admin, id).await?;
        let organization = self.organization(admin, project.organization_id).await?;
        check_name(organization.aws_claims, "project", &name)?;
        let event = self.admin_event(
            admin,
            "project.update",
            organization.id,
            id.to_string(),
            json!({ "name": name, "before": { "name": project.name } }),
        );
        match self.store.rename_project(id, &name, event).await? {
            Change::Done => {
                self.credentials.forget_all();
                Ok(Project { name, ..project })
            }
            Change::Missing => Err(AdminRefusal::NotFound("project")),
        }
    }

    /// Changes an environment.
    ///
    /// # Errors
    /// Not there or out of reach; nothing to change; a name that session tags cannot carry while they
    /// are on; no role or too many; the database.
    pub async fn update_environment(
        &self,
        admin: &Administrator,
        id: EnvironmentId,
        mut change: EnvironmentChange,
    ) -> Result<Environment, AdminRefusal> {
        let before = self.environment(admin, id).await?;
        if change == EnvironmentChange::default() {
            return Err(AdminRefusal::Invalid(
                "there is nothing to change: give name or role_arns",
            ));
        }
        if let Some(name) = &change.name {
            let organization = self.organization(admin, before.organization_id).await?;
            check_name(organization.aws_claims, "environment", name)?;
        }
        if let Some(Some(roles)) = &mut change.role_arns {
            *roles = few_roles(std::mem::take(roles))?;
        }
        let event = self.admin_event(
            admin,
            "environment.update",
            before.organization_id,
            id.to_string(),
            json!({
                "name": change.name, "role_arns": change.role_arns,
                "before": { "name": before.name, "role_arns": before.role_arns },
            }),
        );
        match self.store.update_environment(id, &change, event).await? {
            Change::Done => {
                self.credentials.forget(id);
                self.environment(admin, id).await
            }
            Change::Missing => Err(AdminRefusal::NotFound("environment")),
        }
    }
}

fn few_roles(mut roles: Vec<RoleArn>) -> Result<Vec<RoleArn>, AdminRefusal> {
    roles.sort_by_cached_key(ToString::to_string);
    roles.dedup();
    let characters: usize = roles.iter().map(|role| role.to_string().len()).sum();
    if roles.is_empty() {
        return Err(AdminRefusal::Invalid(
            "role_arns: name at least one role; null allows any",
        ));
    }
    if roles.len() > MOST_ROLES || characters > MOST_ROLE_CHARACTERS {
        return Err(AdminRefusal::Invalid(
            "role_arns: an environment has at most 50 roles, with 8192 characters together",
        ));
    }
    Ok(roles)
}
