//! The audit record of a change that has a transaction of its own.

use sqlx::{SqliteConnection, query, query_as};

use crate::{
    domain::AuditEvent,
    ports::StoreError,
    store::{
        audit::{Head, chain_name},
        error::store_error,
        rows::HeadRow,
        sql,
    },
};

/// Appends `event` to its chain, within the transaction that `connection` is in.
pub(super) async fn record(
    connection: &mut SqliteConnection,
    event: AuditEvent,
) -> Result<(), StoreError> {
    let chain = chain_name(event.organization_id);
    let mut head: Head = query_as::<_, HeadRow>(sql::SELECT_HEAD)
        .bind(&chain)
        .fetch_optional(&mut *connection)
        .await
        .map_err(store_error)?
        .map(TryInto::try_into)
        .transpose()?
        .unwrap_or_default();
    let record = head.append(event);
    query(sql::INSERT_AUDIT)
        .bind(&chain)
        .bind(record.seq)
        .bind(record.id.to_string())
        .bind(record.at.ms())
        .bind(record.actor)
        .bind(record.action)
        .bind(record.target)
        .bind(record.outcome)
        .bind(record.request_id)
        .bind(record.source)
        .bind(record.details)
        .bind(record.hash.as_slice())
        .execute(&mut *connection)
        .await
        .map_err(store_error)?;
    query(sql::UPSERT_HEAD)
        .bind(&chain)
        .bind(head.seq)
        .bind(head.hash.as_slice())
        .execute(&mut *connection)
        .await
        .map_err(store_error)?;
    Ok(())
}
