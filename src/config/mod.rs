//! The server's configuration: typed sections from a TOML file with `IDP_…` variables on top, all of
//! it validated at once, so that one run of `idp config check` reports every mistake.

mod audit;
mod database;
mod limits;
mod log;
mod reader;
mod reference;
mod signer;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use url::Url;

use crate::domain::{
    DatabaseUrl, Issuer, Rotation, SigningAlgorithm, TokenLifetime, parse_duration,
};
pub use audit::AuditSettings;
pub use limits::{LimitSettings, RateLimit, ShutdownSettings};
pub use log::{LogFormat, LogLevel, LogSettings};
use reader::Reader;
pub use reader::{ConfigError, ConfigErrors, closest, variable};
pub use reference::{SETTINGS, Setting};
pub use signer::{KeyBackend, KmsSettings, Pkcs11Settings, SignerSettings};

/// Every setting of `idp serve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The issuer: in every token, in discovery, and what AWS registers.
    pub issuer: Issuer,
    /// Where environments reach the server; the issuer unless that is published elsewhere.
    pub server_url: Url,
    /// Where the server listens.
    pub listen: SocketAddr,
    /// `sqlite:PATH` or `postgres://…`.
    pub database_url: DatabaseUrl,
    /// Keys.
    pub keys: KeySettings,
    /// TLS of the server itself; `None` behind a proxy that ends it.
    pub tls: Option<TlsSettings>,
    /// Where health and readiness are answered; nowhere if `None`.
    pub ops_listen: Option<SocketAddr>,
    /// Tokens.
    pub tokens: TokenSettings,
    /// Limits.
    pub limits: LimitSettings,
    /// The audit log.
    pub audit: AuditSettings,
    /// The proxies in front whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How the server ends.
    pub shutdown: ShutdownSettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// Where spans go, as OTLP over HTTP: the collector's address, without `/v1/traces`.
    pub otel_endpoint: Option<Url>,
}

/// `[keys]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// The file with the key-encryption key; made on the first start.
    pub encryption_key_file: PathBuf,
    /// How tokens are signed.
    pub algorithm: SigningAlgorithm,
    /// How long a key stays in each state.
    pub rotation: Rotation,
    /// Whether a key has to be seen at the issuer's public address before it signs, where that is not
    /// the server's own.
    pub check_publication: bool,
    /// Where the private halves are.
    pub signer: SignerSettings,
}

/// `[tls]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificate chain, PEM.
    pub cert_file: PathBuf,
    /// The private key, PEM.
    pub key_file: PathBuf,
}

/// `[tokens]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenSettings {
    /// The life of a token whose request names none.
    pub default_ttl: TokenLifetime,
    /// The longest life that a request may name.
    pub max_ttl: TokenLifetime,
}

/// The files and places that a configuration names, as far as it could be read.
#[derive(Clone, Copy, Debug)]
pub struct Named<'s> {
    /// The SQLite file, where the database is one.
    pub sqlite: Option<&'s Path>,
    /// The setting that names the database.
    pub database_setting: &'static str,
    /// The key-encryption key's file, where its place is known.
    pub encryption_key_file: Option<&'s Path>,
    /// TLS.
    pub tls: Option<&'s TlsSettings>,
    /// Keystores outside the process.
    pub signer: &'s SignerSettings,
    /// Where checkpoints are written.
    pub checkpoints: Option<&'s str>,
}

/// Something wrong with what a setting names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The setting's name.
    pub setting: &'static str,
    /// What is wrong, to be read after the setting's name.
    pub problem: String,
    /// What to do; empty where the problem says it.
    pub cure: String,
}

