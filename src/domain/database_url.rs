//! The address of the database.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use url::Url;

use super::{ExposeSecret as _, SecretString};

/// Where everything is stored: `sqlite:PATH`, or `postgres://…` as users of libpq write it.
///
/// A PostgreSQL address may hold a password, so `Debug` and `Display` leave out everything but its user,
/// host, port and database.
#[derive(Clone)]
pub struct DatabaseUrl(SecretString);

/// Not the address of a database. The text does not hold what was given, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is neither of the form \"sqlite:PATH\" nor \"postgres://USER@HOST/DATABASE\"")]
pub struct DatabaseUrlError;

impl DatabaseUrl {
    /// The address of an SQLite file.
    #[must_use]
    pub fn sqlite(path: &Path) -> Self {
        Self(SecretString::from(format!("sqlite:{}", path.display())))
    }

    /// The whole address, password and all.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The path of an SQLite file, as it was written; `None` where the database is another.
    #[must_use]
    pub fn sqlite_path(&self) -> Option<&Path> {
        sqlite_path(self.expose()).map(Path::new)
    }

    /// Whether a password is in it.
    #[must_use]
    pub fn has_password(&self) -> bool {
        Url::parse(self.expose()).is_ok_and(|url| {
            url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password")
        })
    }

    /// The same address, with the relative path of an SQLite file counted from `directory`.
    #[must_use]
    pub fn relative_to(self, directory: &Path) -> Self {
        let path: Option<PathBuf> = self
            .sqlite_path()
            .filter(|path| path.is_relative() && *path != Path::new(":memory:"))
            .map(|path| directory.join(path));
        match path.as_deref().and_then(Path::to_str) {
            Some(path) => Self(SecretString::from(format!("sqlite:{path}"))),
            None => self,
        }
    }
}

fn sqlite_path(url: &str) -> Option<&str> {
    let path = url.strip_prefix("sqlite:")?;
    Some(path.strip_prefix("//").unwrap_or(path))
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        let known = match sqlite_path(text) {
            Some(path) => !path.is_empty(),
            None => ["postgres://", "postgresql://"]
                .iter()
                .any(|scheme| text.starts_with(scheme)),
        };
        if known {
            Ok(Self(SecretString::from(text)))
        } else {
            Err(DatabaseUrlError)
        }
    }
}

impl PartialEq for DatabaseUrl {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for DatabaseUrl {}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sqlite_path().is_some() {
            return f.write_str(self.expose());
        }
        let Ok(url) = Url::parse(self.expose()) else {
            return f.write_str("postgres://…");
        };
        f.write_str("postgres://")?;
        if !url.username().is_empty() {
            write!(f, "{}@", url.username())?;
        }
        f.write_str(url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())?;
        // Where a server is that the authority does not name, such as a socket's directory.
        for (at, (name, value)) in url
            .query_pairs()
            .filter(|(name, _)| name == "host" || name == "port")
            .enumerate()
        {
            write!(f, "{}{name}={value}", if at == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> DatabaseUrl {
        text.parse().unwrap()
    }

    #[test]
    fn two_kinds_are_known() {
        assert_eq!(
            url("sqlite:/a/b.db").sqlite_path(),
            Some(Path::new("/a/b.db"))
        );
        assert_eq!(url("sqlite://b.db").sqlite_path(), Some(Path::new("b.db")));
        assert_eq!(url("postgres:///idp").sqlite_path(), None);
        assert_eq!(url("postgresql://h/idp").expose(), "postgresql://h/idp");
        for text in ["", "sqlite:", "sqlite://", "mysql://h/d", "/idp.db"] {
            assert_eq!(text.parse::<DatabaseUrl>(), Err(DatabaseUrlError), "{text}");
        }
    }

    #[test]
    fn relative_paths_count_from_a_directory() {
        for (given, expected) in [
            ("sqlite:idp.db", "sqlite:/etc/idp/idp.db"),
            ("sqlite://data/idp.db", "sqlite:/etc/idp/data/idp.db"),
            ("sqlite:/var/idp.db", "sqlite:/var/idp.db"),
            ("sqlite::memory:", "sqlite::memory:"),
            ("postgres://h/idp", "postgres://h/idp"),
        ] {
            assert_eq!(
                url(given).relative_to(Path::new("/etc/idp")).expose(),
                expected
            );
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        assert!(!url("postgres://idp@h/d?sslmode=require").has_password());
        for (text, shown) in [
            (
                "postgres://idp:hunter2@db.example.com:5433/idp?sslmode=require",
                "postgres://idp@db.example.com:5433/idp",
            ),
            (
                "postgres:///idp?host=/run/postgresql&password=hunter2",
                "postgres:///idp?host=/run/postgresql",
            ),
            ("postgres://idp:hunter2@[::1", "postgres://…"),
        ] {
            assert_eq!(url(text).to_string(), shown);
            assert_eq!(url(text).has_password(), !shown.ends_with('…'));
            assert_eq!(format!("{:?}", url(text)), format!("DatabaseUrl({shown})"));
        }
    }
}
