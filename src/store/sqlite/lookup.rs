//! The read that every mint makes. Callers that wait together share a query, which costs a fraction
//! of a query each.

use std::collections::{HashMap, HashSet};

use futures_util::TryStreamExt as _;
use sqlx::{Connection as _, FromRow as _, Row as _, SqliteConnection, query};

use crate::{
    domain::{Credential, EnvironmentId},
    ports::StoreError,
    store::{
        error::store_error,
        json_text,
        queue::{Answer, BatchQueue},
        rows::CredentialRow,
    },
};

const SELECT_CREDENTIALS: &str = "SELECT e.id, e.organization_id, e.project_id, e.kid, \
     e.public_key, e.role_arns, o.audiences, o.session_tags, o.source_identity, o.role_pin, \
     o.name AS organization_name, p.name AS project_name, e.name AS environment_name \
     FROM json_each($1) asked CROSS JOIN environments e ON e.id = \
     asked.value JOIN organizations o ON o.id = e.organization_id \
     LEFT JOIN projects p ON p.id = e.project_id AND o.session_tags \
     WHERE e.kid IS NOT NULL AND e.public_key IS NOT NULL";

/// A credential, none, or one that cannot be read: that is one caller's misfortune, not the batch's.
type Found = Result<Option<Credential>, StoreError>;

/// The queue in front of the connection that looks credentials up.
pub(super) struct Lookup(BatchQueue<EnvironmentId, Found>);

impl Lookup {
    pub(super) fn start(connection: SqliteConnection) -> Self {
        Self(BatchQueue::start(Reader(connection)))
    }

    pub(super) async fn credential(&self, id: EnvironmentId) -> Found {
        self.0.ask(id).await?
    }

    pub(super) async fn close(&self) {
        self.0.close().await;
    }
}

struct Reader(SqliteConnection);

impl Answer for Reader {
    type Question = EnvironmentId;
    type Answer = Found;

    async fn answer(&mut self, ids: Vec<EnvironmentId>) -> Result<Vec<Found>, StoreError> {
        let asked: HashSet<EnvironmentId> = ids.iter().copied().collect();
        let mut found: HashMap<EnvironmentId, Result<Credential, String>> =
            HashMap::with_capacity(asked.len());
        let mut rows = query(SELECT_CREDENTIALS)
            .bind(json_text(&asked)?)
            .fetch(&mut self.0);
        while let Some(row) = rows.try_next().await.map_err(store_error)? {
            let id = row.try_get::<&str, _>("id").map_err(store_error)?;
            let id = id
                .parse()
                .map_err(|error| StoreError::Corrupt(format!("environments.id: {error}")))?;
            let credential = CredentialRow::from_row(&row)
                .map_err(store_error)
                .and_then(Credential::try_from)
                .map_err(|error| error.to_string());
            found.insert(id, credential);
        }
        Ok(ids
            .iter()
            .map(|id| match found.get(id) {
                Some(Ok(credential)) => Ok(Some(credential.clone())),
                Some(Err(reason)) => Err(StoreError::Corrupt(reason.clone())),
                None => Ok(None),
            })
            .collect())
    }

    async fn close(self) {
        // A connection that only reads has nothing to lose.
        let _ = self.0.close().await;
    }
}
