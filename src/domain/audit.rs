//! What happened, as a record that is never changed.

use std::net::IpAddr;

use serde::Serialize;

use super::{
    AdminTokenId, AuditId, Clock, EnvironmentId, OrganizationId, Random, RequestId, Timestamp,
};

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The server itself.
    System,
    /// Somebody who proved nothing.
    Anonymous,
    /// An environment that proved its key.
    Environment(EnvironmentId),
    /// The holder of an administrator token.
    Administrator(AdminTokenId),
}

impl Actor {
    /// `system`, `anonymous`, `environment:<id>` or `administrator:<id>`.
    #[must_use]
    pub fn to_text(self) -> String {
        match self {
            Self::System => "system".to_owned(),
            Self::Anonymous => "anonymous".to_owned(),
            Self::Environment(id) => format!("environment:{id}"),
            Self::Administrator(id) => format!("administrator:{id}"),
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Success,
    /// Refused; the details say why.
    Refused,
}

impl Outcome {
    /// The name in the database and in exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
        }
    }
}

/// One event, before the store gives it its place in the organisation's chain.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// The record's id.
    pub id: AuditId,
    /// When it happened.
    pub at: Timestamp,
    /// The organisation whose chain it belongs to; the system's chain if `None`.
    pub organization_id: Option<OrganizationId>,
    /// Who did it.
    pub actor: Actor,
    /// What: `token.mint`, `environment.enrol`, `environment.stop`, …
    pub action: &'static str,
    /// On what: an id, a `kid`.
    pub target: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The request that caused it.
    pub request_id: Option<RequestId>,
    /// Where the request came from.
    pub source: Option<IpAddr>,
    /// Whatever else a reader needs, without secrets: a JSON object.
    pub details: serde_json::Value,
}

impl AuditEvent {
    /// An event of now by the server itself, in the system's chain, successful, without details;
    /// the fields are there to be changed.
    #[must_use]
    pub fn new(
        clock: &dyn Clock,
        random: &dyn Random,
        action: &'static str,
        target: impl Into<String>,
    ) -> Self {
        Self {
            id: AuditId::new(clock, random),
            at: clock.now(),
            organization_id: None,
            actor: Actor::System,
            action,
            target: target.into(),
            outcome: Outcome::Success,
            request_id: None,
            source: None,
            details: serde_json::Value::Object(serde_json::Map::new()),
        }
    }
}
