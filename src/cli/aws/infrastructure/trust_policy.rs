//! `idp aws trust-policy`.

use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::json;

use super::{TrustArgs, account, partition, print, read_actions};
use crate::{
    cli::{
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
    },
    domain::Partition,
};

/// Print the trust policy of a role for environments of this issuer
///
/// With --actions, --show prints the policies of what the role, or one session of it, may do.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  idp aws trust-policy --issuer https://idp.example.com \
                  --account 123456789012 --org 0191e223-1c3c-7607-badf-303c98b52d2f > trust.json\n  \
                  idp aws trust-policy --issuer https://idp.example.com --account 123456789012 \
                  --org 0191e223-1c3c-7607-badf-303c98b52d2f --actions actions.txt --show permissions"
)]
pub(in crate::cli::aws) struct Args {
    #[command(flatten)]
    trust: TrustArgs,
    /// Account that holds the role; a trust policy needs it
    #[arg(long, value_name = "ID", value_parser = account)]
    account: Option<String>,
    /// Partition of the account
    #[arg(long, value_name = "NAME", value_parser = partition, default_value = "aws")]
    partition: Partition,
    /// File with what the role may do: an action a line, then its resources
    #[arg(long, value_name = "FILE")]
    actions: Option<PathBuf>,
    /// Which policy to print
    #[arg(long, value_name = "POLICY", default_value = "trust")]
    show: Show,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Show {
    /// Who may assume the role
    Trust,
    /// What the role may do
    Permissions,
    /// What a session may do, for `login --session-policy`
    Session,
}

pub(in crate::cli::aws) fn run(args: Args, context: &Context) -> Outcome {
    let actions = args.actions.map(|file| read_actions(&file)).transpose()?;
    let too_long = |error| Failure::new(ExitCode::Usage, anyhow::Error::new(error));
    let policy = match (args.show, actions) {
        (Show::Trust, actions) => {
            if actions.is_some() {
                context.printer.note(
                    "this is the trust policy; --show permissions prints the actions' policy",
                );
            }
            let account = args.account.ok_or_else(|| {
                Failure::usage("a trust policy names the account of the provider")
                    .help("pass --account with its twelve digits")
            })?;
            let trust = args.trust.policy(context)?;
            let provider = format!(
                "arn:{}:iam::{}:oidc-provider/{}",
                args.partition.as_str(),
                account,
                trust.issuer.provider()
            );
            trust.document(&json!(provider))
        }
        (_, None) => {
            return Err(Failure::usage(
                "--show permissions and session need --actions FILE",
            ));
        }
        (Show::Permissions, Some(actions)) => actions.permission_policy().map_err(too_long)?,
        (Show::Session, Some(actions)) => actions.session_policy().map_err(too_long)?,
    };
    print(&policy, context)
}
