//! `idp admin audit list`.

use http::Method;
use serde_json::Value;

use super::{Api, ChainArgs, FilterArgs, Outcome, with_query};

/// List audit records, newest first
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  idp admin audit list --outcome refused --since 24h \
                        --org 0191e223-1c3c-7607-badf-303c98b52d2f"
)]
pub(in crate::cli::admin) struct Args {
    #[command(flatten)]
    chain: ChainArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// The most records to list
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Only records with a `seq` below this: the next page, after the last line of this one
    #[arg(long, value_name = "SEQ")]
    before: Option<i64>,
}

pub(super) const COLUMNS: [&str; 7] = [
    "seq", "at", "action", "outcome", "actor", "target", "source",
];

pub(super) async fn run(args: &Args, api: &Api<'_>) -> Outcome {
    let filter = args.filter.query(api.now())?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let records = find(api, &args.chain.path(), &filter, args.before, limit).await?;
    api.table(&COLUMNS, &records)
}

/// Records before `before`, newest first. The server looks at a bounded number at once, so that a page
/// may be empty and not the last.
pub(super) async fn find(
    api: &Api<'_>,
    path: &str,
    filter: &[(&str, String)],
    before: Option<i64>,
    limit: usize,
) -> Outcome<Vec<Value>> {
    let mut records = Vec::new();
    let mut cursor = before.map(|before| before.to_string());
    loop {
        let wanted = (limit - records.len()).min(500);
        let mut parameters = filter.to_vec();
        parameters.push(("limit", wanted.to_string()));
        parameters.extend(cursor.map(|cursor| ("cursor", cursor)));
        let mut answer = api
            .call(Method::GET, &with_query(path, &parameters), None)
            .await?;
        if let Some(Value::Array(items)) = answer.get_mut("items").map(Value::take) {
            records.extend(items);
        }
        cursor = answer["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || records.len() >= limit {
            return Ok(records);
        }
    }
}
