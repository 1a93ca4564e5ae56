//! An issuer's published keys over HTTP, fetched as a relying party does.

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use url::{Origin, Url};

use super::{
    guard::Allow,
    http::{HttpAnswer, HttpClient, HttpError, HttpSettings, is_loopback},
};
use crate::{
    domain::Issuer,
    ports::{FetchError, FetchedKeys, KeyFetch},
};

/// How long discovery and JWKS may take together: AWS gives an identity provider 5 s.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest discovery document or JWKS, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// Fetches discovery and JWKS over HTTP, without redirects, within 5 s and 1 MiB each.
#[derive(Debug)]
pub struct HttpKeyFetch {
    issuer: HttpClient,
    elsewhere: HttpClient,
    patience: Duration,
}

impl HttpKeyFetch {
    /// A fetcher that dials for issuers what `allow` allows. A `jwks_uri` on another origin than the
    /// issuer's was named by the document, not by the operator: under [`Allow::AnyAddress`] it is
    /// still fetched from public addresses only.
    #[must_use]
    pub fn new(settings: &HttpSettings, allow: Allow) -> Self {
        let settings = HttpSettings {
            total_timeout: PATIENCE,
            max_body: MAX_BODY,
            ..settings.clone()
        };
        let elsewhere = match allow {
            Allow::AnyAddress => Allow::PublicOnly,
            other => other,
        };
        Self {
            issuer: HttpClient::new(settings.clone(), allow),
            elsewhere: HttpClient::new(settings, elsewhere),
            patience: PATIENCE,
        }
    }

    async fn both(&self, issuer: &Issuer) -> Result<FetchedKeys, FetchError> {
        let discovery_url = parse(&issuer.discovery_url(), &issuer.discovery_url())?;
        let answer = self.issuer.get(&discovery_url).await.map_err(port)?;
        let discovery = document(&discovery_url, &answer)?;
        let jwks_url = jwks_uri(issuer, &discovery_url, &discovery)?;
        let client = if same_origin(&discovery_url, &jwks_url) {
            &self.issuer
        } else {
            &self.elsewhere
        };
        let answer = client.get(&jwks_url).await.map_err(port)?;
        let jwks = document(&jwks_url, &answer)?;
        if !jwks.get("keys").is_some_and(Value::is_array) {
            return Err(invalid(&jwks_url, "it has no array \"keys\""));
        }
        Ok(FetchedKeys {
            discovery,
            jwks,
            max_age: max_age(&answer.headers),
        })
    }
}

#[async_trait]
impl KeyFetch for HttpKeyFetch {
    async fn fetch(&self, issuer: &Issuer) -> Result<FetchedKeys, FetchError> {
        tokio::time::timeout(self.patience, self.both(issuer))
            .await
            .unwrap_or_else(|_| {
                Err(FetchError::Unreachable {
                    url: issuer.discovery_url(),
                    reason: format!(
                        "discovery and JWKS took longer than {} s",
                        self.patience.as_secs()
                    ),
                })
            })
    }
}

fn same_origin(a: &Url, b: &Url) -> bool {
    matches!(a.origin(), Origin::Tuple(..)) && a.origin() == b.origin()
}

fn parse(text: &str, source: &str) -> Result<Url, FetchError> {
    Url::parse(text).map_err(|error| FetchError::Invalid {
        url: source.to_owned(),
        reason: format!("{text:?} is not a URL ({error})"),
    })
}

fn port(error: HttpError) -> FetchError {
    match error {
        HttpError::Forbidden { url, reason } => FetchError::Forbidden { url, reason },
        HttpError::Unreachable { url, reason } => FetchError::Unreachable { url, reason },
        HttpError::TooLarge { url, limit } => FetchError::Invalid {
            url,
            reason: format!("the answer has more than {limit} bytes"),
        },
        HttpError::Roots { path, reason } => FetchError::Unreachable { url: path, reason },
        HttpError::Setup(reason) => FetchError::Unreachable {
            url: "the HTTP client".to_owned(),
            reason,
        },
    }
}