/// Looks at what a configuration names.
pub type Examine<'a> = &'a dyn Fn(&Named<'_>) -> Vec<Fault>;

/// Looks up an environment variable; the real environment in the program, a map in tests.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// Reads the settings from the text of a file (`path` is for messages and for resolving relative
    /// paths) and the environment, which wins.
    ///
    /// # Errors
    /// Every mistake that there is, not only the first.
    pub fn load(file: Option<(&Path, &str)>, env: Lookup<'_>) -> Result<Self, ConfigErrors> {
        Self::load_examined(file, env, &|_| Vec::new())
    }

    /// The same, and has `examine` look at what the settings name.
    ///
    /// # Errors
    /// Every mistake that there is in the settings, and every fault of what those name that can be read.
    pub fn load_examined(
        file: Option<(&Path, &str)>,
        env: Lookup<'_>,
        examine: Examine<'_>,
    ) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(file, env);
        let settings = Self::read(&mut reader, examine);
        reader.finish(settings)
    }

    /// `None` only where an error was noted.
    fn read(reader: &mut Reader<'_>, examine: Examine<'_>) -> Option<Self> {
        let issuer: Option<Issuer> = reader.required(
            "issuer",
            "the public URL of this identity provider, for example \"https://idp.example.com\"",
        );
        let server_url = reader.optional_with("server_url", parse_server_url);
        let listen = reader
            .optional_with("listen", parse_address)
            .unwrap_or_else(|| ([127, 0, 0, 1], 8080).into());
        let database_url = database::read_url(reader);
        let tokens = read_tokens(reader);
        let keys = KeySettings {
            encryption_key_file: database::read_key_file(reader, database_url.as_ref()),
            algorithm: reader
                .optional_with("keys.algorithm", |text| {
                    SigningAlgorithm::from_name(text)
                        .ok_or_else(|| "is neither \"RS256\" nor \"ES256\"".to_owned())
                })
                .unwrap_or_default(),
            rotation: read_rotation(reader, tokens.max_ttl),
            check_publication: reader.or("keys.check_publication", true),
            signer: signer::read(reader),
        };
        let tls = read_tls(reader);
        let ops_listen = reader.optional_with("ops.listen", parse_address);
        let limits = limits::read(reader);
        let trusted_proxies = reader.list("limits.trusted_proxies", limits::parse_network);
        let shutdown = limits::read_shutdown(reader);
        let log = log::read(reader);
        let otel_endpoint = reader.optional_with("otel.endpoint", parse_collector);
        let audit = audit::read(reader);
        if ops_listen == Some(listen) {
            reader.note(
                "ops.listen",
                "is the address that `listen` has",
                "give health and readiness a port of their own",
            );
        }
        let sqlite = database_url.as_ref().and_then(DatabaseUrl::sqlite_path);
        let key_is_named = sqlite.is_some() || reader.is_set("keys.encryption_key_file").is_some();
        let faults = examine(&Named {
            sqlite,
            database_setting: database::setting(reader),
            encryption_key_file: key_is_named.then_some(&*keys.encryption_key_file),
            tls: tls.as_ref(),
            signer: &keys.signer,
            checkpoints: audit.checkpoints.as_deref(),
        });
        for fault in faults {
            reader.note(fault.setting, &fault.problem, &fault.cure);
        }
        let issuer = issuer?;
        Some(Self {
            server_url: match server_url {
                Some(url) => url,
                None => Url::parse(issuer.as_str()).ok()?,
            },
            issuer,
            listen,
            database_url: database_url?,
            keys,
            tls,
            ops_listen,
            tokens,
            limits,
            audit,
            trusted_proxies,
            shutdown,
            log,
            otel_endpoint,
        })
    }

    /// The name of every setting that is read.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        let mut reader = Reader::new(None, &|_| None);
        // What is missing does not matter here.
        drop(Self::read(&mut reader, &|_| Vec::new()));
        reader.names().to_vec()
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "is not an IP address and a port; write it like \"0.0.0.0:8443\" or \"[::]:8443\""
            .to_owned()
    })
}

/// The same rule as for an issuer: https, or http on loopback; spans name environments.
fn parse_collector(text: &str) -> Result<Url, String> {
    if !cfg!(feature = "otel") {
        return Err(
            "this program was built without OpenTelemetry; build it with --features otel, or remove the setting"
                .to_owned(),
        );
    }
    parse_server_url(text)
}

fn parse_server_url(text: &str) -> Result<Url, String> {
    // The same rule as for an issuer: https, or http on loopback.
    text.trim_end_matches('/')
        .parse::<Issuer>()
        .map_err(|error| error.to_string())
        .and_then(|_| Url::parse(text).map_err(|error| error.to_string()))
}

