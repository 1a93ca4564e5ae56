//! `idp admin join-token`.

use clap::Subcommand;
use http::Method;
use ipnet::IpNet;
use serde_json::{Value, json};

use super::{Api, network, text};
use crate::{cli::failure::Outcome, domain::EnvironmentId};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a join token for an environment that lost its identity; prints it
    #[command(
        after_help = "Example:\n  idp admin join-token create 019527e4-75d5-704d-a5a4-a2b52cf56196 > join-token"
    )]
    Create {
        /// The environment's id
        environment: EnvironmentId,
        /// The network that the join token may be used from, such as 10.0.0.0/8 [default: any]
        #[arg(long, value_name = "NETWORK", value_parser = network)]
        cidr: Option<IpNet>,
    },
}

impl Command {
    pub(super) async fn run(self, api: &Api<'_>) -> Outcome {
        let Self::Create { environment, cidr } = self;
        let path = format!("/environments/{environment}/join-tokens");
        let made = api
            .call(Method::POST, &path, Some(json!({ "cidr": cidr })))
            .await?;
        print(api, &made)
    }
}

/// Prints a join token, the one secret that an administrator hands on.
pub(super) fn print(api: &Api<'_>, made: &Value) -> Outcome {
    api.context.printer.note(&format!(
        "its join token works once, until {}, and is shown this once",
        text(made, "expires_at")
    ));
    if api.context.printer.json {
        return api.context.printer.line(&made.to_string());
    }
    api.context.printer.line(&text(made, "join_token"))
}
