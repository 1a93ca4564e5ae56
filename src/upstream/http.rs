//! The HTTP client of everything outbound: no redirects, bounded bodies, time-outs, the proxy and CA
//! settings that other tools honour.

use std::{
    error::Error,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use reqwest::{Certificate, redirect::Policy};
use url::{Host, Url};

use super::guard::{Allow, ForbiddenAddress, GuardedResolver};

/// How outbound connections are made.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// A PEM file of certificates that replaces the system's (`SSL_CERT_FILE`; `AWS_CA_BUNDLE` for
    /// AWS).
    pub roots: Option<PathBuf>,
    /// A PEM file of certificates that are trusted as well.
    pub extra_roots: Option<PathBuf>,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a request may take from its beginning to the end of the answer's body.
    pub total_timeout: Duration,
    /// The longest body of an answer, in bytes.
    pub max_body: usize,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            roots: None,
            extra_roots: None,
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(30),
            max_body: 1024 * 1024,
        }
    }
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: StatusCode,
    /// The header.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The guard refused the address.
    #[error("{url} must not be fetched: {reason}")]
    Forbidden {
        /// What was to be fetched, without its query.
        url: String,
        /// Why not.
        reason: String,
    },
    /// No connection, no answer in time, or a broken one.
    #[error("{url} could not be reached: {reason}")]
    Unreachable {
        /// What was asked, without its query.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The answer's body is longer than the settings allow.
    #[error("{url} answered with more than {limit} bytes")]
    TooLarge {
        /// What was asked, without its query.
        url: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// A file of CA certificates that cannot be used.
    #[error("the CA certificates in {path} cannot be used: {reason}")]
    Roots {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// The client could not be made.
    #[error("the HTTP client could not be set up: {0}")]
    Setup(String),
}

/// An HTTP client.
///
/// Connections are kept. TLS, with the CA certificates it needs, is set up with the first `https`
/// request and not before: on loopback it would cost more than everything else. Loopback addresses
/// are never asked through a proxy, guarded ones neither, since a proxy would resolve the name anew.
#[derive(Debug)]
pub struct HttpClient {
    settings: HttpSettings,
    allow: Allow,
    clients: [OnceLock<reqwest::Client>; 4],
}

impl HttpClient {
    /// A client that dials what `allow` allows.
    #[must_use]
    pub const fn new(settings: HttpSettings, allow: Allow) -> Self {
        Self {
            settings,
            allow,
            clients: [const { OnceLock::new() }; 4],
        }
    }

    /// `GET url`.
    pub async fn get(&self, url: &Url) -> Result<HttpAnswer, HttpError> {
        let mut request = http::Request::new(Bytes::new());
        *request.uri_mut() = uri(url)?;
        self.send(request).await
    }

    /// `POST url` with a body of that content type.
    pub async fn post(
        &self,
        url: &Url,
        content_type: &'static str,
        body: String,
    ) -> Result<HttpAnswer, HttpError> {
        let mut request = http::Request::new(Bytes::from(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = uri(url)?;
        request.headers_mut().insert(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static(content_type),
        );
        self.send(request).await
    }

    /// Sends `request` and waits for the whole answer.
    pub async fn send(&self, request: http::Request<Bytes>) -> Result<HttpAnswer, HttpError> {
        self.execute(request, None).await?.collect().await
    }

    /// Sends `request` and hands out the answer as it comes. It may take as long as it likes, but no
    /// part of it longer than a whole answer may.
    pub async fn stream(&self, request: http::Request<Bytes>) -> Result<HttpStream, HttpError> {
        self.execute(request, Some(STREAM_TIMEOUT)).await
    }

    async fn execute(
        &self,
        request: http::Request<Bytes>,
        timeout: Option<Duration>,
    ) -> Result<HttpStream, HttpError> {
        let target = request.uri().to_string();
        let url = Url::parse(&target).map_err(|error| HttpError::Unreachable {
            url: target,
            reason: error.to_string(),
        })?;
        let shown = shown(&url);
        if let Some(address) = literal(&url) {
            self.allow
                .check(&address.to_string(), address)
                .map_err(|error| HttpError::Forbidden {
                    url: shown.clone(),
                    reason: error.to_string(),
                })?;
        }
        let explain = |error| explain(&self.settings, shown.clone(), &error);
        let mut request = reqwest::Request::try_from(request).map_err(explain)?;
        *request.timeout_mut() = timeout;
        let response = self.client_for(&url)?.execute(request);
        let mut response = tokio::time::timeout(self.settings.total_timeout, response)
            .await
            .map_err(|_| silent(&self.settings, shown.clone()))?
            .map_err(explain)?;
        Ok(HttpStream {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            response,
            url: shown,
            settings: self.settings.clone(),
        })
    }

    fn client_for(&self, url: &Url) -> Result<&reqwest::Client, HttpError> {
        let tls = url.scheme() != "http";
        let direct = self.allow != Allow::AnyAddress || is_loopback(url);
        let slot = &self.clients[usize::from(tls) * 2 + usize::from(direct)];
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = self.build(tls, direct)?;
        Ok(slot.get_or_init(|| client))
    }

    fn build(&self, tls: bool, direct: bool) -> Result<reqwest::Client, HttpError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("idp/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(self.settings.connect_timeout)
            .timeout(self.settings.total_timeout)
            .dns_resolver(GuardedResolver(self.allow));
        if direct {
            builder = builder.no_proxy();
        }
        builder = match (&self.settings.roots, &self.settings.extra_roots) {
            _ if !tls => builder.tls_certs_only([]),
            (Some(roots), extra) => {
                let mut certificates = read_roots(roots)?;
                if let Some(extra) = extra {
                    certificates.extend(read_roots(extra)?);
                }
                builder.tls_certs_only(certificates)
            }
            (None, Some(extra)) => builder.tls_certs_merge(read_roots(extra)?),
            (None, None) => builder,
        };
        builder
            .build()
            .map_err(|error| HttpError::Setup(root_cause(&error)))
    }
}

/// How long a streamed answer may take as a whole.
const STREAM_TIMEOUT: Duration = Duration::from_hours(24);

/// An answer whose body is still arriving.
#[derive(Debug)]
pub struct HttpStream {
    /// The status.
    pub status: StatusCode,
    /// The header.
    pub headers: HeaderMap,
    response: reqwest::Response,
    url: String,
    settings: HttpSettings,
}

impl HttpStream {
    /// The next part of the body; `None` after the last. A body that breaks off is an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        tokio::time::timeout(self.settings.total_timeout, self.response.chunk())
            .await
            .map_err(|_| silent(&self.settings, self.url.clone()))?
            .map_err(|error| explain(&self.settings, self.url.clone(), &error))
    }

    /// The rest of it, which must not be longer than the settings allow.
    pub async fn collect(mut self) -> Result<HttpAnswer, HttpError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > self.settings.max_body {
                return Err(self.too_long(self.settings.max_body));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer {
            status: self.status,
            headers: self.headers,
            body: body.into(),
        })
    }

    /// The error for a part of it that is longer than `limit` bytes.
    #[must_use]
    pub fn too_long(&self, limit: usize) -> HttpError {
        HttpError::TooLarge {
            url: self.url.clone(),
            limit,
        }
    }
}

fn silent(settings: &HttpSettings, url: String) -> HttpError {
    HttpError::Unreachable {
        url,
        reason: format!(
            "no complete answer within {} s",
            settings.total_timeout.as_secs()
        ),
    }
}

fn explain(settings: &HttpSettings, url: String, error: &reqwest::Error) -> HttpError {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(forbidden) = cause.downcast_ref::<ForbiddenAddress>() {
            return HttpError::Forbidden {
                url,
                reason: forbidden.to_string(),
            };
        }
        source = cause.source();
    }
    let reason = match (error.is_timeout(), error.is_connect()) {
        (true, true) => format!(
            "no connection within {} s",
            settings.connect_timeout.as_secs()
        ),
        (true, false) => format!(
            "no complete answer within {} s",
            settings.total_timeout.as_secs()
        ),
        _ => root_cause(error),
    };
    HttpError::Unreachable { url, reason }
}

fn uri(url: &Url) -> Result<http::Uri, HttpError> {
    url.as_str()
        .parse()
        .map_err(|error: http::uri::InvalidUri| HttpError::Unreachable {
            url: shown(url),
            reason: error.to_string(),
        })
}

/// The innermost cause says what happened ("Connection refused"); the layers around it say that a
/// request failed.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// A URL as it may appear in a message: without user name, password, query and fragment.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(v4) => Some(v4.into()),
        Host::Ipv6(v6) => Some(v6.into()),
        Host::Domain(_) => None,
    }
}

