//! The keys of environments over time.

use async_trait::async_trait;
use sqlx::{PgConnection, query, query_as};

use super::{
    PostgresStore, commit,
    enrolment::is_taken,
    environments::{lock, state},
    record::record,
};
use crate::{
    domain::{AuditEvent, Credential, Environment, EnvironmentId, FORMER_KEYS_KEPT, Timestamp},
    ports::{
        EnvironmentKeyStore, KeyRotation, KeyStanding, QuarantineOutcome, ReleaseOutcome,
        RotationOutcome, StoreError,
    },
    store::{
        audit::without_nul,
        error::store_error,
        json_text,
        rotation::{StandingRow, Step},
        rows::{EnvironmentRow, KeyCredentialRow},
        sql,
    },
};

#[async_trait]
impl EnvironmentKeyStore for PostgresStore {
    async fn credential_under(
        &self,
        id: EnvironmentId,
        kid: &str,
    ) -> Result<Option<(Credential, KeyStanding)>, StoreError> {
        query_as::<_, KeyCredentialRow>(sql::SELECT_CREDENTIAL_UNDER)
            .bind(id.to_string())
            .bind(without_nul(kid.to_owned()))
            .fetch_optional(&self.pool)
            .await
            .map_err(store_error)?
            .map(TryInto::try_into)
            .transpose()
    }

    async fn rotate_environment_key(
        &self,
        rotation: &KeyRotation,
        event: AuditEvent,
    ) -> Result<RotationOutcome, StoreError> {
        let mut change = self.change().await?;
        let id = rotation.environment_id.to_string();
        // Whatever concerns an environment's keys waits here.
        lock(&mut change, rotation.environment_id).await?;
        let standing = query_as::<_, StandingRow>(sql::SELECT_KEY_STANDING)
            .bind(&id)
            .bind(&rotation.old_kid)
            .fetch_optional(&mut *change)
            .await
            .map_err(store_error)?;
        let Some(standing) = standing else {
            return Ok(RotationOutcome::Missing);
        };
        let (grace_ends_at, ends_at) = match standing.step(rotation)? {
            Step::Refuse(outcome) => return Ok(outcome),
            Step::Done => {
                let present = query_as::<_, EnvironmentRow>(sql::SELECT_ENVIRONMENT)
                    .bind(&id)
                    .fetch_one(&mut *change)
                    .await
                    .map_err(store_error)?;
                return Ok(RotationOutcome::AlreadyRotated(present.try_into()?));
            }
            Step::Replace {
                grace_ends_at,
                ends_at,
            } => (grace_ends_at, ends_at),
        };
        let used = query(sql::KID_IN_USE)
            .bind(&rotation.new_kid)
            .bind(None::<String>)
            .fetch_optional(&mut *change)
            .await
            .map_err(store_error)?;
        if used.is_some() {
            return Ok(RotationOutcome::KeyInUse);
        }
        if let Some(at) = grace_ends_at {
            end_former_keys(&mut change, &id, at).await?;
        }
        let Some(rotated) = replace(&mut change, rotation, ends_at).await? else {
            return Ok(RotationOutcome::KeyInUse);
        };
        record(&mut change, event).await?;
        commit(change).await?;
        Ok(RotationOutcome::Rotated(rotated))
    }

    async fn quarantine_environment(
        &self,
        id: EnvironmentId,
        kid: &str,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<QuarantineOutcome, StoreError> {
        let mut change = self.change().await?;
        lock(&mut change, id).await?;
        let quarantined = query(sql::QUARANTINE_ENVIRONMENT)
            .bind(id.to_string())
            .bind(at.ms())
            .bind(kid)
            .execute(&mut *change)
            .await
            .map_err(store_error)?;
        if quarantined.rows_affected() == 0 {
            return Ok(QuarantineOutcome::Unchanged);
        }
        record(&mut change, event).await?;
        commit(change).await?;
        Ok(QuarantineOutcome::Quarantined)
    }

    async fn release_environment(
        &self,
        id: EnvironmentId,
        event: AuditEvent,
    ) -> Result<ReleaseOutcome, StoreError> {
        let mut change = self.change().await?;
        let released = query_as::<_, EnvironmentRow>(sql::RELEASE_ENVIRONMENT)
            .bind(id.to_string())
            .fetch_optional(&mut *change)
            .await
            .map_err(store_error)?;
        let Some(released) = released else {
            return Ok(match state(&mut change, id).await? {
                Some(_) => ReleaseOutcome::NotQuarantined,
                None => ReleaseOutcome::Missing,
            });
        };
        let released = released.try_into()?;
        record(&mut change, event).await?;
        commit(change).await?;
        Ok(ReleaseOutcome::Released(released))
    }
}

/// Makes the present key a former one, and the new one the present; `None` where another environment
/// took that one in this moment.
async fn replace(
    connection: &mut PgConnection,
    rotation: &KeyRotation,
    ends_at: Option<Timestamp>,
) -> Result<Option<Environment>, StoreError> {
    let id = rotation.environment_id.to_string();
    query(sql::INSERT_FORMER_KEY)
        .bind(&id)
        .bind(rotation.at.ms())
        .bind(ends_at.map(Timestamp::ms))
        .execute(&mut *connection)
        .await
        .map_err(store_error)?;
    let rotated = query_as::<_, EnvironmentRow>(sql::REPLACE_KEY)
        .bind(&id)
        .bind(&rotation.new_kid)
        .bind(json_text(&rotation.public)?)
        .bind(rotation.at.ms())
        .fetch_one(&mut *connection)
        .await;
    let rotated = match rotated {
        Err(error) if is_taken(&error) => return Ok(None),
        result => result.map_err(store_error)?,
    };
    query(sql::PRUNE_FORMER_KEYS)
        .bind(&id)
        .bind(i64::from(FORMER_KEYS_KEPT))
        .execute(&mut *connection)
        .await
        .map_err(store_error)?;
    rotated.try_into().map(Some)
}

async fn end_former_keys(
    connection: &mut PgConnection,
    id: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    query(sql::BEGIN_GRACE)
        .bind(id)
        .bind(at.ms())
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(())
}
