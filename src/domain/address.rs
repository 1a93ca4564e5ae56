//! Which addresses may be dialled: the judgement behind every guard against server-side request
//! forgery.
//!
//! A name is resolved once, every address it has is judged, and only judged addresses are dialled,
//! so that a name which answers differently the second time (DNS rebinding) gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Which addresses may be dialled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressRule {
    /// Public unicast addresses only: for hosts that somebody else named, such as a token's `iss`.
    #[default]
    PublicOnly,
    /// Public addresses and this machine's own, for issuers that are `http` on loopback.
    LoopbackToo,
    /// Whatever the name says: for hosts that the operator configured.
    AnyAddress,
}

/// An address that was not dialled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} is at {kind} ({address}), which is not fetched from here")]
pub struct ForbiddenAddress {
    /// The host that was asked for.
    pub host: String,
    /// Where it is.
    pub address: IpAddr,
    /// What kind of address that is, with its article.
    pub kind: &'static str,
}

impl AddressRule {
    /// Judges the address of `host`.
    pub fn check(self, host: &str, address: IpAddr) -> Result<(), ForbiddenAddress> {
        let forbidden = match (self, kind(address)) {
            (Self::AnyAddress, _) | (_, Kind::Public) | (Self::LoopbackToo, Kind::Loopback) => {
                return Ok(());
            }
            (_, kind) => kind,
        };
        Err(ForbiddenAddress {
            host: host.to_owned(),
            address,
            kind: forbidden.words(),
        })
    }
    /// The addresses among `found` that may be dialled.
    ///
    /// # Errors
    /// There are some, and none of them may be.
    pub fn judge(
        self,
        host: &str,
        found: impl Iterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, ForbiddenAddress> {
        let mut refused = None;
        let mut good = Vec::new();
        for address in found {
            match self.check(host, address.ip()) {
                Ok(()) => good.push(address),
                Err(forbidden) => refused = Some(forbidden),
            }
        }
        match refused {
            Some(forbidden) if good.is_empty() => Err(forbidden),
            _ => Ok(good),
        }
    }
}

/// What an address is for (the IANA special-purpose address registries).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Public,
    Loopback,
    Private,
    LinkLocal,
    Metadata,
    Multicast,
    Reserved,
}

impl Kind {
    const fn words(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a cloud metadata address",
            Self::Multicast => "a multicast address",
            Self::Reserved => "a reserved address",
        }
    }
}

fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(v4) => kind_v4(v4),
        IpAddr::V6(v6) => kind_v6(v6),
    }
}

fn kind_v4(address: Ipv4Addr) -> Kind {
    match address.octets() {
        // 168.63.129.16 is public by its number, but inside Azure it is the host's own agent; the
        // other two are the metadata services of most clouds and of Alibaba's.
        [169, 254, 169, 254] | [168, 63, 129, 16] | [100, 100, 100, 200] => Kind::Metadata,
        [127, ..] => Kind::Loopback,
        [10, ..] | [192, 168, ..] => Kind::Private,
        [172, b, ..] if (16..32).contains(&b) => Kind::Private,
        [100, b, ..] if (64..128).contains(&b) => Kind::Private,
        [169, 254, ..] => Kind::LinkLocal,
        [224..=239, ..] => Kind::Multicast,
        [0 | 240..=255, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Kind::Reserved,
        _ => Kind::Public,
    }
}

fn kind_v6(address: Ipv6Addr) -> Kind {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        kind_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Loopback,
        // IPv4-mapped addresses and NAT64's well-known prefix reach the IPv4 address within.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        // The metadata services of EC2 and of ECS and EKS.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, _] => Kind::Metadata,
        [0xfc00..=0xfdff, ..] => Kind::Private,
        [0xfe80..=0xfebf, ..] => Kind::LinkLocal,
        [0xff00..=0xffff, ..] => Kind::Multicast,
        // 6to4 and Teredo carry an IPv4 address of anybody's choice; the rest is for documentation,
        // protocol assignments and benchmarks.
        [0x2002 | 0x3fff, ..] | [0x2001, 0x0db8 | 0..=0x01ff, ..] => Kind::Reserved,
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(allow: AddressRule, address: &str) -> bool {
        allow.check("host", address.parse().unwrap()).is_ok()
    }

    #[test]
    fn public_addresses_are_always_dialled() {
        for address in [
            "1.1.1.1",
            "52.94.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "2606:4700::1",
            "2a05:d018::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert!(allows(AddressRule::PublicOnly, address), "{address}");
        }
    }

    #[test]
    fn inner_addresses_are_not() {
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!allows(AddressRule::PublicOnly, address), "{address}");
            assert!(allows(AddressRule::AnyAddress, address), "{address}");
        }
    }

    #[test]
    fn loopback_can_be_let_in_alone() {
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "1.1.1.1"] {
            assert!(allows(AddressRule::LoopbackToo, address), "{address}");
        }
        for address in ["10.0.0.1", "169.254.169.254", "fe80::1"] {
            assert!(!allows(AddressRule::LoopbackToo, address), "{address}");
        }
    }

    #[test]
    fn says_what_kind_of_address_it_is() {
        let error = AddressRule::PublicOnly
            .check("idp.example.com", "169.254.169.254".parse().unwrap())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "idp.example.com is at a cloud metadata address (169.254.169.254), which is not fetched from here"
        );
    }

    #[test]
    fn of_a_mixed_answer_only_the_good_addresses_are_dialled() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mixed = [address("10.0.0.1:0"), address("1.1.1.1:0")];
        assert_eq!(
            AddressRule::PublicOnly
                .judge("h", mixed.into_iter())
                .unwrap(),
            [address("1.1.1.1:0")]
        );
        assert!(
            AddressRule::PublicOnly
                .judge("h", [address("10.0.0.1:0")].into_iter())
                .is_err()
        );
    }
}
