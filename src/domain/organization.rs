//! Organisations: the tenants.

use serde::Serialize;

use super::{Audience, AwsClaims, Name, OrganizationId, Timestamp};

/// A tenant. Everything else belongs to exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Organization {
    /// Its id, the first segment of every `sub`.
    pub id: OrganizationId,
    /// What people call it.
    pub name: Name,
    /// The audiences that its environments may ask tokens for.
    pub audiences: Vec<Audience>,
    /// Which claims for AWS its tokens carry.
    pub aws_claims: AwsClaims,
    /// When it was made.
    pub created_at: Timestamp,
}
