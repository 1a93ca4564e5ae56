//! The exchange of a web-identity token for AWS credentials.

use async_trait::async_trait;

use crate::domain::{RoleArn, SecretString, Timestamp};

/// What `AssumeRoleWithWebIdentity` is asked for, apart from the token.
#[derive(Clone, Debug)]
pub struct StsRequest {
    /// The role to assume.
    pub role: RoleArn,
    /// 2–64 of `[\w+=,.@-]`; in CloudTrail and in the assumed role's ARN.
    pub session_name: String,
    /// 900–43200 s, and not over the role's maximum.
    pub duration_secs: u32,
    /// A session policy as JSON, at most 2,048 characters.
    pub policy: Option<String>,
    /// Managed session policies, at most ten.
    pub policy_arns: Vec<String>,
}

/// Short-lived AWS credentials.
#[derive(Clone, Debug)]
pub struct StsCredentials {
    /// The access key id (`ASIA…`), not a secret.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: SecretString,
    /// The session token.
    pub session_token: SecretString,
    /// When they cease to work.
    pub expires_at: Timestamp,
    /// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub assumed_role_arn: String,
}

/// STS's own refusal.
#[derive(Clone, Debug)]
pub struct StsRefusal {
    /// The wire code, such as `AccessDenied` or `InvalidIdentityToken`.
    pub code: String,
    /// STS's message.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
    /// STS's request id, for AWS support.
    pub request_id: Option<String>,
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum StsError {
    /// STS answered, and said no.
    #[error("{}: {}", .0.code, .0.message)]
    Refused(StsRefusal),
    /// STS could not be reached.
    #[error("AWS STS at {endpoint} could not be reached: {reason}")]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// What happened.
        reason: String,
    },
    /// Something answered, but not as STS does.
    #[error("what answers at {endpoint} is not AWS STS: {problem} (HTTP {status})")]
    NotSts {
        /// Where it was looked for.
        endpoint: String,
        /// The HTTP status of the answer.
        status: u16,
        /// What is wrong with the answer.
        problem: String,
    },
}

/// AWS STS.
#[async_trait]
pub trait Sts: Send + Sync {
    /// One try of `AssumeRoleWithWebIdentity`; retries are the caller's, with a fresh token each.
    async fn assume_role_with_web_identity(
        &self,
        request: &StsRequest,
        token: &SecretString,
    ) -> Result<StsCredentials, StsError>;
}
