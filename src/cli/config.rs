//! `idp config check`.

use clap::Subcommand;
use serde_json::json;

use super::{context::Context, failure::Outcome, settings::ConfigArgs};
use crate::domain::spelled;

/// Look at the server's configuration
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Validate the configuration and report every mistake
    #[command(after_help = "Example:\n  idp config check --config idp.toml")]
    Check(ConfigArgs),
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let Command::Check(config) = &args.command;
    let settings = config.load(context)?;
    if settings.issuer.has_port() && !settings.issuer.is_loopback() {
        context.printer.warn(
            "issuer names a port, and AWS advises against ports in a provider's URL; serve it on 443",
        );
    }
    context.printer.note("the configuration is valid");
    let shown = json!({
        "issuer": settings.issuer,
        "server_url": settings.server_url.as_str().trim_end_matches('/'),
        "listen": settings.listen.to_string(),
        "database_url": settings.database_url.to_string(),
        "encryption_key_file": settings.keys.encryption_key_file,
        "algorithm": settings.keys.algorithm,
        "pending_for": spelled(settings.keys.rotation.pending_for),
        "active_for": spelled(settings.keys.rotation.active_for),
        "retiring_for": spelled(settings.keys.rotation.retiring_for),
        "check_publication": settings.keys.check_publication,
        "tls": settings.tls.is_some(),
        "ops_listen": settings.ops_listen.map(|address| address.to_string()),
        "default_ttl": settings.tokens.default_ttl.secs(),
        "max_ttl": settings.tokens.max_ttl.secs(),
        "trusted_proxies": settings.trusted_proxies,
        "otel_endpoint": settings.otel_endpoint.as_ref().map(url::Url::as_str),
        "audit_checkpoints": settings.audit.checkpoints,
        "audit_checkpoint_every": settings.audit.checkpoint_every.as_secs(),
        "audit_retain": settings.audit.retain.map(|retain| retain.as_secs()),
    });
    if context.printer.json {
        return context.printer.line(&shown.to_string());
    }
    if let Some(members) = shown.as_object() {
        for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            context.printer.line(&format!("{name}: {text}"))?;
        }
    }
    Ok(())
}