/// Whether a URL's host is this machine by its name or address.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(v4)) => v4.is_loopback(),
        Some(Host::Ipv6(v6)) => v6.is_loopback(),
        None => false,
    }
}

fn read_roots(path: &Path) -> Result<Vec<Certificate>, HttpError> {
    let fail = |reason: String| HttpError::Roots {
        path: path.display().to_string(),
        reason,
    };
    let pem = fs::read(path).map_err(|error| fail(error.to_string()))?;
    let certificates =
        Certificate::from_pem_bundle(&pem).map_err(|error| fail(root_cause(&error)))?;
    if certificates.is_empty() {
        return Err(fail("it holds no PEM certificate".to_owned()));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Answers every connection with `answer`, then holds it open.
    async fn server(answer: &'static str) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x?secret=1", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.read(&mut request).await;
                });
            }
        });
        url.parse().unwrap()
    }

    fn client(allow: Allow) -> HttpClient {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        HttpClient::new(
            HttpSettings {
                total_timeout: Duration::from_millis(500),
                max_body: 10,
                ..HttpSettings::default()
            },
            allow,
        )
    }

    #[tokio::test]
    async fn returns_the_whole_answer_and_follows_no_redirect() {
        let url = server("HTTP/1.1 302 Found\r\nlocation: /y\r\ncontent-length: 2\r\n\r\nhi").await;
        let answer = client(Allow::AnyAddress).get(&url).await.unwrap();
        assert_eq!(answer.status, 302);
        assert_eq!(&answer.body[..], b"hi");
    }

    #[tokio::test]
    async fn bounds_bodies() {
        let url = server("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world").await;
        let error = client(Allow::AnyAddress).get(&url).await.unwrap_err();
        assert!(matches!(error, HttpError::TooLarge { limit: 10, .. }));
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[tokio::test]
    async fn cuts_slow_bodies() {
        let url = server("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhell").await;
        let error = client(Allow::AnyAddress).get(&url).await.unwrap_err();
        assert!(error.to_string().contains("no complete answer"), "{error}");
    }

    #[tokio::test]
    async fn guards_literals_and_names() {
        let url = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let error = client(Allow::PublicOnly).get(&url).await.unwrap_err();
        assert!(matches!(error, HttpError::Forbidden { .. }), "{error}");
        client(Allow::LoopbackToo).get(&url).await.unwrap();

        let mut named = url.clone();
        named.set_host(Some("localhost")).unwrap();
        let error = client(Allow::PublicOnly).get(&named).await.unwrap_err();
        assert!(error.to_string().contains("a loopback address"), "{error}");
        client(Allow::LoopbackToo).get(&named).await.unwrap();
    }

    #[tokio::test]
    async fn every_spelling_of_an_address_is_guarded() {
        for spelling in [
            "http://2130706433:1/",
            "http://0x7f.1:1/",
            "http://127.1:1/",
            "http://[::ffff:7f00:1]:1/",
            "http://[::ffff:169.254.169.254]/",
            "https://169.254.169.254/",
            "http://0:1/",
        ] {
            let error = client(Allow::PublicOnly)
                .get(&spelling.parse().unwrap())
                .await
                .unwrap_err();
            assert!(
                matches!(error, HttpError::Forbidden { .. }),
                "{spelling}: {error}"
            );
        }
    }

    /// A TLS server for `localhost` with a certificate of its own making, and that certificate.
    async fn tls_server() -> (Url, tempfile::NamedTempFile) {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut pem = tempfile::NamedTempFile::new().unwrap();
        pem.write_all(made.cert.pem().as_bytes()).unwrap();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
                    let _ = stream.write_all(answer).await;
                }
            }
        });
        let url = format!("https://localhost:{port}/").parse().unwrap();
        (url, pem)
    }

    #[tokio::test]
    async fn trusts_the_named_certificates_and_no_others() {
        let (url, pem) = tls_server().await;
        let (_, other) = tls_server().await;
        let file = |file: &tempfile::NamedTempFile| Some(file.path().to_owned());
        for (roots, extra_roots, good) in [
            (file(&pem), None, true),
            (None, file(&pem), true),
            (file(&other), file(&pem), true),
            (file(&other), None, false),
            (None, None, false),
        ] {
            let client = HttpClient::new(
                HttpSettings {
                    roots,
                    extra_roots,
                    ..HttpSettings::default()
                },
                Allow::LoopbackToo,
            );
            match client.get(&url).await {
                Ok(answer) => assert!(good && &answer.body[..] == b"hi"),
                Err(error) => assert!(
                    !good && error.to_string().contains("certificate"),
                    "{error}"
                ),
            }
        }
    }

    #[tokio::test]
    async fn names_the_innermost_cause() {
        let url = Url::parse("http://127.0.0.1:1/").unwrap();
        let error = client(Allow::AnyAddress).get(&url).await.unwrap_err();
        assert!(error.to_string().contains("Connection refused"), "{error}");
    }

    #[tokio::test]
    async fn names_the_file_of_bad_roots() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"nothing").unwrap();
        let client = HttpClient::new(
            HttpSettings {
                roots: Some(file.path().to_owned()),
                ..HttpSettings::default()
            },
            Allow::AnyAddress,
        );
        let url = Url::parse("https://127.0.0.1:1/").unwrap();
        let error = client.get(&url).await.unwrap_err().to_string();
        assert!(
            error.contains(&file.path().display().to_string()) && error.contains("no PEM"),
            "{error}"
        );
    }
}
