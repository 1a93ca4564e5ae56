//! The one error type of every handler. A 5xx body is constant; what happened goes to the log, once.

use std::{fmt, time::Duration};

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::service::{AdminRefusal, EnrolRefusal, Limited, StoreError, TokenRefusal};

/// How long a client is asked to wait when the server cannot serve it now.
const RETRY_IN: Duration = Duration::from_secs(1);

/// The shape in which a client of the route reads errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `{"error", "error_description"}` (RFC 6749 §5.2).
    OAuth(&'static str),
    /// `application/problem+json` (RFC 9457).
    Problem,
}

/// What a refusal said, beside the answer: for whoever records it.
#[derive(Clone, Debug)]
pub(super) struct Said(pub(super) String);

/// In the extensions of an answer: whoever is refused is somebody that the server knows, so that the
/// address pays nothing for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proved;

/// An error on its way to the client.
#[derive(Debug)]
pub(super) struct HttpError {
    status: StatusCode,
    shape: Shape,
    detail: String,
    /// For a 401: the challenge (RFC 9110 §11.6.1).
    challenge: Option<&'static str>,
    /// For a 429: when to come again (RFC 6585 §4).
    retry_after: Option<Duration>,
    /// Whether the client showed a key or a token that is valid.
    proved: bool,
}

impl HttpError {
    /// An `OAuth` error with status 400.
    pub(super) fn oauth(error: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            shape: Shape::OAuth(error),
            detail: detail.into(),
            challenge: None,
            retry_after: None,
            proved: false,
        }
    }

    /// A problem of the administration API.
    pub(super) fn problem(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            shape: Shape::Problem,
            detail: detail.into(),
            challenge: None,
            retry_after: None,
            proved: false,
        }
    }

    /// The caller comes too often. RFC 6749 has no code for that; `slow_down` is RFC 8628's (§3.5).
    pub(super) fn limited_oauth(limited: Limited) -> Self {
        let mut error = Self::oauth("slow_down", limited.to_string());
        error.status = StatusCode::TOO_MANY_REQUESTS;
        error.retry_after = Some(limited.retry_after);
        error
    }

    /// Too many requests are being answered already.
    pub(super) fn overloaded(oauth: bool) -> Self {
        let shape = if oauth {
            Shape::OAuth("temporarily_unavailable")
        } else {
            Shape::Problem
        };
        Self::unavailable(
            shape,
            "too many requests are being answered already".to_owned(),
        )
    }

    /// Nobody presented a valid administrator token.
    pub(super) fn unauthenticated() -> Self {
        let mut error = Self::problem(
            StatusCode::UNAUTHORIZED,
            "present an administrator token: Authorization: Bearer idp_admin_…",
        );
        error.challenge = Some("Bearer realm=\"idp\"");
        error
    }

    pub(super) const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) const fn with_challenge(mut self, challenge: &'static str) -> Self {
        self.challenge = Some(challenge);
        self
    }

    fn unavailable(shape: Shape, detail: String) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            shape,
            detail,
            challenge: None,
            retry_after: Some(RETRY_IN),
            proved: false,
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.detail)
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let (content_type, body) = match self.shape {
            Shape::OAuth(error) => (
                "application/json",
                json!({ "error": error, "error_description": printable(&self.detail) }),
            ),
            Shape::Problem => (
                "application/problem+json",
                json!({
                    "type": "about:blank",
                    "title": self.status.canonical_reason().unwrap_or("Error"),
                    "status": self.status.as_u16(),
                    "detail": self.detail,
                }),
            ),
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.proved {
            response.extensions_mut().insert(Proved);
        }
        response.extensions_mut().insert(Said(self.detail));
        response
    }
}

/// RFC 6749 §5.2 allows `error_description` visible ASCII and space without `"` and `\`; others
/// become `'` and `?`, so that a client that checks does not choke on what it sent itself.
fn printable(detail: &str) -> String {
    detail
        .chars()
        .map(|c| match c {
            '"' | '\\' => '\'',
            ' '..='~' => c,
            '…' => '.',
            _ => '?',
        })
        .collect()
}

