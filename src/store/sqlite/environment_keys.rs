//! The keys of environments over time.

use async_trait::async_trait;
use sqlx::{SqliteConnection, query, query_as};

use super::{SqliteStore, environments::state, record::record};
use crate::{
    domain::{
        AuditEvent, Credential, Environment, EnvironmentId, FORMER_KEY_GRACE, FORMER_KEYS_KEPT,
        Timestamp,
    },
    ports::{
        EnvironmentKeyStore, KeyRotation, KeyStanding, QuarantineOutcome, ReleaseOutcome,
        RotationOutcome, StoreError,
    },
    store::{
        error::store_error,
        json_text,
        rotation::{StandingRow, Step},
        rows::{EnvironmentRow, KeyCredentialRow},
        sql,
    },
};

#[async_trait]
impl EnvironmentKeyStore for SqliteStore {
    async fn credential_under(
        &self,
        id: EnvironmentId,
        kid: &str,
    ) -> Result<Option<(Credential, KeyStanding)>, StoreError> {
        query_as::<_, KeyCredentialRow>(sql::SELECT_CREDENTIAL_UNDER)
            .bind(id.to_string())
            .bind(kid)
            .fetch_optional(&self.readers)
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
        let rotated = replace(&mut change, rotation, ends_at).await?;
        record(&mut change, event).await?;
        change.commit().await?;
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
        change.commit().await?;
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
        change.commit().await?;
        Ok(ReleaseOutcome::Released(released))
    }
}

/// Makes the present key a former one, and the new one the present.
async fn replace(
    connection: &mut SqliteConnection,
    rotation: &KeyRotation,
    ends_at: Option<Timestamp>,
) -> Result<Environment, StoreError> {
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
        .await
        .map_err(store_error)?;
    query(sql::PRUNE_FORMER_KEYS)
        .bind(&id)
        .bind(i64::from(FORMER_KEYS_KEPT))
        .execute(&mut *connection)
        .await
        .map_err(store_error)?;
    rotated.try_into()
}

/// Notes the first use of an environment's present key, within the transaction that `connection`
/// is in: from now on the grace of the key before it counts.
pub(super) async fn begin_grace(
    connection: &mut SqliteConnection,
    id: EnvironmentId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let id = id.to_string();
    query(sql::MARK_KEY_USED)
        .bind(&id)
        .execute(&mut *connection)
        .await
        .map_err(store_error)?;
    end_former_keys(connection, &id, at.plus(FORMER_KEY_GRACE)).await
}

async fn end_former_keys(
    connection: &mut SqliteConnection,
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
