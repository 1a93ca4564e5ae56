//! What a client presents to prove who it is, taken out of its request.

mod error;
mod hop;
mod signature;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use zeroize::Zeroizing;

use super::PresentedPayload;
use crate::domain::{PathStyle, RequestTarget, SecretString};

pub use error::PresentedError;
pub use signature::{ClaimedSignature, SignaturePlace, SignatureVersion};

/// What a request presented before it was stripped.
#[derive(Clone, Debug)]
pub struct Presented {
    /// Who the client says it is, to AWS.
    pub claim: Claim,
    /// The password or token of `Proxy-Authorization`.
    pub proxy_secret: Option<SecretString>,
    /// What the client says of the body.
    pub payload: PresentedPayload,
}

/// Who a client says it is. Nothing of it is verified.
#[derive(Clone, Debug)]
pub enum Claim {
    /// Nothing was said.
    None,
    /// An AWS signature.
    Signature(ClaimedSignature),
    /// The password of `Basic`, or the token of `Bearer`.
    Secret(SecretString),
}

/// Headers that make a signature, and that the client's own may therefore not stay.
const SIGNING: [HeaderName; 6] = [
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("x-amz-content-sha256"),
    HeaderName::from_static("x-amz-s3session-token"),
    HeaderName::from_static("x-amz-region-set"),
    header::DATE,
];

/// Takes out of a request what its client claimed and what no proxy passes on: signatures in the header
/// and the query, the session token, the date, `Proxy-…`, what is meant for one connection only
/// ([RFC 9110 §7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)), and who forwarded it.
/// `Host`, `Content-Length` and `Transfer-Encoding` stay.
///
/// For Amazon S3, query parameters `x-amz-…` become headers: S3 reads them as such in a presigned URL
/// (`x-amz-copy-source`, `x-amz-acl`), so whoever judges the request has to see them where they count.
///
/// # Errors
/// [`PresentedError`], where two readers could differ over what the request presents, and for
/// Signature Version 2.
pub fn strip(
    headers: &mut HeaderMap,
    target: &mut RequestTarget,
) -> Result<Presented, PresentedError> {
    let payload = payload(headers, target)?;
    let region_set = once(headers, "x-amz-region-set")?;
    let in_header = match once(headers, "authorization")? {
        None => Claim::None,
        Some(value) => authorization(value, region_set)?,
    };
    let in_query = signature::from_query(target)?;
    let claim = match (in_header, in_query) {
        (claim, None) => claim,
        (Claim::None, Some(signature)) => Claim::Signature(signature),
        _ => return Err(PresentedError::BothPlaces),
    };
    let proxy_secret = once(headers, "proxy-authorization")?.and_then(secret);
    hop::strip(headers)?;
    headers.remove(header::AUTHORIZATION);
    for name in SIGNING {
        headers.remove(name);
    }
    target.remove(signature::is_parameter);
    if target.style() == PathStyle::S3 {
        lower_hoisted(headers, target)?;
    }
    Ok(Presented {
        claim,
        proxy_secret,
        payload,
    })
}

fn payload(
    headers: &HeaderMap,
    target: &RequestTarget,
) -> Result<PresentedPayload, PresentedError> {
    const NAME: &str = "x-amz-content-sha256";
    let mut said = once(headers, NAME)?
        .map(|value| value.to_str().map_err(|_| PresentedError::PayloadHash))
        .transpose()?;
    for (name, value) in target.parameters() {
        // A presigned URL may hold it.
        if name.eq_ignore_ascii_case(NAME) && said.replace(value).is_some() {
            return Err(PresentedError::Twice(NAME));
        }
    }
    said.map_or(Ok(PresentedPayload::None), |text| {
        PresentedPayload::parse(text).ok_or(PresentedError::PayloadHash)
    })
}

/// The value of a header that may be there once.
fn once<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> Result<Option<&'a HeaderValue>, PresentedError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(PresentedError::Twice(name));
    }
    Ok(first)
}

fn authorization(
    value: &HeaderValue,
    region_set: Option<&HeaderValue>,
) -> Result<Claim, PresentedError> {
    if let Some(secret) = secret(value) {
        return Ok(Claim::Secret(secret));
    }
    let text = value
        .to_str()
        .map_err(|_| PresentedError::Malformed("the Authorization header is not text"))?;
    let region_set = region_set.and_then(|value| value.to_str().ok());
    signature::from_header(text, region_set).map(Claim::Signature)
}

/// The password of `Basic` or the token of `Bearer`; `None` for any other scheme and for none.
fn secret(value: &HeaderValue) -> Option<SecretString> {
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(SecretString::from(rest));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = Zeroizing::new(BASE64_STANDARD.decode(rest).ok()?);
    let (_, password) = std::str::from_utf8(&plain).ok()?.split_once(':')?;
    Some(SecretString::from(password))
}

/// Puts what a presigned URL of S3 has in its query back into the headers.
fn lower_hoisted(
    headers: &mut HeaderMap,
    target: &mut RequestTarget,
) -> Result<(), PresentedError> {
    let mut lowered = HeaderMap::new();
    for (name, value) in target.parameters().filter(|(name, _)| is_hoisted(name)) {
        let refused = || PresentedError::NoHeader(name.to_owned());
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
        if headers.contains_key(&header) || lowered.contains_key(&header) {
            return Err(PresentedError::Ambiguous(name.to_owned()));
        }
        let value = HeaderValue::from_str(value).map_err(|_| refused())?;
        lowered.insert(header, value);
    }
    if !lowered.is_empty() {
        target.remove(is_hoisted);
        headers.extend(lowered);
    }
    Ok(())
}

fn is_hoisted(name: &str) -> bool {
    name.get(..6)
        .is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"))
}

#[cfg(test)]
#[path = "strip_test.rs"]
mod tests;
