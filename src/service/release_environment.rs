//! The end of a quarantine.

use serde_json::json;

use super::{AdminRefusal, Administrator, Service};
use crate::{
    domain::{Environment, EnvironmentId},
    ports::ReleaseOutcome,
};

impl Service {
    /// Ends a quarantine: the environment gets tokens again with its present key. The key that
    /// caused the quarantine stays ended, and its next use causes another one. Whoever cannot tell
    /// which holder of a key is the right one makes a join token instead, which ends all keys.
    ///
    /// # Errors
    /// Not there or out of reach; not quarantined; the database.
    pub async fn release_environment(
        &self,
        admin: &Administrator,
        id: EnvironmentId,
    ) -> Result<Environment, AdminRefusal> {
        let environment = self.environment(admin, id).await?;
        let event = self.admin_event(
            admin,
            "environment.release",
            environment.organization_id,
            id.to_string(),
            json!({ "kid": environment.kid }),
        );
        match self.store.release_environment(id, event).await? {
            ReleaseOutcome::Released(environment) => Ok(environment),
            ReleaseOutcome::NotQuarantined => Err(AdminRefusal::Conflict(format!(
                "environment {id} is not quarantined but {}; there is nothing to release",
                environment.state.as_str()
            ))),
            ReleaseOutcome::Missing => Err(AdminRefusal::NotFound("environment")),
        }
    }
}
