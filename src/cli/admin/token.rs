//! `idp admin token`.

use std::time::Duration;

use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::{Api, text};
use crate::{
    cli::failure::Outcome,
    domain::{AdminTokenId, Name, OrganizationId, parse_duration},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an administrator token; prints it
    #[command(
        after_help = "It reaches no further and lives no longer than the token in IDP_ADMIN_TOKEN.\n\n\
                      Example:\n  idp admin token create --name ci \\\n      \
                      --org 0191e223-1c3c-7607-badf-303c98b52d2f --expires-in 90d > admin-token"
    )]
    Create {
        /// What people call it
        #[arg(long)]
        name: Option<Name>,
        /// The one organisation that it reaches [default: all]
        #[arg(long, value_name = "ID")]
        org: Option<OrganizationId>,
        /// After how long it ends, such as 90d or 12h [default: when your own does]
        #[arg(long, value_name = "TIME", value_parser = life)]
        expires_in: Option<Duration>,
    },
    /// List the administrator tokens within your reach, those that ended too
    #[command(after_help = "Example:\n  idp admin token list")]
    List,
    /// End an administrator token at once
    #[command(
        after_help = "Example:\n  idp admin token revoke 019527e4-75d5-704d-a5a4-a2b52cf56199"
    )]
    Revoke {
        /// The token's id, which `list` shows
        id: AdminTokenId,
    },
}

/// Reads a life for an argument.
fn life(text: &str) -> Result<Duration, String> {
    parse_duration(text)
}

impl Command {
    pub(super) async fn run(self, api: &Api<'_>) -> Outcome {
        match self {
            Self::Create {
                name,
                org,
                expires_in,
            } => {
                let body = json!({
                    "name": name, "organization_id": org,
                    "expires_in": expires_in.map(|life| life.as_secs()),
                });
                let made = api.call(Method::POST, "/admin-tokens", Some(body)).await?;
                let printer = &api.context.printer;
                printer.note(&format!(
                    "made administrator token {}; it is shown this once, keep it in a safe place",
                    text(&made, "id")
                ));
                if printer.json {
                    return printer.line(&made.to_string());
                }
                printer.line(&text(&made, "admin_token"))
            }
            Self::List => {
                let rows = api.list("/admin-tokens").await?;
                let columns = [
                    "id",
                    "name",
                    "organization_id",
                    "created_at",
                    "expires_at",
                    "revoked_at",
                ];
                api.table(&columns, &rows)
            }
            Self::Revoke { id } => {
                let path = format!("/admin-tokens/{id}");
                api.show(&api.call(Method::DELETE, &path, None).await?)
            }
        }
    }
}
