//! `idp sts`.

use std::{path::PathBuf, sync::Arc};

use clap::Subcommand;
use serde_json::json;
use tokio::sync::watch;

use super::{
    context::Context,
    exit::ExitCode,
    failure::{Failure, Outcome},
    printer::Printer,
    runtime,
};
use crate::{
    server::{RolesChange, StandaloneSts, StsError, stop_signal},
    sts::Refusal,
};

/// Run a local STS, for testing pipelines without AWS
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  idp sts serve --roles roles.json --port 8090")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(ServeArgs),
}

/// Answer AssumeRoleWithWebIdentity as AWS does, for the roles of a file
///
/// The file: `{"account": "000000000000", "providers": [{"url": "https://idp.example.com",
/// "client_ids": ["sts.amazonaws.com"]}], "roles": [{"name": "demo", "trust_policy": {…},
/// "max_session_duration": 3600}]}`. It is read again when it changes. Each refusal's reason goes to
/// standard error. Listens on 127.0.0.1 and prints its address.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  idp sts serve --roles roles.json --port 8090\n  \
                  AWS_ENDPOINT_URL_STS=http://127.0.0.1:8090 idp login aws \
                  --role-arn arn:aws:iam::000000000000:role/demo"
)]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
struct ServeArgs {
    /// File with the account, its identity providers and its roles
    #[arg(long, value_name = "FILE")]
    roles: PathBuf,
    /// The loopback port; 0 for any free one
    #[arg(long, value_name = "PORT", default_value_t = 8090)]
    port: u16,
}

impl From<StsError> for Failure {
    fn from(error: StsError) -> Self {
        match error {
            StsError::Read { .. } => Self::new(ExitCode::Usage, error).help(
                "name a file that is there and that you can read; `idp sts serve --help` shows its form",
            ),
            StsError::Roles { .. } => Self::new(ExitCode::Usage, error)
                .help("`idp sts serve --help` shows the form of the file"),
            StsError::Listen(_) => Self::new(ExitCode::Other, error)
                .help("choose another port with --port, or any free one with --port 0"),
            StsError::Io(_) => Self::new(ExitCode::Other, error),
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let Command::Serve(args) = &args.command;
    runtime::block_on(serve(args, context))?
}

async fn serve(args: &ServeArgs, context: &Context) -> Outcome {
    let printer = context.printer;
    let (clock, random) = (Arc::clone(&context.clock), Arc::clone(&context.random));
    let http = context.env.http_settings();
    let sts = StandaloneSts::prepare(&args.roles, args.port, &http, clock, random).await?;
    let url = sts.url().map_err(StsError::from)?;
    let stop: watch::Receiver<bool> = stop_signal().map_err(StsError::from)?;
    let (providers, roles) = sts.counts();
    printer.note(&format!(
        "{providers} providers and {roles} roles from {}; set AWS_ENDPOINT_URL_STS to the address \
         below",
        args.roles.display()
    ));
    if printer.json {
        printer.line(&json!({ "url": url }).to_string())?;
    } else {
        printer.line(&url)?;
    }
    let on_refusal = Arc::new(move |refusal: &Refusal, request_id: &str| {
        tell(printer, refusal, request_id);
    });
    let file = args.roles.display().to_string();
    let on_change = |change| {
        match change {
        RolesChange::Taken { providers, roles } => {
            printer.note(&format!(
                "read {file} again: {providers} providers, {roles} roles"
            ));
        }
        RolesChange::Refused(error) => {
            printer.warn(&format!("{error}\ngoing on with what it held before"));
        }
        RolesChange::Gone => printer.warn(&format!(
            "the roles file {file} is not there any more\ngoing on with what it held before; put it back \
             and it is read again"
        )),
    }
    };
    sts.run(on_refusal, on_change, stop).await;
    Ok(())
}

/// A refusal is what this command is asked for, so `--quiet` does not leave it out.
fn tell(printer: Printer, refusal: &Refusal, request_id: &str) {
    printer.warn(&format!(
        "refused with {}: {} (request {request_id})",
        refusal.code, refusal.reason
    ));
}
