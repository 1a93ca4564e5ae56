//! Which principals a trust policy of somebody's AWS account lets in.

use std::{collections::HashMap, sync::Arc};

use tokio::task::JoinHandle;

use super::{AdminRefusal, Administrator, Page, Service, StoreError, admission::Question};
use crate::{
    domain::{AwsProfile, EnvironmentId, Name, OrganizationId, ProjectId, RoleArn, TagNames},
    iam::Document,
    ports::ListedPrincipal,
};

/// Principals that one request looks at, at the most. It bounds what a request costs where a policy
/// admits few of very many.
const MOST_SCANNED: u64 = 100_000;

/// What is asked.
#[derive(Clone, Debug)]
pub struct FindAdmitted {
    /// The policy as JSON.
    pub trust_policy: String,
    /// The role that has the policy, where that is known.
    pub role: Option<RoleArn>,
    /// Of this organisation only.
    pub organization: Option<OrganizationId>,
    /// Where to go on, and how many to find.
    pub page: Page<EnvironmentId>,
}

/// A principal that is let in.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Who.
    pub principal: ListedPrincipal,
    /// The first of its audiences with which it is let in.
    pub audience: usize,
}

/// A part of the answer.
#[derive(Clone, Debug)]
pub struct AdmittedPage {
    /// Those that were found, by id.
    pub items: Vec<Admitted>,
    /// How many were looked at.
    pub scanned: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<EnvironmentId>,
}

impl Service {
    /// Finds principals that the policy lets in with the tokens that they would get, stopped ones too.
    /// Conditions on what only STS can know count as met; so does a condition on the role pin where the
    /// role is not known.
    ///
    /// # Errors
    /// Not a trust policy, or none for this issuer; the organisation is not there or out of reach;
    /// the database.
    pub async fn admitted(
        &self,
        admin: &Administrator,
        find: FindAdmitted,
    ) -> Result<AdmittedPage, AdminRefusal> {
        let policy = Document::parse(&find.trust_policy)?.policy;
        let organization = find.organization.or(admin.organization());
        if let Some(organization) = organization {
            self.organization(admin, organization).await?;
        }
        let mut question =
            Question::new(&policy, find.role.as_ref(), &self.issuer, self.clock.now()).ok_or(
                AdminRefusal::Invalid(
                    "trust_policy: no statement names the provider of this issuer",
                ),
            )?;
        let mut projects = HashMap::new();
        let mut found = AdmittedPage {
            items: Vec::new(),
            scanned: 0,
            next: None,
        };
        let most = usize::try_from(find.page.limit).unwrap_or(usize::MAX);
        let mut page = find.page;
        let mut reading = self.read_principals(organization, page);
        loop {
            let rows = reading.rows().await?;
            let last = rows.last().map(|row| row.subject.environment);
            let more = rows.len() >= most;
            if more {
                page.after = last;
                reading = self.read_principals(organization, page);
            }
            for principal in rows {
                let id = principal.subject.environment;
                found.scanned += 1;
                let profile = self.profile(&principal, &mut projects).await?;
                if let Some(audience) = question.admits(&principal, &profile) {
                    found.items.push(Admitted {
                        principal,
                        audience,
                    });
                    if found.items.len() == most {
                        found.next = Some(id);
                        return Ok(found);
                    }
                }
            }
            if !more {
                return Ok(found);
            }
            if found.scanned >= MOST_SCANNED {
                found.next = last;
                return Ok(found);
            }
        }
    }

    /// Begins to read a page, so that it is there when the one before it is judged.
    fn read_principals(
        &self,
        organization: Option<OrganizationId>,
        page: Page<EnvironmentId>,
    ) -> Reading {
        let store = Arc::clone(&self.store);
        Reading(tokio::spawn(async move {
            store.principals(organization, page).await
        }))
    }

    /// What a principal's tokens for AWS are made of.
    async fn profile(
        &self,
        principal: &ListedPrincipal,
        projects: &mut HashMap<ProjectId, Option<Name>>,
    ) -> Result<AwsProfile, StoreError> {
        let organization = &principal.organization;
        let claims = organization.claims;
        let mut names = None;
        if claims.session_tags {
            let project = match principal.subject.project {
                Some(project) => self.project_name(project, projects).await?,
                None => None,
            };
            names = Some(TagNames {
                organization: organization.name.clone(),
                project,
                environment: principal.name.clone(),
            });
        }
        Ok(AwsProfile {
            claims,
            names,
            role_arns: principal.role_arns.clone().filter(|_| claims.role_pin),
        })
    }

    async fn project_name(
        &self,
        id: ProjectId,
        known: &mut HashMap<ProjectId, Option<Name>>,
    ) -> Result<Option<Name>, StoreError> {
        if let Some(name) = known.get(&id) {
            return Ok(name.clone());
        }
        let name = self.store.project(id).await?.map(|project| project.name);
        known.insert(id, name.clone());
        Ok(name)
    }
}

/// A page that is being read; dropped, it is not read on.
struct Reading(JoinHandle<Result<Vec<ListedPrincipal>, StoreError>>);

impl Reading {
    async fn rows(&mut self) -> Result<Vec<ListedPrincipal>, StoreError> {
        (&mut self.0)
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}
