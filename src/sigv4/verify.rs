//! The verification itself.

use std::time::Duration;

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq as _;

use super::{Authorization, CredentialScope, SignatureError, SignedRequest, date};
use crate::domain::{ExposeSecret as _, SecretString, Timestamp};

/// How far the signer's clock may be off, either way.
pub const CLOCK_SKEW: Duration = Duration::from_mins(15);

/// Why there is no secret for an access key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// Nobody here issued it, or the session token belongs to another.
    Unknown,
    /// It was issued here, and has expired.
    Expired,
}

/// A request whose signature is right.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    /// What the lookup knew of the access key.
    pub identity: T,
    /// What the signature was for.
    pub scope: CredentialScope,
    /// Whose signature it is.
    pub access_key_id: String,
}

/// Verifies the signature in `request`'s `Authorization` header, which must be for `service` (any
/// region) and at most [`CLOCK_SKEW`] away from `now`.
///
/// `lookup` gets the access key id and the `X-Amz-Security-Token`, where there is one, and gives
/// the secret and whatever else it knows. `Host` and every `X-Amz-…` header must be signed.
pub fn verify<T>(
    request: &SignedRequest<'_>,
    service: &str,
    now: Timestamp,
    lookup: impl FnOnce(&str, Option<&str>) -> Result<(SecretString, T), LookupError>,
) -> Result<Verified<T>, SignatureError> {
    let header = request
        .header("authorization")
        .ok_or(SignatureError::MissingAuthenticationToken)?;
    let signed = Authorization::parse(header)?;
    let date = request.header("x-amz-date").ok_or_else(|| {
        SignatureError::IncompleteSignature(
            "Authorization header requires existence of a 'X-Amz-Date' header.".to_owned(),
        )
    })?;
    let at = date::parse(date).ok_or_else(|| {
        SignatureError::IncompleteSignature(
            "Date must be in ISO-8601 'basic format', e.g. 20110909T233600Z.".to_owned(),
        )
    })?;
    check_headers(request, &signed)?;
    check_scope(&signed.scope, service, date)?;
    let (secret, identity) = lookup(
        &signed.access_key_id,
        request.header("x-amz-security-token"),
    )
    .map_err(|error| match error {
        LookupError::Unknown => SignatureError::InvalidClientTokenId,
        LookupError::Expired => SignatureError::ExpiredToken,
    })?;
    let hash = request.canonical_hash(&signed)?;
    let string_to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{}\n{hash}", signed.scope);
    let expected = hmac(
        signing_key(&secret, &signed.scope).as_ref(),
        &string_to_sign,
    );
    if !bool::from(expected.as_ref().ct_eq(&signed.signature)) {
        return Err(SignatureError::SignatureDoesNotMatch);
    }
    // Only who holds the secret is told about clocks.
    check_clock(at, now)?;
    Ok(Verified {
        identity,
        scope: signed.scope,
        access_key_id: signed.access_key_id,
    })
}

fn check_headers(
    request: &SignedRequest<'_>,
    signed: &Authorization,
) -> Result<(), SignatureError> {
    let is_signed = |name: &str| {
        signed
            .signed_headers
            .iter()
            .any(|signed| signed.eq_ignore_ascii_case(name))
    };
    if !is_signed("host") {
        return Err(SignatureError::UnsignedHeader("Host".to_owned()));
    }
    request
        .header_names()
        .find(|name| {
            name.get(..6)
                .is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"))
                && !is_signed(name)
        })
        .map_or(Ok(()), |name| {
            Err(SignatureError::UnsignedHeader(name.to_owned()))
        })
}

fn check_scope(scope: &CredentialScope, service: &str, date: &str) -> Result<(), SignatureError> {
    if scope.service != service {
        return Err(SignatureError::Scope(format!(
            "Credential should be scoped to correct service: '{service}'."
        )));
    }
    if !date.starts_with(&scope.date) || scope.date.len() != 8 {
        return Err(SignatureError::Scope(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '{}' != '{}', from '{date}'.",
            scope.date,
            &date[..8]
        )));
    }
    Ok(())
}

fn check_clock(at: Timestamp, now: Timestamp) -> Result<(), SignatureError> {
    let (earliest, latest) = (now.minus(CLOCK_SKEW), now.plus(CLOCK_SKEW));
    if at < earliest {
        return Err(SignatureError::RequestExpired {
            signed: date::show(at),
            earliest: date::show(earliest),
            now: date::show(now),
        });
    }
    if at > latest {
        return Err(SignatureError::NotYetCurrent {
            signed: date::show(at),
            latest: date::show(latest),
            now: date::show(now),
        });
    }
    Ok(())
}

fn signing_key(secret: &SecretString, scope: &CredentialScope) -> hmac::Tag {
    let first = zeroize::Zeroizing::new(format!("AWS4{}", secret.expose_secret()));
    [
        scope.region.as_str(),
        scope.service.as_str(),
        "aws4_request",
    ]
    .into_iter()
    .fold(hmac(first.as_bytes(), &scope.date), |key, text| {
        hmac(key.as_ref(), text)
    })
}

fn hmac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

#[cfg(test)]
#[path = "verify_test.rs"]
mod tests;