fn invalid(url: &Url, reason: impl Into<String>) -> FetchError {
    FetchError::Invalid {
        url: url.to_string(),
        reason: reason.into(),
    }
}

/// The JSON object that a `200` carries.
fn document(url: &Url, answer: &HttpAnswer) -> Result<Value, FetchError> {
    if answer.status != StatusCode::OK {
        let redirect = if answer.status.is_redirection() {
            "; redirects are not followed"
        } else {
            ""
        };
        return Err(FetchError::Unreachable {
            url: url.to_string(),
            reason: format!("it answered HTTP {}{redirect}", answer.status.as_u16()),
        });
    }
    match serde_json::from_slice(&answer.body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(invalid(url, "it is not a JSON object")),
        Err(error) => Err(invalid(url, format!("it is not JSON ({error})"))),
    }
}

/// The `jwks_uri` of a discovery document that is this issuer's own (OpenID Connect Discovery 1.0
/// §4.3: `issuer` must be exactly the URL that was asked for).
fn jwks_uri(issuer: &Issuer, url: &Url, discovery: &Value) -> Result<Url, FetchError> {
    match discovery.get("issuer").and_then(Value::as_str) {
        Some(named) if named == issuer.as_str() => {}
        Some(named) => {
            return Err(invalid(
                url,
                format!("it names the issuer {named:?}, not {:?}", issuer.as_str()),
            ));
        }
        None => return Err(invalid(url, "it has no \"issuer\"")),
    }
    let text = discovery
        .get("jwks_uri")
        .and_then(Value::as_str)
        .ok_or_else(|| invalid(url, "it has no \"jwks_uri\""))?;
    let jwks = parse(text, url.as_str())?;
    let plain = jwks.scheme() == "http" && issuer.is_loopback() && is_loopback(&jwks);
    if jwks.scheme() != "https" && !plain {
        return Err(invalid(
            url,
            format!("its jwks_uri {text:?} is not an https URL"),
        ));
    }
    if !jwks.username().is_empty() || jwks.password().is_some() {
        return Err(invalid(url, "its jwks_uri holds a user name or password"));
    }
    Ok(jwks)
}

