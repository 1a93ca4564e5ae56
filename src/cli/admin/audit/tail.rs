//! `idp admin audit tail`.

use std::time::Duration;

use serde_json::Value;

use super::{
    super::explain,
    Api, ChainArgs, Outcome,
    list::{COLUMNS, find},
};
use crate::{cli::admin::text, client::audit::Lines};

/// How often it is looked for new records.
const EVERY: Duration = Duration::from_secs(1);

/// Show the last audit records, and new ones as they come
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  idp admin audit tail --follow \
                        --org 0191e223-1c3c-7607-badf-303c98b52d2f")]
pub(in crate::cli::admin) struct Args {
    #[command(flatten)]
    chain: ChainArgs,
    /// How many of the last records to show
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=500))]
    lines: u16,
    /// Wait for new records and show them, until stopped
    #[arg(short, long)]
    follow: bool,
}

pub(super) async fn run(args: &Args, api: &Api<'_>) -> Outcome {
    let path = args.chain.path();
    // One at least, to know where the log ends.
    let mut last = find(api, &path, &[], None, usize::from(args.lines).max(1)).await?;
    last.reverse();
    let mut after = last.last().and_then(|record| record["seq"].as_i64());
    for record in last.iter().take(usize::from(args.lines)) {
        show(api, record)?;
    }
    if !args.follow {
        return Ok(());
    }
    loop {
        let new = format!("{path}/export?after={}", after.unwrap_or(0));
        let mut lines = Lines::new(api.admin.stream(&new).await.map_err(explain)?);
        while let Some(line) = lines.next().await.map_err(explain)? {
            let record: Value = serde_json::from_slice(&line).unwrap_or_default();
            after = record["seq"].as_i64().or(after);
            show(api, &record)?;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// One record a line: as JSON, or its columns.
fn show(api: &Api<'_>, record: &Value) -> Outcome {
    let line = if api.context.printer.json {
        record.to_string()
    } else {
        COLUMNS.map(|name| text(record, name)).join("  ")
    };
    api.context.printer.line(&line)
}
