//! `idp admin audit checkpoint`.

use http::Method;

use super::{Api, Outcome};
use crate::cli::admin::text;

/// Make a signed statement of where every chain ends, now
///
/// The server writes it to the place of its checkpoints, where that is set, as it does by itself every
/// hour. It is printed too, so that you can keep it where you like.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  idp admin audit checkpoint > checkpoint.jws")]
pub(in crate::cli::admin) struct Args {}

pub(super) async fn run(api: &Api<'_>) -> Outcome {
    let made = api.call(Method::POST, "/audit/checkpoints", None).await?;
    let printer = &api.context.printer;
    let what = format!(
        "{} chains, signed by key {}",
        text(&made, "chains"),
        text(&made, "kid")
    );
    match made["place"].as_str() {
        Some(place) => printer.note(&format!("wrote {place}: {what}")),
        None => printer.note(&format!(
            "{what}; nothing was written, as audit.checkpoints is not set"
        )),
    }
    if printer.json {
        return printer.line(&made.to_string());
    }
    printer.line(&text(&made, "statement"))
}
