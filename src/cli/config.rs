//! `idp config check`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    context::Context,
    failure::Outcome,
    settings::{ConfigArgs, unknown_variables},
};
use crate::{
    config::{LogFormat, RateLimit, Settings},
    domain::spelled,
};

/// Look at the server's configuration
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  idp config check --config idp.toml")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Validate the configuration and report every mistake
    ///
    /// Opens the files that it names as well, so it has to run as the server's user on the server's
    /// machine. Makes nothing and connects to nothing. Warns of IDP_… variables that nothing reads.
    #[command(after_help = "Example:\n  idp config check --config idp.toml")]
    Check(ConfigArgs),
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let Command::Check(config) = &args.command;
    for unknown in unknown_variables(&context.env) {
        context.printer.warn(&unknown);
    }
    let settings = config.load_examined(context)?;
    if settings.issuer.has_port() && !settings.issuer.is_loopback() {
        context.printer.warn(
            "issuer names a port, and AWS advises against ports in a provider's URL; serve it on 443",
        );
    }
    context.printer.note("the configuration is valid");
    let shown = shown(&settings);
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

/// Every setting as it is in force, without a secret; null where it is off or left to its default
/// elsewhere.
fn shown(settings: &Settings) -> Value {
    let mut shown = json!({
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
    if let (Some(all), Value::Object(more)) = (shown.as_object_mut(), operation(settings)) {
        all.extend(more);
    }
    shown
}

/// What concerns running the server rather than what it says.
fn operation(settings: &Settings) -> Value {
    let (limits, signer) = (&settings.limits, &settings.keys.signer);
    let (kms, pkcs11) = (signer.kms.as_ref(), signer.pkcs11.as_ref());
    let rate = |limit: Option<RateLimit>| limit.map_or(0, |limit| limit.per_second.get());
    let burst = |limit: Option<RateLimit>| limit.map(|limit| limit.burst.get());
    json!({
        "backend": signer.backend.as_str(),
        "signer_timeout": signer.timeout.as_secs(),
        "signer_concurrency": signer.concurrency,
        "aws_kms_region": kms.map(|kms| &kms.region),
        "aws_kms_endpoint_url": kms.map(|kms| kms.endpoint_url.as_ref().map(url::Url::as_str)),
        "aws_kms_ca_file": kms.map(|kms| &kms.ca_file),
        "aws_kms_deletion_days": kms.map(|kms| kms.deletion_days),
        "pkcs11_module": pkcs11.map(|token| &token.module),
        "pkcs11_token": pkcs11.map(|token| &token.token),
        "pkcs11_pin_file": pkcs11.map(|token| &token.pin_file),
        "tls_cert_file": settings.tls.as_ref().map(|tls| &tls.cert_file),
        "tls_key_file": settings.tls.as_ref().map(|tls| &tls.key_file),
        "connections": limits.connections,
        "signing_queue": limits.signing_queue,
        "request_timeout": limits.request_timeout.as_secs(),
        "header_timeout": limits.header_timeout.as_secs(),
        "address_rate": rate(limits.address),
        "address_burst": burst(limits.address),
        "client_rate": rate(limits.client),
        "client_burst": burst(limits.client),
        "shutdown_delay": settings.shutdown.delay.as_secs(),
        "shutdown_timeout": settings.shutdown.timeout.as_secs(),
        "log_format": settings.log.format.map(LogFormat::as_str),
        "log_level": settings.log.level.as_str(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::SETTINGS;

    #[test]
    fn every_setting_is_shown() {
        let text = "issuer = \"https://idp.example.com\"\ndatabase.url = \"sqlite:a.db\"\n";
        let settings = Settings::load(Some((Path::new("idp.toml"), text)), &|_| None).unwrap();
        let shown = shown(&settings);
        for setting in SETTINGS {
            let (_, last) = setting.name.rsplit_once('.').unwrap_or(("", setting.name));
            let whole = setting.name.replace('.', "_");
            let there = [last, whole.as_str()]
                .iter()
                .any(|name| shown.get(name).is_some());
            // The address that the file holds is shown in its place.
            assert!(
                there || setting.name == "database.url_file",
                "{}",
                setting.name
            );
        }
    }
}
