//! Requests go on to a server that speaks plain HTTP, unchanged; on the way, signatures are verified.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use idp::{
    domain::{Clock as _, SecretString, SystemClock},
    sigv4::{LookupError, SignedRequest, verify},
};
use s3s::auth::{S3Auth, SecretKey};
use tokio::net::TcpStream;

use super::cloud::{Body, Service, whole};

/// The access keys that an STS has given out, and their secrets.
#[derive(Clone, Debug, Default)]
pub(super) struct Keyring(Arc<Mutex<HashMap<String, Keys>>>);

#[derive(Clone, Debug)]
struct Keys {
    secret: String,
    token: String,
}

impl Keyring {
    /// Whether it holds any.
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }

    fn note(&self, answer: &str) {
        let member = |name: &str| {
            let (_, rest) = answer.split_once(&format!("<{name}>"))?;
            Some(rest.split_once('<')?.0.to_owned())
        };
        let found = (
            member("AccessKeyId"),
            member("SecretAccessKey"),
            member("SessionToken"),
        );
        if let (Some(id), Some(secret), Some(token)) = found {
            self.0.lock().unwrap().insert(id, Keys { secret, token });
        }
    }

    fn secret(&self, id: &str, token: Option<&str>) -> Option<String> {
        let keys = self.0.lock().unwrap().get(id)?.clone();
        (token.is_none_or(|token| token == keys.token)).then_some(keys.secret)
    }
}

#[async_trait]
impl S3Auth for Keyring {
    async fn get_secret_key(&self, access_key: &str) -> s3s::S3Result<SecretKey> {
        self.secret(access_key, None)
            .map(SecretKey::from)
            .ok_or_else(|| s3s::s3_error!(InvalidAccessKeyId))
    }
}

/// What is done on the way.
enum Duty {
    /// Nothing.
    None,
    /// Keys that an STS gives out are noted.
    Notes(Keyring),
    /// Signatures of every service but S3 are verified with the project's own verifier.
    Verifies(Keyring),
}

/// The server behind, and what is done on the way there.
pub(super) struct Relay {
    authority: String,
    /// What the path gets in front.
    base: String,
    duty: Duty,
}

impl Relay {
    /// To `http://HOST:PORT` and an optional path.
    pub(super) fn to(url: &str) -> Self {
        let rest = url.strip_prefix("http://").expect("a plain http URL");
        let (authority, base) = rest
            .find('/')
            .map_or((rest, ""), |slash| rest.split_at(slash));
        Self {
            authority: authority.to_owned(),
            base: base.trim_end_matches('/').to_owned(),
            duty: Duty::None,
        }
    }

    /// The same, noting keys.
    pub(super) fn noting(mut self, keys: &Keyring) -> Self {
        self.duty = Duty::Notes(keys.clone());
        self
    }

    /// The same, verifying signatures.
    pub(super) fn verifying(mut self, keys: &Keyring) -> Self {
        self.duty = Duty::Verifies(keys.clone());
        self
    }

    async fn send<B>(&self, mut request: Request<B>) -> Result<Response<Incoming>, BoxError>
    where
        B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let target = request.uri().path_and_query().map_or("/", |t| t.as_str());
        let target = format!("{}{target}", self.base);
        *request.uri_mut() = target.trim_end_matches("/?").parse()?;
        *request.version_mut() = http::Version::HTTP_11;
        let stream = TcpStream::connect(&self.authority).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?)
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[async_trait]
impl Service for Relay {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let sent = match &self.duty {
            Duty::None | Duty::Notes(_) => self.send(request).await,
            Duty::Verifies(_) if is_s3(&request) => self.send(request).await,
            Duty::Verifies(keys) => {
                let (parts, body) = request.into_parts();
                let Ok(body) = body.collect().await else {
                    return whole(400, "the body was cut off");
                };
                let body = body.to_bytes();
                if let Err(reason) = check(&parts, &body, keys) {
                    return whole(403, reason);
                }
                self.send(Request::from_parts(parts, Full::new(body))).await
            }
        };
        let response = match sent {
            Ok(response) => response,
            Err(error) => return whole(502, error.to_string()),
        };
        let Duty::Notes(keys) = &self.duty else {
            return response.map(|body| body.map_err(Into::into).boxed_unsync());
        };
        let (parts, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let body = body.unwrap_or_default();
        keys.note(&String::from_utf8_lossy(&body));
        let mut noted = whole(parts.status.as_u16(), body);
        *noted.headers_mut() = parts.headers;
        noted
    }
}

fn host(headers: &http::HeaderMap) -> &str {
    let host = headers.get("host").and_then(|host| host.to_str().ok());
    host.unwrap_or_default()
}

fn is_s3(request: &Request<Incoming>) -> bool {
    let host = host(request.headers());
    host.starts_with("s3.") || host.contains(".s3.")
}

/// Verifies the signature for the service that the host's first label names: with one exception that is
/// the signing name of every service that the tests use.
fn check(parts: &http::request::Parts, body: &[u8], keys: &Keyring) -> Result<(), String> {
    let headers: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()))
        .collect();
    let request = SignedRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query(),
        headers: &headers,
        body,
    };
    let host = host(&parts.headers);
    let service = match host.split('.').next().unwrap_or_default() {
        // The AWS CLI asks SQS at its first address, `REGION.queue.amazonaws.com`.
        _ if host.split('.').any(|label| label == "queue") => "sqs",
        label => label,
    };
    let lookup = |id: &str, token: Option<&str>| {
        let secret = keys
            .secret(id, token.or(Some("")))
            .ok_or(LookupError::Unknown)?;
        Ok((SecretString::from(secret), ()))
    };
    verify(&request, service, SystemClock.now(), lookup)
        .map(drop)
        .map_err(|error| format!("{service}: {error}"))
}
