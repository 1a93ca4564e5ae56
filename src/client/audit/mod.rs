//! Checking the audit log: over the API, in the database, or in an export. The log is never believed
//! and never held in memory; what is checked is what an outsider can compute.

mod export;
mod series;
mod source;

use std::{collections::HashMap, error::Error};

use async_trait::async_trait;
use serde::Deserialize;

use crate::domain::{
    AuditChain, AuditCut, AuditId, AuditLine, AuditRecord, ChainVerifier, Finding, FindingKind,
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
    /// The places of the first and the last of them.
    pub places: Option<(i64, i64)>,
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
    // Whoever reaches the system's chain reaches all.
    let complete = chains
        .iter()
        .any(|chain| chain.head.organization_id.is_none());
    let missing = missing_chains(series, &checked, |chain| match scope {
        Scope::One(one) => one == chain,
        Scope::All => complete,
    });
    checked.extend(missing);
    Ok(checked)
}

/// Chains that are gone as a whole: checkpoints saw them, they were `expected`, and are not among
/// those that were checked.
fn missing_chains(
    series: Option<&Series>,
    checked: &[CheckedChain],
    expected: impl Fn(Option<OrganizationId>) -> bool,
) -> Vec<CheckedChain> {
    let vouched = series.into_iter().flat_map(Series::chains);
    vouched
        .filter(|(chain, _)| {
            let known = checked.iter().any(|known| known.organization_id == *chain);
            expected(*chain) && !known
        })
        .filter_map(|(organization_id, vouched)| {
            let last = vouched.last()?;
            Some(CheckedChain {
                organization_id,
                records: 0,
                places: None,
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
            })
        })
        .collect()
}

/// A cut that no checkpoint vouches for.
fn unfounded(
    organization_id: Option<OrganizationId>,
    cut: AuditCut,
    vouched: &[Vouched],
) -> Option<Finding> {
    let founds =
        |v: &Vouched| v.seq == cut.seq && v.hash == cut.hash && v.checkpoint <= cut.checkpoint;
    (!vouched.iter().any(founds)).then(|| Finding {
        organization_id,
        seq: cut.seq,
        id: None,
        kind: FindingKind::Misstated,
        problem: format!(
            "records up to this one were removed, and checkpoint {} does not vouch for it",
            cut.checkpoint
        ),
    })
}

async fn verify_chain<S: AuditSource>(
    source: &S,
    chain: &AuditChain,
    series: Option<&Series>,
) -> Result<CheckedChain, S::Error> {
    let organization_id = chain.head.organization_id;
    let vouched = series.map_or_else(Vec::new, |series| series.of(organization_id));
    let unfounded = series
        .and(chain.cut)
        .and_then(|cut| unfounded(organization_id, cut, &vouched));
    let mut verifier = ChainVerifier::new(organization_id, chain.cut, vouched);
    let mut places = None;
    source
        .records(organization_id, &mut |record| {
            places = Some(widened(places, record.seq));
            verifier.check(record);
        })
        .await?;
    let records = verifier.records();
    let mut findings = verifier.finish(Some(chain.head));
    findings.extend(unfounded);
    Ok(CheckedChain {
        organization_id,
        records,
        places,
        cut: chain.cut,
        findings,
    })
}

fn widened(places: Option<(i64, i64)>, seq: i64) -> (i64, i64) {
    places.map_or((seq, seq), |(first, _)| (first, seq))
}

/// How much of the log an export is said to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Each chain from its first record, or from where retention cut it.
    Whole,
    /// Any part: neither beginnings nor chains are missed.
    Part,
}

/// Checks an export, whose chains may be mixed.
pub struct ExportVerifier<'a> {
    scope: Scope,
    extent: Extent,
    series: Option<&'a Series>,
    chains: HashMap<Option<OrganizationId>, ExportedChain>,
    order: Vec<Option<OrganizationId>>,
}

