//! Whom a request is for, in which words, and what it presented.

use http::{HeaderMap, HeaderName, header};

use super::Call;
use crate::{
    catalog::{self, Endpoint, HostError, Incoming, Protocol, protocol_of},
    domain::{ExposeSecret as _, PathStyle, RequestTarget},
    policy::Rules,
    proxy::{ProxyKey, Way, answer::Refusal},
    sigv4::{self, Claim, ClaimedSignature, Presented},
};

/// A request's head, read.
pub(super) struct Head {
    pub(super) endpoint: Endpoint,
    pub(super) target: RequestTarget,
    pub(super) presented: Presented,
}

/// How the proxy's own headers begin, which it writes into answers. Nobody here reads any; a client that
/// sends one means something by it.
const INTERNAL: &str = "x-idp-";

impl Head {
    /// Reads the head and takes out of it what the client presented.
    pub(super) fn read(call: &mut Call, rules: &Rules, key: &ProxyKey) -> Result<Self, Refusal> {
        refuse_internal(&call.headers)?;
        let raw = call
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let endpoint = match &call.way {
            Way::Intercepted { host } | Way::Absolute { host } | Way::Plain { host } => {
                named(host, rules)?
            }
            Way::Endpoint { prefix } => scoped(raw, &call.headers, prefix.as_deref())?,
        };
        if endpoint.path_style() == PathStyle::S3 {
            call.protocol = Protocol::RestXml { s3: true };
        }
        let mut target = RequestTarget::parse(raw, endpoint.path_style())
            .map_err(|error| Refusal::invalid("InvalidURI", error.to_string()))?;
        let presented = sigv4::strip(&mut call.headers, &mut target)?;
        let head = Self {
            endpoint,
            target,
            presented,
        };
        call.protocol = protocol_of(&head.incoming(call, None));
        head.check_claim(key)?;
        Ok(head)
    }

    /// The request as the catalog reads it.
    pub(super) fn incoming<'a>(&'a self, call: &'a Call, body: Option<&'a [u8]>) -> Incoming<'a> {
        Incoming {
            endpoint: &self.endpoint,
            method: &call.method,
            target: &self.target,
            headers: &call.headers,
            body,
            scope: self.scope(),
        }
    }

    /// The host that the request is for, as far as the head says.
    pub(super) fn host(&self) -> &str {
        self.endpoint.host()
    }

    /// The signing name and region of the dummy signature.
    fn scope(&self) -> Option<(&str, &str)> {
        self.signature().map(|claimed| {
            (
                claimed.scope.service.as_str(),
                claimed.scope.region.as_str(),
            )
        })
    }

    const fn signature(&self) -> Option<&ClaimedSignature> {
        match &self.presented.claim {
            Claim::Signature(claimed) => Some(claimed),
            Claim::None | Claim::Secret(_) => None,
        }
    }

    /// A signature by another key would silently be exchanged for one of this proxy's role.
    fn check_claim(&self, key: &ProxyKey) -> Result<(), Refusal> {
        let shown = match &self.presented.claim {
            Claim::None => return Ok(()),
            Claim::Signature(claimed) => claimed.access_key_id.expose_secret(),
            Claim::Secret(secret) => secret.expose_secret(),
        };
        if !key.matches(shown.as_bytes()) {
            return Err(Refusal::denied(
                "the request is signed with an access key that is not this proxy's; unset your own \
                 credentials and take the dummy ones of `idp proxy env`",
            ));
        }
        let Some((name, region)) = self.scope() else {
            return Ok(());
        };
        if self.endpoint.allows_scope(name, region) {
            return Ok(());
        }
        Err(Refusal::denied(format!(
            "the request goes to {} but is signed for {name} in {region}; set the client's endpoint and \
             region so that they agree",
            self.host()
        )))
    }
}

fn refuse_internal(headers: &HeaderMap) -> Result<(), Refusal> {
    let internal = |name: &&HeaderName| name.as_str().starts_with(INTERNAL);
    headers.keys().find(internal).map_or(Ok(()), |name| {
        Err(Refusal::denied(format!(
            "the header {name} is one that only the proxy itself writes; leave it out"
        )))
    })
}

fn named(host: &str, rules: &Rules) -> Result<Endpoint, Refusal> {
    match catalog::endpoint(host) {
        Ok(endpoint) => Ok(endpoint),
        Err(HostError::Customer(customer)) if rules.allows_customer_host(customer.host()) => {
            Ok(customer.allowed())
        }
        Err(error) => Err(Refusal::denied(error.to_string())),
    }
}

/// The endpoint that a dummy signature's scope names. How a path is to be read depends on it, so the
/// signature is looked for in a path that is read as Amazon S3 reads it, which refuses least.
fn scoped(raw: &str, headers: &HeaderMap, prefix: Option<&str>) -> Result<Endpoint, Refusal> {
    let mut signature = HeaderMap::with_capacity(2);
    for name in [
        header::AUTHORIZATION,
        HeaderName::from_static("x-amz-region-set"),
    ] {
        for value in headers.get_all(&name) {
            signature.append(name.clone(), value.clone());
        }
    }
    let mut target = RequestTarget::parse(raw, PathStyle::S3)
        .map_err(|error| Refusal::invalid("InvalidURI", error.to_string()))?;
    let Claim::Signature(claimed) = sigv4::strip(&mut signature, &mut target)?.claim else {
        return Err(Refusal::denied(
            "the request comes to the proxy's own address and has no signature that says which service \
             it is for; sign it with the dummy credentials of `idp proxy env`, or send it with the Host \
             of the service",
        ));
    };
    catalog::scoped_endpoint(&claimed.scope.service, &claimed.scope.region, prefix)
        .map_err(|error| Refusal::denied(error.to_string()))
}

/// The shape in which a client probably reads errors, before it is known whom it asks.
pub(super) fn protocol_by_guess(headers: &HeaderMap) -> Protocol {
    let form = |value: &http::HeaderValue| {
        value
            .as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    };
    if headers.contains_key("x-amz-target") {
        Protocol::Json
    } else if headers.contains_key("smithy-protocol") {
        Protocol::Cbor
    } else if headers.get(header::CONTENT_TYPE).is_some_and(form) {
        Protocol::Query
    } else {
        Protocol::RestJson
    }
}
