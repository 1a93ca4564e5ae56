//! Projects: groups of environments within an organisation.

use serde::Serialize;

use super::{Name, OrganizationId, ProjectId, Timestamp};

/// A group of environments that a trust policy can name as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Project {
    /// Its id, the second segment of a `sub`.
    pub id: ProjectId,
    /// The organisation it belongs to.
    pub organization_id: OrganizationId,
    /// What people call it.
    pub name: Name,
    /// When it was made.
    pub created_at: Timestamp,
}
