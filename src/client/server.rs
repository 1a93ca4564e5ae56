//! Speaking with the identity provider's server: addresses, answers, refusals.

use std::{fmt, str::FromStr, time::Duration};

use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::{
    domain::Clock,
    upstream::http::{HttpAnswer, HttpClient, HttpError, is_loopback},
};

/// A difference between two clocks that explains refused times, in seconds.
const NOTABLE_SKEW: i64 = 60;

/// The address at which an environment reaches the server: `https`, or `http` on loopback, since
/// join tokens and issued tokens travel over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerUrl(String);

/// Why a text is not a [`ServerUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    /// Not an absolute URL.
    #[error("{0:?} is not an absolute URL; write one like https://idp.example.com")]
    Url(String),
    /// Neither `https` nor `http` on loopback.
    #[error("the server's URL must be https (http only on a loopback address), not {0:?}")]
    Scheme(String),
    /// Has a part that it cannot have.
    #[error("the server's URL must not have {0}")]
    Part(&'static str),
}

impl ServerUrl {
    /// The URL without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL of `path`, which begins with a slash.
    fn join(&self, path: &str) -> Result<Url, ServerError> {
        let text = format!("{}{path}", self.0);
        Url::parse(&text).map_err(|error| ServerError::Unexpected {
            url: text,
            reason: error.to_string(),
        })
    }
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let url = Url::parse(text).map_err(|_| ServerUrlError::Url(text.to_owned()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ServerUrlError::Part("a user name or password"));
        }
        if !(url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url))) {
            return Err(ServerUrlError::Scheme(text.to_owned()));
        }
        if url.query().is_some() {
            return Err(ServerUrlError::Part("a query"));
        }
        if url.fragment().is_some() {
            return Err(ServerUrlError::Part("a fragment"));
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl TryFrom<String> for ServerUrl {
    type Error = ServerUrlError;

    fn try_from(text: String) -> Result<Self, ServerUrlError> {
        text.parse()
    }
}

impl From<ServerUrl> for String {
    fn from(url: ServerUrl) -> Self {
        url.0
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the server said when it refused: RFC 6749 §5.2 at the token endpoint, RFC 9457 elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The error's code, such as `invalid_client`.
    pub error: String,
    /// The server's explanation; empty where it gave none.
    pub description: String,
    /// How many seconds this machine's clock is ahead of the server's (negative: behind), where
    /// that is more than a minute.
    pub skew: Option<i64>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)?;
        if !self.description.is_empty() {
            write!(f, ": {}", self.description)?;
        }
        match self.skew {
            Some(ahead @ 1..) => write!(
                f,
                "; this machine's clock is {ahead} s ahead of the server's, which may be why"
            ),
            Some(behind) => write!(
                f,
                "; this machine's clock is {} s behind the server's, which may be why",
                behind.unsigned_abs()
            ),
            None => Ok(()),
        }
    }
}

/// Why the server did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// There was no answer.
    #[error(transparent)]
    Unreachable(#[from] HttpError),
    /// It says that it cannot answer now: a restart, a limit, too much to do.
    #[error("the identity provider is not available at present: {description}")]
    Unavailable {
        /// Its reason.
        description: String,
        /// When it wants to be asked again, where it says so.
        retry_after: Option<Duration>,
    },
    /// An answer that no server of this kind gives.
    #[error("{url} did not answer as an identity provider does: {reason}")]
    Unexpected {
        /// What was asked.
        url: String,
        /// What came.
        reason: String,
    },
    /// The server's own refusal.
    #[error("the identity provider refused: {0}")]
    Refused(Refusal),
    /// The environment's key cannot be used.
    #[error("the environment's key cannot be used: {0}")]
    Key(#[from] crate::jose::KeyError),
}

/// A server and the client to reach it with.
pub struct Server<'a> {
    /// How to reach it.
    pub http: &'a HttpClient,
    /// Where it is.
    pub url: &'a ServerUrl,
    /// What its `Date` is compared with.
    pub clock: &'a dyn Clock,
}

impl Server<'_> {
    /// The address of `path`, which begins with a slash.
    pub(super) fn join(&self, path: &str) -> Result<Url, ServerError> {
        self.url.join(path)
    }

    /// `GET path`; the JSON of a 200.
    pub async fn get(&self, path: &str) -> Result<Value, ServerError> {
        let url = self.url.join(path)?;
        let answer = self.http.get(&url).await?;
        self.read(&url, &answer)
    }

    /// `POST path` with a body; the JSON of a 200 or 201.
    pub async fn post(
        &self,
        path: &str,
        content_type: &'static str,
        body: String,
    ) -> Result<Value, ServerError> {
        let url = self.url.join(path)?;
        let answer = self.http.post(&url, content_type, body).await?;
        self.read(&url, &answer)
    }

    /// Reads an answer, whatever its status.
    pub(super) fn read(&self, url: &Url, answer: &HttpAnswer) -> Result<Value, ServerError> {
        let unexpected = |reason: String| ServerError::Unexpected {
            url: url.to_string(),
            reason,
        };
        let status = answer.status;
        let json = serde_json::from_slice::<Value>(&answer.body).ok();
        if matches!(status, StatusCode::OK | StatusCode::CREATED) {
            return json.ok_or_else(|| unexpected("its answer is not JSON".to_owned()));
        }
        let refusal = json.as_ref().and_then(error_of);
        let retry_after = retry_after(&answer.headers);
        let later = matches!(
            status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        );
        if later && (refusal.is_some() || retry_after.is_some()) {
            let description = match refusal {
                Some((error, description)) if description.is_empty() => error,
                Some((error, description)) => format!("{error}: {description}"),
                None => format!("HTTP {}", status.as_u16()),
            };
            return Err(ServerError::Unavailable {
                description,
                retry_after,
            });
        }
        match refusal {
            Some((error, description)) if status.is_client_error() => {
                Err(ServerError::Refused(Refusal {
                    status: status.as_u16(),
                    error,
                    description,
                    skew: self.skew(&answer.headers),
                }))
            }
            Some((error, description)) => Err(unexpected(format!(
                "HTTP {}: {error}: {description}",
                status.as_u16()
            ))),
            None => Err(unexpected(format!("HTTP {}", status.as_u16()))),
        }
    }

    fn skew(&self, headers: &HeaderMap) -> Option<i64> {
        let date = headers.get(header::DATE)?.to_str().ok()?;
        let theirs = jiff::fmt::rfc2822::DateTimeParser::new()
            .parse_timestamp(date)
            .ok()?;
        let ahead = self.clock.now().secs() - theirs.as_second();
        (ahead.abs() > NOTABLE_SKEW).then_some(ahead)
    }
}

