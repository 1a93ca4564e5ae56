//! Host names as requests spell them: in a CONNECT, a URI, a `Host`, a server name.

use std::net::IpAddr;

use super::certificate_authority::in_aws;

/// What stands where a host should be, and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HostError {
    #[error("it holds a user name or password before the host; remove everything up to the \"@\"")]
    UserInfo,
    #[error("the host ends with a dot; write it without")]
    TrailingDot,
    #[error("the host is not a name of letters, digits, hyphens and dots, nor an address")]
    Malformed,
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

/// `HOST[:PORT]`, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) host: Host,
    pub(super) port: Option<u16>,
}

/// A host: a name in lower case, or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Name(String),
    Address(IpAddr),
}

impl Authority {
    pub(super) fn parse(text: &str) -> Result<Self, HostError> {
        if text.contains('@') {
            return Err(HostError::UserInfo);
        }
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, after) = rest.split_once(']').ok_or(HostError::Malformed)?;
            let address = address.parse().map_err(|_| HostError::Malformed)?;
            let port = match after.strip_prefix(':') {
                None if after.is_empty() => None,
                None => return Err(HostError::Malformed),
                Some(port) => Some(port),
            };
            (Host::Address(IpAddr::V6(address)), port)
        } else {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            (Host::parse(host)?, port)
        };
        let port = port.map(parse_port).transpose()?;
        Ok(Self { host, port })
    }
}

fn parse_port(text: &str) -> Result<u16, HostError> {
    // `parse` would take a sign.
    Some(text)
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .filter(|port| *port > 0)
        .ok_or(HostError::Port)
}

impl Host {
    fn parse(text: &str) -> Result<Self, HostError> {
        if text.ends_with('.') && text.len() > 1 {
            return Err(HostError::TrailingDot);
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if text.len() > 253 || !text.split('.').all(label) {
            return Err(HostError::Malformed);
        }
        // A last label that is a number makes an address of it (WHATWG URL, "ends in a number"): some
        // resolvers read 0x7f.1 and 2130706433 as 127.0.0.1.
        let last = text.rsplit('.').next().unwrap_or_default();
        let hex = last.strip_prefix("0x").or(last.strip_prefix("0X"));
        if last.bytes().all(|b| b.is_ascii_digit())
            || hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return text
                .parse()
                .map(|v4| Self::Address(IpAddr::V4(v4)))
                .or_else(|_| own(&text.to_ascii_lowercase()))
                .map_err(|_| HostError::Malformed);
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }

    /// Whether it is in one of AWS's domains.
    pub(super) fn is_aws(&self) -> bool {
        matches!(self, Self::Name(name) if in_aws(name))
    }

    /// Where this is the proxy's own address: what stands before it, mostly nothing.
    pub(super) fn own_prefix(&self) -> Option<&str> {
        match self {
            Self::Address(address) => address.is_loopback().then_some(""),
            Self::Name(name) => ["localhost", "127.0.0.1"].iter().find_map(|own| {
                let before = name.strip_suffix(own)?;
                if before.is_empty() {
                    return Some(before);
                }
                // `bucket.localhost`, and `data-127.0.0.1` where an operation has a host prefix.
                before.strip_suffix('.').or_else(|| {
                    let hyphen = before.ends_with('-');
                    hyphen.then_some(before)
                })
            }),
        }
    }
}

/// A name that ends with the proxy's own address, as clients make it that put a bucket or an
/// operation's host prefix before whatever the endpoint is.
fn own(name: &str) -> Result<Host, HostError> {
    match name.strip_suffix("127.0.0.1") {
        Some(prefix) if prefix.ends_with(['.', '-']) => Ok(Host::Name(name.to_owned())),
        _ => Err(HostError::Malformed),
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Host {
        Host::Name(text.to_owned())
    }

    #[test]
    fn names_and_addresses_with_and_without_ports() {
        for (text, host, port) in [
            ("S3.Amazonaws.com", name("s3.amazonaws.com"), None),
            ("s3.amazonaws.com:443", name("s3.amazonaws.com"), Some(443)),
            (
                "127.0.0.1:80",
                Host::Address("127.0.0.1".parse().unwrap()),
                Some(80),
            ),
            ("[::1]", Host::Address("::1".parse().unwrap()), None),
            ("[::1]:9", Host::Address("::1".parse().unwrap()), Some(9)),
            ("b.localhost:80", name("b.localhost"), Some(80)),
            ("data-127.0.0.1:80", name("data-127.0.0.1"), Some(80)),
        ] {
            assert_eq!(
                Authority::parse(text),
                Ok(Authority { host, port }),
                "{text}"
            );
        }
    }

    #[test]
    fn what_resolvers_could_read_otherwise_is_refused() {
        use HostError::{Malformed, Port, TrailingDot, UserInfo};
        for (text, error) in [
            ("s3.amazonaws.com.", TrailingDot),
            ("s3.amazonaws.com.:443", TrailingDot),
            ("key@s3.amazonaws.com", UserInfo),
            ("s3.amazonaws.com@evil.com:443", UserInfo),
            ("", Malformed),
            (".", Malformed),
            ("a..b", Malformed),
            ("a b", Malformed),
            ("é.com", Malformed),
            ("2852039166", Malformed),
            ("0xa9fea9fe", Malformed),
            ("169.254.43518", Malformed),
            ("0251.0376.0251.0376", Malformed),
            ("evil127.0.0.1", Malformed),
            ("[::1", Malformed),
            ("[::1]x", Malformed),
            ("[fe80::1%25eth0]", Malformed),
            ("h:", Port),
            ("h:0", Port),
            ("h:+1", Port),
            ("h:65536", Port),
            ("::1", Port),
        ] {
            let found = Authority::parse(text);
            assert!(
                found == Err(error) || (text == "::1" && found.is_err()),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn knows_its_own_address() {
        let own = |text: &str| {
            let host = Authority::parse(text).unwrap().host;
            host.own_prefix().map(str::to_owned)
        };
        for (text, prefix) in [
            ("localhost:1", Some("")),
            ("127.0.0.1", Some("")),
            ("127.9.9.9", Some("")),
            ("[::1]:7", Some("")),
            ("my.bucket.localhost", Some("my.bucket")),
            ("bucket.127.0.0.1", Some("bucket")),
            ("data-127.0.0.1", Some("data-")),
            ("evillocalhost", None),
            ("localhost.evil.com", None),
            ("10.0.0.1", None),
            ("s3.amazonaws.com", None),
        ] {
            assert_eq!(own(text), prefix.map(str::to_owned), "{text}");
        }
    }

    proptest! {
        /// What was read is read alike once more, so that nobody later can see another host.
        #[test]
        fn reading_is_stable(text in "[a-zA-Z0-9@:._\\[\\]-]{0,40}") {
            if let Ok(read) = Authority::parse(&text) {
                let host = match &read.host {
                    Host::Address(IpAddr::V6(v6)) => format!("[{v6}]"),
                    other => other.to_string(),
                };
                prop_assert_eq!(Authority::parse(&host).unwrap().host, read.host);
            }
        }
    }
}
