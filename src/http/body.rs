//! Request bodies: bounded, of the right type, and with one meaning only.

use axum::{
    BoxError,
    body::HttpBody,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE, request::Parts},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::HttpError;
use crate::domain::strict_json;

/// The largest body: an assertion is some 600 bytes, a proof of possession as many.
pub(super) const MAX_BODY: usize = 32 * 1024;

/// The most parameters: more than twice as many as any request has.
const MOST_PARAMETERS: usize = 32;

/// Whether the content type is `expected`, parameters aside.
fn is_type(headers: &HeaderMap, expected: &str) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case(expected))
}

async fn read<B>(body: B) -> Result<Bytes, (StatusCode, String)>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err((
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is over {MAX_BODY} bytes"),
        )),
        Err(_) => Err((
            StatusCode::BAD_REQUEST,
            "the body broke off before its end".to_owned(),
        )),
    }
}

/// The parameters of an `OAuth` request: each at most once (RFC 6749 §3.2), in the body only.
#[derive(Debug)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Takes a parameter out; an empty value counts as absent (RFC 6749 §3.2).
    pub(super) fn optional(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.swap_remove(at).1).filter(|value| !value.is_empty())
    }

    /// Takes a parameter out that must be there.
    pub(super) fn required(&mut self, name: &str) -> Result<String, HttpError> {
        self.optional(name)
            .ok_or_else(|| invalid(format!("{name} is missing")))
    }

    /// Receives the body of a request with these headers.
    pub(super) async fn receive<B>(parts: &Parts, body: B) -> Result<Bytes, HttpError>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        if parts.uri.query().is_some() {
            return Err(invalid(
                "parameters belong in the body, not in the query, where logs would keep them",
            ));
        }
        if !is_type(&parts.headers, "application/x-www-form-urlencoded") {
            return Err(invalid(
                "the content type must be application/x-www-form-urlencoded",
            ));
        }
        read(body)
            .await
            .map_err(|(status, detail)| invalid(detail).with_status(status))
    }

    /// Reads a body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, HttpError> {
        if std::str::from_utf8(body).is_err() {
            return Err(invalid("the body is not UTF-8"));
        }
        let mut parameters: Vec<(String, String)> = Vec::with_capacity(8);
        for (name, value) in url::form_urlencoded::parse(body) {
            let shown = || name.chars().take(40).collect::<String>();
            if value.contains('\u{FFFD}') || name.contains('\u{FFFD}') {
                return Err(invalid(format!("{} is not UTF-8", shown())));
            }
            if parameters.len() == MOST_PARAMETERS {
                return Err(invalid(format!(
                    "there are over {MOST_PARAMETERS} parameters"
                )));
            }
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(invalid(format!("{} occurs more than once", shown())));
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(parameters))
    }
}

fn invalid(detail: impl Into<String>) -> HttpError {
    HttpError::oauth("invalid_request", detail)
}

/// A JSON object of the administration API: no member twice, none that is unknown.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request, _: &S) -> Result<Self, HttpError> {
        let members = read_object(request)
            .await
            .map_err(|(status, detail)| HttpError::problem(status, detail))?;
        decode(members)
            .map(Self)
            .map_err(|detail| HttpError::problem(StatusCode::BAD_REQUEST, detail))
    }
}

/// A JSON object for the endpoints that answer in `OAuth`'s shape.
#[derive(Debug)]
pub(super) struct OAuthJson<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OAuthJson<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request, _: &S) -> Result<Self, HttpError> {
        let members = read_object(request)
            .await
            .map_err(|(status, detail)| invalid(detail).with_status(status))?;
        decode(members).map(Self).map_err(invalid)
    }
}

/// Reads the members; an error names the one that is wrong.
fn decode<T: DeserializeOwned>(members: Map<String, Value>) -> Result<T, String> {
    serde_path_to_error::deserialize(Value::Object(members)).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { "the body" } else { &path };
        let problem = without_value(&error.inner().to_string());
        format!("{place}: {problem}").chars().take(300).collect()
    })
}

/// Serde quotes a text that stands where something else should. It may be a secret in the wrong
/// place, so it is left out.
fn without_value(problem: &str) -> String {
    for kind in ["invalid type: string", "invalid value: string"] {
        if let (true, Some(at)) = (problem.starts_with(kind), problem.rfind(", expected ")) {
            return format!("{kind}{}", &problem[at..]);
        }
    }
    problem.to_owned()
}

async fn read_object(request: Request) -> Result<Map<String, Value>, (StatusCode, String)> {
    if !is_type(request.headers(), "application/json") {
        return Err((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the content type must be application/json".to_owned(),
        ));
    }
    let body = read(request.into_body()).await?;
    strict_json(&body).map_err(|error| (StatusCode::BAD_REQUEST, format!("the body: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[expect(dead_code, reason = "only its reading is tested")]
        name: crate::domain::Name,
        #[expect(dead_code, reason = "only its reading is tested")]
        jwk: crate::domain::PublicJwk,
    }

    #[test]
    fn a_form_has_one_meaning_and_an_end() {
        let many = (0..=MOST_PARAMETERS).map(|n| format!("p{n}=&"));
        for (body, says) in [
            ("b=1&a=2&b=1", "b occurs more than once"),
            ("a=%ff", "a is not UTF-8"),
            ("%ff=a", "is not UTF-8"),
            (&many.collect::<String>(), "over 32 parameters"),
        ] {
            let error = Form::parse(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{body}: {error}");
        }
        let mut form = Form::parse(b"a=1&b=&c=x%20y+z").unwrap();
        assert_eq!(form.optional("c").as_deref(), Some("x y z"));
        assert_eq!(form.optional("a").as_deref(), Some("1"));
        assert_eq!(form.optional("b"), None, "empty counts as absent");
        assert!(form.required("a").is_err(), "taken");
    }

    #[test]
    fn an_error_names_the_member_and_quotes_no_text() {
        for (body, says) in [
            (r#"{"name":"a\u202eb","jwk":{}}"#, "name: a name must not"),
            (r#"{"name":5,"jwk":{}}"#, "name: invalid type: integer"),
            (r#"{"name":"a"}"#, "missing field `jwk`"),
            (r#"{"more":1,"name":"a"}"#, "unknown field `more`"),
            (
                r#"{"name":"a","jwk":"idp_join_x"}"#,
                "jwk: invalid type: string, expected",
            ),
            (
                r#"{"name":"a","jwk":{"kty":"OKP","crv":"Ed25519","x":"","d":""}}"#,
                "jwk: unknown field `d`",
            ),
        ] {
            let members = strict_json(body.as_bytes()).unwrap();
            let error = decode::<Example>(members).unwrap_err();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("idp_join_x"), "{error}");
        }
    }

    #[test]
    fn a_parameter_occurs_once() {
        let mut form = Form::parse(b"a=1&b=&c=x%20y").unwrap();
        assert_eq!(form.optional("a").as_deref(), Some("1"));
        assert_eq!(form.optional("b"), None);
        assert_eq!(form.required("c").unwrap(), "x y");
        let error = form.required("d").unwrap_err().to_string();
        assert!(error.contains("d is missing"), "{error}");
        for (body, says) in [
            (&b"a=1&a=1"[..], "a occurs more than once"),
            (b"a=1&%61=2", "a occurs more than once"),
            (b"a=%ff", "a is not UTF-8"),
            (b"\xff", "not UTF-8"),
        ] {
            let error = Form::parse(body).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
