//! Principals, as a database lists them.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use serde::Deserialize;

use super::rows::{corrupt, json, optional, optional_json, parse};
use crate::{
    domain::{Audience, AwsClaims, EnvironmentState, OrganizationId, Subject},
    ports::{ListedOrganization, ListedPrincipal, StoreError},
};

/// A row of [`select_principals`](super::sql::select_principals), in the order of its columns.
#[derive(Deserialize)]
struct Row<'a>(
    &'a str,
    &'a str,
    Option<&'a str>,
    #[serde(borrow)] Cow<'a, str>,
    &'a str,
    Option<Cow<'a, str>>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    u8,
    u8,
    u8,
);

/// The principals of a page, by id.
pub(super) fn read(rows: &str) -> Result<Vec<ListedPrincipal>, StoreError> {
    let rows: Vec<Row<'_>> =
        serde_json::from_str(rows).map_err(|error| corrupt("environments", error))?;
    let mut known = Known::default();
    let mut principals = Vec::with_capacity(rows.len());
    for row in &rows {
        let Row(id, organization_id, project_id, name, state, role_arns, ..) = row;
        let organization_id = parse("environments.organization_id", organization_id)?;
        principals.push(ListedPrincipal {
            subject: Subject {
                organization: organization_id,
                project: optional("environments.project_id", *project_id)?,
                environment: parse("environments.id", id)?,
            },
            name: parse("environments.name", name)?,
            state: EnvironmentState::from_name(state)
                .ok_or_else(|| corrupt("environments.state", format!("{state:?} is none")))?,
            organization: known.organization(organization_id, row)?,
            role_arns: optional_json("environments.role_arns", role_arns.as_deref())?,
        });
    }
    // Neither database promises that the order of a subquery lasts.
    principals.sort_by_key(|principal| principal.subject.environment);
    Ok(principals)
}

/// What rows share, parsed once.
#[derive(Default)]
struct Known<'a> {
    organizations: HashMap<OrganizationId, Arc<ListedOrganization>>,
    /// By their text: most organisations have the same ones.
    audiences: HashMap<&'a str, Arc<[Audience]>>,
}

impl<'a> Known<'a> {
    /// The organisation of a row.
    fn organization(
        &mut self,
        id: OrganizationId,
        row: &'a Row<'_>,
    ) -> Result<Arc<ListedOrganization>, StoreError> {
        if let Some(organization) = self.organizations.get(&id) {
            return Ok(Arc::clone(organization));
        }
        let Row(.., name, audiences, session_tags, source_identity, role_pin) = row;
        let organization = Arc::new(ListedOrganization {
            name: parse("organizations.name", name)?,
            audiences: self.audiences(audiences)?,
            claims: AwsClaims {
                session_tags: *session_tags != 0,
                source_identity: *source_identity != 0,
                role_pin: *role_pin != 0,
            },
        });
        self.organizations.insert(id, Arc::clone(&organization));
        Ok(organization)
    }

    fn audiences(&mut self, text: &'a str) -> Result<Arc<[Audience]>, StoreError> {
        if let Some(audiences) = self.audiences.get(text) {
            return Ok(Arc::clone(audiences));
        }
        let audiences: Vec<Audience> = json("organizations.audiences", text)?;
        let audiences: Arc<[Audience]> = audiences.into();
        self.audiences.insert(text, Arc::clone(&audiences));
        Ok(audiences)
    }
}
