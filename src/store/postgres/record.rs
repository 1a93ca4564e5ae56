//! The audit record of a change that has a transaction of its own.

use sqlx::{PgConnection, query, query_as};

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

/// Locks a chain's head until the transaction ends, and makes one where there is none.
const LOCK_HEAD: &str = "INSERT INTO audit_heads (chain, seq, hash) VALUES ($1, $2, $3) \
     ON CONFLICT (chain) DO UPDATE SET seq = audit_heads.seq RETURNING chain, seq, hash";

/// Appends `event` to its chain, within the transaction that `connection` is in. The last thing that a
/// transaction does, because from here on everybody waits who appends to the same chain.
pub(super) async fn record(
    connection: &mut PgConnection,
    event: AuditEvent,
) -> Result<(), StoreError> {
    let chain = chain_name(event.organization_id);
    let empty = Head::default();
    let mut head: Head = query_as::<_, HeadRow>(LOCK_HEAD)
        .bind(&chain)
        .bind(empty.seq)
        .bind(empty.hash.as_slice())
        .fetch_one(&mut *connection)
        .await
        .map_err(store_error)?
        .try_into()?;
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
