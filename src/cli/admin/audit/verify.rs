//! `idp admin audit verify`.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
};

use http::Method;
use serde_json::{Value, json};

use super::{
    super::{Failure, api, explain},
    Context, Outcome,
};
use crate::{
    cli::{exit::ExitCode, runtime, settings::ConfigArgs},
    client::audit::{
        ApiLog, CheckedChain, ExportVerifier, Extent, Scope, Series, StoreLog, read_series, verify,
    },
    config::Settings,
    domain::{Finding, OrganizationId},
    server::{open_audit, open_objects},
    service::checkpoint_number,
};

/// Check that no audit record was edited, removed or reordered; exit code 7 where one was
///
/// Over the API, or with --config in the database itself, or with --file in an export. The hashes are
/// computed here. Every chain of an export has to begin with its first record, or where retention cut it,
/// unless --partial says otherwise. A whole log that was written anew, or one whose end is missing, shows only beside
/// the checkpoints that were written before.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  idp admin audit verify --checkpoints s3://my-audit/checkpoints\n  \
                        idp admin audit verify --config idp.toml\n  \
                        idp admin audit verify --file audit.jsonl"
)]
pub(in crate::cli::admin) struct Args {
    /// Check the database of this configuration, without a server
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
    /// Check an export
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The export holds a part of the log: its chains may begin anywhere
    #[arg(long, requires = "file")]
    partial: bool,
    /// Only the chain of this organisation
    #[arg(long, value_name = "ID")]
    org: Option<OrganizationId>,
    /// Only the system's chain
    #[arg(long, conflicts_with = "org")]
    system: bool,
    /// Compare with the checkpoints in this directory or S3 bucket
    #[arg(long, value_name = "DIR|s3://…")]
    checkpoints: Option<String>,
    /// The key that the newest checkpoint must be signed with [default: the server's]
    #[arg(long, value_name = "THUMBPRINT", requires = "checkpoints")]
    checkpoint_key: Option<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    if let Some(file) = &args.file {
        let series = context.block_on(series(args, context, None))??;
        let chains = check_file(file, args, series.as_ref())?;
        if series.is_none() && !context.printer.json {
            report(context, &chains, None)?;
            return context.printer.line(
                "where the chains end is vouched for by nobody: compare them with --checkpoints",
            );
        }
        return report(context, &chains, series.as_ref());
    }
    if let Some(config) = &args.config {
        let settings = ConfigArgs::named(config.clone()).load(context)?;
        return runtime::block_on(local(args, context, settings))?;
    }
    api(context, async |api| {
        let key = match (&args.checkpoints, &args.checkpoint_key) {
            (Some(_), None) => {
                let key = api.call(Method::GET, "/audit/checkpoint-key", None).await?;
                key["kid"].as_str().map(str::to_owned)
            }
            _ => None,
        };
        let series = series(args, context, key).await?;
        let chains = verify(&ApiLog(&api.admin), args.scope(), series.as_ref())
            .await
            .map_err(explain)?;
        report(context, &chains, series.as_ref())
    })
}

impl Args {
    fn scope(&self) -> Scope {
        if self.org.is_some() || self.system {
            Scope::One(self.org)
        } else {
            Scope::All
        }
    }
}

async fn local(args: &Args, context: &Context, settings: Settings) -> Outcome {
    let access = open_audit(&settings, Arc::clone(&context.clock), &*context.random).await?;
    let series = series(args, context, Some(access.checkpoint_key)).await?;
    let log = StoreLog(access.store.clone());
    let chains = verify(&log, args.scope(), series.as_ref()).await;
    access.store.close().await;
    let chains = chains.map_err(|error| Failure::new(ExitCode::Other, error))?;
    report(context, &chains, series.as_ref())
}

/// The checkpoints that are named, signed with the key that is named, or with `key`.
async fn series(args: &Args, context: &Context, key: Option<String>) -> Outcome<Option<Series>> {
    let Some(place) = &args.checkpoints else {
        return Ok(None);
    };
    let key = args.checkpoint_key.clone().or(key);
    let objects = open_objects(
        place,
        context.env.http_settings(),
        Arc::clone(&context.clock),
    )
    .await
    .map_err(|error| Failure::usage(error.to_string()))?;
    let series = read_series(&*objects, checkpoint_number, key.as_deref()).await?;
    match &series.last {
        None => {
            return Err(Failure::new(
                ExitCode::Findings,
                anyhow::anyhow!("there are no checkpoints in {place}"),
            )
            .help("name the place that audit.checkpoints names"));
        }
        Some((_, _, kid)) if key.is_none() => context.printer.warn(&format!(
            "the checkpoints are signed by key {kid}; whether that is the server's was not checked: \
             name the server's with --checkpoint-key"
        )),
        Some(_) => {}
    }
    Ok(Some(series))
}

