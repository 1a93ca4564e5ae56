//! The keys of issuers.

use async_trait::async_trait;
use sqlx::{PgConnection, query, query_as, query_scalar};

use super::{PostgresStore, commit, record::record};
use crate::{
    domain::{AuditEvent, Issuer, IssuerKey, KeyId, Timestamp},
    ports::{
        Change, InsertOutcome, IssuerKeyStore, KeyChange, KeyNote, KeyStep, OutstandingTokens,
        StoreError,
    },
    store::{
        error::store_error,
        json_text,
        keys::{NOTE_EVERY, RECENT, whole_seconds},
        rows::{IssuerKeyRow, OutstandingRow},
        sql,
    },
};

/// The tokens that key `$2` signed, expiring after second `$3`, among the records since `$1`.
const SELECT_OUTSTANDING: &str = "SELECT chain, count(*) AS tokens,
         max((details::json ->> 'exp')::BIGINT) AS latest
     FROM audit WHERE at >= $1 AND action = 'token.mint' AND outcome = 'success'
         AND details::json ->> 'kid' = $2 AND (details::json ->> 'exp')::BIGINT > $3
     GROUP BY chain ORDER BY chain";

#[async_trait]
impl IssuerKeyStore for PostgresStore {
    async fn issuer_keys(&self, issuer: &Issuer) -> Result<Vec<IssuerKey>, StoreError> {
        query_as::<_, IssuerKeyRow>(sql::SELECT_ISSUER_KEYS)
            .bind(issuer.as_str())
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(TryInto::try_into)
            .collect()
    }

    async fn any_bound_key(&self) -> Result<Option<IssuerKey>, StoreError> {
        query_as::<_, IssuerKeyRow>(sql::SELECT_BOUND_KEY)
            .fetch_optional(&self.pool)
            .await
            .map_err(store_error)?
            .map(TryInto::try_into)
            .transpose()
    }

    async fn bound_keys(&self) -> Result<Vec<IssuerKey>, StoreError> {
        query_as::<_, IssuerKeyRow>(sql::SELECT_BOUND_KEYS)
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(TryInto::try_into)
            .collect()
    }

    async fn create_issuer_keys(
        &self,
        keys: &[IssuerKey],
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError> {
        let mut change = self.change().await?;
        for key in keys {
            if !insert(&mut change, key).await? {
                return Ok(InsertOutcome::Exists);
            }
        }
        record(&mut change, event).await?;
        commit(change).await?;
        Ok(InsertOutcome::Inserted)
    }

    async fn issuer_key(&self, id: KeyId) -> Result<Option<IssuerKey>, StoreError> {
        query_as::<_, IssuerKeyRow>(sql::SELECT_ISSUER_KEY)
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(store_error)?
            .map(TryInto::try_into)
            .transpose()
    }

    async fn change_issuer_keys(
        &self,
        steps: &[KeyStep],
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<KeyChange, StoreError> {
        let mut change = self.change().await?;
        for step in steps {
            if !take(&mut change, step, at).await? {
                return Ok(KeyChange::Overtaken);
            }
        }
        record(&mut change, event).await?;
        commit(change).await?;
        Ok(KeyChange::Applied)
    }

    async fn note_issuer_key(&self, id: KeyId, note: KeyNote) -> Result<Change, StoreError> {
        let mut change = self.change().await?;
        let update = match note {
            KeyNote::TokenLife(life) => query(sql::NOTE_TOKEN_LIFE)
                .bind(id.to_string())
                .bind(whole_seconds(life)),
            KeyNote::Seen { at, max_age } => query(sql::NOTE_SEEN)
                .bind(id.to_string())
                .bind(at.ms())
                .bind(whole_seconds(max_age)),
        };
        let noted = update.execute(&mut *change).await.map_err(store_error)?;
        if noted.rows_affected() == 0 {
            return Ok(Change::Missing);
        }
        commit(change).await?;
        Ok(Change::Done)
    }

    async fn ended_external_keys(&self, issuer: &Issuer) -> Result<Vec<IssuerKey>, StoreError> {
        query_as::<_, IssuerKeyRow>(sql::SELECT_ENDED_EXTERNAL_KEYS)
            .bind(issuer.as_str())
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(TryInto::try_into)
            .collect()
    }

    async fn note_time(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        let newest: i64 = query_scalar(sql::SELECT_NEWEST_TIME)
            .fetch_one(&self.pool)
            .await
            .map_err(store_error)?;
        let newest = Timestamp::from_ms(newest);
        if now.since(newest) < NOTE_EVERY {
            return Ok(newest.max(now));
        }
        let mut change = self.change().await?;
        query(sql::NOTE_TIME)
            .bind(now.ms())
            .execute(&mut *change)
            .await
            .map_err(store_error)?;
        commit(change).await?;
        Ok(now)
    }

    async fn outstanding_tokens(
        &self,
        kid: &str,
        now: Timestamp,
    ) -> Result<Vec<OutstandingTokens>, StoreError> {
        query_as::<_, OutstandingRow>(SELECT_OUTSTANDING)
            .bind(now.minus(RECENT).ms())
            .bind(kid)
            .bind(now.secs())
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(TryInto::try_into)
            .collect()
    }
}

async fn insert(connection: &mut PgConnection, key: &IssuerKey) -> Result<bool, StoreError> {
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
        .bind(whole_seconds(key.facts.longest_life))
        .bind(key.facts.wanted_at.map(Timestamp::ms))
        .bind(key.facts.seen_at.map(Timestamp::ms))
        .bind(whole_seconds(key.facts.seen_max_age))
        .bind(key.mac.as_deref())
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(inserted.rows_affected() == 1)
}

/// Whether the key was in the state that the step starts from.
async fn take(
    connection: &mut PgConnection,
    step: &KeyStep,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let update = match step {
        KeyStep::Create(key) => return insert(connection, key).await,
        KeyStep::Activate(id, life) => query(sql::ACTIVATE_KEY)
            .bind(id.to_string())
            .bind(at.ms())
            .bind(whole_seconds(*life)),
        KeyStep::Retire(id) => query(sql::RETIRE_KEY).bind(id.to_string()).bind(at.ms()),
        KeyStep::Expire(id, mac) => query(sql::EXPIRE_KEY)
            .bind(id.to_string())
            .bind(at.ms())
            .bind(mac),
        KeyStep::Withdraw(id, mac) => query(sql::WITHDRAW_KEY)
            .bind(id.to_string())
            .bind(at.ms())
            .bind(mac),
        KeyStep::Want(id) => query(sql::WANT_KEY).bind(id.to_string()).bind(at.ms()),
        KeyStep::Forget(id, mac) => query(sql::FORGET_KEY).bind(id.to_string()).bind(mac),
        KeyStep::Reseal { id, from, to } => query(sql::RESEAL_KEY)
            .bind(id.to_string())
            .bind(from)
            .bind(to),
        KeyStep::Vouch {
            id,
            from,
            to,
            certificate,
        } => query(sql::VOUCH_FOR_KEY)
            .bind(id.to_string())
            .bind(from.as_deref().unwrap_or_default())
            .bind(to)
            .bind(certificate),
    };
    match update.execute(connection).await {
        Ok(taken) => Ok(taken.rows_affected() == 1),
        // Another key is in the state that this one was to enter.
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
        Err(error) => Err(store_error(error)),
    }
}
