//! Organisations: the tenants.

use serde::Serialize;

use super::{Audience, Name, OrganizationId, Timestamp};

/// A tenant. Everything else belongs to exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Organization {
    /// Its id, the first segment of every `sub`.
    pub id: OrganizationId,
    /// What people call it.
    pub name: Name,
    /// The audiences that its environments may ask tokens for.
    pub audiences: Vec<Audience>,
    /// When it was made.
    pub created_at: Timestamp,
}
