//! The keys of issuers.

use async_trait::async_trait;
use sqlx::{query, query_as};

use super::{SqliteStore, record::record};
use crate::{
    domain::{AuditEvent, Issuer, IssuerKey, KeyId, Timestamp},
    ports::{InsertOutcome, IssuerKeyStore, StoreError},
    store::{error::store_error, json_text, rows::IssuerKeyRow, sql},
};

#[async_trait]
impl IssuerKeyStore for SqliteStore {
    async fn issuer_keys(&self, issuer: &Issuer) -> Result<Vec<IssuerKey>, StoreError> {
        query_as::<_, IssuerKeyRow>(sql::SELECT_ISSUER_KEYS)
            .bind(issuer.as_str())
            .fetch_all(&self.readers)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(TryInto::try_into)
            .collect()
    }

    async fn any_sealed_key(&self) -> Result<Option<IssuerKey>, StoreError> {
        query_as::<_, IssuerKeyRow>(sql::SELECT_SEALED_KEY)
            .fetch_optional(&self.readers)
            .await
            .map_err(store_error)?
            .map(TryInto::try_into)
            .transpose()
    }

    async fn create_issuer_keys(
        &self,
        keys: &[IssuerKey],
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError> {
        let mut change = self.change().await?;
        for key in keys {
            // The unique indexes know what may not be twice.
            let inserted = query(sql::INSERT_ISSUER_KEY)
                .bind(key.id.to_string())
                .bind(key.issuer.as_str())
                .bind(&key.kid)
                .bind(key.algorithm.as_str())
                .bind(json_text(&key.public)?)
                .bind(&key.certificate)
                .bind(key.sealed.as_deref())
                .bind(key.created_at.ms())
                .bind(key.activated_at.map(Timestamp::ms))
                .bind(key.retiring_at.map(Timestamp::ms))
                .bind(key.retired_at.map(Timestamp::ms))
                .bind(key.reference.as_deref())
                .execute(&mut *change)
                .await
                .map_err(store_error)?;
            if inserted.rows_affected() == 0 {
                return Ok(InsertOutcome::Exists);
            }
        }
        record(&mut change, event).await?;
        change.commit().await?;
        Ok(InsertOutcome::Inserted)
    }

    async fn issuer_key(&self, id: KeyId) -> Result<Option<IssuerKey>, StoreError> {
        query_as::<_, IssuerKeyRow>(sql::SELECT_ISSUER_KEY)
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(store_error)?
            .map(TryInto::try_into)
            .transpose()
    }
}
