//! Issuer identifiers.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// An issuer identifier: the URL that discovery, `iss` and the IAM provider share, kept exactly as
/// it was written, because relying parties compare it character by character.
///
/// `https`, or `http` on a loopback address; at most 255 characters (IAM's limit); no query, no
/// fragment, no user name, no trailing slash. ([OpenID Connect Discovery 1.0 §3], IAM's
/// `CreateOpenIDConnectProvider`.)
///
/// [OpenID Connect Discovery 1.0 §3]: https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Issuer(Arc<str>);

/// Why a text is not an [`Issuer`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Not an absolute URL.
    #[error("{0:?} is not an absolute URL; write one like https://idp.example.com")]
    Url(String),
    /// Neither `https` nor `http` on loopback.
    #[error(
        "an issuer must be an https URL (http only on a loopback address, for development), not {0:?}"
    )]
    Scheme(String),
    /// Has a part that an issuer cannot have.
    #[error("an issuer must not have {0}")]
    Part(&'static str),
    /// Over IAM's limit.
    #[error("an issuer may have at most 255 characters, this one has {0}")]
    TooLong(usize),
    /// The URL parser writes it differently.
    #[error("write the issuer in its canonical form, {0:?}")]
    NotCanonical(String),
}

impl Issuer {
    /// The URL as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What IAM calls the provider: the URL without its scheme, which is also the prefix of its
    /// condition keys (`HOST/PATH:sub`).
    #[must_use]
    pub fn provider(&self) -> &str {
        self.0
            .split_once("://")
            .map_or(&*self.0, |(_, provider)| provider)
    }

    /// The path below the host, without a trailing slash: empty for an issuer at the root.
    #[must_use]
    pub fn path(&self) -> &str {
        let provider = self.provider();
        provider.find('/').map_or("", |at| &provider[at..])
    }

    /// Whether the host is this machine, where `http` is allowed.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        Url::parse(&self.0).is_ok_and(|url| is_loopback(&url))
    }

    /// Whether the URL names a port, which IAM's documentation advises against.
    #[must_use]
    pub fn has_port(&self) -> bool {
        Url::parse(&self.0).is_ok_and(|url| url.port().is_some())
    }

    /// `ISSUER/.well-known/openid-configuration`.
    #[must_use]
    pub fn discovery_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.0)
    }

    /// `ISSUER/.well-known/jwks.json`.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("{}/.well-known/jwks.json", self.0)
    }
}

/// Whether a URL's host is `localhost` or a loopback address.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    }
}

impl FromStr for Issuer {
    type Err = IssuerError;

    fn from_str(text: &str) -> Result<Self, IssuerError> {
        if text.chars().count() > 255 {
            return Err(IssuerError::TooLong(text.chars().count()));
        }
        let url = Url::parse(text).map_err(|_| IssuerError::Url(text.to_owned()))?;
        if !(url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url))) {
            return Err(IssuerError::Scheme(text.to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(IssuerError::Part("a user name or password"));
        }
        if text.contains('?') {
            return Err(IssuerError::Part("a query"));
        }
        if text.contains('#') {
            return Err(IssuerError::Part("a fragment"));
        }
        if text.ends_with('/') {
            return Err(IssuerError::Part("a trailing slash"));
        }
        let canonical = url.as_str().trim_end_matches('/');
        if canonical != text {
            return Err(IssuerError::NotCanonical(canonical.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Issuer {
    type Error = IssuerError;

    fn try_from(text: String) -> Result<Self, IssuerError> {
        text.parse()
    }
}

impl From<Issuer> for String {
    fn from(issuer: Issuer) -> Self {
        issuer.0.as_ref().to_owned()
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_into_provider_and_path() {
        let root: Issuer = "https://idp.example.com".parse().unwrap();
        assert_eq!((root.provider(), root.path()), ("idp.example.com", ""));
        let below: Issuer = "https://idp.example.com/o/1".parse().unwrap();
        assert_eq!(
            (below.provider(), below.path()),
            ("idp.example.com/o/1", "/o/1")
        );
        assert_eq!(
            below.jwks_url(),
            "https://idp.example.com/o/1/.well-known/jwks.json"
        );
    }

    #[test]
    fn allows_http_on_loopback_only() {
        for good in [
            "http://127.0.0.1:8080",
            "http://localhost:1",
            "http://[::1]:1",
        ] {
            assert!(good.parse::<Issuer>().unwrap().is_loopback());
        }
        for bad in [
            "http://idp.example.com",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
        ] {
            assert!(matches!(bad.parse::<Issuer>(), Err(IssuerError::Scheme(_))));
        }
    }

    #[test]
    fn refuses_what_iam_or_a_relying_party_would_trip_over() {
        for bad in [
            "idp.example.com",
            "https://idp.example.com/",
            "https://idp.example.com?x",
            "https://idp.example.com#x",
            "https://me@idp.example.com",
            "https://IDP.example.com",
            "https://idp.example.com:443",
            "https://idp.example.com/a/../b",
            &format!("https://idp.example.com/{}", "a".repeat(255)),
        ] {
            assert!(bad.parse::<Issuer>().is_err(), "{bad}");
        }
    }
}
