//! The door: what a request has to be and to show before anybody looks at what it does.

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use http::{
    HeaderMap, Request, Response, StatusCode, Uri,
    header::{EXPECT, HOST, ORIGIN},
    request::Parts,
};
use hyper::body::Incoming;

use super::{
    Answer, Inbound, Limits, ProxyBody, ProxyKey, TurnedAway, Way,
    body::linger,
    framing::Framing,
    guests::Guest,
    host::{Authority, Host},
    leaf::Leaves,
    refusal::Refusal,
    shown_key::{self, Shown},
    told::ToldHosts,
};
use crate::domain::{Clock, Random, RequestId};

/// Which hosts connections pass through to, unread: hosts in lower case that are none of AWS's.
pub type Tunnels = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// What the ways in are made of.
pub struct WaysIn<A> {
    /// What answers the requests that are let in.
    pub engine: A,
    /// The key that they show.
    pub key: Arc<ProxyKey>,
    /// The certificates that end TLS.
    pub leaves: Arc<Leaves>,
    /// The hosts that connections pass through to.
    pub tunnels: Tunnels,
    /// The other hosts whose refusal was told.
    pub told: ToldHosts,
    /// The bounds.
    pub limits: Limits,
    /// For ids.
    pub clock: Arc<dyn Clock>,
    /// For ids.
    pub random: Arc<dyn Random>,
}

/// Where on a connection a request came.
#[derive(Clone)]
pub(super) enum Place {
    /// On the connection itself.
    Outside,
    /// Inside a tunnel whose TLS was ended for this host. Whoever made it had shown the key.
    Inside(Arc<str>),
    /// Inside a tunnel that was refused, where an SDK reads why.
    Refused(Arc<Refusal>, RequestId),
}

/// A tunnel that may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tunnel {
    /// TLS is ended here for this AWS host.
    Intercept(Arc<str>),
    /// Bytes pass through to this other host.
    Through(String),
    /// TLS is ended here for this AWS host, and whatever is asked inside is refused.
    Refuse(Arc<str>, Refusal),
}

impl<A: Answer> WaysIn<A> {
    pub(super) fn request_id(&self) -> RequestId {
        RequestId::new(&*self.clock, &*self.random)
    }

