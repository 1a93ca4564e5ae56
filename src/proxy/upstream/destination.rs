//! Where a host is dialled.

use std::{fmt, net::SocketAddr, str::FromStr};

use crate::domain::AddressRule;

/// Another place for one host, or for all hosts of a domain: `HOST=ADDRESS:PORT`, where TLS is spoken with
/// `HOST`'s name, or `HOST=URL`, where the URL's scheme, host and port are dialled. `HOST` may begin with
/// `*.` or be `*`. What is signed does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamOverride {
    pattern: Pattern,
    to: To,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    All,
    /// With its dot: `.amazonaws.com`.
    Below(String),
    Exact(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum To {
    Address(SocketAddr),
    Url { tls: bool, host: String, port: u16 },
}

/// A text that is not an override.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not HOST=ADDRESS:PORT or HOST=URL, such as s3.eu-central-1.amazonaws.com=10.0.0.7:443, \
     *.amazonaws.com=127.0.0.1:8443 or sqs.us-east-1.amazonaws.com=https://vpce.example.com"
)]
pub struct OverrideError(String);

impl FromStr for UpstreamOverride {
    type Err = OverrideError;

    fn from_str(text: &str) -> Result<Self, OverrideError> {
        let error = || OverrideError(text.chars().take(200).collect());
        let (host, to) = text.split_once('=').ok_or_else(error)?;
        let host = host.trim().to_ascii_lowercase();
        let pattern = match host.strip_prefix('*') {
            Some("") => Pattern::All,
            Some(domain) if domain.len() > 1 && domain.starts_with('.') => {
                Pattern::Below(domain.to_owned())
            }
            Some(_) => return Err(error()),
            None if host.is_empty() => return Err(error()),
            None => Pattern::Exact(host),
        };
        let to = to.trim();
        let to = match to.parse() {
            Ok(address) => To::Address(address),
            Err(_) => url(to).ok_or_else(error)?,
        };
        Ok(Self { pattern, to })
    }
}

impl fmt::Display for UpstreamOverride {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pattern {
            Pattern::All => f.write_str("*")?,
            Pattern::Below(domain) => write!(f, "*{domain}")?,
            Pattern::Exact(name) => f.write_str(name)?,
        }
        match &self.to {
            To::Address(address) => write!(f, "={address}"),
            To::Url { tls, host, port } => {
                let scheme = if *tls { "https" } else { "http" };
                if host.contains(':') {
                    write!(f, "={scheme}://[{host}]:{port}")
                } else {
                    write!(f, "={scheme}://{host}:{port}")
                }
            }
        }
    }
}

fn url(text: &str) -> Option<To> {
    let url: http::Uri = text.parse().ok()?;
    let tls = match url.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let bare = matches!(url.path(), "" | "/") && url.query().is_none();
    let authority = url.authority()?;
    if !bare || authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host();
    if host.is_empty() {
        return None;
    }
    Some(To::Url {
        tls,
        host: host.trim_matches(['[', ']']).to_owned(),
        port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
    })
}

impl UpstreamOverride {
    fn fits(&self, host: &str) -> bool {
        match &self.pattern {
            Pattern::All => true,
            Pattern::Below(domain) => host.ends_with(domain.as_str()),
            Pattern::Exact(name) => name == host,
        }
    }
}

/// Where a host is dialled, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) place: Place,
    /// The name that the certificate has to be for; `None` for plain HTTP.
    pub(super) tls: Option<String>,
    /// Which addresses will do.
    pub(super) rule: AddressRule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Name(String, u16),
    Address(SocketAddr),
}

impl Destination {
    /// The first override that fits `host`; else `host` itself, on a public address.
    pub(super) fn of(host: &str, overrides: &[UpstreamOverride]) -> Self {
        let Some(found) = overrides.iter().find(|one| one.fits(host)) else {
            return Self {
                place: Place::Name(host.to_owned(), 443),
                tls: Some(host.to_owned()),
                rule: AddressRule::PublicOnly,
            };
        };
        let (place, tls) = match &found.to {
            To::Address(address) => (Place::Address(*address), Some(host.to_owned())),
            To::Url { tls, host, port } => {
                (Place::Name(host.clone(), *port), tls.then(|| host.clone()))
            }
        };
        Self {
            place,
            tls,
            rule: AddressRule::AnyAddress,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(texts: &[&str]) -> Vec<UpstreamOverride> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn hosts_are_dialled_where_the_first_override_says() {
        let all = overrides(&[
            "S3.us-east-1.amazonaws.com=127.0.0.1:8443",
            "*.amazonaws.com=http://localhost:5000",
            "*=https://[::1]",
        ]);
        let to = |host: &str| Destination::of(host, &all);
        let s3 = to("s3.us-east-1.amazonaws.com");
        assert_eq!(s3.place, Place::Address("127.0.0.1:8443".parse().unwrap()));
        assert_eq!(s3.tls.as_deref(), Some("s3.us-east-1.amazonaws.com"));
        let sqs = to("sqs.us-east-1.amazonaws.com");
        assert_eq!(sqs.place, Place::Name("localhost".to_owned(), 5000));
        assert_eq!((sqs.tls, sqs.rule), (None, AddressRule::AnyAddress));
        let other = to("sqs.us-east-1.api.aws");
        assert_eq!(other.place, Place::Name("::1".to_owned(), 443));
        let plain = Destination::of("sqs.us-east-1.amazonaws.com", &[]);
        assert_eq!(plain.rule, AddressRule::PublicOnly);
        assert_eq!(
            plain.place,
            Place::Name("sqs.us-east-1.amazonaws.com".to_owned(), 443)
        );
    }

    #[test]
    fn says_what_an_override_looks_like() {
        for bad in [
            "",
            "x",
            "=127.0.0.1:1",
            "x=",
            "x=127.0.0.1",
            "x=ftp://y",
            "x=http://y/z",
            "x=http://u@y",
            "*x=127.0.0.1:1",
        ] {
            let error = bad.parse::<UpstreamOverride>().unwrap_err();
            assert!(error.to_string().contains("HOST=URL"), "{bad}: {error}");
        }
    }
}
