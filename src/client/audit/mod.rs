//! Checking the audit log: over the API, in the database, or in an export. The log is never believed
//! and never held in memory; what is checked is what an outsider can compute.

mod export;
mod series;
mod source;

use std::{collections::HashMap, error::Error};

use async_trait::async_trait;

use crate::domain::{
    AuditChain, AuditCut, AuditLine, AuditRecord, ChainVerifier, Finding, FindingKind,
    OrganizationId, Vouched,
};

pub use export::Lines;
pub use series::{Series, read_series};
pub use source::{ApiLog, StoreLog, chain_path};

/// Somewhere that a log can be read.
#[async_trait]
pub trait AuditSource: Send + Sync {
    /// Why it cannot.
    type Error: Error + Send;

    /// Every chain within reach.
    async fn chains(&self) -> Result<Vec<AuditChain>, Self::Error>;

    /// One chain; `None` where it has no record.
    async fn chain(&self, chain: Option<OrganizationId>)
    -> Result<Option<AuditChain>, Self::Error>;

    /// Hands out the records of a chain, in order.
    async fn records(
        &self,
        chain: Option<OrganizationId>,
        each: &mut (dyn for<'r> FnMut(&'r AuditRecord) + Send),
    ) -> Result<(), Self::Error>;
}

/// What was found in one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedChain {
    /// Whose; the system's if `None`.
    pub organization_id: Option<OrganizationId>,
    /// How many records were checked.
    pub records: u64,
    /// Where retention has cut it.
    pub cut: Option<AuditCut>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Which chains are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All within reach.
    All,
    /// This organisation's, or the system's.
    One(Option<OrganizationId>),
}

/// Checks chains against themselves and against what checkpoints say of them.
///
/// # Errors
/// The log cannot be read.
pub async fn verify<S: AuditSource>(
    source: &S,
    scope: Scope,
    series: Option<&Series>,
) -> Result<Vec<CheckedChain>, S::Error> {
    let chains = match scope {
        Scope::One(chain) => source.chain(chain).await?.into_iter().collect(),
        Scope::All => source.chains().await?,
    };
    let mut checked = Vec::with_capacity(chains.len());
    for chain in &chains {
        checked.push(verify_chain(source, chain, series).await?);
    }
    // A chain that is gone as a whole. Whoever reaches the system's chain reaches all.
    let complete = chains
        .iter()
        .any(|chain| chain.head.organization_id.is_none());
    for (organization_id, vouched) in series.into_iter().flat_map(Series::chains) {
        let expected = match scope {
            Scope::One(chain) => chain == organization_id,
            Scope::All => complete,
        };
        let known = chains
            .iter()
            .any(|chain| chain.head.organization_id == organization_id);
        if let (true, false, Some(last)) = (expected, known, vouched.last()) {
            checked.push(CheckedChain {
                organization_id,
                records: 0,
                cut: None,
                findings: vec![Finding {
                    organization_id,
                    seq: last.seq,
                    id: None,
                    kind: FindingKind::Truncated,
                    problem: format!(
                        "the whole chain is missing, of which checkpoint {} saw this record",
                        last.checkpoint
                    ),
                }],
            });
        }
    }
    Ok(checked)
}

async fn verify_chain<S: AuditSource>(
    source: &S,
    chain: &AuditChain,
    series: Option<&Series>,
) -> Result<CheckedChain, S::Error> {
    let organization_id = chain.head.organization_id;
    let vouched = series.map_or_else(Vec::new, |series| series.of(organization_id));
    let unfounded = series
        .is_some()
        .then_some(chain.cut)
        .flatten()
        .filter(|cut| {
            let founds = |v: &Vouched| v.seq == cut.seq && v.checkpoint <= cut.checkpoint;
            !vouched.iter().any(founds)
        });
    let mut verifier = ChainVerifier::new(organization_id, chain.cut, vouched);
    source
        .records(organization_id, &mut |record| verifier.check(record))
        .await?;
    let records = verifier.records();
    let mut findings = verifier.finish(Some(chain.head));
    if let Some(cut) = unfounded {
        findings.push(Finding {
            organization_id,
            seq: cut.seq,
            id: None,
            kind: FindingKind::Misstated,
            problem: format!(
                "records up to this one were removed, and checkpoint {} does not vouch for it",
                cut.checkpoint
            ),
        });
    }
    Ok(CheckedChain {
        organization_id,
        records,
        cut: chain.cut,
        findings,
    })
}

/// Checks an export, whose chains may be mixed. A chain that does not begin with its first record is
/// taken from where it begins.
#[derive(Default)]
pub struct ExportVerifier<'a> {
    series: Option<&'a Series>,
    chains: HashMap<Option<OrganizationId>, ChainVerifier>,
    order: Vec<Option<OrganizationId>>,
}

impl<'a> ExportVerifier<'a> {
    /// Checks against checkpoints too, where there are some.
    #[must_use]
    pub fn new(series: Option<&'a Series>) -> Self {
        Self {
            series,
            ..Self::default()
        }
    }

    /// Checks the next line.
    ///
    /// # Errors
    /// It is not a record.
    pub fn check(&mut self, line: &str) -> Result<(), String> {
        let line: AuditLine = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let record = AuditRecord::try_from(line).map_err(|error| error.to_string())?;
        let chain = record.organization_id;
        let verifier = self.chains.entry(chain).or_insert_with(|| {
            self.order.push(chain);
            let vouched = self.series.map_or_else(Vec::new, |series| series.of(chain));
            if record.seq == 1 {
                ChainVerifier::new(chain, None, vouched)
            } else {
                ChainVerifier::part(chain, vouched)
            }
        });
        verifier.check(&record);
        Ok(())
    }

    /// What was found, once the export has ended.
    #[must_use]
    pub fn finish(mut self) -> Vec<CheckedChain> {
        self.order
            .iter()
            .filter_map(|chain| {
                let verifier = self.chains.remove(chain)?;
                Some(CheckedChain {
                    organization_id: *chain,
                    records: verifier.records(),
                    cut: None,
                    findings: verifier.finish(None),
                })
            })
            .collect()
    }
}
