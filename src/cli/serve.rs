//! `idp serve`.

use std::sync::Arc;

use super::{
    context::Context,
    failure::Outcome,
    runtime,
    settings::{ConfigArgs, unknown_variables},
};
use crate::server::{self, Server};

/// Run the identity provider
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  idp serve --config idp.toml")]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let settings = args.config.load_examined(context)?;
    runtime::block_on(async {
        let _log = runtime::log(context, settings.log, settings.otel_endpoint.as_ref())?;
        for unknown in unknown_variables(&context.env) {
            tracing::warn!("{unknown}");
        }
        let (clock, random) = (Arc::clone(&context.clock), Arc::clone(&context.random));
        let server = Server::build(settings, clock, random).await?;
        Ok(server::serve(server).await?)
    })?
}
