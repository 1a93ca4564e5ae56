//! `idp publish`.

use std::{path::PathBuf, sync::Arc};

use serde_json::json;

use super::{
    context::Context,
    exit::ExitCode,
    failure::{Failure, Outcome},
    runtime,
    settings::ConfigArgs,
};
use crate::server::{PublishError, Server, publish};

/// Write discovery and JWKS as static files, for any https host
///
/// The directory stands for the issuer's URL: copy it there, and AWS can verify tokens while the
/// server itself stays private. Publish again whenever the keys change.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  idp publish site --config idp.toml\n  \
                        aws s3 cp --recursive --content-type application/json site s3://BUCKET/")]
pub struct Args {
    /// The directory, made where it is missing
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        Self::new(ExitCode::NotWritten, error)
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let settings = args.config.load(context)?;
    let issuer = settings.issuer.clone();
    let files = runtime::block_on(async {
        let (clock, random) = (Arc::clone(&context.clock), Arc::clone(&context.random));
        let server = Server::build(settings, clock, random).await?;
        let files = publish(&server, &args.directory);
        server.close().await;
        Ok::<_, Failure>(files?)
    })??;
    for file in &files {
        context.printer.note(&format!("wrote {}", file.display()));
    }
    context.printer.note(&format!(
        "serve {} as {issuer}, with content type application/json",
        args.directory.display()
    ));
    if context.printer.json {
        let summary = json!({ "issuer": issuer, "files": files });
        context.printer.line(&summary.to_string())?;
    }
    Ok(())
}