    /// Answers everything but `CONNECT`.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        place: Place,
        (framing, number): (&Framing, u64),
        guest: &Guest,
    ) -> Response<ProxyBody> {
        let request_id = self.request_id();
        let (mut head, body) = request.into_parts();
        let well_formed = || well_formed(&head, framing, number);
        let checked = match &place {
            Place::Inside(host) => well_formed().and_then(|()| self.inside(&head, host)),
            Place::Outside => well_formed().and_then(|()| self.outside(&head)),
            // The record is that of the tunnel.
            Place::Refused(refusal, tunnel) => {
                linger(&head, body);
                return (**refusal).clone().closing().answer(&head, *tunnel);
            }
        };
        match checked {
            Ok(way) => {
                guest.admit();
                shown_key::remove(&self.key, &mut head.headers);
                origin_form(&mut head.uri);
                let inbound = Inbound {
                    way,
                    request: Request::from_parts(head, body),
                    peer,
                    request_id,
                };
                self.engine.answer(inbound).await
            }
            Err(refusal) => {
                let known = matches!(place, Place::Inside(_))
                    || shown_key::shown(&self.key, &head.headers, &head.uri) == Shown::Key;
                if known {
                    guest.admit();
                }
                linger(&head, body);
                self.refuse(&refusal, &head, peer, request_id, known)
            }
        }
    }

    /// Judges a `CONNECT`.
    pub(super) fn connect(
        &self,
        head: &Parts,
        framing: &Framing,
        number: u64,
    ) -> Result<Tunnel, Refusal> {
        well_formed(head, framing, number)?;
        let shown = shown_key::shown(&self.key, &head.headers, &Uri::default());
        if shown == Shown::Nothing {
            // Some clients show it when they are asked for it.
            return Err(no_key_for_proxy());
        }
        let target = head.uri.authority().map(http::uri::Authority::as_str);
        let target = target.unwrap_or_default();
        let judged = match shown {
            Shown::Foreign(foreign) => Err(Refusal::foreign_key(foreign.reason())),
            Shown::Key | Shown::Nothing => self.target(target, &head.headers),
        };
        judged.or_else(|refusal| match aws_name(target) {
            Some(host) => Ok(Tunnel::Refuse(host.into(), refusal)),
            None if refusal.code == Refusal::FOREIGN_KEY => Err(Refusal {
                status: StatusCode::PROXY_AUTHENTICATION_REQUIRED,
                ..refusal
            }),
            None => Err(refusal),
        })
    }

    /// Judges what a `CONNECT` names.
    fn target(&self, target: &str, headers: &HeaderMap) -> Result<Tunnel, Refusal> {
        let target = read_host(target, "CONNECT")?;
        if let Some(host) = one_host(headers)? {
            let named = read_host(host, "Host")?;
            if named.host != target.host {
                return Err(disagree("CONNECT", &target.host, "Host", &named.host));
            }
        }
        let Some(443) = target.port else {
            return Err(Refusal::forbidden(
                "the proxy connects to port 443 and to no other; use https without a port",
            ));
        };
        match target.host {
            Host::Address(address) => Err(Refusal::forbidden(format!(
                "the proxy connects to names, not to addresses such as {address}{}",
                metadata_hint(address)
            ))),
            Host::Name(name) if super::in_aws(&name) => Ok(Tunnel::Intercept(name.into())),
            Host::Name(name) if (self.tunnels)(&name) => Ok(Tunnel::Through(name)),
            Host::Name(name) => {
                if self.told.is_new(&name) {
                    tracing::warn!(
                        host = name,
                        "a connection was refused to a host that is none of AWS's; to let such pass, add \
                         it to tunnel_hosts in the rules file, or have programs go around the proxy with \
                         NO_PROXY"
                    );
                }
                Err(Refusal::forbidden(format!(
                    "{name} is not a host of AWS; to let connections to it pass, add it to tunnel_hosts \
                     in the rules file"
                )))
            }
        }
    }

    /// Refuses and records it.
    pub(super) fn refuse(
        &self,
        refusal: &Refusal,
        head: &Parts,
        peer: SocketAddr,
        request_id: RequestId,
        known: bool,
    ) -> Response<ProxyBody> {
        self.record(refusal, head, peer, request_id, known);
        // As the engine does, for clients that wait for "100 Continue".
        if head.headers.contains_key(EXPECT) {
            return refusal.clone().closing().answer(head, request_id);
        }
        refusal.answer(head, request_id)
    }

    /// Records a refusal.
    pub(super) fn record(
        &self,
        refusal: &Refusal,
        head: &Parts,
        peer: SocketAddr,
        request_id: RequestId,
        known: bool,
    ) {
        let named = head.uri.authority().map(http::uri::Authority::as_str);
        let named = named.or_else(|| head.headers.get(HOST)?.to_str().ok());
        self.engine.turned_away(TurnedAway {
            peer,
            request_id,
            method: Some(head.method.clone()),
            // Without what stands before an `@`, which may be a password.
            host: named
                .and_then(|host| host.rsplit('@').next())
                .map(|host| host.chars().take(255).collect()),
            status: refusal.status,
            reason: refusal.reason.clone(),
            known,
        });
    }

    /// Records what the HTTP library has answered itself, with a status and no more: it could not be read.
    pub(super) fn unreadable(&self, error: &hyper::Error, peer: SocketAddr, known: bool) {
        let (status, reason) = if error.is_parse_too_large() {
            let most = "the request's head is longer than 64 KiB, or has more than 512 headers";
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, most.into())
        } else {
            let reason = format!("the request is not HTTP/1.1: {error}");
            (StatusCode::BAD_REQUEST, reason.into())
        };
        self.engine.turned_away(TurnedAway {
            peer,
            request_id: self.request_id(),
            method: None,
            host: None,
            status,
            reason,
            known,
        });
    }

    /// A request inside a tunnel: it is for the tunnel's host, and signed with the proxy's key if at all.
    fn inside(&self, head: &Parts, host: &Arc<str>) -> Result<Way, Refusal> {
        if let Shown::Foreign(foreign) = shown_key::shown(&self.key, &head.headers, &head.uri) {
            return Err(Refusal::foreign_key(foreign.reason()));
        }
        let tunnel = Host::Name(host.to_string());
        for (named, what) in [
            (one_host(&head.headers)?, "Host"),
            (
                head.uri.authority().map(http::uri::Authority::as_str),
                "URI",
            ),
        ] {
            let Some(text) = named else {
                if what == "Host" {
                    return Err(no_host());
                }
                continue;
            };
            let named = read_host(text, what)?;
            if named.host != tunnel {
                return Err(disagree("CONNECT", &tunnel, what, &named.host));
            }
            check_port(named.port, &[443])?;
        }
        Ok(Way::Intercepted {
            host: host.to_string(),
        })
    }

    fn outside(&self, head: &Parts) -> Result<Way, Refusal> {
        let forward = head.uri.authority().is_some();
        match shown_key::shown(&self.key, &head.headers, &head.uri) {
            Shown::Key => {}
            Shown::Foreign(foreign) => return Err(Refusal::foreign_key(foreign.reason())),
            Shown::Nothing if forward => return Err(no_key_for_proxy()),
            Shown::Nothing => return Err(Refusal::no_key(StatusCode::UNAUTHORIZED)),
        }
        let host = one_host(&head.headers)?;
        match head.uri.authority() {
            Some(authority) => absolute(head.uri.scheme_str(), authority.as_str(), host),
            None => direct(host.ok_or_else(no_host)?),
        }
    }
}

