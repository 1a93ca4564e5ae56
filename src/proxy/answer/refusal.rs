//! Why a request is not answered by AWS, and what its client is told.

use std::borrow::Cow;

use http::StatusCode;

use crate::{
    catalog::Protocol,
    ports::{CredentialError, LogError},
    proxy::upstream::UpstreamError,
    sigv4::{BodyRefusal, ChunkError, PresentedError},
};

/// What kind of refusal it is. From it follow status and code, and with them whether an SDK tries again.
///
/// botocore and the SDKs for JavaScript and Java try again on 5xx and 429 and on codes that speak of
/// throttling or of time-outs. No decision has one of these, so that a client makes one attempt and shows
/// the message. What may pass has: a client may try again as it would without a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The rules do not allow it, or nobody can say what it does.
    Denied,
    /// The request is not one that AWS would take, or that two readers would understand alike.
    Invalid {
        code: &'static str,
        status: StatusCode,
    },
    /// STS or the identity provider gives no session for the role.
    NoSession,
    /// They could not be reached.
    SessionUnavailable,
    /// The request log takes no record.
    LogUnavailable,
    /// AWS could not be reached; nothing was sent.
    Unreachable,
    /// The connection to AWS broke off, or what came was not HTTP. The request may have had its effect.
    Broken,
    /// AWS did not answer in time.
    Silent,
    /// Something here is broken.
    Internal,
}

/// Why a request is not answered by AWS.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    /// What was wrong and what to change, in one line.
    pub(crate) message: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(crate) fn denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Denied, message)
    }

    pub(crate) fn invalid(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self::new(Kind::Invalid { code, status }, message)
    }

    /// The status and the error's code, as clients of this protocol know them.
    pub(crate) const fn wire(&self, protocol: Protocol) -> (StatusCode, &'static str) {
        match (self.kind, protocol) {
            (Kind::Denied, Protocol::Ec2) => (StatusCode::FORBIDDEN, "UnauthorizedOperation"),
            (Kind::Denied, Protocol::RestXml { .. } | Protocol::Query) => {
                (StatusCode::FORBIDDEN, "AccessDenied")
            }
            (Kind::Denied, Protocol::Json | Protocol::Cbor) => {
                (StatusCode::BAD_REQUEST, "AccessDeniedException")
            }
            (Kind::Denied, Protocol::RestJson) => (StatusCode::FORBIDDEN, "AccessDeniedException"),
            (Kind::Invalid { code, status }, _) => (status, code),
            (Kind::NoSession, Protocol::Json | Protocol::Cbor) => {
                (StatusCode::BAD_REQUEST, "ProxyCredentialsRefused")
            }
            (Kind::NoSession, _) => (StatusCode::FORBIDDEN, "ProxyCredentialsRefused"),
            (Kind::SessionUnavailable, _) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "ProxyCredentialsUnavailable",
            ),
            (Kind::LogUnavailable, _) => (StatusCode::SERVICE_UNAVAILABLE, "ProxyLogUnavailable"),
            (Kind::Unreachable, _) => (StatusCode::SERVICE_UNAVAILABLE, "ProxyUpstreamUnreachable"),
            (Kind::Broken, _) => (StatusCode::BAD_GATEWAY, "ProxyUpstreamBroken"),
            (Kind::Silent, _) => (StatusCode::GATEWAY_TIMEOUT, "ProxyUpstreamSilent"),
            (Kind::Internal, _) => (StatusCode::INTERNAL_SERVER_ERROR, "ProxyInternalFailure"),
        }
    }

    /// Whether it is a decision about the request rather than a failure around it.
    pub(crate) const fn is_decision(&self) -> bool {
        matches!(self.kind, Kind::Denied | Kind::Invalid { .. })
    }
}

impl From<PresentedError> for Refusal {
    fn from(error: PresentedError) -> Self {
        Self::invalid(error.code(), error.to_string())
    }
}

impl From<BodyRefusal> for Refusal {
    fn from(error: BodyRefusal) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
        let code = error.code();
        Self::new(Kind::Invalid { code, status }, error.to_string())
    }
}

impl From<CredentialError> for Refusal {
    fn from(error: CredentialError) -> Self {
        let kind = match &error {
            CredentialError::Refused { .. } => Kind::NoSession,
            CredentialError::Unavailable { .. } => Kind::SessionUnavailable,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        Self::new(
            Kind::LogUnavailable,
            format!("nothing goes on that cannot be recorded: {error}"),
        )
    }
}

impl From<UpstreamError> for Refusal {
    fn from(error: UpstreamError) -> Self {
        let kind = match &error {
            UpstreamError::Forbidden(_) => Kind::Denied,
            UpstreamError::Unreachable { .. } | UpstreamError::Busy { .. } => Kind::Unreachable,
            UpstreamError::Silent { .. } => Kind::Silent,
            UpstreamError::Broken { .. } => Kind::Broken,
            UpstreamError::Body(error) => {
                let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&**error);
                while let Some(inner) = cause {
                    if let Some(chunks) = inner.downcast_ref::<ChunkError>() {
                        return Self::invalid("IncompleteBody", chunks.to_string());
                    }
                    cause = inner.source();
                }
                return Self::invalid("IncompleteBody", "the request's body broke off");
            }
        };
        Self::new(kind, error.to_string())
    }
}
