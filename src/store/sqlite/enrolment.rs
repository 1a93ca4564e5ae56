//! Enrolment.

use async_trait::async_trait;
use sqlx::{query, query_as, query_scalar};

use super::{SqliteStore, record::record};
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

#[async_trait]
impl EnrolmentStore for SqliteStore {
    async fn join_token(&self, hash: &[u8; 32]) -> Result<Option<JoinToken>, StoreError> {
        query_as::<_, JoinTokenRow>(sql::SELECT_JOIN_TOKEN)
            .bind(hash.as_slice())
            .fetch_optional(&self.readers)
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
            .await
            .map_err(store_error)?;
        let Some(enrolled) = enrolled else {
            return Ok(EnrolOutcome::Refused);
        };
        let enrolled = enrolled.try_into()?;
        record(&mut change, event).await?;
        change.commit().await?;
        Ok(EnrolOutcome::Enrolled(enrolled))
    }
}
