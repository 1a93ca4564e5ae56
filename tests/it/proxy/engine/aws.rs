//! An AWS that answers on one address for all hosts: TLS with a certificate for whatever name is asked for,
//! signatures verified, everything counted.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use idp::domain::{Clock as _, SystemClock};
use idp::sigv4::{self, Authorization, SignedRequest};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::PrivateKeyDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

pub(super) const ACCESS_KEY: &str = "ASIAENGINE";
pub(super) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub(super) const TOKEN: &str = "session/token==";

/// A request that reached AWS.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    pub(super) method: String,
    pub(super) host: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) version: http::Version,
    pub(super) headers: HeaderMap,
    /// `None` where the body broke off.
    pub(super) body: Option<Bytes>,
    /// Whether its signature is right.
    pub(super) signature: Result<(), String>,
}

impl Reached {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// How AWS answers.
pub(super) enum Reply {
    /// With this status, these headers and this body.
    Http(u16, Vec<(&'static str, &'static str)>, Bytes),
    /// Never.
    Silence,
}

type Answer = dyn Fn(&Reached) -> Reply + Send + Sync;

/// What it does with a connection.
enum Mode {
    Http(Arc<Answer>),
    /// Reads a head, writes these bytes, and closes without a farewell.
    Raw(Bytes),
}

pub(super) struct Aws {
    pub(super) address: SocketAddr,
    /// The file with the authority of its certificates.
    pub(super) ca: PathBuf,
    pub(super) reached: Arc<Mutex<Vec<Reached>>>,
    pub(super) connections: Arc<AtomicUsize>,
    mode: Arc<Mutex<Mode>>,
    _dir: tempfile::TempDir,
}

#[derive(Debug)]
struct Certificates {
    authority: CertifiedIssuer<'static, KeyPair>,
    key: KeyPair,
    made: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_owned();
        let mut made = self.made.lock().unwrap();
        if let Some(found) = made.get(&name) {
            return Some(found.clone());
        }
        let params = CertificateParams::new([name.clone()]).unwrap();
        let certificate = params.signed_by(&self.key, &self.authority).unwrap();
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let certified = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key));
        made.insert(name, certified.clone());
        Some(certified)
    }
}

impl Aws {
    pub(super) async fn start(h2: bool) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("aws.pem");
        std::fs::write(&ca, authority.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Certificates {
                authority,
                key: KeyPair::generate().unwrap(),
                made: Mutex::default(),
            }));
        config.alpn_protocols = vec![if h2 {
            b"h2".to_vec()
        } else {
            b"http/1.1".to_vec()
        }];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let aws = Self {
            address: listener.local_addr().unwrap(),
            ca,
            reached: Arc::default(),
            connections: Arc::default(),
            mode: Arc::new(Mutex::new(Mode::Http(Arc::new(|_| ok(""))))),
            _dir: dir,
        };
        let (reached, mode) = (aws.reached.clone(), aws.mode.clone());
        let connections = aws.connections.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, reached, mode) = (acceptor.clone(), reached.clone(), mode.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let raw = match &*mode.lock().unwrap() {
                        Mode::Raw(bytes) => Some(bytes.clone()),
                        Mode::Http(_) => None,
                    };
                    if let Some(bytes) = raw {
                        let mut head = vec![0; 16 * 1024];
                        let _ = stream.read(&mut head).await;
                        stream.write_all(&bytes).await.unwrap();
                        stream.flush().await.unwrap();
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        return;
                    }
                    let service =
                        service_fn(move |request| answer(request, reached.clone(), mode.clone()));
                    let io = TokioIo::new(stream);
                    if h2 {
                        let builder =
                            hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        let _ = builder.serve_connection(io, service).await;
                    } else {
                        let mut builder = hyper::server::conn::http1::Builder::new();
                        builder.max_headers(1000);
                        let _ = builder.serve_connection(io, service).await;
                    }
                });
            }
        });
        aws
    }

    pub(super) fn answers(&self, answer: impl Fn(&Reached) -> Reply + Send + Sync + 'static) {
        *self.mode.lock().unwrap() = Mode::Http(Arc::new(answer));
    }

    pub(super) fn writes(&self, bytes: impl Into<Bytes>) {
        *self.mode.lock().unwrap() = Mode::Raw(bytes.into());
    }

    pub(super) fn count(&self) -> usize {
        self.reached.lock().unwrap().len()
    }

    /// The only request that reached it, whose signature is right.
    pub(super) fn only(&self) -> Reached {
        let reached = self.reached.lock().unwrap();
        assert_eq!(reached.len(), 1, "{reached:?}");
        assert_eq!(reached[0].signature, Ok(()), "{:?}", reached[0]);
        reached[0].clone()
    }
}

