//! Which tokens were minted, from the audit log.

use serde::Deserialize;

use super::{AdminRefusal, Administrator, Page, Service};
use crate::{
    domain::{OrganizationId, Outcome, Timestamp},
    ports::{AuditRecord, StoreError},
};

/// Records of one chain are in the order of their commits, which can differ from that of their times
/// by as long as a request may take.
const DISORDER_MS: i64 = 120_000;

/// How many records are read at once.
const SLICE: u32 = 1000;

/// A token that was minted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mint {
    /// Its record's place in the organisation's chain.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// The token's `jti`.
    pub jti: String,
    /// Its `sub`.
    pub subject: String,
    /// Its `aud`.
    pub audience: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// What a mint's record says of the token.
#[derive(Deserialize)]
struct Details {
    jti: String,
    sub: String,
    aud: String,
    exp: i64,
}

impl Service {
    /// The tokens of an organisation that were minted from `since` to `until`, by the place of their
    /// records; `page` counts tokens.
    ///
    /// # Errors
    /// The organisation is not there or out of reach; the database.
    pub async fn mints(
        &self,
        admin: &Administrator,
        organization: OrganizationId,
        (since, until): (Timestamp, Timestamp),
        page: Page<i64>,
    ) -> Result<Vec<Mint>, AdminRefusal> {
        self.organization(admin, organization).await?;
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let mut after = match page.after {
            Some(after) => after,
            None => self.seq_before(organization, since).await?,
        };
        let mut mints = Vec::new();
        loop {
            let records = self
                .store
                .audit_records(Some(organization), after, SLICE)
                .await?;
            let Some(last) = records.last() else {
                return Ok(mints);
            };
            after = last.seq;
            let is_past = last.at.ms() > until.ms().saturating_add(DISORDER_MS);
            for record in &records {
                if (since..=until).contains(&record.at)
                    && let Some(mint) = mint(record)
                {
                    mints.push(mint);
                    if mints.len() == limit {
                        return Ok(mints);
                    }
                }
            }
            if is_past {
                return Ok(mints);
            }
        }
    }

    /// A place in the chain before which everything happened before `time`: a search by halves, so
    /// that a long log is not read from its beginning.
    async fn seq_before(
        &self,
        organization: OrganizationId,
        time: Timestamp,
    ) -> Result<i64, StoreError> {
        let time = time.ms().saturating_sub(DISORDER_MS);
        let is_before = async |seq: i64| -> Result<bool, StoreError> {
            let found = self.store.audit_records(Some(organization), seq, 1).await?;
            Ok(found.first().is_some_and(|record| record.at.ms() < time))
        };
        let (mut low, mut step) = (0_i64, 1_i64);
        while is_before(low + step).await? {
            low += step;
            step *= 2;
        }
        // What lies at `low` happened before; what lies at `low + step` did not, or is not there.
        while step > 1 {
            step /= 2;
            if is_before(low + step).await? {
                low += step;
            }
        }
        Ok(low)
    }
}

fn mint(record: &AuditRecord) -> Option<Mint> {
    if record.action != "token.mint" || record.outcome != Outcome::Success.as_str() {
        return None;
    }
    let details: Details = serde_json::from_str(&record.details).ok()?;
    Some(Mint {
        seq: record.seq,
        at: record.at,
        jti: details.jti,
        subject: details.sub,
        audience: details.aud,
        expires_at: Timestamp::from_secs(details.exp),
    })
}
