//! The ways to a server: directly, with TLS, or with TLS through a tunnel of the proxy.

use std::{net::SocketAddr, path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::load::open;

/// A connection, whatever it is made of.
pub(crate) type Stream = Box<dyn ReadWrite>;

/// What a connection can do.
pub(crate) trait ReadWrite: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> ReadWrite for S {}

/// A way to a server.
#[derive(Clone)]
pub(crate) enum Route {
    /// Without TLS.
    Plain(SocketAddr),
    /// With TLS, to the host of that name.
    Tls(SocketAddr, &'static str, Arc<ClientConfig>),
    /// Through a tunnel to the host of that name, which this key opens, and with TLS in it.
    Tunnel(SocketAddr, &'static str, Arc<ClientConfig>, Arc<str>),
}

impl Route {
    /// A new connection.
    pub(crate) async fn connect(&self) -> Stream {
        match self {
            Self::Plain(address) => Box::new(open(*address).await),
            Self::Tls(address, host, config) => {
                Box::new(secured(open(*address).await, host, config).await)
            }
            Self::Tunnel(address, host, config, key) => {
                let stream = tunnel(open(*address).await, host, key).await;
                Box::new(secured(stream, host, config).await)
            }
        }
    }
}

async fn tunnel(mut stream: TcpStream, host: &str, key: &str) -> TcpStream {
    let secret = STANDARD.encode(format!("idp:{key}"));
    let request = format!(
        "CONNECT {host}:443 HTTP/1.1\r\nhost: {host}:443\r\n\
         proxy-authorization: Basic {secret}\r\n\r\n"
    );
    let written = stream.write_all(request.as_bytes()).await;
    written.expect("the proxy reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the proxy answers"));
    }
    assert!(
        head.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&head)
    );
    stream
}

async fn secured(
    stream: TcpStream,
    host: &'static str,
    config: &Arc<ClientConfig>,
) -> impl ReadWrite + use<> {
    let name = ServerName::try_from(host).expect("it is a host name");
    let connector = TlsConnector::from(Arc::clone(config));
    connector
        .connect(name, stream)
        .await
        .expect("the server has a certificate")
}

/// TLS for a client that trusts this authority.
pub(crate) fn trusting(ca: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("the file is there") {
        let certificate = certificate.expect("it is a certificate");
        roots.add(certificate).expect("it is an authority's");
    }
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}
