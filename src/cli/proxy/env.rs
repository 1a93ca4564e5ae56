//! `idp proxy env`.

use std::{net::TcpStream, time::Duration};

use serde_json::json;

use crate::{
    cli::{
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
    },
    client::proxied::{Route, export_lines, removed},
    domain::{ExposeSecret as _, SecretString},
};

/// How long the proxy may take to take a connection on this machine.
const PATIENCE: Duration = Duration::from_secs(2);

/// Print the variables that lead programs to the running proxy
///
/// Lines for a shell to evaluate. They hold the proxy's key: whoever has them can use the proxy, and
/// nothing else. Variables with credentials of AWS, profiles and endpoints are unset.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  eval \"$(idp proxy env)\"\n  eval \"$(idp proxy env --endpoint-url)\"\n  \
                  idp proxy env --json"
)]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
pub(super) struct Args {
    /// Set AWS_ENDPOINT_URL too, for SDKs that know no HTTPS_PROXY, such as the one for JavaScript
    #[arg(long)]
    endpoint_url: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let state = super::state(context)?;
    let not_running = |what: &str| {
        Failure::new(ExitCode::Unreachable, anyhow::anyhow!("{what}"))
            .help("start one with `idp proxy serve --rules FILE`, or run the program with `idp proxy exec`")
    };
    let Some(running) = state.running()? else {
        return Err(not_running("no proxy is running here"));
    };
    if TcpStream::connect_timeout(&running.address, PATIENCE).is_err() {
        return Err(not_running(&format!(
            "nobody listens on {}, where the proxy was",
            running.address
        )));
    }
    let key = SecretString::from(state.key(&*context.random)?.expose());
    let direct = super::direct(context)?;
    let variables = Route {
        address: running.address,
        key: &key,
        bundle: &running.bundle,
        ca: &running.ca,
        region: &running.region,
        endpoint_url: args.endpoint_url,
        direct: &direct,
        aws_files: None,
    }
    .variables();
    let names = context.env.names();
    let set = |name: &str| variables.iter().any(|(known, _)| *known == name);
    // What is `idp`'s own is for the shell that evaluates this. Files of the AWS tools stay where the user
    // put them: without the variables, others would take their place, and credentials in variables go
    // before those in files.
    let kept = |name: &str| {
        set(name)
            || name.starts_with("IDP_")
            || matches!(name, "AWS_CONFIG_FILE" | "AWS_SHARED_CREDENTIALS_FILE")
    };
    let unset: Vec<&str> = removed(names)
        .into_iter()
        .filter(|name| !kept(name))
        .collect();
    if context.printer.json {
        let values: serde_json::Map<String, serde_json::Value> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.expose_secret().into()))
            .collect();
        let json = SecretString::from(json!({ "variables": values, "unset": unset }).to_string());
        return context.printer.line(json.expose_secret());
    }
    context
        .printer
        .data(export_lines(&unset, &variables).expose_secret())
}
