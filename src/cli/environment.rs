//! The process's environment variables, read once and passed down.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use super::{
    exit::ExitCode,
    failure::{Failure, Outcome},
};
use crate::{client::last_refusal, upstream::http::HttpSettings};

/// A snapshot of the environment variables. An empty one counts as not set, as in the AWS tools.
#[derive(Clone, Default)]
pub struct Environment(HashMap<OsString, OsString>);

impl Environment {
    /// The process's own.
    #[must_use]
    pub fn from_process() -> Self {
        std::env::vars_os().collect()
    }

    /// The variable of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
    }

    /// The variable of that name, which must be Unicode.
    pub fn text(&self, name: &str) -> Outcome<Option<&str>> {
        match self.get(name).map(OsStr::to_str) {
            None => Ok(None),
            Some(Some(text)) => Ok(Some(text)),
            Some(None) => Err(Failure::usage(format!("{name} is not valid UTF-8"))),
        }
    }

    /// The variable of that name as it is, for rooms that look variables up themselves.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Option<OsString> {
        self.0.get(OsStr::new(name)).cloned()
    }

    /// The names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &OsStr> {
        self.0.keys().map(OsString::as_os_str)
    }

    /// `$IDP_HOME/identity.json`, or in the platform's configuration directory.
    pub fn identity_path(&self) -> Outcome<PathBuf> {
        let home = self.directory("IDP_HOME", "XDG_CONFIG_HOME", CONFIG_BELOW_HOME)?;
        Ok(home.join("identity.json"))
    }

    /// Beside the identity: what is kept of the login that STS refused last.
    pub fn last_refusal_path(&self) -> Outcome<PathBuf> {
        Ok(self
            .identity_path()?
            .with_file_name(last_refusal::FILE_NAME))
    }

    /// `$IDP_CACHE_DIR`, or in the platform's cache directory.
    pub fn cache_dir(&self) -> Outcome<PathBuf> {
        self.directory("IDP_CACHE_DIR", "XDG_CACHE_HOME", CACHE_BELOW_HOME)
    }

    fn directory(&self, own: &str, xdg: &str, below_home: &str) -> Outcome<PathBuf> {
        if let Some(own) = self.get(own) {
            return Ok(own.into());
        }
        // A relative path in an XDG variable is invalid and to be ignored (XDG Base Directory
        // Specification).
        let xdg = self
            .get(xdg)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let home = || Some(PathBuf::from(self.get("HOME")?).join(below_home));
        match xdg.or_else(home) {
            Some(base) => Ok(base.join("idp")),
            None => Err(Failure::new(
                ExitCode::Other,
                anyhow::anyhow!("neither {own} nor HOME is set"),
            )
            .help(format!("set {own} to a directory"))),
        }
    }

    /// How to connect to identity providers: `SSL_CERT_FILE` replaces the system's CA certificates,
    /// `AWS_CA_BUNDLE` (where a company's interception proxy is often named) adds to them.
    #[must_use]
    pub fn http_settings(&self) -> HttpSettings {
        HttpSettings {
            roots: self.get("SSL_CERT_FILE").map(PathBuf::from),
            extra_roots: self.get("AWS_CA_BUNDLE").map(PathBuf::from),
            ..HttpSettings::default()
        }
    }

    /// How to connect to AWS: `AWS_CA_BUNDLE` replaces the CA certificates, as in the AWS tools.
    #[must_use]
    pub fn aws_http_settings(&self) -> HttpSettings {
        HttpSettings {
            roots: self
                .get("AWS_CA_BUNDLE")
                .or_else(|| self.get("SSL_CERT_FILE"))
                .map(PathBuf::from),
            ..HttpSettings::default()
        }
    }
}

const CONFIG_BELOW_HOME: &str = if cfg!(target_os = "macos") {
    "Library/Application Support"
} else {
    ".config"
};

const CACHE_BELOW_HOME: &str = if cfg!(target_os = "macos") {
    "Library/Caches"
} else {
    ".cache"
};

impl std::fmt::Debug for Environment {
    /// The names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(variables: T) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment<const N: usize>(variables: [(&str, &str); N]) -> Environment {
        variables.into_iter().collect()
    }

    #[test]
    fn the_identity_is_where_idp_home_says() {
        let path = |env: Environment| env.identity_path().unwrap();
        assert_eq!(
            path(environment([("IDP_HOME", "/i"), ("HOME", "/h")])),
            PathBuf::from("/i/identity.json")
        );
        assert_eq!(
            path(environment([("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")])),
            PathBuf::from("/x/idp/identity.json")
        );
        let home = environment([("XDG_CONFIG_HOME", "x"), ("IDP_HOME", ""), ("HOME", "/h")]);
        assert!(path(home.clone()).starts_with("/h"));
        assert!(home.cache_dir().unwrap().starts_with("/h"));
        let failure = environment([]).identity_path().unwrap_err();
        assert!(failure.error.to_string().contains("IDP_HOME"));
    }

    #[test]
    fn ca_bundles_replace_for_aws_and_add_for_the_provider() {
        let both = environment([("SSL_CERT_FILE", "/s"), ("AWS_CA_BUNDLE", "/a")]);
        assert_eq!(both.http_settings().roots, Some("/s".into()));
        assert_eq!(both.http_settings().extra_roots, Some("/a".into()));
        assert_eq!(both.aws_http_settings().roots, Some("/a".into()));
        assert_eq!(both.aws_http_settings().extra_roots, None);
    }

    #[test]
    fn debug_shows_no_values() {
        let shown = format!("{:?}", environment([("IDP_JOIN_TOKEN", "idp_join_x")]));
        assert!(!shown.contains("idp_join_x"), "{shown}");
    }
}
