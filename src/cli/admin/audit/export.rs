//! `idp admin audit export`.

use super::{super::explain, Api, Outcome};
use crate::{
    client::audit::{ApiLog, AuditSource as _, Lines, chain_path},
    domain::OrganizationId,
};

/// Print the audit log as JSON lines, from which `verify --file` can check it
///
/// An export that broke off goes on with --after and the seq of its last line.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  idp admin audit export > audit.jsonl\n  \
                        idp admin audit export --org 0191e223-1c3c-7607-badf-303c98b52d2f \
                        --after 1200 >> acme.jsonl")]
pub(in crate::cli::admin) struct Args {
    /// Only the chain of this organisation [default: every chain within reach, one after the other]
    #[arg(long, value_name = "ID")]
    org: Option<OrganizationId>,
    /// Only the system's chain
    #[arg(long, conflicts_with = "org")]
    system: bool,
    /// Only records with a `seq` above this; needs --org or --system
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: i64,
}

pub(super) async fn run(args: &Args, api: &Api<'_>) -> Outcome {
    if args.org.is_some() || args.system {
        return export(api, args.org, args.after).await;
    }
    if args.after > 0 {
        return Err(super::super::Failure::usage(
            "--after counts in one chain: name it with --org or --system",
        ));
    }
    for chain in ApiLog(&api.admin).chains().await.map_err(explain)? {
        export(api, chain.head.organization_id, 0).await?;
    }
    Ok(())
}

async fn export(api: &Api<'_>, chain: Option<OrganizationId>, after: i64) -> Outcome {
    let path = format!("{}/export?after={after}", chain_path(chain));
    let mut lines = Lines::new(api.admin.stream(&path).await.map_err(explain)?);
    while let Some(line) = lines.next().await.map_err(explain)? {
        api.context.printer.line(&String::from_utf8_lossy(&line))?;
    }
    Ok(())
}
