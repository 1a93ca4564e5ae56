//! What can be set, as `docs/OPERATIONS.md` shows it. Tests hold this list to what is read, the
//! defaults to what is used where nothing is set, and the page to this list.

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The name, its section before a dot.
    pub name: &'static str,
    /// The value that stands for its absence, as it is written in TOML; empty where nothing does.
    pub default: &'static str,
}

const fn setting(name: &'static str, default: &'static str) -> Setting {
    Setting { name, default }
}

/// Every setting, in the order in which the page explains them.
pub const SETTINGS: &[Setting] = &[
    setting("issuer", ""),
    setting("server_url", ""),
    setting("listen", "\"127.0.0.1:8080\""),
    setting("database.url", ""),
    setting("database.url_file", ""),
    setting("keys.encryption_key_file", ""),
    setting("keys.algorithm", "\"RS256\""),
    setting("keys.pending_for", "\"24h\""),
    setting("keys.active_for", "\"30d\""),
    setting("keys.retiring_for", "\"24h\""),
    setting("keys.check_publication", "true"),
    setting("keys.backend", "\"sealed-file\""),
    setting("keys.signer_timeout", "5"),
    setting("keys.signer_concurrency", "32"),
    setting("aws_kms.region", ""),
    setting("aws_kms.endpoint_url", ""),
    setting("aws_kms.ca_file", ""),
    setting("aws_kms.deletion_days", ""),
    setting("pkcs11.module", ""),
    setting("pkcs11.token", ""),
    setting("pkcs11.pin_file", ""),
    setting("tls.cert_file", ""),
    setting("tls.key_file", ""),
    setting("ops.listen", ""),
    setting("tokens.default_ttl", "900"),
    setting("tokens.max_ttl", "3600"),
    setting("limits.connections", "4096"),
    setting("limits.signing_queue", "1024"),
    setting("limits.request_timeout", "15"),
    setting("limits.header_timeout", "10"),
    setting("limits.address_rate", "50"),
    setting("limits.address_burst", "1000"),
    setting("limits.client_rate", "50"),
    setting("limits.client_burst", "1000"),
    setting("limits.trusted_proxies", "[]"),
    setting("shutdown.delay", "0"),
    setting("shutdown.timeout", "20"),
    setting("log.format", ""),
    setting("log.level", "\"info\""),
    setting("audit.checkpoints", ""),
    setting("audit.checkpoint_every", "\"1h\""),
    setting("audit.retain", ""),
    setting("otel.endpoint", ""),
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write as _, path::Path};

    use super::*;
    use crate::config::Settings;

    #[test]
    fn lists_what_is_read() {
        let listed: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(listed.len(), SETTINGS.len());
        assert_eq!(listed, Settings::names().into_iter().collect());
    }

    #[test]
    fn its_defaults_are_the_defaults() {
        let required = "issuer = \"https://idp.example.com\"\ndatabase.url = \"sqlite:a.db\"\n";
        let mut explicit = required.to_owned();
        for setting in SETTINGS
            .iter()
            .filter(|setting| !setting.default.is_empty())
        {
            // Writing to a `String` cannot fail.
            let _ = writeln!(explicit, "{} = {}", setting.name, setting.default);
        }
        let load = |text: &str| Settings::load(Some((Path::new("idp.toml"), text)), &|_| None);
        assert_eq!(load(required).unwrap(), load(&explicit).unwrap());
    }
}
