//! A request as the ways in hand it to the engine.

use std::{borrow::Cow, net::SocketAddr, time::Duration};

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use super::ProxyBody;
use crate::{domain::RequestId, ports::LogError};

/// A request whose sender showed the proxy's key.
///
/// Its URI is in origin form (`/path?query`, or `*`). It has one `Host` at most and no `Origin`; its
/// length is said once. `Proxy-Authorization`, and an `Authorization` that carried the proxy's key, are
/// gone; a dummy signature (`Authorization: AWS4-…` or the query's) is still there and names the
/// proxy's key.
#[derive(Debug)]
pub struct Inbound {
    /// How it came, and which host it is for.
    pub way: Way,
    /// The request; reading its body answers an `Expect: 100-continue`.
    pub request: Request<Incoming>,
    /// Who sent it.
    pub peer: SocketAddr,
    /// Names it in answers, records and logs.
    pub request_id: RequestId,
}

/// How a request reached the proxy.
///
/// A `host` is in lower case, without a port and without a trailing dot; it is the only one that the
/// request names (CONNECT, SNI, URI and `Host` agree), and has the form of an AWS host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// Through a tunnel (`CONNECT`) whose TLS was ended here.
    Intercepted {
        /// The host.
        host: String,
    },
    /// To a forward proxy, as `GET http://HOST/…`.
    Absolute {
        /// The host.
        host: String,
    },
    /// To the proxy's own address: the dummy signature's scope says which service is meant.
    Endpoint {
        /// What the client put before the proxy's address, without a dot at its end: a bucket, or a
        /// host prefix of the operation (`data-`, `api`).
        prefix: Option<String>,
    },
    /// With the `Host` of an AWS service.
    Plain {
        /// The host.
        host: String,
    },
}

impl Way {
    /// The way's name in records and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Intercepted { .. } => "intercepted",
            Self::Absolute { .. } => "absolute",
            Self::Endpoint { .. } => "endpoint",
            Self::Plain { .. } => "plain",
        }
    }

    /// The host that the request names, where it does not name the proxy itself.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Intercepted { host } | Self::Absolute { host } | Self::Plain { host } => {
                Some(host)
            }
            Self::Endpoint { .. } => None,
        }
    }
}

/// A request that was refused before it became one to AWS: no key, another host, not HTTP as it
/// should be. It is recorded like every other one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnedAway {
    /// Who sent it.
    pub peer: SocketAddr,
    /// Names it in the answer.
    pub request_id: RequestId,
    /// Its method; `CONNECT` for a tunnel; `None` where it could not be read.
    pub method: Option<http::Method>,
    /// The host that it named, as far as it could be read; at most 255 characters.
    pub host: Option<String>,
    /// What it was answered.
    pub status: StatusCode,
    /// Why, and what to do.
    pub reason: Cow<'static, str>,
    /// Whether its sender had shown the proxy's key. Who did not can be anybody: such refusals are
    /// counted and sampled, so that they do not fill the disk.
    pub known: bool,
}

/// A tunnel to a host that is none of AWS's. Nobody looks into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Who makes it.
    pub peer: SocketAddr,
    /// Names it.
    pub request_id: RequestId,
    /// Where it goes.
    pub host: String,
}

/// Such a tunnel after its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnelled {
    /// What was said of it when it opened.
    pub opening: Opening,
    /// Bytes to the host and from it; `None` where it broke off.
    pub bytes: Option<(u64, u64)>,
    /// How long it was open.
    pub duration: Duration,
}

/// What answers requests: the engine.
pub trait Answer: Send + Sync + 'static {
    /// Answers a request. A refusal is an answer in the shape of its service.
    fn answer(&self, inbound: Inbound) -> impl Future<Output = Response<ProxyBody>> + Send;

    /// Records a request that was not let in. Does not wait.
    fn turned_away(&self, refusal: TurnedAway);

    /// Records a tunnel that is about to open, and returns once the record is on the disk.
    ///
    /// An error means that it is not there, and the tunnel must not open.
    fn tunnel_opens(&self, tunnel: &Opening) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Records a tunnel that has ended. Does not wait.
    fn tunnelled(&self, tunnel: Tunnelled);
}