/// How much longer an answer may be kept (RFC 9111 §4.2.1, §5.2.2): `max-age` less `Age`; zero where
/// caching is forbidden or not mentioned.
fn max_age(headers: &HeaderMap) -> Duration {
    let mut seconds = 0;
    for value in headers.get_all(header::CACHE_CONTROL) {
        for directive in value.to_str().unwrap_or_default().split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => return Duration::ZERO,
                "max-age" => seconds = argument.trim().trim_matches('"').parse().unwrap_or(0),
                _ => {}
            }
        }
    }
    let age = headers
        .get(header::AGE)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .unwrap_or(0_u64);
    Duration::from_secs(u64::saturating_sub(seconds, age))
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
    use serde_json::json;

    use super::*;

    /// An issuer on loopback whose documents are made from its own URL.
    async fn issuer(
        discovery: impl Fn(&str) -> Value + Clone + Send + Sync + 'static,
        jwks: impl IntoResponse + Clone + Send + Sync + 'static,
    ) -> Issuer {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let document = discovery(&url).to_string();
        let app = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(move || async move { document }),
            )
            .route("/jwks", get(move || async move { jwks.clone() }));
        tokio::spawn(async move { axum::serve(listener, app).await });
        url.parse().unwrap()
    }

    fn good(url: &str) -> Value {
        json!({"issuer": url, "jwks_uri": format!("{url}/jwks")})
    }

    fn fetcher(allow: Allow) -> HttpKeyFetch {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        HttpKeyFetch::new(&HttpSettings::default(), allow)
    }

    #[tokio::test]
    async fn fetches_both_documents() {
        let issuer = issuer(
            good,
            ([("cache-control", "public, max-age=300")], r#"{"keys":[]}"#),
        )
        .await;
        for allow in [Allow::AnyAddress, Allow::LoopbackToo] {
            let keys = fetcher(allow).fetch(&issuer).await.unwrap();
            assert_eq!(keys.jwks, json!({"keys": []}));
            assert_eq!(keys.max_age, Duration::from_mins(5));
            assert_eq!(keys.discovery["issuer"], issuer.as_str());
        }
        assert!(matches!(
            fetcher(Allow::PublicOnly).fetch(&issuer).await,
            Err(FetchError::Forbidden { .. })
        ));
    }

    #[tokio::test]
    async fn the_issuer_must_be_named_exactly() {
        for named in ["https://idp.example.com", "http://127.0.0.1"] {
            let issuer = issuer(
                move |url| json!({"issuer": named, "jwks_uri": format!("{url}/jwks")}),
                "{}",
            )
            .await;
            let error = fetcher(Allow::LoopbackToo)
                .fetch(&issuer)
                .await
                .unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[tokio::test]
    async fn a_jwks_uri_elsewhere_is_guarded() {
        for (target, says) in [
            (
                "http://169.254.169.254/latest/meta-data",
                "not an https URL",
            ),
            ("https://169.254.169.254/", "cloud metadata"),
            ("https://10.0.0.1/", "a private address"),
            ("file:///etc/passwd", "not an https URL"),
            ("https://u:p@1.1.1.1/", "user name"),
        ] {
            for allow in [Allow::AnyAddress, Allow::LoopbackToo] {
                let issuer =
                    issuer(move |url| json!({"issuer": url, "jwks_uri": target}), "{}").await;
                let error = fetcher(allow).fetch(&issuer).await.unwrap_err();
                assert!(error.to_string().contains(says), "{target}: {error}");
            }
        }
    }

    #[tokio::test]
    async fn refuses_redirects_errors_and_other_documents() {
        for (jwks, says) in [
            (
                (StatusCode::FOUND, [("location", "/x")], String::new()),
                "redirects are not followed",
            ),
            (
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    [("x", "y")],
                    String::new(),
                ),
                "HTTP 500",
            ),
            (
                (StatusCode::OK, [("x", "y")], "[]".to_owned()),
                "JSON object",
            ),
            ((StatusCode::OK, [("x", "y")], "{}".to_owned()), "\"keys\""),
            (
                (StatusCode::OK, [("x", "y")], "<html>".to_owned()),
                "not JSON",
            ),
            (
                (StatusCode::OK, [("x", "y")], " ".repeat(MAX_BODY + 1)),
                "more than 1048576 bytes",
            ),
        ] {
            let issuer = issuer(good, jwks).await;
            let error = fetcher(Allow::LoopbackToo)
                .fetch(&issuer)
                .await
                .unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[tokio::test]
    async fn gives_up_on_slow_issuers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer: Issuer = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let mut fetcher = fetcher(Allow::LoopbackToo);
        fetcher.patience = Duration::from_millis(100);
        let error = fetcher.fetch(&issuer).await.unwrap_err();
        assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
    }

    #[test]
    fn reads_cache_control() {
        let age = |lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            max_age(&headers).as_secs()
        };
        assert_eq!(age(&[]), 0);
        assert_eq!(age(&[("cache-control", "public, max-age=300")]), 300);
        assert_eq!(age(&[("cache-control", "Max-Age=\"60\"")]), 60);
        assert_eq!(age(&[("cache-control", "max-age=300, no-store")]), 0);
        assert_eq!(
            age(&[
                ("cache-control", "no-cache"),
                ("cache-control", "max-age=9")
            ]),
            0
        );
        assert_eq!(
            age(&[("cache-control", "max-age=300"), ("age", "100")]),
            200
        );
        assert_eq!(age(&[("cache-control", "max-age=soon")]), 0);
    }
}
