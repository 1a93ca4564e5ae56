//! Serving a rendered document with its entity tag.

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue, Response, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
};

use crate::service::Rendered;

/// The document, or 304 where the client has it already (RFC 9110 §13.1.2, §15.4.5). Both carry the
/// same caching headers.
pub(super) fn respond(
    document: &Rendered,
    cache_control: &'static str,
    content_type: &'static str,
    request: &HeaderMap,
) -> Response<Body> {
    let known = request
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|value| matches(value, &document.etag));
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(Body::from(document.body.clone()))
    };
    let headers = response.headers_mut();
    if !known {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    if let Ok(etag) = HeaderValue::from_str(&document.etag) {
        headers.insert(ETAG, etag);
    }
    response
}

/// `*`, or a list with the tag in it; a weak comparison, as `If-None-Match` wants it.
fn matches(value: &HeaderValue, etag: &str) -> bool {
    value.to_str().is_ok_and(|list| {
        list.split(',').map(str::trim).any(|candidate| {
            candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == etag
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_as_rfc_9110_says() {
        for (value, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
            ("", false),
        ] {
            let header = HeaderValue::from_static(value);
            assert_eq!(matches(&header, "\"a\""), expected, "{value}");
        }
    }
}
