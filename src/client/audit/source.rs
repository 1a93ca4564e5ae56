//! Where a log is read: the administration API, or the database itself.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{AuditSource, Lines};
use crate::{
    client::{admin::Admin, server::ServerError},
    domain::{AuditChain, AuditCut, AuditLine, AuditRecord, ChainHead, OrganizationId, Timestamp},
    ports::{Page, Store, StoreError},
};

/// The path of a chain's resources.
#[must_use]
pub fn chain_path(chain: Option<OrganizationId>) -> String {
    chain.map_or_else(
        || "/audit".to_owned(),
        |id| format!("/organizations/{id}/audit"),
    )
}

/// The log over the administration API.
pub struct ApiLog<'a>(pub &'a Admin<'a>);

#[derive(Deserialize)]
struct ChainView {
    organization_id: Option<OrganizationId>,
    seq: i64,
    hash: String,
    cut: Option<CutView>,
}

#[derive(Deserialize)]
struct CutView {
    seq: i64,
    hash: String,
    checkpoint: i64,
    at: jiff::Timestamp,
}

fn hash(text: &str) -> Result<[u8; 32], String> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).map_err(|error| error.to_string())?;
    Ok(hash)
}

fn chain(value: Value) -> Result<Option<AuditChain>, String> {
    let view: Option<ChainView> =
        serde_json::from_value(value).map_err(|error| error.to_string())?;
    view.map(|view| {
        Ok(AuditChain {
            head: ChainHead {
                organization_id: view.organization_id,
                seq: view.seq,
                hash: hash(&view.hash)?,
            },
            cut: view
                .cut
                .map(|cut| {
                    Ok::<_, String>(AuditCut {
                        seq: cut.seq,
                        hash: hash(&cut.hash)?,
                        checkpoint: cut.checkpoint,
                        at: Timestamp::from_ms(cut.at.as_millisecond()),
                    })
                })
                .transpose()?,
        })
    })
    .transpose()
}

impl ApiLog<'_> {
    fn unexpected(&self, path: &str, reason: String) -> ServerError {
        ServerError::Unexpected {
            url: format!("{}/api/v1{path}", self.0.server.url),
            reason,
        }
    }
}

#[async_trait]
impl AuditSource for ApiLog<'_> {
    type Error = ServerError;

    async fn chains(&self) -> Result<Vec<AuditChain>, ServerError> {
        let mut chains = match self.chain(None).await {
            Ok(system) => Vec::from_iter(system),
            // A token for one organisation does not reach the system's.
            Err(ServerError::Refused(refusal)) if refusal.status == 403 => Vec::new(),
            Err(error) => return Err(error),
        };
        let path = "/audit/chains";
        for item in self.0.list(path).await? {
            let read = chain(item).map_err(|error| self.unexpected(path, error))?;
            chains.extend(read);
        }
        Ok(chains)
    }

    async fn chain(
        &self,
        organization: Option<OrganizationId>,
    ) -> Result<Option<AuditChain>, ServerError> {
        let path = format!("{}/chain", chain_path(organization));
        let answer = self.0.call(Method::GET, &path, None).await?;
        chain(answer).map_err(|error| self.unexpected(&path, error))
    }

    async fn records(
        &self,
        chain: Option<OrganizationId>,
        each: &mut (dyn for<'r> FnMut(&'r AuditRecord) + Send),
    ) -> Result<(), ServerError> {
        let path = format!("{}/export", chain_path(chain));
        let mut lines = Lines::new(self.0.stream(&path).await?);
        while let Some(line) = lines.next().await? {
            let record = serde_json::from_slice::<AuditLine>(&line)
                .map_err(|error| error.to_string())
                .and_then(|line| AuditRecord::try_from(line).map_err(|error| error.to_string()))
                .map_err(|error| self.unexpected(&path, error))?;
            each(&record);
        }
        Ok(())
    }
}

/// How many records are read from the database at once.
const PAGE: u32 = 2_000;

/// The log in the database, without a server.
pub struct StoreLog(pub Arc<dyn Store>);

#[async_trait]
impl AuditSource for StoreLog {
    type Error = StoreError;

    async fn chains(&self) -> Result<Vec<AuditChain>, StoreError> {
        let mut chains = Vec::from_iter(self.0.audit_chain(None).await?);
        let mut page = Page {
            after: None,
            limit: 1_000,
        };
        loop {
            let more = self.0.audit_chains(page).await?;
            page.after = more.last().and_then(|last| last.head.organization_id);
            chains.extend(more);
            if page.after.is_none() {
                return Ok(chains);
            }
        }
    }

    async fn chain(
        &self,
        organization: Option<OrganizationId>,
    ) -> Result<Option<AuditChain>, StoreError> {
        self.0.audit_chain(organization).await
    }

    /// The next page is read while one is checked.
    async fn records(
        &self,
        chain: Option<OrganizationId>,
        each: &mut (dyn for<'r> FnMut(&'r AuditRecord) + Send),
    ) -> Result<(), StoreError> {
        let (pages, mut read) = mpsc::channel(2);
        let store = self.0.clone();
        tokio::spawn(async move {
            let mut after = 0;
            loop {
                let page = store.audit_records(chain, after, PAGE).await;
                let last = page.as_ref().ok().and_then(|page| page.last());
                let next = last.map(|last| last.seq);
                // A reader that is gone wants no more.
                if pages.send(page).await.is_err() {
                    return;
                }
                match next {
                    Some(seq) => after = seq,
                    None => return,
                }
            }
        });
        while let Some(page) = read.recv().await {
            page?.iter().for_each(&mut *each);
        }
        Ok(())
    }
}