fn check_file(path: &Path, args: &Args, series: Option<&Series>) -> Outcome<Vec<CheckedChain>> {
    let failed = |error: std::io::Error| {
        Failure::new(
            ExitCode::Other,
            anyhow::Error::new(error).context(format!("cannot read {}", path.display())),
        )
    };
    let extent = if args.partial {
        Extent::Part
    } else {
        Extent::Whole
    };
    let mut verifier = ExportVerifier::new(args.scope(), extent, series);
    for (number, line) in BufReader::new(File::open(path).map_err(failed)?)
        .lines()
        .enumerate()
    {
        verifier.check(&line.map_err(failed)?).map_err(|problem| {
            Failure::new(
                ExitCode::Findings,
                anyhow::anyhow!(
                    "line {} of {} is not an audit record: {problem}",
                    number + 1,
                    path.display()
                ),
            )
        })?;
    }
    verifier.finish().ok_or_else(|| {
        Failure::new(
            ExitCode::Findings,
            anyhow::anyhow!("there are no such audit records in {}", path.display()),
        )
        .help("write the file with `idp admin audit export`")
    })
}

/// Prints what was found; a failure where that is anything.
fn report(context: &Context, chains: &[CheckedChain], series: Option<&Series>) -> Outcome {
    let of_series = series.map_or(&[][..], |series| &series.findings);
    let findings = of_series.len() + chains.iter().map(|c| c.findings.len()).sum::<usize>();
    if context.printer.json {
        let json = json!({
            "findings": findings,
            "chains": chains.iter().map(chain_json).collect::<Vec<_>>(),
            "checkpoints": series.map(series_json),
        });
        context.printer.line(&json.to_string())?;
    } else {
        for line in lines(chains, series) {
            context.printer.line(&line)?;
        }
    }
    match findings {
        0 => Ok(()),
        1 => Err(found("the audit log has a finding".to_owned())),
        n => Err(found(format!("the audit log has {n} findings"))),
    }
}

fn found(message: String) -> Failure {
    Failure::new(ExitCode::Findings, anyhow::Error::msg(message))
        .help("compare the records with a backup or an export; SECURITY.md says what to do")
}

fn name(chain: Option<OrganizationId>) -> String {
    chain.map_or_else(|| "system".to_owned(), |id| id.to_string())
}

fn lines(chains: &[CheckedChain], series: Option<&Series>) -> Vec<String> {
    let mut lines = Vec::new();
    for chain in chains {
        let verdict = match chain.findings.len() {
            0 => "sound".to_owned(),
            1 => "1 finding".to_owned(),
            n => format!("{n} findings"),
        };
        let cut = chain.cut.map_or_else(String::new, |cut| {
            format!(
                "; {} older ones were removed behind checkpoint {}",
                cut.seq, cut.checkpoint
            )
        });
        let from = match (chain.places, chain.cut) {
            (Some((first, last)), None) if first != 1 => format!(" ({first} to {last})"),
            _ => String::new(),
        };
        lines.push(format!(
            "{}: {} records{from}, {verdict}{cut}",
            name(chain.organization_id),
            chain.records
        ));
        for finding in &chain.findings {
            let id = finding.id.map_or_else(String::new, |id| format!(" ({id})"));
            lines.push(format!("  record {}{id}: {}", finding.seq, finding.problem));
        }
    }
    if let Some(series) = series {
        let last = series
            .last
            .as_ref()
            .map_or_else(String::new, |(number, at, _)| {
                format!(", the newest is {number} of {at}")
            });
        lines.push(format!("checkpoints: {}{last}", series.count));
        for finding in &series.findings {
            lines.push(format!("  checkpoint {}: {}", finding.seq, finding.problem));
        }
    }
    lines
}

fn finding_json(finding: &Finding) -> Value {
    json!({
        "kind": finding.kind, "seq": finding.seq, "id": finding.id, "problem": finding.problem,
    })
}

fn chain_json(chain: &CheckedChain) -> Value {
    json!({
        "organization_id": chain.organization_id,
        "records": chain.records,
        "first": chain.places.map(|(first, _)| first),
        "last": chain.places.map(|(_, last)| last),
        "cut": chain.cut.map(|cut| json!({
            "seq": cut.seq, "checkpoint": cut.checkpoint, "at": cut.at.to_string(),
        })),
        "findings": chain.findings.iter().map(finding_json).collect::<Vec<_>>(),
    })
}

fn series_json(series: &Series) -> Value {
    let last = series
        .last
        .as_ref()
        .map(|(number, at, kid)| json!({ "number": number, "at": at.to_string(), "kid": kid }));
    json!({
        "count": series.count,
        "newest": last,
        "findings": series.findings.iter().map(finding_json).collect::<Vec<_>>(),
    })
}
