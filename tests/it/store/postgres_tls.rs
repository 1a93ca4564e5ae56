//! PostgreSQL over TLS, with a password.

use std::{fs, path::PathBuf, process::Stdio, sync::Arc};

use idp::{
    domain::{SimulatedClock, Timestamp},
    ports::Store as _,
    store::PostgresStore,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::support::{Postgres, clean_command};

const PASSWORD: &str = "correct-horse-battery";

struct Guarded {
    postgres: Postgres,
    dir: TempDir,
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Guarded {
    /// A server whose certificate is for `localhost`, and two authorities: its own, and another.
    async fn start() -> Option<Self> {
        let own = authority("idp test authority");
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &own)
            .unwrap();
        let postgres =
            Postgres::guarded(PASSWORD, &certificate.pem(), &key.serialize_pem()).await?;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), own.pem()).unwrap();
        fs::write(dir.path().join("other.pem"), authority("another").pem()).unwrap();
        // Another test of this process may have done it; under nextest there is none.
        rustls::crypto::aws_lc_rs::default_provider()
            .install_default()
            .ok();
        Some(Self { postgres, dir })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn url(&self, password: &str, host: &str, parameters: &str) -> String {
        let port = self.postgres.port();
        let parameters = parameters.replace("DIR", &self.dir.path().display().to_string());
        format!("postgres://idp{password}@{host}:{port}/idp?{parameters}")
    }

    /// What is wrong with an address; nothing where it opens.
    async fn refusal(&self, url: &str) -> Option<String> {
        let clock = Arc::new(SimulatedClock::new(Timestamp::from_secs(1_740_514_245)));
        match PostgresStore::open(&url.parse().unwrap(), clock).await {
            Ok(store) => {
                store.ping().await.unwrap();
                store.close().await;
                None
            }
            Err(error) => Some(error.to_string()),
        }
    }
}

#[tokio::test]
async fn what_sslmode_says_is_done() {
    let Some(guarded) = Guarded::start().await else {
        return;
    };
    let password = format!(":{PASSWORD}");
    for (host, parameters) in [
        ("localhost", "sslmode=verify-full&sslrootcert=DIR/ca.pem"),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=DIR/ca.pem"),
        ("127.0.0.1", "sslmode=require&sslrootcert=DIR/ca.pem"),
        ("127.0.0.1", "sslmode=require"),
        ("127.0.0.1", "sslmode=prefer"),
    ] {
        let url = guarded.url(&password, host, parameters);
        assert_eq!(guarded.refusal(&url).await, None, "{host} {parameters}");
    }
    let untrusted = "cannot be spoken to safely";
    for (host, parameters, says) in [
        (
            "localhost",
            "sslmode=verify-full&sslrootcert=DIR/other.pem",
            untrusted,
        ),
        (
            "127.0.0.1",
            "sslmode=verify-full&sslrootcert=DIR/ca.pem",
            untrusted,
        ),
        (
            "127.0.0.1",
            "sslmode=verify-ca&sslrootcert=DIR/other.pem",
            untrusted,
        ),
        (
            "127.0.0.1",
            "sslmode=require&sslrootcert=DIR/other.pem",
            untrusted,
        ),
        ("localhost", "sslmode=verify-full", untrusted),
        ("127.0.0.1", "sslmode=disable", "no encryption"),
    ] {
        let url = guarded.url(&password, host, parameters);
        let refusal = guarded.refusal(&url).await.expect("it opens");
        assert!(refusal.contains(says), "{host} {parameters}: {refusal}");
        assert!(!refusal.contains(PASSWORD), "{refusal}");
        if says == untrusted {
            assert!(refusal.contains("sslrootcert"), "{refusal}");
        }
    }
}

/// The program itself, because the password comes from its environment.
#[tokio::test]
async fn the_password_comes_from_outside_and_shows_nowhere() {
    let Some(guarded) = Guarded::start().await else {
        return;
    };
    let tls = "sslmode=verify-full&sslrootcert=DIR/ca.pem";
    let with = guarded.url(&format!(":{PASSWORD}"), "localhost", tls);
    let without = guarded.url("", "localhost", tls);
    fs::write(guarded.file("url"), format!("{with}\n")).unwrap();
    let wrong = guarded.url(":wrong-horse-battery", "localhost", tls);
    for (setting, variable, opens) in [
        (format!("url = {without:?}"), Some(PASSWORD), true),
        (format!("url_file = {:?}", guarded.file("url")), None, true),
        (format!("url = {with:?}"), None, true),
        (
            format!("url = {without:?}"),
            Some("wrong-horse-battery"),
            false,
        ),
        (format!("url = {wrong:?}"), None, false),
        (format!("url = {without:?}"), None, false),
    ] {
        let config = guarded.file("idp.toml");
        let key = guarded.file("key-encryption-key");
        let text = format!(
            "issuer = \"https://idp.example.com\"\nlisten = \"127.0.0.1:0\"\nkeys.encryption_key_file = {key:?}\n\
             log.level = \"trace\"\n[database]\n{setting}\n"
        );
        fs::write(&config, text).unwrap();
        let mut command = clean_command(env!("CARGO_BIN_EXE_idp"));
        command
            .args(["admin", "bootstrap", "--config"])
            .arg(&config);
        command.stdin(Stdio::null());
        if let Some(password) = variable {
            command.env("PGPASSWORD", password);
        }
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains("horse-battery"), "{setting}: {text}");
        // The first makes the administrator, and the others find that there is one.
        let reached = text.contains("idp_admin_") || text.contains("administrator token already");
        assert_eq!(reached, opens, "{setting}: {text}");
        if !opens {
            assert!(text.contains("refused the connection"), "{setting}: {text}");
            assert!(text.contains("PGPASSWORD"), "{setting}: {text}");
        }
    }
}
