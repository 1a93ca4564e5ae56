//! What the signing proxy needs from outside: sessions of roles, and a record of every request.

use std::{borrow::Cow, sync::Arc};

use async_trait::async_trait;
use serde::Serialize;

use crate::domain::{RequestId, RoleArn, SecretString, Timestamp};

/// The session that a request is to be signed with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WantedSession {
    /// The role.
    pub role: RoleArn,
    /// A session policy as JSON, at most 2,048 characters, so that AWS enforces the rules as well.
    pub session_policy: Option<Arc<str>>,
}

/// A role's session.
#[derive(Clone, Debug)]
pub struct AwsSession {
    /// The access key id (`ASIA…`), not a secret.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: SecretString,
    /// The session token.
    pub session_token: SecretString,
    /// When it ceases to work.
    pub expires_at: Timestamp,
    /// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub assumed_role_arn: String,
    /// The `sub` of the token that it was given for, where it can be read: it names the
    /// organisation, the project and the environment.
    pub subject: Option<String>,
}

impl AwsSession {
    /// The last part of the assumed role's ARN.
    #[must_use]
    pub fn session_name(&self) -> &str {
        self.assumed_role_arn
            .rsplit_once('/')
            .map_or("", |(_, name)| name)
    }
}

/// Why there is no session.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CredentialError {
    /// AWS or the identity provider said no: asking again gives the same answer.
    #[error("no credentials for {role}: {reason}")]
    Refused {
        /// The role.
        role: RoleArn,
        /// What was said, and by whom.
        reason: String,
    },
    /// One of them could not be reached, or was busy: it may pass.
    #[error("no credentials for {role} at the moment: {reason}")]
    Unavailable {
        /// The role.
        role: RoleArn,
        /// What happened.
        reason: String,
    },
}

/// Where sessions come from. Those that are good for a while are kept, and however many ask at once,
/// AWS is asked once.
#[async_trait]
pub trait CredentialSource: Send + Sync {
    /// A session that is good for at least the time that a request takes to be sent.
    async fn session(&self, wanted: &WantedSession) -> Result<Arc<AwsSession>, CredentialError>;

    /// AWS says that this session has expired or was revoked: it is not given out again.
    fn forget(&self, wanted: &WantedSession, session: &AwsSession);
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestPhase {
    /// It is about to be sent, or a tunnel is about to open. Of what changes state, and of tunnels, this is on
    /// the disk before.
    Sending,
    /// It was answered, by AWS or with a refusal.
    Answered,
    /// It, or its answer, was cut off.
    Broken,
}

/// One line of the request log. Never a query's values, a header or a body.
#[derive(Clone, Debug, Serialize)]
pub struct RequestRecord {
    /// When the request came.
    #[serde(serialize_with = "exact")]
    pub time: Timestamp,
    /// Which request; what all of its records share.
    pub request_id: RequestId,
    /// What this record is of.
    pub phase: RequestPhase,
    /// The environment whose proxy it is.
    pub environment: Arc<str>,
    /// The `sub` that AWS sees, once a session is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The address of the process that asked.
    pub peer: String,
    /// The way in: `intercepted`, `absolute`, `endpoint` or `plain`.
    pub way: &'static str,
    /// The service's id in the catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<&'static str>,
    /// The operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<&'static str>,
    /// The IAM actions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Cow<'static, str>>,
    /// What it acts on, as ARNs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// `allow` or `block`.
    pub decision: &'static str,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Arc<str>>,
    /// Why there was no answer from AWS, or not a whole one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many refusals before this record were only counted, where there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unrecorded: Option<u64>,
    /// The role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The role session's name, which is in CloudTrail too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The region that was signed for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The host.
    pub host: String,
    /// The method.
    pub method: String,
    /// The path, normalised, without the query.
    pub path: String,
    /// AWS's request id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_request_id: Option<String>,
    /// The status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Bytes of the request's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_in: Option<u64>,
    /// Bytes of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_out: Option<u64>,
    /// Milliseconds from the request's head to the end of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn exact<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.exact())
}

/// A record was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request log cannot be written: {0}")]
pub struct LogError(pub String);

/// The record of every request.
#[async_trait]
pub trait RequestLog: Send + Sync {
    /// Writes a record and returns once it is on the disk.
    ///
    /// # Errors
    /// It is not there, and what it speaks of must not happen.
    async fn durable(&self, record: &RequestRecord) -> Result<(), LogError>;

    /// Writes a record soon.
    fn later(&self, record: &RequestRecord);

    /// Whether there is room for another record.
    ///
    /// # Errors
    /// There is none, and no request may go on.
    fn room(&self) -> Result<(), LogError>;
}
