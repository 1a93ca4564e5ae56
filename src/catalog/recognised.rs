//! A request that came, and what the catalog says of it.

use std::borrow::Cow;

use http::{HeaderMap, Method};

use super::{Action, Actions, Endpoint, Operation, Protocol, Resource, Service};
use crate::domain::RequestTarget;

/// A request as far as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Whom it is for.
    pub endpoint: &'a Endpoint,
    /// Its method.
    pub method: &'a Method,
    /// Its path and query, parsed with [`Endpoint::path_style`]; a signature's parameters are out of it.
    pub target: &'a RequestTarget,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its whole body; `None` where that was not read, or is too large to be read.
    pub body: Option<&'a [u8]>,
    /// The signing name and region that the client's own signature claimed.
    pub scope: Option<(&'a str, &'a str)>,
}

/// A signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningMethod {
    /// AWS4-HMAC-SHA256.
    V4,
    /// AWS4-ECDSA-P256-SHA256, for a set of regions.
    V4a,
}

/// What a request has to be signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// The service in the credential scope.
    pub name: &'static str,
    /// The region in the credential scope; for [`SigningMethod::V4a`] the region set, which may be `*`.
    pub region: Cow<'static, str>,
    /// The algorithm.
    pub algorithm: SigningMethod,
}

/// What a request does.
#[derive(Clone, Debug)]
pub struct Recognised {
    /// The service.
    pub service: &'static Service,
    /// The operation.
    pub operation: &'static Operation,
    /// The IAM actions that it needs, all of them. Empty where the operation is unmapped. While the request
    /// is not [`Self::complete`], these are all that it may need.
    pub actions: Actions,
    /// What it acts on. Never empty.
    pub resources: Vec<Resource>,
    /// Whether the body could change nothing about actions and resources. Where it is false, the request
    /// was judged without its body: `actions` has everything that the body could ask for, and what the
    /// body names is unknown in `resources`. Reading the body and asking again gives the exact answer.
    pub complete: bool,
    /// The region that it acts in, as `aws:RequestedRegion` has it.
    pub region: Cow<'static, str>,
    /// What to sign it with.
    pub signing: Signing,
    /// The shape in which its client reads errors.
    pub protocol: Protocol,
    /// The host to send it to: in lower case, without port.
    pub host: Cow<'static, str>,
}

impl Recognised {
    /// The resources on which `action` is needed: for `CopyObject`, `s3:GetObject` concerns the source and
    /// `s3:PutObject` the destination. Never empty for a member of [`Self::actions`].
    pub fn resources_of<'a>(&'a self, action: &'a Action) -> impl Iterator<Item = &'a Resource> {
        let direct = self.resources.iter().any(|one| one.concerns(action));
        self.resources
            .iter()
            .filter(move |one| !direct || one.concerns(action))
    }
}

/// Why a request is not recognised. None of these may be forwarded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrecognised {
    /// The operation lies in the body: read it (at most 1 MiB) and ask again.
    #[error("the operation is named in the body, which was not read or is too large to be judged")]
    NeedsBody,
    /// No operation of the services at this host is asked for like this.
    #[error(
        "{host} has no operation for {what}; check method, path and headers, or update idp if the operation is new"
    )]
    Unknown {
        /// The host.
        host: String,
        /// The request, without values: `GET /a/b?c`, `X-Amz-Target "…"`, `Action "…"`.
        what: String,
    },
    /// Several services or operations fit and nothing tells them apart.
    #[error(
        "this request is {first} as well as {second}, so nobody can say what it would do; sign it (with dummy keys), so that its credential scope names the service"
    )]
    Tied {
        /// `service:Operation`.
        first: String,
        /// `service:Operation`.
        second: String,
    },
    /// The request contradicts itself: two readers could take it for two things.
    #[error("this request contradicts itself: {why}")]
    Ambiguous {
        /// What does not agree with what.
        why: String,
    },
}
