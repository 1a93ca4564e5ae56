//! Which audit records somebody wants to see.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Every condition that is set has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFilter {
    /// Exactly this actor, such as `environment:<id>`.
    pub actor: Option<String>,
    /// Exactly this action, or every one that begins so where it ends in a dot: `environment.`.
    pub action: Option<String>,
    /// Exactly this target.
    pub target: Option<String>,
    /// `success` or `refused`.
    pub outcome: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}
