//! The read that every mint makes. Callers that wait together share a query, which costs a fraction
//! of a query each.

use std::collections::{HashMap, HashSet};

use sqlx::{FromRow as _, PgConnection, Row as _, postgres::PgRow, query};

use super::session::{Link, in_time};
use crate::{
    domain::{Credential, EnvironmentId},
    ports::StoreError,
    store::{
        error::store_error,
        queue::{Answer, BatchQueue},
        rows::CredentialRow,
    },
};

const SELECT_CREDENTIALS: &str = "SELECT e.id, e.organization_id, e.project_id, e.kid, \
     e.public_key, e.role_arns, o.audiences, o.session_tags, o.source_identity, o.role_pin, \
     o.name AS organization_name, p.name AS project_name, e.name AS environment_name \
     FROM environments e JOIN organizations o ON o.id = e.organization_id \
     LEFT JOIN projects p ON p.id = e.project_id AND o.session_tags \
     WHERE e.id = ANY ($1) AND e.kid IS NOT NULL AND e.public_key IS NOT NULL";

/// A credential, none, or one that cannot be read: that is one caller's misfortune, not the batch's.
type Found = Result<Option<Credential>, StoreError>;

/// The queue in front of the connection that looks credentials up.
pub(super) struct Lookup(BatchQueue<EnvironmentId, Found>);

impl Lookup {
    pub(super) fn start(link: Link) -> Self {
        Self(BatchQueue::start(Reader(link)))
    }

    pub(super) async fn credential(&self, id: EnvironmentId) -> Found {
        self.0.ask(id).await?
    }

    pub(super) async fn close(&self) {
        self.0.close().await;
    }
}

struct Reader(Link);

impl Answer for Reader {
    type Question = EnvironmentId;
    type Answer = Found;

    async fn answer(&mut self, ids: Vec<EnvironmentId>) -> Result<Vec<Found>, StoreError> {
        let mut connection = self.0.take().await?;
        let rows = in_time(select(&mut connection, &ids)).await?;
        self.0.give_back(connection);
        let mut found = HashMap::with_capacity(rows.len());
        for row in &rows {
            let id: &str = row.try_get("id").map_err(store_error)?;
            let credential = CredentialRow::from_row(row)
                .map_err(store_error)
                .and_then(Credential::try_from)
                .map_err(|error| error.to_string());
            found.insert(id, credential);
        }
        Ok(ids
            .iter()
            .map(|id| match found.get(&*id.to_string()) {
                Some(Ok(credential)) => Ok(Some(credential.clone())),
                Some(Err(reason)) => Err(StoreError::Corrupt(reason.clone())),
                None => Ok(None),
            })
            .collect())
    }

    async fn close(self) {
        self.0.close().await;
    }
}

async fn select(
    connection: &mut PgConnection,
    ids: &[EnvironmentId],
) -> Result<Vec<PgRow>, StoreError> {
    let asked: HashSet<EnvironmentId> = ids.iter().copied().collect();
    let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
    query(SELECT_CREDENTIALS)
        .bind(asked)
        .fetch_all(connection)
        .await
        .map_err(store_error)
}
