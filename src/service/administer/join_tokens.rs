//! Join tokens: one-time invitations for an environment.

use ipnet::IpNet;
use serde_json::json;

use super::{AdminRefusal, Administrator, Service};
use crate::{
    domain::{
        EnvironmentId, ExposeSecret as _, JOIN_TOKEN_LIFE, JOIN_TOKEN_PREFIX, JoinToken,
        JoinTokenId, SecretString, Timestamp, bearer_secret,
    },
    jose::sha256,
    ports::InsertOutcome,
};

/// A join token, which is shown once.
#[derive(Clone, Debug)]
pub struct IssuedJoinToken {
    /// The environment that it lets in.
    pub environment_id: EnvironmentId,
    /// The secret.
    pub token: SecretString,
    /// Until when it can be used.
    pub expires_at: Timestamp,
}

impl Service {
    /// Makes another join token for an environment; unused ones end.
    ///
    /// # Errors
    /// Not there or out of reach; stopped; the database.
    pub async fn create_join_token(
        &self,
        admin: &Administrator,
        id: EnvironmentId,
        cidr: Option<IpNet>,
    ) -> Result<IssuedJoinToken, AdminRefusal> {
        let environment = self.environment(admin, id).await?;
        let (token, issued) = self.make_join_token(id, cidr);
        let event = self.admin_event(
            admin,
            "join_token.create",
            environment.organization_id,
            id.to_string(),
            json!({ "join_token": token.id, "cidr": token.cidr }),
        );
        match self.store.create_join_token(&token, event).await? {
            InsertOutcome::Inserted => Ok(issued),
            InsertOutcome::ParentStopped => Err(AdminRefusal::Conflict(format!(
                "environment {id} is stopped for good; make a new environment"
            ))),
            _ => Err(AdminRefusal::NotFound("environment")),
        }
    }

    pub(super) fn make_join_token(
        &self,
        environment_id: EnvironmentId,
        cidr: Option<IpNet>,
    ) -> (JoinToken, IssuedJoinToken) {
        let secret = bearer_secret(JOIN_TOKEN_PREFIX, &*self.random);
        let now = self.clock.now();
        let token = JoinToken {
            id: JoinTokenId::new(&*self.clock, &*self.random),
            hash: sha256(secret.expose_secret().as_bytes()),
            environment_id,
            cidr,
            created_at: now,
            expires_at: now.plus(JOIN_TOKEN_LIFE),
            used_at: None,
        };
        let issued = IssuedJoinToken {
            environment_id,
            token: secret,
            expires_at: token.expires_at,
        };
        (token, issued)
    }
}