fn read_tls(reader: &mut Reader<'_>) -> Option<TlsSettings> {
    let cert_file = reader.optional_path("tls.cert_file");
    let key_file = reader.optional_path("tls.key_file");
    match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Some(TlsSettings {
            cert_file,
            key_file,
        }),
        (None, None) => None,
        (Some(_), None) => {
            reader.note(
                "tls.key_file",
                "is missing",
                "name the private key's PEM file",
            );
            None
        }
        (None, Some(_)) => {
            reader.note(
                "tls.cert_file",
                "is missing",
                "name the certificate chain's PEM file",
            );
            None
        }
    }
}

fn read_tokens(reader: &mut Reader<'_>) -> TokenSettings {
    let lifetime = |text: &str| {
        text.parse()
            .ok()
            .and_then(TokenLifetime::from_secs)
            .ok_or_else(|| "is not a number of seconds from 60 to 3600".to_owned())
    };
    let max_ttl = reader
        .optional_with("tokens.max_ttl", lifetime)
        .or(TokenLifetime::from_secs(TokenLifetime::MAX.into()))
        .unwrap_or_default();
    let default_ttl = reader.optional_with("tokens.default_ttl", lifetime);
    if default_ttl.is_some_and(|default_ttl| default_ttl > max_ttl) {
        reader.note(
            "tokens.default_ttl",
            "is longer than `tokens.max_ttl`",
            "lower it, or raise the maximum",
        );
    }
    TokenSettings {
        default_ttl: default_ttl.unwrap_or_default().min(max_ttl),
        max_ttl,
    }
}

