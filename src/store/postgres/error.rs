//! Why a database was not opened.

/// Why a PostgreSQL database was not opened. Every message names the database, never a password, and
/// what to do.
#[derive(Debug, thiserror::Error)]
pub enum PostgresOpenError {
    /// Not an address.
    #[error(
        "{database} is not the address of a PostgreSQL database: {reason}; write [database] url like \
         postgres://idp@db.example.com/idp?sslmode=verify-full"
    )]
    Address {
        /// The database, without its password.
        database: String,
        /// What is wrong.
        reason: String,
    },
    /// No connection.
    #[error(
        "{database} cannot be reached: {reason}; check [database] url, and that PostgreSQL runs there"
    )]
    Unreachable {
        /// The database.
        database: String,
        /// What happened.
        reason: String,
    },
    /// No TLS, or a certificate that is not trusted.
    #[error(
        "{database} cannot be spoken to safely: {reason}; check that PostgreSQL runs with ssl=on, that \
         sslrootcert in [database] url names the authority of its certificate, and with \
         sslmode=verify-full that the certificate is for the host as it is written there"
    )]
    Untrusted {
        /// The database.
        database: String,
        /// What happened.
        reason: String,
    },
    /// PostgreSQL refused the user.
    #[error(
        "{database} refused the connection: {reason}; check the user, its password (in [database] url, \
         PGPASSWORD or ~/.pgpass) and the server's pg_hba.conf"
    )]
    Refused {
        /// The database.
        database: String,
        /// What PostgreSQL said.
        reason: String,
    },
    /// A setting that durability or correctness depends on does not hold.
    #[error(
        "{database} cannot be used safely: PostgreSQL runs with {setting}={actual} where {wanted} is needed"
    )]
    Setting {
        /// The database.
        database: String,
        /// PostgreSQL's name of the setting.
        setting: &'static str,
        /// What it is.
        actual: String,
        /// What it has to be.
        wanted: &'static str,
    },
    /// Written by a version that this one cannot share it with.
    #[error(
        "{database} needs a newer idp: its schema can be served from version {min_compatible} on, this \
         program knows {known}; upgrade idp"
    )]
    Newer {
        /// The database.
        database: String,
        /// The oldest schema number that a program must know.
        min_compatible: i64,
        /// The newest schema number that this program knows.
        known: i64,
    },
    /// A migration failed; the database is as it was.
    #[error(
        "the schema of {database} could not be brought up to date, and is as it was: {reason}; the user \
         needs the right to create tables in its schema"
    )]
    Migration {
        /// The database.
        database: String,
        /// What happened.
        reason: String,
    },
}

/// What an error of a connection means to whoever starts the server.
pub(super) fn explain(database: &str, error: &sqlx::Error) -> PostgresOpenError {
    let (database, reason) = (database.to_owned(), error.to_string());
    // Class 28 is a refused authorisation, 3D000 a database that is not there, 42501 a right that is
    // missing (https://www.postgresql.org/docs/current/errcodes-appendix.html).
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    match code.as_deref() {
        Some(code) if code.starts_with("28") || matches!(code, "3D000" | "42501") => {
            PostgresOpenError::Refused { database, reason }
        }
        _ if is_about_trust(error) => PostgresOpenError::Untrusted { database, reason },
        _ => PostgresOpenError::Unreachable { database, reason },
    }
}

/// Whether TLS was not to be had, or failed: that comes as an error of the connection's bytes.
fn is_about_trust(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error
            .get_ref()
            .is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>),
        _ => false,
    }
}
