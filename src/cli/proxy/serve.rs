//! `idp proxy serve`.

use std::{net::SocketAddr, path::PathBuf};

use serde_json::json;

use super::start::{ProxyArgs, raise_open_files};
use crate::{
    cli::{
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
        runtime,
    },
    client::atomic_file::AccessError,
    config::LogSettings,
    server::{Running, stop_signal},
};

/// Run the signing proxy beside an environment
///
/// Agents reach AWS through it without a credential of their own: `idp proxy env` prints the variables
/// that lead them there. It listens on loopback only. Run it as another user than the agent, or in
/// another container: who can read its files can do without it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  idp proxy serve --rules rules.toml --role-arn arn:aws:iam::123456789012:role/agent\n  \
                  eval \"$(idp proxy env)\""
)]
pub(super) struct Args {
    #[command(flatten)]
    proxy: ProxyArgs,
    /// Loopback address and port; port 0 for any free one
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:0",
        env = "IDP_PROXY_LISTEN",
        hide_env_values = true
    )]
    listen: SocketAddr,
    /// Address and port of health and metrics (/livez, /readyz, /metrics)
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "IDP_PROXY_OPS_LISTEN",
        hide_env_values = true
    )]
    ops_listen: Option<SocketAddr>,
    /// Directory that agents of other users can read, for the certificates that they have to trust
    #[arg(
        long,
        value_name = "DIR",
        env = "IDP_PROXY_BUNDLE_DIR",
        hide_env_values = true
    )]
    bundle_dir: Option<PathBuf>,
}

pub(super) fn run(args: Args, context: &Context) -> Outcome {
    raise_open_files();
    let start = args.proxy.read(context)?;
    let region = start.region.clone();
    let rules = start.rules.len();
    let state = super::state(context)?;
    let key = state.key(&*context.random)?;
    // Clients resolve a relative path from wherever they are.
    let bundle_dir = args
        .bundle_dir
        .map(|dir| dir.canonicalize().map_err(AccessError::on(&dir, "use")))
        .transpose()?;
    runtime::block_on(async {
        let _log = runtime::log(context, LogSettings::default(), None)?;
        let stop = stop_signal().map_err(|error| Failure::new(ExitCode::Other, error))?;
        let proxy = start
            .prepare(
                args.listen,
                args.ops_listen,
                bundle_dir,
                (state.clone(), key),
                context,
            )
            .await?;
        let (ca, bundle) = proxy.files();
        let running = Running {
            address: proxy.address(),
            bundle: bundle.clone(),
            ca: ca.clone(),
            region,
        };
        state.announce(&running)?;
        tell(&running, proxy.ops_address(), rules, context)?;
        proxy.run(stop).await;
        state.withdraw(&running);
        Ok(())
    })?
}

fn tell(running: &Running, ops: Option<SocketAddr>, rules: usize, context: &Context) -> Outcome {
    let printer = context.printer;
    let plural = if rules == 1 { "" } else { "s" };
    printer.note(&format!(
        "{rules} rule{plural}; programs reach AWS through the address below once they have what\n\
         \x20 eval \"$(idp proxy env)\"\n\
         sets. Who can read {} needs no proxy: run programs as another user",
        running.ca.parent().unwrap_or(&running.ca).display()
    ));
    let url = format!("http://{}", running.address);
    if printer.json {
        let line = json!({
            "address": running.address,
            "url": url,
            "ca_file": running.ca,
            "bundle_file": running.bundle,
            "region": running.region,
            "rules": rules,
            "ops_address": ops,
        });
        printer.line(&line.to_string())
    } else {
        printer.line(&url)
    }
}