/// When to come again, in the form of seconds, which this server uses (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Code and explanation of an error body, in either of the two forms.
fn error_of(json: &Value) -> Option<(String, String)> {
    let text = |name| json.get(name).and_then(Value::as_str).map(str::to_owned);
    match text("error") {
        Some(error) => Some((error, text("error_description").unwrap_or_default())),
        None => Some((text("title")?, text("detail").unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        domain::{SimulatedClock, Timestamp},
        upstream::{guard::Allow, http::HttpSettings},
    };

    #[test]
    fn server_urls_are_https_or_loopback() {
        for (good, as_str) in [
            ("https://idp.example.com/", "https://idp.example.com"),
            (
                "https://idp.example.com:8443/o/1",
                "https://idp.example.com:8443/o/1",
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost:8080/", "http://localhost:8080"),
        ] {
            assert_eq!(good.parse::<ServerUrl>().unwrap().as_str(), as_str);
        }
        for bad in [
            "idp.example.com",
            "http://idp.example.com",
            "http://10.0.0.1",
            "https://u@idp.example.com",
            "https://idp.example.com?x",
            "https://idp.example.com#x",
        ] {
            assert!(bad.parse::<ServerUrl>().is_err(), "{bad}");
        }
    }

    fn read(status: u16, date: &str, body: &Value) -> Result<Value, ServerError> {
        let http = HttpClient::new(HttpSettings::default(), Allow::AnyAddress);
        let clock = SimulatedClock::new(Timestamp::from_secs(1_740_514_245));
        let server = Server {
            http: &http,
            url: &"https://idp.example.com".parse().unwrap(),
            clock: &clock,
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::DATE, date.parse().unwrap());
        server.read(
            &"https://idp.example.com/x".parse().unwrap(),
            &HttpAnswer {
                status: StatusCode::from_u16(status).unwrap(),
                headers,
                body: body.to_string().into(),
            },
        )
    }

    const NOW: &str = "Tue, 25 Feb 2025 20:10:45 GMT";

    #[test]
    fn reads_both_forms_of_refusal() {
        for body in [
            json!({"error": "invalid_client", "error_description": "no"}),
            json!({"title": "invalid_client", "detail": "no", "status": 401}),
        ] {
            let error = read(401, NOW, &body).unwrap_err();
            assert_eq!(
                error.to_string(),
                "the identity provider refused: invalid_client: no"
            );
        }
    }

    #[test]
    fn tells_of_clocks_that_differ() {
        let body = json!({"error": "invalid_client"});
        for (date, says) in [
            ("Tue, 25 Feb 2025 20:00:45 GMT", "600 s ahead"),
            ("Tue, 25 Feb 2025 20:20:45 GMT", "600 s behind"),
        ] {
            let error = read(401, date, &body).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let error = read(401, "Tue, 25 Feb 2025 20:10:00 GMT", &body).unwrap_err();
        assert!(!error.to_string().contains("clock"));
    }

    #[test]
    fn a_server_that_is_busy_says_so() {
        for (status, body) in [
            (503, json!({"title": "Overloaded", "detail": "a lot to do"})),
            (429, json!({"error": "slow_down"})),
        ] {
            let error = read(status, NOW, &body).unwrap_err();
            assert!(
                matches!(
                    error,
                    ServerError::Unavailable {
                        retry_after: None,
                        ..
                    }
                ),
                "{error}"
            );
            assert!(error.to_string().contains("not available at present"));
        }
        let mut headers = HeaderMap::new();
        for (text, seconds) in [
            ("3", Some(3)),
            (" 0", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers), seconds.map(Duration::from_secs));
        }
    }

    #[test]
    fn other_answers_are_not_refusals() {
        for (status, body) in [
            (500, json!({"error": "server_error"})),
            (503, json!([])),
            (429, json!("slow down")),
            (404, json!([])),
            (302, json!({"error": "x"})),
        ] {
            assert!(matches!(
                read(status, NOW, &body),
                Err(ServerError::Unexpected { .. })
            ));
        }
    }
}