/// The name of AWS that a `CONNECT` is for, whatever else is wrong with it: TLS can be ended for it. Where
/// something other than TLS is likely to be spoken there is none.
fn aws_name(target: &str) -> Option<String> {
    const PLAIN: [&str; 2] = ["22", "80"];
    let (host, port) = target.rsplit('@').next()?.split_once(':')?;
    let host = host.strip_suffix('.').unwrap_or(host);
    match Authority::parse(host).ok()?.host {
        Host::Name(name) if super::in_aws(&name) && !PLAIN.contains(&port) => Some(name),
        _ => None,
    }
}

/// `GET http://HOST/…`, as to a forward proxy.
fn absolute(scheme: Option<&str>, authority: &str, host: Option<&str>) -> Result<Way, Refusal> {
    let target = read_host(authority, "URI")?;
    if let Some(host) = host {
        let named = read_host(host, "Host")?;
        if named.host != target.host {
            return Err(disagree("URI", &target.host, "Host", &named.host));
        }
    }
    // A client that has HTTP_PROXY set, and the proxy itself as its endpoint.
    if let Some(prefix) = target.host.own_prefix() {
        return Ok(Way::Endpoint {
            prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
        });
    }
    let ports: &[u16] = match scheme {
        Some("http") => &[80],
        Some("https") => &[443],
        _ => {
            return Err(Refusal::bad_request(
                "the URI's scheme is neither http nor https",
            ));
        }
    };
    check_port(target.port, ports)?;
    match target.host {
        Host::Name(host) if super::in_aws(&host) => Ok(Way::Absolute { host }),
        Host::Name(name) => Err(Refusal::forbidden(format!(
            "{name} is not a host of AWS, and plain http goes nowhere else; unset HTTP_PROXY or set \
             NO_PROXY for other hosts"
        ))),
        Host::Address(address) => Err(Refusal::forbidden(format!(
            "{address} is not a host of AWS{}",
            metadata_hint(address)
        ))),
    }
}

/// A request to the proxy as if it was a server.
fn direct(host: &str) -> Result<Way, Refusal> {
    let named = read_host(host, "Host")?;
    if let Some(prefix) = named.host.own_prefix() {
        return Ok(Way::Endpoint {
            prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
        });
    }
    match named.host {
        host if !host.is_aws() => Err(Refusal::forbidden(format!(
            "Host is {host}, which is neither a host of AWS nor this proxy's own address"
        ))),
        host => {
            check_port(named.port, &[80, 443])?;
            Ok(Way::Plain {
                host: host.to_string(),
            })
        }
    }
}

/// What is refused whoever asks, before anything else is looked at.
fn well_formed(head: &Parts, framing: &Framing, number: u64) -> Result<(), Refusal> {
    if framing.is_ambiguous(number) {
        return Err(Refusal::bad_request(
            "the request, or one before it on this connection, says its length or its host in more than \
             one way (Content-Length, Transfer-Encoding, Host); send each of them once, and either \
             Content-Length or Transfer-Encoding",
        )
        .closing());
    }
    if head.headers.contains_key(ORIGIN) {
        return Err(Refusal::forbidden(
            "the request has an Origin: it comes from a web page, and the proxy serves none",
        ));
    }
    Ok(())
}

fn one_host(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut all = headers.get_all(HOST).iter();
    let Some(host) = all.next() else {
        return Ok(None);
    };
    match (host.to_str(), all.next()) {
        (Ok(host), None) => Ok(Some(host)),
        (Err(_), _) => Err(Refusal::bad_request("Host is not ASCII")),
        (_, Some(_)) => Err(Refusal::bad_request("the request has several Host headers").closing()),
    }
}

fn read_host(text: &str, what: &str) -> Result<Authority, Refusal> {
    Authority::parse(text)
        .map_err(|error| Refusal::bad_request(format!("{what} cannot be read: {error}")))
}

fn check_port(port: Option<u16>, allowed: &[u16]) -> Result<(), Refusal> {
    match port {
        Some(port) if !allowed.contains(&port) => Err(Refusal::forbidden(format!(
            "AWS is not reached on port {port} through this proxy; leave the port out"
        ))),
        _ => Ok(()),
    }
}

fn no_key_for_proxy() -> Refusal {
    Refusal::no_key(StatusCode::PROXY_AUTHENTICATION_REQUIRED)
}

fn no_host() -> Refusal {
    Refusal::bad_request("the request has no Host header")
}

fn disagree(one: &str, is: &Host, other: &str, and: &Host) -> Refusal {
    Refusal::bad_request(format!(
        "{one} names {is} and {other} names {and}; they must be the same host"
    ))
}

fn metadata_hint(address: std::net::IpAddr) -> Cow<'static, str> {
    if address.to_string() == "169.254.169.254" {
        Cow::Borrowed(
            "; the instance metadata service is not reached through it, set \
             AWS_EC2_METADATA_DISABLED=true",
        )
    } else {
        Cow::Borrowed("")
    }
}

/// Leaves of a URI what the origin server sees.
fn origin_form(uri: &mut Uri) {
    if uri.authority().is_none() {
        return;
    }
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = uri
        .path_and_query()
        .cloned()
        .or(Some(http::uri::PathAndQuery::from_static("/")));
    if let Ok(origin) = Uri::from_parts(parts) {
        *uri = origin;
    }
}
