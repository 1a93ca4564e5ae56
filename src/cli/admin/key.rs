//! `idp admin key`.

use clap::Subcommand;
use http::Method;

use super::Api;
use crate::cli::failure::Outcome;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the issuer's keys that are not retired
    #[command(after_help = "Example:\n  idp admin key list")]
    List,
}

impl Command {
    pub(super) async fn run(self, api: &Api<'_>) -> Outcome {
        let Self::List = self;
        let keys = api.call(Method::GET, "/keys", None).await?;
        let rows = keys["items"].as_array().cloned().unwrap_or_default();
        api.table(
            &["kid", "algorithm", "state", "created_at", "activated_at"],
            &rows,
        )
    }
}
