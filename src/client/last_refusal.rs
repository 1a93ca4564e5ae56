//! The login that STS refused last: what the token said, never the token.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    atomic_file::{AccessError, atomic_write, create_private_dir},
    private_file::{self, PrivateFileError},
};
use crate::{
    domain::{RoleArn, Timestamp},
    ports::{StsRefusal, StsRequest},
};

/// The file's name, beside the identity file.
pub const FILE_NAME: &str = "last-refusal.json";

/// A refused login.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastRefusal {
    /// When.
    pub at: Timestamp,
    /// The role that was asked for.
    pub role_arn: String,
    /// The session's name.
    pub session_name: String,
    /// The session's length in seconds.
    pub duration_seconds: u32,
    /// Characters of the session policies together.
    pub policy_characters: usize,
    /// STS's code, such as `AccessDenied`.
    pub code: String,
    /// STS's message.
    pub message: String,
    /// STS's request id.
    pub request_id: Option<String>,
    /// The token's `kid`.
    pub kid: Option<String>,
    /// The token's claims, without its signature: they prove nothing to anybody.
    pub claims: Map<String, Value>,
}

/// Why the record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LastRefusalError {
    /// Missing, exposed or unreadable.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// Something else is in the file.
    #[error("{0} is not the record of a refused login")]
    Corrupt(String),
}

impl LastRefusal {
    /// What is kept of a refusal.
    #[must_use]
    pub fn new(
        at: Timestamp,
        request: &StsRequest,
        refusal: &StsRefusal,
        kid: Option<String>,
        claims: Map<String, Value>,
    ) -> Self {
        let arns: usize = request.policy_arns.iter().map(String::len).sum();
        Self {
            at,
            role_arn: request.role.to_string(),
            session_name: request.session_name.clone(),
            duration_seconds: request.duration_secs,
            policy_characters: request.policy.as_deref().map_or(0, str::len) + arns,
            code: refusal.code.clone(),
            message: refusal.message.clone(),
            request_id: refusal.request_id.clone(),
            kid,
            claims,
        }
    }

    /// The role, where the record names one.
    #[must_use]
    pub fn role(&self) -> Option<RoleArn> {
        self.role_arn.parse().ok()
    }

    /// Writes the record, mode 0600, in place of the one before.
    ///
    /// # Errors
    /// The directory or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), AccessError> {
        if let Some(parent) = path.parent() {
            create_private_dir(parent)?;
        }
        // Texts, numbers and claims that came from JSON always serialise.
        let json = serde_json::to_vec_pretty(self).unwrap_or_default();
        atomic_write(path, &json, 0o600)
    }

    /// Reads the record.
    ///
    /// # Errors
    /// There is none, others can reach it, or it is something else.
    pub fn load(path: &Path) -> Result<Self, LastRefusalError> {
        let bytes = private_file::read(path)?;
        serde_json::from_slice(&bytes)
            .map_err(|_| LastRefusalError::Corrupt(path.display().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn is_kept_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("idp").join(FILE_NAME);
        let record = LastRefusal::new(
            Timestamp::from_secs(1),
            &StsRequest {
                role: "arn:aws:iam::123456789012:role/demo".parse().unwrap(),
                session_name: "me".to_owned(),
                duration_secs: 900,
                policy: Some("{}".to_owned()),
                policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()],
            },
            &StsRefusal {
                code: "AccessDenied".to_owned(),
                message: "no".to_owned(),
                status: 403,
                request_id: None,
            },
            None,
            Map::new(),
        );
        record.save(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(LastRefusal::load(&path).unwrap(), record);
        assert_eq!(record.policy_characters, 40);

        fs::write(&path, "{}").unwrap();
        let error = LastRefusal::load(&path).unwrap_err().to_string();
        assert!(error.contains("not the record"), "{error}");
    }
}
