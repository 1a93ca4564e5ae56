//! The address of a database, as users of libpq write it.

use std::{path::PathBuf, str::FromStr as _};

use sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgSslMode},
};
use url::Url;

use super::error::PostgresOpenError;
use crate::domain::DatabaseUrl;

/// The parameters of libpq that are understood
/// (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>).
const PARAMETERS: [&str; 12] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// Where to connect, and how. What the address leaves out comes from libpq's variables (`PGHOST`,
/// `PGPASSWORD`, …) and its password file.
///
/// As with libpq, `sslmode=require` checks the certificate where a root certificate is given, and
/// `~/.postgresql/root.crt` is one.
///
/// # Errors
/// The address cannot be read; the message shows no value of it.
pub(super) fn options(address: &DatabaseUrl) -> Result<PgConnectOptions, PostgresOpenError> {
    let malformed = |reason: String| PostgresOpenError::Address {
        database: address.to_string(),
        reason,
    };
    let url = Url::parse(address.expose()).map_err(|error| malformed(error.to_string()))?;
    let mut root = std::env::var_os("PGSSLROOTCERT").is_some();
    let mut mode = None;
    for (name, value) in url.query_pairs() {
        if !PARAMETERS.contains(&&*name) {
            return Err(malformed(format!("it has no parameter {name:?}")));
        }
        match &*name {
            "sslrootcert" => root = true,
            "sslmode" => mode = Some(value),
            _ => {}
        }
    }
    // The driver would speak in the clear only.
    if mode.as_deref() == Some("allow") {
        return Err(malformed(
            "sslmode=allow is not supported; write prefer, require or verify-full".to_owned(),
        ));
    }
    let mut options = PgConnectOptions::from_str(address.expose())
        .map_err(|error| malformed(error.to_string()))?;
    if !root && let Some(file) = default_root() {
        options = options.ssl_root_cert(file);
        root = true;
    }
    if root && matches!(options.get_ssl_mode(), PgSslMode::Require) {
        options = options.ssl_mode(PgSslMode::VerifyCa);
    }
    if options.get_application_name().is_none() {
        options = options.application_name("idp");
    }
    Ok(options.disable_statement_logging())
}

fn default_root() -> Option<PathBuf> {
    let file = PathBuf::from(std::env::var_os("HOME")?).join(".postgresql/root.crt");
    file.is_file().then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PgConnectOptions, PostgresOpenError> {
        options(&text.parse().unwrap())
    }

    #[test]
    fn addresses_are_libpqs() {
        let options = read(
            "postgres://idp:p%40ss@db.example.com:5433/data?sslmode=verify-full&application_name=x",
        )
        .unwrap();
        assert_eq!(options.get_host(), "db.example.com");
        assert_eq!(options.get_port(), 5433);
        assert_eq!(options.get_username(), "idp");
        assert_eq!(options.get_database(), Some("data"));
        assert!(matches!(options.get_ssl_mode(), PgSslMode::VerifyFull));
        assert_eq!(options.get_application_name(), Some("x"));

        let socket = read("postgresql:///idp?host=/run/postgresql&user=idp").unwrap();
        assert_eq!(
            socket.get_socket().unwrap().to_str(),
            Some("/run/postgresql")
        );
        assert_eq!(socket.get_application_name(), Some("idp"));
    }

    #[test]
    fn a_root_certificate_is_used() {
        let options = read("postgres://h/d?sslmode=require&sslrootcert=/etc/ca.pem").unwrap();
        assert!(matches!(options.get_ssl_mode(), PgSslMode::VerifyCa));
    }

    #[test]
    fn refusals_show_no_password() {
        for text in [
            "postgres://idp:hunter2@h/d?passwort=hunter2",
            "postgres://idp:hunter2@h/d?sslmode=sometimes",
            "postgres://idp:hunter2@h/d?sslmode=allow",
            "postgres://idp:hunter2@h:port/d",
            "postgres://idp:hunter2@[::1/d",
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(!message.contains("hunter2"), "{message}");
            assert!(message.contains("[database] url"), "{message}");
        }
    }
}
