//! `idp publish`.

use std::sync::Arc;

use serde_json::json;

use super::{
    context::Context,
    failure::{Failure, Outcome},
    runtime,
    settings::ConfigArgs,
};
use crate::server::{Server, open_objects, publish};

/// Write discovery and JWKS as static files, for any https host
///
/// The place stands for the issuer's URL: AWS can verify tokens from there while the server itself
/// stays private. An object in S3 gets the media type and the caching that the server would give it.
/// Publish again whenever the keys change.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  idp publish s3://my-issuer --config idp.toml\n  \
                        idp publish ./public --config idp.toml"
)]
pub struct Args {
    /// A directory, made where it is missing, or a bucket in S3 and what its keys begin with
    #[arg(value_name = "DIR|s3://…")]
    place: String,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let settings = args.config.load(context)?;
    let issuer = settings.issuer.clone();
    let files = runtime::block_on(async {
        let (clock, random) = (Arc::clone(&context.clock), Arc::clone(&context.random));
        let http = context.env.http_settings();
        let objects = open_objects(&args.place, http, Arc::clone(&clock))
            .await
            .map_err(|error| Failure::usage(error.to_string()))?;
        let server = Server::build(settings, clock, random).await?;
        let mut files = Vec::new();
        let published = publish(&server, &*objects, |place| {
            context.printer.note(&format!("wrote {place}"));
            files.push(place.to_owned());
        });
        let published = published.await;
        server.close().await;
        published?;
        Ok::<_, Failure>(files)
    })??;
    let serve = format!("serve {} as {issuer}", args.place);
    context.printer.note(&if args.place.starts_with("s3://") {
        serve
    } else {
        format!("{serve}, with content type application/json")
    });
    if context.printer.json {
        let summary = json!({ "issuer": issuer, "files": files });
        context.printer.line(&summary.to_string())?;
    }
    Ok(())
}
