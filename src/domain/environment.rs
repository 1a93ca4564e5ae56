//! Environments, their credentials, and the join tokens that let them in.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use serde::Serialize;

use super::{
    Audience, AwsProfile, EnvironmentId, JoinTokenId, Name, OrganizationId, ProjectId, PublicJwk,
    RoleArn, Subject, Timestamp,
};

/// What every join token begins with.
pub const JOIN_TOKEN_PREFIX: &str = "idp_join_";

/// How long a join token can be used.
pub const JOIN_TOKEN_LIFE: Duration = Duration::from_mins(10);

/// How long a key that was replaced is accepted after the first use of the one that replaced it. No
/// shorter than the leeway that clocks of clients have: a client that reads the time before it reads
/// its key can then never be taken for a thief.
pub const FORMER_KEY_GRACE: Duration = Duration::from_mins(1);

/// How many replaced keys of an environment are remembered. Keys are replaced daily, so that is a
/// month in which a stolen or restored copy is noticed.
pub const FORMER_KEYS_KEPT: u32 = 32;

/// Where an environment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentState {
    /// Made, but no key enrolled yet.
    Pending,
    /// Has a key and gets tokens.
    Enrolled,
    /// Gets no tokens until an administrator releases it or it enrols anew: one of its former keys
    /// was used, so there may be a copy.
    Quarantined,
    /// Gets no tokens any more; final.
    Stopped,
}

impl EnvironmentState {
    /// The name in the database and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Enrolled => "enrolled",
            Self::Quarantined => "quarantined",
            Self::Stopped => "stopped",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Enrolled,
            Self::Quarantined,
            Self::Stopped,
        ]
        .into_iter()
        .find(|state| state.as_str() == name)
    }
}

/// A non-human identity: a development environment, an agent's sandbox, a CI job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Environment {
    /// Its id, the last segment of its `sub` and its `OAuth` client id.
    pub id: EnvironmentId,
    /// The organisation it belongs to.
    pub organization_id: OrganizationId,
    /// The project it belongs to, if any.
    pub project_id: Option<ProjectId>,
    /// What people call it.
    pub name: Name,
    /// The roles that its tokens may be pinned to; any if `None`.
    pub role_arns: Option<Vec<RoleArn>>,
    /// Where it stands.
    pub state: EnvironmentState,
    /// The thumbprint of its enrolled key.
    pub kid: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its present key was enrolled.
    pub enrolled_at: Option<Timestamp>,
    /// Since when it is quarantined, if it is.
    pub quarantined_at: Option<Timestamp>,
    /// When it was stopped.
    pub stopped_at: Option<Timestamp>,
}

impl Environment {
    /// The `sub` of its tokens.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        Subject {
            organization: self.organization_id,
            project: self.project_id,
            environment: self.id,
        }
    }
}

/// What is needed to authenticate an environment and to build its claims, in one read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Who it belongs to.
    pub subject: Subject,
    /// The thumbprint of the key.
    pub kid: String,
    /// The public half.
    pub public: PublicJwk,
    /// The audiences that the organisation allows.
    pub audiences: Vec<Audience>,
    /// What its claims for AWS are made of.
    pub aws: AwsProfile,
}

/// A one-time invitation for one environment. The secret itself is never stored, only its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    /// The record's id.
    pub id: JoinTokenId,
    /// SHA-256 of the token's text.
    pub hash: [u8; 32],
    /// Whom it lets in.
    pub environment_id: EnvironmentId,
    /// Where it may be used from; anywhere if `None`.
    pub cidr: Option<IpNet>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it cannot be used.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
}

impl JoinToken {
    /// Whether an address may use it.
    #[must_use]
    pub fn admits(&self, source: IpAddr) -> bool {
        self.cidr
            .is_none_or(|cidr| cidr.contains(&source.to_canonical()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cidr_sees_through_mapped_addresses() {
        let token = JoinToken {
            id: "0191e223-1c3c-7607-badf-303c98b52d2f".parse().unwrap(),
            hash: [0; 32],
            environment_id: "0191e223-1c3c-7607-badf-303c98b52d2f".parse().unwrap(),
            cidr: Some("10.0.0.0/8".parse().unwrap()),
            created_at: Timestamp::from_ms(0),
            expires_at: Timestamp::from_ms(1),
            used_at: None,
        };
        assert!(token.admits("10.1.2.3".parse().unwrap()));
        assert!(token.admits("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!token.admits("11.1.2.3".parse().unwrap()));
        assert!(!token.admits("::1".parse().unwrap()));
    }

    #[test]
    fn states_have_names() {
        for state in [
            EnvironmentState::Pending,
            EnvironmentState::Enrolled,
            EnvironmentState::Quarantined,
            EnvironmentState::Stopped,
        ] {
            assert_eq!(EnvironmentState::from_name(state.as_str()), Some(state));
        }
        assert_eq!(EnvironmentState::from_name("Stopped"), None);
    }
}