struct ExportedChain {
    verifier: ChainVerifier,
    /// The first record, and the hash of the one before it as the first one names it.
    first: (i64, AuditId, [u8; 32]),
    last: i64,
    /// What the chain itself says of the records before its first.
    cut: Option<AuditCut>,
}

/// What a chain says in its record of a cut.
#[derive(Deserialize)]
struct CutDetails {
    through: i64,
    hash: String,
    checkpoint: i64,
}

impl ExportedChain {
    /// Takes note where the record says that retention removed what came before the first one.
    fn note_cut(&mut self, record: &AuditRecord) {
        if record.action != "audit.remove" || record.outcome != "success" {
            return;
        }
        let details = serde_json::from_str::<CutDetails>(&record.details);
        let (first, _, previous) = self.first;
        if let Ok(cut) = details
            && cut.through == first - 1
            && cut.hash == hex::encode(previous)
        {
            self.cut = Some(AuditCut {
                seq: cut.through,
                hash: previous,
                checkpoint: cut.checkpoint,
                at: record.at,
            });
        }
    }

    /// What is wrong with where the chain begins.
    fn beginning(&self, chain: Option<OrganizationId>, series: Option<&Series>) -> Option<Finding> {
        let (first, id, _) = self.first;
        match (self.cut, series) {
            _ if first <= 1 => None,
            (Some(_), None) => None,
            (Some(cut), Some(series)) => unfounded(chain, cut, &series.of(chain)),
            (None, _) => Some(Finding {
                organization_id: chain,
                seq: first,
                id: Some(id),
                kind: FindingKind::Removed,
                problem: match first - 1 {
                    1 => "record 1, which it follows, is missing".to_owned(),
                    n => format!("the {n} records before it, from 1 on, are missing"),
                },
            }),
        }
    }
}

impl<'a> ExportVerifier<'a> {
    /// Checks the chains of `scope`, and against checkpoints too, where there are some.
    #[must_use]
    pub fn new(scope: Scope, extent: Extent, series: Option<&'a Series>) -> Self {
        Self {
            scope,
            extent,
            series,
            chains: HashMap::new(),
            order: Vec::new(),
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
        if matches!(self.scope, Scope::One(one) if one != chain) {
            return Ok(());
        }
        let exported = self.chains.entry(chain).or_insert_with(|| {
            self.order.push(chain);
            let vouched = self.series.map_or_else(Vec::new, |series| series.of(chain));
            ExportedChain {
                verifier: if record.seq == 1 {
                    ChainVerifier::new(chain, None, vouched)
                } else {
                    ChainVerifier::part(chain, vouched)
                },
                first: (record.seq, record.id, record.previous),
                last: record.seq,
                cut: None,
            }
        });
        exported.verifier.check(&record);
        exported.last = record.seq;
        exported.note_cut(&record);
        Ok(())
    }

    /// What was found, once the export has ended. Of an export without records nothing can be found:
    /// `None`.
    #[must_use]
    pub fn finish(mut self) -> Option<Vec<CheckedChain>> {
        let mut checked: Vec<_> = self
            .order
            .iter()
            .filter_map(|chain| Some((*chain, self.chains.remove(chain)?)))
            .map(|(chain, exported)| {
                let beginning = match self.extent {
                    Extent::Whole => exported.beginning(chain, self.series),
                    Extent::Part => None,
                };
                let mut findings: Vec<_> = beginning.into_iter().collect();
                let records = exported.verifier.records();
                findings.extend(exported.verifier.finish(None));
                CheckedChain {
                    organization_id: chain,
                    records,
                    places: Some((exported.first.0, exported.last)),
                    cut: exported.cut,
                    findings,
                }
            })
            .collect();
        if checked.is_empty() {
            return None;
        }
        if self.extent == Extent::Whole {
            checked.extend(missing_chains(self.series, &checked, |chain| {
                match self.scope {
                    Scope::One(one) => one == chain,
                    Scope::All => true,
                }
            }));
        }
        Some(checked)
    }
}

#[cfg(test)]
#[path = "export_test.rs"]
mod tests;
