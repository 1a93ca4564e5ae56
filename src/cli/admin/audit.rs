//! `idp admin audit`.

use clap::Subcommand;

use super::{Api, join_cloudtrail};
use crate::cli::failure::Outcome;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    JoinCloudtrail(join_cloudtrail::Args),
}

impl Command {
    pub(super) async fn run(self, api: &Api<'_>) -> Outcome {
        match self {
            Self::JoinCloudtrail(args) => join_cloudtrail::run(args, api).await,
        }
    }
}
