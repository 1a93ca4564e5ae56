//! `idp admin audit`.

mod checkpoint;
mod export;
mod join_cloudtrail;
mod list;
mod tail;
mod verify;

use clap::{Subcommand, ValueEnum};

use super::{Api, Context, Outcome, api};
use crate::{
    client::audit::chain_path,
    domain::{OrganizationId, Timestamp},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(list::Args),
    Tail(tail::Args),
    Export(export::Args),
    Verify(verify::Args),
    Checkpoint(checkpoint::Args),
    JoinCloudtrail(join_cloudtrail::Args),
}

pub(super) fn run(command: Command, context: &Context) -> Outcome {
    match command {
        Command::List(args) => api(context, async |api| list::run(&args, &api).await),
        Command::Tail(args) => api(context, async |api| tail::run(&args, &api).await),
        Command::Export(args) => api(context, async |api| export::run(&args, &api).await),
        Command::Verify(args) => verify::run(&args, context),
        Command::Checkpoint(_) => api(context, async |api| checkpoint::run(&api).await),
        Command::JoinCloudtrail(args) => {
            api(context, async |api| join_cloudtrail::run(args, &api).await)
        }
    }
}

/// Which chain.
#[derive(Clone, Copy, Debug, clap::Args)]
struct ChainArgs {
    /// The chain of this organisation [default: the system's, of what belongs to no organisation]
    #[arg(long, value_name = "ID")]
    org: Option<OrganizationId>,
}

impl ChainArgs {
    fn path(self) -> String {
        chain_path(self.org)
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OutcomeArg {
    /// Done
    Success,
    /// Refused
    Refused,
}

/// Which records.
#[derive(Debug, clap::Args)]
struct FilterArgs {
    /// Only of this actor: system, anonymous, environment:ID or administrator:ID
    #[arg(long)]
    actor: Option<String>,
    /// Only this action, such as token.mint; one that ends in a dot stands for all that begin so
    #[arg(long)]
    action: Option<String>,
    /// Only on this target
    #[arg(long)]
    target: Option<String>,
    /// Only with this outcome
    #[arg(long)]
    outcome: Option<OutcomeArg>,
    /// Only of this request, whose id was in the answer's X-Request-Id
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Not before this time, such as 2026-01-31T12:00:00Z, or this long ago, such as 24h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time, in the same forms
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl FilterArgs {
    /// As parameters of a query.
    fn query(&self, now: Timestamp) -> Outcome<Vec<(&'static str, String)>> {
        let outcome = self.outcome.map(|outcome| match outcome {
            OutcomeArg::Success => "success".to_owned(),
            OutcomeArg::Refused => "refused".to_owned(),
        });
        let time = |name, text: &Option<String>| {
            text.as_deref()
                .map(|text| time(name, text, now))
                .transpose()
        };
        let parameters = [
            ("actor", self.actor.clone()),
            ("action", self.action.clone()),
            ("target", self.target.clone()),
            ("outcome", outcome),
            ("request_id", self.request_id.clone()),
            ("since", time("--since", &self.since)?),
            ("until", time("--until", &self.until)?),
        ];
        Ok(parameters
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect())
    }
}

/// RFC 3339, or a number with a unit for so long before now.
fn time(name: &str, text: &str, now: Timestamp) -> Outcome<String> {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    let ago = text
        .parse::<jiff::SignedDuration>()
        .ok()
        .or_else(|| {
            let days = text.strip_suffix('d')?.parse::<i64>().ok()?;
            days.checked_mul(86_400)
                .map(jiff::SignedDuration::from_secs)
        })
        .map(jiff::SignedDuration::unsigned_abs);
    match ago {
        Some(ago) => Ok(now.minus(ago).to_string()),
        None => Err(super::Failure::usage(format!(
            "{name} {text:?} is not a time; write one like 2026-01-31T12:00:00Z, 30m, 24h or 7d"
        ))),
    }
}

/// A path with a query.
fn with_query(path: &str, parameters: &[(&str, String)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    let query = query.finish();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

impl Api<'_> {
    fn now(&self) -> Timestamp {
        self.context.clock.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_or_so_long_ago() {
        let now = Timestamp::from_secs(1_740_514_245);
        let read = |text| time("--since", text, now);
        assert_eq!(
            read("2025-01-01T00:00:00Z").unwrap(),
            "2025-01-01T00:00:00Z"
        );
        assert_eq!(read("24h").unwrap(), "2025-02-24T20:10:45Z");
        assert_eq!(read("1d").unwrap(), "2025-02-24T20:10:45Z");
        assert_eq!(read("30m").unwrap(), "2025-02-25T19:40:45Z");
        for bad in ["", "yesterday", "99999999999999999d", "d"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