/// The lengths of a key's states. They are checked together, once each of them can be read.
fn read_rotation(reader: &mut Reader<'_>, longest_life: TokenLifetime) -> Rotation {
    let default = Rotation::default();
    let before = reader.mistakes();
    let mut length = |name, default| {
        reader
            .optional_with(name, parse_duration)
            .unwrap_or(default)
    };
    let rotation = Rotation {
        pending_for: length("keys.pending_for", default.pending_for),
        active_for: length("keys.active_for", default.active_for),
        retiring_for: length("keys.retiring_for", default.retiring_for),
    };
    if reader.mistakes() == before {
        for unsound in rotation.unsound(longest_life.duration()) {
            reader.note(unsound.setting, &unsound.problem, &unsound.cure);
        }
    }
    rotation
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "idp.toml";

    fn load(text: &str, env: &[(&str, &str)]) -> Result<Settings, ConfigErrors> {
        Settings::load(Some((Path::new(FILE), text)), &|name| {
            env.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn little_is_needed() {
        let settings = load(
            "issuer = \"https://idp.example.com\"\n[database]\nurl = \"sqlite:/var/lib/idp/idp.db\"\n",
            &[],
        )
        .unwrap();
        assert_eq!(settings.server_url.as_str(), "https://idp.example.com/");
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(
            settings.keys.encryption_key_file,
            Path::new("/var/lib/idp/key-encryption-key")
        );
        assert_eq!(settings.keys.algorithm, SigningAlgorithm::Rs256);
        assert_eq!(settings.tokens.default_ttl.secs(), 900);
        assert_eq!(settings.tokens.max_ttl.secs(), 3600);
    }

    #[test]
    fn the_environment_wins_and_suffices() {
        let env = [
            ("IDP_ISSUER", "https://env.example"),
            ("IDP_DATABASE_URL", "sqlite:a.db"),
            ("IDP_KEYS_ALGORITHM", "ES256"),
        ];
        let settings = load("issuer = \"https://file.example\"", &env).unwrap();
        assert_eq!(settings.issuer.as_str(), "https://env.example");
        assert_eq!(settings.keys.algorithm, SigningAlgorithm::Es256);
        let lookup = |name: &str| {
            env.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        assert!(Settings::load(None, &lookup).is_ok());
    }

    #[test]
    fn paths_count_from_the_file_that_names_them() {
        let load = |text: &str, env: &[(&str, &str)]| {
            let text = format!("issuer = \"https://idp.example.com\"\n{text}");
            let lookup = |name: &str| {
                let found = env.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            Settings::load(Some((Path::new("/etc/idp/idp.toml"), &text)), &lookup).unwrap()
        };
        let settings = load("database.url = \"sqlite:idp.db\"", &[]);
        assert_eq!(settings.database_url.expose(), "sqlite:/etc/idp/idp.db");
        let key_file = settings.keys.encryption_key_file;
        assert_eq!(key_file, Path::new("/etc/idp/key-encryption-key"));
        let settings = load("", &[("IDP_DATABASE_URL", "sqlite:idp.db")]);
        assert_eq!(settings.database_url.expose(), "sqlite:idp.db");
        let key_file = settings.keys.encryption_key_file;
        assert_eq!(key_file, Path::new("key-encryption-key"));
    }

    #[test]
    fn an_address_with_a_password_can_be_in_a_file_and_is_never_shown() {
        const ADDRESS: &str = "postgres://idp:hunter2@db.example.com/idp";
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("database-url");
        std::fs::write(&file, format!("{ADDRESS}\n")).unwrap();
        let text = format!(
            "issuer = \"https://idp.example.com\"\nkeys.encryption_key_file = \"/k\"\n\
             database.url_file = {:?}\n",
            file.display().to_string()
        );
        let settings = load(&text, &[]).unwrap();
        assert_eq!(settings.database_url.expose(), ADDRESS);
        assert!(!format!("{settings:?}").contains("hunter2"));
        let settings = load(&text, &[("IDP_DATABASE_URL", "sqlite:/x.db")]).unwrap();
        assert_eq!(settings.database_url.expose(), "sqlite:/x.db");
        let both = format!("{text}database.url = \"{ADDRESS}\"\n");
        let settings = load(
            &both,
            &[("IDP_DATABASE_URL_FILE", &file.display().to_string())],
        );
        assert_eq!(settings.unwrap().database_url.expose(), ADDRESS);

        let refusal = |text: &str, says: &str| {
            let error = load(text, &[]).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        };
        refusal(&both, "database.url_file is set beside `database.url`");
        std::fs::write(&file, "hunter2").unwrap();
        refusal(&text, "whose content is neither of the form");
        std::fs::remove_file(&file).unwrap();
        refusal(&text, "which cannot be read");
        let typo =
            "issuer = \"https://idp.example.com\"\ndatabase.url = \"postgre://idp:hunter2@h/d\"";
        refusal(typo, "idp.toml:2: database.url is neither of the form");
        let no_key = format!("issuer = \"https://idp.example.com\"\ndatabase.url = \"{ADDRESS}\"");
        refusal(&no_key, "keys.encryption_key_file is missing");
    }

    #[test]
    fn five_mistakes_are_five_reports() {
        let errors = load(
            "issuer = \"http://idp.example.com\"\nlistne = \"x\"\n[database]\nurl = \"mysql:x\"\n\
             [keys]\nalgorithm = \"EdDSA\"\n[tls]\ncert_file = \"a\"\n",
            &[("IDP_TOKENS_MAX_TTL", "7200")],
        )
        .unwrap_err();
        let text = errors.to_string();
        assert_eq!(errors.0.len(), 6, "{text}");
        for says in [
            "idp.toml:1: issuer",
            "idp.toml:2: listne is not a setting; did you mean listen?",
            "idp.toml:4: database.url",
            "idp.toml:6: keys.algorithm",
            "tls.key_file is missing",
            "IDP_TOKENS_MAX_TTL: tokens.max_ttl",
        ] {
            assert!(text.contains(says), "{says} in\n{text}");
        }
    }

    #[test]
    fn a_state_of_a_key_that_breaks_its_floor_is_refused_with_the_reason() {
        let text = |keys: &str| {
            format!(
                "issuer = \"https://idp.example.com\"\n[database]\nurl = \"sqlite:a\"\n\
                 [keys]\n{keys}\n"
            )
        };
        let good = "pending_for = \"1h\"\nactive_for = \"24h\"\nretiring_for = \"75m\"";
        let rotation = load(&text(good), &[]).unwrap().keys.rotation;
        assert_eq!(rotation.retiring_for, std::time::Duration::from_mins(75));
        for (keys, says) in [
            (
                "pending_for = \"59m\"",
                "keys.pending_for is shorter than 1h: verifiers keep",
            ),
            ("active_for = \"23h\"", "keys.active_for is shorter than 1d"),
            (
                "pending_for = \"40d\"",
                "keys.active_for is shorter than 40d: the next key has to be ready",
            ),
            (
                "retiring_for = \"74m\"",
                "keys.retiring_for is shorter than 75m: a key has to stay",
            ),
            (
                "active_for = \"24h\"\nretiring_for = \"30d\"",
                "32 keys would be published at once",
            ),
            ("active_for = \"30\"", "is not a duration such as"),
            ("active_for = \"-1d\"", "is not a duration such as"),
            ("active_for = \"4000d\"", "is longer than ten years"),
            (
                "active_for = \"99999999999999999999d\"",
                "is longer than ten years",
            ),
        ] {
            let error = load(&text(keys), &[]).unwrap_err().to_string();
            assert!(
                error.contains(says) && error.starts_with("idp.toml:"),
                "{error}"
            );
        }
        let shorter = "[tokens]\nmax_ttl = 600\n[keys]\nretiring_for = \"25m\"";
        let text =
            format!("issuer = \"https://i.example\"\n[database]\nurl = \"sqlite:a\"\n{shorter}");
        load(&text, &[]).expect("where tokens live shorter, so do retiring keys");
    }

    #[test]
    fn mistakes_in_limits_are_reports_too() {
        let errors = load(
            "issuer = \"https://idp.example.com\"\nlisten = \"8443\"\n[database]\nurl = \"sqlite:a\"\n\
             [limits]\naddress_rate = -1\ntrusted_proxies = [\"10.0.0.0/8\", \"proxy\", \"10.0.0.0/33\"]\n\
             [log]\nformat = \"xml\"\nlevel = \"loud\"\n[shutdown]\ndelay = 301\n",
            &[("IDP_OTEL_ENDPOINT", "http://collector.example:4318")],
        )
        .unwrap_err();
        let text = errors.to_string();
        assert_eq!(errors.0.len(), 8, "{text}");
        for says in [
            "idp.toml:2: listen = \"8443\": is not an IP address and a port; write it like",
            "idp.toml:6: limits.address_rate = \"-1\": is not a number from 0 to 1000000",
            "idp.toml:7: limits.trusted_proxies has \"proxy\": is not a network; write it like",
            "has \"10.0.0.0/33\"",
            "log.format = \"xml\": is neither",
            "log.level = \"loud\"",
            "shutdown.delay = \"301\": is not a number of seconds from 0 to 300",
            "environment variable IDP_OTEL_ENDPOINT: otel.endpoint",
        ] {
            assert!(text.contains(says), "{says} in\n{text}");
        }
    }

    #[test]
    fn proxies_are_an_array_or_a_list() {
        let text = "issuer = \"https://idp.example.com\"\ndatabase.url = \"sqlite:a\"\n\
                    limits.trusted_proxies = [\"10.0.0.0/8\", \"192.0.2.1\"]\nlimits.client_rate = 0\n";
        let settings = load(text, &[]).unwrap();
        assert_eq!(settings.trusted_proxies.len(), 2);
        assert_eq!(settings.limits.client, None, "0 is off");
        let env = [(
            "IDP_LIMITS_TRUSTED_PROXIES",
            "fd00::/8, 10.0.0.0/8,10.1.0.0/16",
        )];
        assert_eq!(load(text, &env).unwrap().trusted_proxies.len(), 3);
    }

    #[test]
    fn broken_toml_says_where() {
        let error = load("issuer = \n", &[]).unwrap_err().to_string();
        assert!(error.contains("idp.toml:1"), "{error}");
    }

    #[test]
    fn a_value_of_another_type_is_named() {
        let error = load("issuer = [1]\n[database]\nurl = \"sqlite:a\"", &[])
            .unwrap_err()
            .to_string();
        assert!(error.contains("idp.toml:1: issuer is an array"), "{error}");
    }
}
