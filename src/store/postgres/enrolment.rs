//! Enrolment.

use async_trait::async_trait;
use sqlx::{query, query_as, query_scalar};

use super::{PostgresStore, commit, record::record};
use crate::{
    domain::{AuditEvent, JoinToken, PublicJwk, Timestamp},
    ports::{EnrolOutcome, EnrolmentStore, StoreError},
    store::{
        error::store_error,
        json_text,
        rows::{EnvironmentRow, JoinTokenRow},
        sql,
    },
};

/// The environment of a join token is locked before the token, as everywhere.
const LOCK_ENVIRONMENT: &str = "SELECT 1 FROM environments WHERE id = \
     (SELECT environment_id FROM join_tokens WHERE hash = $1) FOR NO KEY UPDATE";

/// Whether a value had to be unique and is not.
pub(super) fn is_taken(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

#[async_trait]
impl EnrolmentStore for PostgresStore {
    async fn join_token(&self, hash: &[u8; 32]) -> Result<Option<JoinToken>, StoreError> {
        query_as::<_, JoinTokenRow>(sql::SELECT_JOIN_TOKEN)
            .bind(hash.as_slice())
            .fetch_optional(&self.pool)
            .await
            .map_err(store_error)?
            .map(TryInto::try_into)
            .transpose()
    }

    async fn enrol(
        &self,
        token_hash: &[u8; 32],
        kid: &str,
        public: &PublicJwk,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<EnrolOutcome, StoreError> {
        let mut change = self.change().await?;
        query(LOCK_ENVIRONMENT)
            .bind(token_hash.as_slice())
            .execute(&mut *change)
            .await
            .map_err(store_error)?;
        let environment: Option<String> = query_scalar(sql::USE_JOIN_TOKEN)
            .bind(token_hash.as_slice())
            .bind(at.ms())
            .fetch_optional(&mut *change)
            .await
            .map_err(store_error)?;
        let Some(environment) = environment else {
            return Ok(EnrolOutcome::Refused);
        };
        let other = query(sql::KID_IN_USE)
            .bind(kid)
            .bind(&environment)
            .fetch_optional(&mut *change)
            .await
            .map_err(store_error)?;
        if other.is_some() {
            return Ok(EnrolOutcome::KeyInUse);
        }
        query(sql::DELETE_FORMER_KEYS)
            .bind(&environment)
            .execute(&mut *change)
            .await
            .map_err(store_error)?;
        let enrolled = query_as::<_, EnvironmentRow>(sql::ENROL_ENVIRONMENT)
            .bind(&environment)
            .bind(kid)
            .bind(json_text(public)?)
            .bind(at.ms())
            .fetch_optional(&mut *change)
            .await;
        let enrolled = match enrolled {
            // Another environment enrolled with it in this moment.
            Err(error) if is_taken(&error) => return Ok(EnrolOutcome::KeyInUse),
            result => result.map_err(store_error)?,
        };
        let Some(enrolled) = enrolled else {
            return Ok(EnrolOutcome::Refused);
        };
        let enrolled = enrolled.try_into()?;
        record(&mut change, event).await?;
        commit(change).await?;
        Ok(EnrolOutcome::Enrolled(enrolled))
    }
}
