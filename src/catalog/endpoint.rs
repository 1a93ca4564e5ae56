//! Whom a request is for: a host of AWS, or the credential scope of a client's dummy signature.

use std::borrow::Cow;

use super::{
    hosts::{self, Candidate, Found},
    s3::Form,
    services,
};
use crate::domain::{Partition, PathStyle};

/// A host of AWS, and the services that answer there.
#[derive(Clone, Debug)]
pub struct Endpoint {
    host: String,
    partition: Partition,
    region: Option<Cow<'static, str>>,
    own: Option<String>,
    candidates: Vec<Candidate>,
    form: Form,
    scoped: bool,
}

/// Why a host is not taken for one of AWS's.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HostError {
    /// A host name ends with a dot, or holds what no host name does.
    #[error(
        "{host:?} is not a host name as AWS's clients write it: labels of letters, digits and hyphens, without port, user or trailing dot"
    )]
    Malformed {
        /// The host as it came.
        host: String,
    },
    /// It is outside of AWS's domains.
    #[error("{host} is not in a domain of AWS")]
    NotAws {
        /// The host.
        host: String,
    },
    /// It is in a domain of AWS, but no service's endpoint.
    #[error(
        "{host} is in a domain of AWS but not an endpoint of a service that idp knows; update idp if the service is new"
    )]
    Unknown {
        /// The host.
        host: String,
    },
    /// What answers there is a customer's, not AWS's.
    #[error("{} is {} of an AWS customer, anybody's; the rules have to list it", .0.host(), .0.kind())]
    Customer(CustomerHost),
    /// A credential scope with a service that no endpoint signs for.
    #[error("no service signs as {name:?}; set the credential scope's service as AWS's SDKs do")]
    SigningName {
        /// The scope's service.
        name: String,
    },
    /// A credential scope with a region that no partition has.
    #[error("{region:?} is not a region of AWS")]
    Region {
        /// The scope's region.
        region: String,
    },
}

/// A host behind which a customer's own code or data answers. Signing a request to it would hand the
/// caller's permissions to whoever made it, so it needs an allow-list.
#[derive(Clone, Debug)]
pub struct CustomerHost {
    pub(super) kind: &'static str,
    pub(super) endpoint: Endpoint,
}

impl CustomerHost {
    /// What it is, with an article: `an API Gateway API`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// The host, in lower case.
    #[must_use]
    pub fn host(&self) -> &str {
        self.endpoint.host()
    }

    /// The endpoint, for a host that an allow-list has.
    #[must_use]
    pub fn allowed(self) -> Endpoint {
        self.endpoint
    }
}

/// Finds the services that answer at `host`: a name without port, in any case.
///
/// The answer comes from a table of AWS's endpoints, never from the form of the name.
///
/// # Errors
/// [`HostError`] where it is not AWS's, or a customer's.
pub fn endpoint(host: &str) -> Result<Endpoint, HostError> {
    if !is_host_name(host) {
        return Err(HostError::Malformed {
            host: host.to_owned(),
        });
    }
    let host = host.to_ascii_lowercase();
    let Some(found) = hosts::find(&host) else {
        return Err(if hosts::in_aws(&host) {
            HostError::Unknown { host }
        } else {
            HostError::NotAws { host }
        });
    };
    let Found {
        candidates,
        partition,
        region,
        own,
        customer,
        row,
    } = found;
    let form = form(&candidates, row);
    let endpoint = Endpoint {
        partition,
        region,
        own,
        candidates,
        form,
        scoped: false,
        host,
    };
    match customer {
        Some(kind) => Err(HostError::Customer(CustomerHost { kind, endpoint })),
        None => Ok(endpoint),
    }
}

/// Finds the services that sign as `signing_name`, for a request to an overridden endpoint that a client
/// signed with dummy keys. `host_prefix` is what stands before the override's own name in `Host`: a bucket,
/// an account. `Recognised::host` then says where the request has to go.
///
/// # Errors
/// [`HostError::SigningName`] or [`HostError::Region`] where the scope is none of AWS's.
pub fn scoped_endpoint(
    signing_name: &str,
    region: &str,
    host_prefix: Option<&str>,
) -> Result<Endpoint, HostError> {
    let Some((partition, region)) = hosts::region(region) else {
        return Err(HostError::Region {
            region: region.to_owned(),
        });
    };
    let own = host_prefix
        .map(|prefix| prefix.trim_end_matches('.').to_ascii_lowercase())
        .filter(|prefix| !prefix.is_empty());
    if let Some(prefix) = own.as_deref().filter(|prefix| !is_host_name(prefix)) {
        return Err(HostError::Malformed {
            host: prefix.to_owned(),
        });
    }
    let candidates = hosts::signing_as(signing_name);
    let Some(first) = candidates.first() else {
        return Err(HostError::SigningName {
            name: signing_name.to_owned(),
        });
    };
    Ok(Endpoint {
        host: services::home(first.service, partition, &region),
        partition,
        region: Some(region),
        own,
        form: form(&candidates, ""),
        candidates,
        scoped: true,
    })
}

impl Endpoint {
    /// The host, in lower case. Of a scoped endpoint the first service's: [`Recognised::host`] is the one
    /// to dial.
    ///
    /// [`Recognised::host`]: super::Recognised::host
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// How the services here read paths.
    #[must_use]
    pub fn path_style(&self) -> PathStyle {
        if self.candidates.iter().any(|one| one.is_s3()) {
            PathStyle::S3
        } else {
            PathStyle::Plain
        }
    }

    /// The partition.
    #[must_use]
    pub const fn partition(&self) -> Partition {
        self.partition
    }

    /// The region in the host or the scope; `None` where the host is a partition's.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The bucket or access point in the host, of a virtual-hosted request to Amazon S3.
    #[must_use]
    pub fn bucket(&self) -> Option<&str> {
        self.own
            .as_deref()
            .filter(|_| self.path_style() == PathStyle::S3)
    }

    pub(super) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    pub(super) const fn form(&self) -> Form {
        self.form
    }

    pub(super) const fn is_scoped(&self) -> bool {
        self.scoped
    }

    /// What of the host is the caller's.
    pub(super) fn own(&self) -> Option<&str> {
        self.own.as_deref()
    }

    pub(super) const fn region_for_keeps(&self) -> Option<&Cow<'static, str>> {
        self.region.as_ref()
    }

    /// Whether a request that is signed for this service and region may come here.
    #[must_use]
    pub fn allows_scope(&self, name: &str, region: &str) -> bool {
        self.candidates
            .iter()
            .any(|one| one.allows_scope(name, region, self.region()))
    }
}

/// What a host of Amazon S3 stands for; `row` is the host table's name for it.
fn form(candidates: &[Candidate], row: &str) -> Form {
    candidates
        .iter()
        .find(|one| one.is_s3())
        .map_or(Form::None, |one| Form::of(one.name, row))
}

fn is_host_name(host: &str) -> bool {
    host.len() <= 253
        && host.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        })
}
