//! `CONNECT`: tunnels to AWS, whose TLS ends here, and those that pass through to other hosts.

use std::{io, net::SocketAddr, sync::Arc};

use http::{Method, Request, Response, StatusCode, Uri};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use rustls::{
    ServerConfig,
    server::{Acceptor, ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional},
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout},
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use super::{
    Answer, ProxyBody, TurnedAway,
    front::{Place, Tunnel, WaysIn},
    guests::Guest,
    inbound::{Opening, Tunnelled},
    listener::{serve_http, stopped},
    refusal::Refusal,
    shown_key::{self, Shown},
};
use crate::domain::{AddressRule, RequestId};

/// Everything that a tunnel needs once it is made.
struct Opened<A> {
    ways: Arc<WaysIn<A>>,
    peer: SocketAddr,
    request_id: RequestId,
    upgrade: OnUpgrade,
    guest: Arc<Guest>,
    stop: watch::Receiver<bool>,
}

/// Answers a `CONNECT`. Where it is let in, the tunnel lives on in a task of its own.
pub(super) async fn connect<A: Answer>(
    ways: &Arc<WaysIn<A>>,
    mut request: Request<Incoming>,
    peer: SocketAddr,
    framing: (&super::framing::Framing, u64),
    guest: &Arc<Guest>,
    stop: &watch::Receiver<bool>,
) -> Response<ProxyBody> {
    let opened = Opened {
        ways: ways.clone(),
        peer,
        request_id: ways.request_id(),
        upgrade: hyper::upgrade::on(&mut request),
        guest: guest.clone(),
        stop: stop.clone(),
    };
    let (head, _) = request.into_parts();
    let known = shown_key::shown(&ways.key, &head.headers, &Uri::default()) == Shown::Key;
    if known {
        guest.admit();
    }
    let begun = match ways.connect(&head, framing.0, framing.1) {
        Ok(Tunnel::Intercept(host)) => opened.intercept(&host, Place::Inside(host.clone())),
        Ok(Tunnel::Refuse(host, refusal)) => {
            let id = opened.request_id;
            ways.record(&refusal, &head, peer, id, known);
            opened.intercept(&host, Place::Refused(Arc::new(refusal), id))
        }
        Ok(Tunnel::Through(host)) => opened.pass(host).await,
        Err(refusal) => Err((refusal, opened.request_id)),
    };
    match begun {
        Ok(()) => Response::new(super::empty()),
        Err((refusal, id)) => ways.refuse(&refusal, &head, peer, id, known),
    }
}

impl<A: Answer> Opened<A> {
    fn intercept(mut self, host: &Arc<str>, place: Place) -> Result<(), (Refusal, RequestId)> {
        let config = self.ways.leaves.config(host).map_err(|error| {
            tracing::error!(%host, %error, "no certificate for a host");
            (Refusal::internal(), self.request_id)
        })?;
        let host = host.clone();
        tokio::spawn(async move {
            let Some(stream) = self.handshake(&host, config).await else {
                return;
            };
            let Self {
                ways,
                peer,
                guest,
                stop,
                ..
            } = self;
            serve_http(stream, ways, peer, place, guest, stop).await;
        });
        Ok(())
    }

    /// Ends the client's TLS, whose server name has to be the tunnel's host.
    async fn handshake(
        &mut self,
        host: &Arc<str>,
        config: Arc<ServerConfig>,
    ) -> Option<TlsStream<impl AsyncRead + AsyncWrite + Unpin + Send + use<A>>> {
        let peer = self.peer;
        let shaken = timeout(self.ways.limits.handshake, async {
            let upgraded = (&mut self.upgrade).await.map_err(io::Error::other)?;
            let start =
                LazyConfigAcceptor::new(Acceptor::default(), TokioIo::new(upgraded)).await?;
            let name = start
                .client_hello()
                .server_name()
                .map(str::to_ascii_lowercase);
            if name.as_deref() == Some(&**host) {
                return start.into_stream(config).await.map(Some);
            }
            self.misdirected(host, name);
            // The client gets an alert instead of a connection that breaks off.
            drop(start.into_stream(no_certificate()?).await);
            Ok(None)
        });
        match shaken.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if error.to_string().contains("UnknownCA") => {
                tracing::warn!(
                    %peer, %host,
                    "a client does not trust the proxy's certificate authority; it has to read the \
                     bundle that `idp proxy env` names"
                );
                None
            }
            Ok(Err(error)) => {
                tracing::debug!(%peer, %host, %error, "TLS handshake in a tunnel failed");
                None
            }
            Err(_) => {
                tracing::debug!(%peer, %host, "TLS handshake in a tunnel took too long");
                None
            }
        }
    }

    fn misdirected(&self, host: &str, name: Option<String>) {
        let named = name.as_deref().unwrap_or("no server");
        let reason = format!("CONNECT names {host} and TLS names {named}; they must be the same");
        self.ways.engine.turned_away(TurnedAway {
            peer: self.peer,
            request_id: self.request_id,
            method: Some(Method::CONNECT),
            host: Some(name.unwrap_or_else(|| host.to_owned())),
            status: StatusCode::MISDIRECTED_REQUEST,
            reason: reason.into(),
            known: true,
        });
    }

    /// Connects to a host that is none of AWS's, and lets bytes pass.
    async fn pass(self, host: String) -> Result<(), (Refusal, RequestId)> {
        let opening = Opening {
            peer: self.peer,
            request_id: self.request_id,
            host,
        };
        if let Err(error) = self.ways.engine.tunnel_opens(&opening).await {
            let refusal = Refusal {
                status: StatusCode::SERVICE_UNAVAILABLE,
                ..Refusal::forbidden(format!("nothing goes on that cannot be recorded: {error}"))
            };
            return Err((refusal, self.request_id));
        }
        let (patience, host) = (self.ways.limits.dial, &opening.host);
        let mut there = match timeout(patience, dial(host, 443)).await {
            Ok(Ok(stream)) => stream,
            failed => {
                let reason = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => format!("no connection within {} seconds", patience.as_secs()),
                };
                let refusal = Refusal {
                    status: StatusCode::BAD_GATEWAY,
                    ..Refusal::forbidden(format!("{host} cannot be reached: {reason}"))
                };
                return Err((refusal, self.request_id));
            }
        };
        tokio::spawn(async move {
            let begun = Instant::now();
            let mut stop = self.stop;
            let pass = async {
                let mut here = TokioIo::new(self.upgrade.await.ok()?);
                copy_bidirectional(&mut here, &mut there).await.ok()
            };
            let moved = tokio::select! {
                moved = pass => moved,
                () = stopped(&mut stop) => None,
            };
            self.ways.engine.tunnelled(Tunnelled {
                opening,
                bytes: moved,
                duration: begun.elapsed(),
            });
            drop(self.guest);
        });
        Ok(())
    }
}

/// Resolves a name once, and connects to one of its public addresses.
async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let found = tokio::net::lookup_host((host, port)).await?;
    let good = AddressRule::PublicOnly
        .judge(host, found)
        .map_err(io::Error::other)?;
    let stream = TcpStream::connect(&*good).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// TLS settings that refuse every client.
fn no_certificate() -> io::Result<Arc<ServerConfig>> {
    #[derive(Debug)]
    struct Nothing;
    impl ResolvesServerCert for Nothing {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            None
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Nothing));
    Ok(Arc::new(config))
}