impl From<TokenRefusal> for HttpError {
    fn from(refusal: TokenRefusal) -> Self {
        let (detail, proved) = (refusal.to_string(), refusal.is_of_proven_client());
        let mut error = match refusal {
            TokenRefusal::InvalidRequest(_) => Self::oauth("invalid_request", detail),
            TokenRefusal::InvalidClient(_) | TokenRefusal::Replayed(_) => {
                Self::oauth("invalid_client", detail).with_status(StatusCode::UNAUTHORIZED)
            }
            TokenRefusal::UnauthorizedClient(_) => Self::oauth("unauthorized_client", detail),
            TokenRefusal::InvalidTarget(_) => Self::oauth("invalid_target", detail),
            TokenRefusal::Limited(limited) => Self::limited_oauth(limited),
            TokenRefusal::Unavailable(_) => {
                Self::unavailable(Shape::OAuth("temporarily_unavailable"), detail)
            }
        };
        error.proved = proved;
        error
    }
}

impl From<EnrolRefusal> for HttpError {
    fn from(refusal: EnrolRefusal) -> Self {
        let (detail, proved) = (refusal.to_string(), refusal.is_of_known_sender());
        let mut error = match refusal {
            EnrolRefusal::InvalidRequest(_) | EnrolRefusal::KeyInUse => {
                Self::oauth("invalid_request", detail)
            }
            EnrolRefusal::InvalidNonce => Self::oauth("invalid_nonce", detail),
            EnrolRefusal::InvalidProof(_) => Self::oauth("invalid_proof", detail),
            EnrolRefusal::InvalidJoinToken(_) | EnrolRefusal::UnusableJoinToken(_) => {
                Self::oauth("invalid_grant", detail)
            }
            EnrolRefusal::Limited(limited) => Self::limited_oauth(limited),
            EnrolRefusal::InvalidClient(_) => {
                Self::oauth("invalid_client", detail).with_status(StatusCode::UNAUTHORIZED)
            }
            EnrolRefusal::UnauthorizedClient(_) => Self::oauth("unauthorized_client", detail),
            EnrolRefusal::Unavailable(_) => {
                Self::unavailable(Shape::OAuth("temporarily_unavailable"), detail)
            }
        };
        error.proved = proved;
        error
    }
}

impl From<AdminRefusal> for HttpError {
    fn from(refusal: AdminRefusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            AdminRefusal::NotFound(_) => Self::problem(StatusCode::NOT_FOUND, detail),
            AdminRefusal::Conflict(_) => Self::problem(StatusCode::CONFLICT, detail),
            AdminRefusal::Invalid(_) | AdminRefusal::Policy(_) => {
                Self::problem(StatusCode::BAD_REQUEST, detail)
            }
            AdminRefusal::Forbidden(_) => Self::problem(StatusCode::FORBIDDEN, detail),
            AdminRefusal::Unavailable(reason) => {
                tracing::error!(reason, "a request failed because of the issuer's keys");
                Self::unavailable(
                    Shape::Problem,
                    "the issuer's keystore is not available at present".to_owned(),
                )
            }
            AdminRefusal::Store(error) => error.into(),
        }
    }
}

impl From<Limited> for HttpError {
    fn from(limited: Limited) -> Self {
        let mut error = Self::problem(StatusCode::TOO_MANY_REQUESTS, limited.to_string());
        error.retry_after = Some(limited.retry_after);
        error
    }
}

impl From<StoreError> for HttpError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request failed because of the database");
        Self::unavailable(
            Shape::Problem,
            "the identity provider's database is not available at present".to_owned(),
        )
    }
}

/// No such route.
pub(super) async fn not_found() -> HttpError {
    HttpError::problem(
        StatusCode::NOT_FOUND,
        "nothing is served here; the issuer's /.well-known/openid-configuration lists its endpoints",
    )
}

/// No such method on this route; axum adds `Allow`.
pub(super) async fn method_not_allowed() -> HttpError {
    HttpError::problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "this address does not answer that method; see the Allow header",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_keep_to_the_characters_of_rfc_6749() {
        assert_eq!(printable("a \"b\" \\ é\n…"), "a 'b' ' ??.");
    }
}