pub(super) fn ok(body: &'static str) -> Reply {
    let headers = vec![
        ("x-amzn-requestid", "aws-request-1"),
        ("x-amz-request-id", "aws-request-1"),
    ];
    Reply::Http(200, headers, Bytes::from_static(body.as_bytes()))
}

async fn answer(
    request: Request<Incoming>,
    all: Arc<Mutex<Vec<Reached>>>,
    mode: Arc<Mutex<Mode>>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .ok()
        .map(http_body_util::Collected::to_bytes);
    let host = head.headers.get("host").map_or_else(
        || head.uri.authority().unwrap().to_string(),
        |host| host.to_str().unwrap().to_owned(),
    );
    let target = head.uri.path_and_query().unwrap().to_string();
    let signature = verify(
        head.method.as_str(),
        &host,
        &target,
        &head.headers,
        body.as_deref(),
    );
    let reached = Reached {
        method: head.method.to_string(),
        host,
        target,
        version: head.version,
        headers: head.headers,
        body,
        signature,
    };
    all.lock().unwrap().push(reached.clone());
    let answer = match &*mode.lock().unwrap() {
        Mode::Http(answer) => answer.clone(),
        Mode::Raw(_) => Arc::new(|_: &Reached| ok("")),
    };
    match answer(&reached) {
        Reply::Http(status, headers, body) => {
            let mut answer = Response::builder().status(status);
            for (name, value) in headers {
                answer = answer.header(name, value);
            }
            Ok(answer.body(Full::new(body)).unwrap())
        }
        Reply::Silence => {
            std::future::pending::<()>().await;
            unreachable!()
        }
    }
}

/// Whether a request is signed as AWS wants it, with the session's credentials and within 15 minutes. The
/// project's own verifier judges it, and for S3, whose paths are another thing, AWS's own signer.
fn verify(
    method: &str,
    host: &str,
    target: &str,
    headers: &HeaderMap,
    body: Option<&[u8]>,
) -> Result<(), String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = header("authorization").ok_or("no Authorization")?;
    if authorization.starts_with("AWS4-ECDSA-P256-SHA256 ") {
        return Ok(());
    }
    let body = body.ok_or("the body broke off")?;
    let parsed = Authorization::parse(authorization).map_err(|error| error.to_string())?;
    if header("x-amz-security-token") != Some(TOKEN) || parsed.access_key_id != ACCESS_KEY {
        return Err("not the session's credentials".to_owned());
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let service = parsed.scope.service.as_str();
    if service != "s3" {
        let mut all: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .filter(|(name, _)| *name != "host")
            .collect();
        all.push(("host", host));
        let request = SignedRequest {
            method,
            path,
            query: Some(query),
            headers: &all,
            body,
        };
        let looked_up = |_: &str, _: Option<&str>| Ok((SECRET.into(), ()));
        return sigv4::verify(&request, service, SystemClock.now(), looked_up)
            .map(|_| ())
            .map_err(|error| error.to_string());
    }
    let at = header("x-amz-date").ok_or("no date")?;
    let at = jiff_time(at);
    let now = u64::try_from(SystemClock.now().secs()).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
    let skew = now.duration_since(at).unwrap_or_default();
    if skew > Duration::from_mins(15) {
        return Err("the date is old".to_owned());
    }
    let said = header("x-amz-content-sha256").ok_or("no x-amz-content-sha256")?;
    let identity =
        Credentials::new(ACCESS_KEY, SECRET, Some(TOKEN.to_owned()), None, "test").into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&parsed.scope.region)
        .name("s3")
        .time(at)
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let own = [
        "host",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-content-sha256",
    ];
    let signed: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .filter(|(name, _)| parsed.signed_headers.iter().any(|one| one == name))
        .filter(|(name, _)| !own.contains(name))
        .collect();
    let uri = format!("https://{host}{target}");
    let body = SignableBody::Precomputed(said.to_owned());
    let signable = SignableRequest::new(method, uri, signed.into_iter(), body).unwrap();
    let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
    let mut expected = Request::builder().uri("/").body(()).unwrap();
    instructions.apply_to_request_http1x(&mut expected);
    let expected = expected.headers()["authorization"]
        .to_str()
        .unwrap()
        .to_owned();
    let end = |text: &str| text.rsplit_once('=').unwrap().1.to_owned();
    if end(&expected) == end(authorization) {
        Ok(())
    } else {
        Err(format!("{authorization} should be {expected}"))
    }
}

fn jiff_time(text: &str) -> SystemTime {
    let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).unwrap();
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(at.as_second()).unwrap())
}
