//! What administrators do, a module for each subject.

mod admin_tokens;
mod audit_log;
mod environments;
mod join_tokens;
mod organizations;
mod projects;

use serde_json::Value;

use super::{Administrator, Service, update::check_name};
use crate::{
    domain::{AuditEvent, OrganizationId},
    iam::PolicyError,
    ports::StoreError,
};

pub use admin_tokens::{CreateAdminToken, IssuedAdminToken};
pub use environments::{CreateEnvironment, Created};
pub use join_tokens::IssuedJoinToken;
pub use organizations::CreateOrganization;
pub(super) use organizations::few;

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

impl Service {
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
