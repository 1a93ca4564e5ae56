//! Conditions beyond who asks.

use std::str::FromStr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::scope::{add, one_or_many};

/// Conditions beyond who asks; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hardening {
    /// Networks that STS must be asked from, as STS sees them: `aws:SourceIp`.
    source_ips: Vec<IpNet>,
    /// VPC endpoints that STS must be asked through: `aws:SourceVpce`.
    source_vpces: Vec<String>,
    /// The AWS organisation of the caller: `aws:PrincipalOrgID`.
    principal_org_id: Option<String>,
    /// Whether the token has to be pinned to the role: `sts:RoleAuthorizedByIdp`.
    require_role_pin: bool,
}

/// Why conditions cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HardeningError {
    /// Not the id of an endpoint.
    #[error("{0:?} is not the id of a VPC endpoint, which looks like vpce-0123456789abcdef0")]
    Vpce(String),
    /// Not the id of an organisation.
    #[error("{0:?} is not the id of an AWS organisation, which looks like o-a1b2c3d4e5")]
    OrgId(String),
    /// The two exclude each other.
    #[error(
        "a source IP and a VPC endpoint exclude each other: a request through an endpoint has no \
         aws:SourceIp, so no request would meet both"
    )]
    Both,
}

impl Hardening {
    /// Checks the parts.
    ///
    /// # Errors
    /// See [`HardeningError`].
    pub fn new(
        source_ips: Vec<IpNet>,
        source_vpces: Vec<String>,
        principal_org_id: Option<String>,
        require_role_pin: bool,
    ) -> Result<Self, HardeningError> {
        let id = |text: &str, prefix: &str, length: std::ops::RangeInclusive<usize>| {
            text.strip_prefix(prefix).is_some_and(|rest| {
                length.contains(&rest.len())
                    && rest
                        .bytes()
                        .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
            })
        };
        if let Some(bad) = source_vpces.iter().find(|v| !id(v, "vpce-", 8..=32)) {
            return Err(HardeningError::Vpce(bad.clone()));
        }
        if let Some(bad) = principal_org_id.as_ref().filter(|o| !id(o, "o-", 10..=32)) {
            return Err(HardeningError::OrgId(bad.clone()));
        }
        if !source_ips.is_empty() && !source_vpces.is_empty() {
            return Err(HardeningError::Both);
        }
        Ok(Self {
            source_ips,
            source_vpces,
            principal_org_id,
            require_role_pin,
        })
    }

    /// The networks.
    #[must_use]
    pub fn source_ips(&self) -> Vec<String> {
        self.source_ips.iter().map(ToString::to_string).collect()
    }

    /// The endpoints.
    #[must_use]
    pub fn source_vpces(&self) -> &[String] {
        &self.source_vpces
    }

    /// The AWS organisation.
    #[must_use]
    pub fn principal_org_id(&self) -> Option<&str> {
        self.principal_org_id.as_deref()
    }

    /// Whether the token has to be pinned to the role.
    #[must_use]
    pub const fn requires_role_pin(&self) -> bool {
        self.require_role_pin
    }

    /// Adds what a web-identity caller can meet. `aws:PrincipalOrgID` is not among it: such a caller
    /// belongs to no AWS organisation and the condition would shut everybody out.
    pub(super) fn add_for_web_identity(&self, conditions: &mut Map<String, Value>) {
        self.add_network(conditions);
        if self.require_role_pin {
            add(conditions, "Bool", "sts:RoleAuthorizedByIdp", json!("true"));
        }
    }

    /// Adds what an AWS principal can meet.
    pub(super) fn add_for_aws(&self, conditions: &mut Map<String, Value>) {
        self.add_network(conditions);
        if let Some(id) = &self.principal_org_id {
            add(conditions, "StringEquals", "aws:PrincipalOrgID", json!(id));
        }
    }

    fn add_network(&self, conditions: &mut Map<String, Value>) {
        if !self.source_ips.is_empty() {
            let value = one_or_many(self.source_ips());
            add(conditions, "IpAddress", "aws:SourceIp", value);
        }
        if !self.source_vpces.is_empty() {
            let value = one_or_many(self.source_vpces.clone());
            add(conditions, "StringEquals", "aws:SourceVpce", value);
        }
    }
}

/// An external id: 2–1224 of `[\w+=,.@:\/-]` (the STS API reference).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalId(String);

impl ExternalId {
    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExternalId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (2..=1224).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err("an external id has 2 to 1224 letters, digits and _+=,.@:/-".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused() {
        let new = |ips: &[&str], vpces: &[&str], org: Option<&str>| {
            Hardening::new(
                ips.iter().map(|ip| ip.parse().unwrap()).collect(),
                vpces.iter().map(ToString::to_string).collect(),
                org.map(str::to_owned),
                false,
            )
        };
        new(&["203.0.113.0/24"], &[], Some("o-a1b2c3d4e5")).unwrap();
        new(&[], &["vpce-0123456789abcdef0"], None).unwrap();
        assert_eq!(
            new(&["10.0.0.0/8"], &["vpce-0123456789abcdef0"], None),
            Err(HardeningError::Both)
        );
        for bad in ["vpce-*", "vpce-", "vpc-0123456789abcdef0", "vpce-${x}12345"] {
            assert!(matches!(
                new(&[], &[bad], None),
                Err(HardeningError::Vpce(_))
            ));
        }
        for bad in ["o-*", "a1b2c3d4e5", "o-A1B2C3D4E5"] {
            let error = new(&[], &[], Some(bad)).unwrap_err();
            assert!(matches!(error, HardeningError::OrgId(_)));
        }
        for bad in ["", "a", "a b", "*x", "${aws:x}"] {
            assert!(bad.parse::<ExternalId>().is_err(), "{bad}");
        }
    }
}
