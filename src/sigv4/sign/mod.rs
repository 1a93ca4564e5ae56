//! Signing requests that go out.

mod canonical;
mod credentials;
mod keys;
mod v4a;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use self::{
    canonical::{Canonical, Form},
    keys::{SigningKeys, Wanted},
};
use super::{PayloadHash, SignatureVersion, date};
use crate::domain::{RequestTarget, Timestamp};

pub use credentials::SigningCredentials;

const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const X_AMZ_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const X_AMZ_PAYLOAD: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const X_AMZ_REGION_SET: HeaderName = HeaderName::from_static("x-amz-region-set");

/// A request could not be signed. Nothing of it may be sent then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// `Host` is not the host that is signed for.
    #[error("the request cannot be signed: its Host header names another host")]
    Host,
    /// Part of the credentials is nothing that a header can hold.
    #[error("the request cannot be signed: the {0} has characters that no header can hold")]
    Credentials(&'static str),
    /// A signing name or region that is none.
    #[error("the request cannot be signed: its {0} is empty or has characters that no {0} has")]
    Scope(&'static str),
    /// The clock shows a year before 0 or after 9999.
    #[error("the request cannot be signed: the clock shows no year of four digits")]
    Clock,
    /// The key pair of Signature Version 4a could not be made or used.
    #[error("the request cannot be signed: no ECDSA signature by the secret access key")]
    KeyPair,
}

/// What is signed of a request, beside its headers.
#[derive(Clone, Copy, Debug)]
pub struct Signable<'a> {
    /// The method.
    pub method: &'a Method,
    /// The host to which it is sent, with the port where that is not the scheme's own.
    pub host: &'a str,
    /// Path and query, just as they are sent.
    pub target: &'a RequestTarget,
    /// What is said of the body.
    pub payload: PayloadHash,
}

/// For what a signature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningSettings<'a> {
    /// The service's signing name.
    pub name: &'a str,
    /// The region; for Signature Version 4a the region set (`*`, or names with commas between them).
    pub region: &'a str,
    /// The algorithm.
    pub version: SignatureVersion,
}

/// Signs requests, in their `Authorization` header. It keeps derived keys, so that a signature costs one
/// HMAC; share one.
#[derive(Debug, Default)]
pub struct Signer {
    keys: SigningKeys,
}

impl Signer {
    /// A signer without any keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Signs a request: sets `Authorization`, `X-Amz-Date`, `X-Amz-Content-Sha256`,
    /// `X-Amz-Security-Token` and `X-Amz-Region-Set` in `headers`, or takes those out that these
    /// credentials and settings have not. A request can be signed again.
    ///
    /// Signed are the host, every `X-Amz-…`, `Content-Type`, `Content-MD5` and `Range`. Other headers are
    /// not: AWS asks for no more, and the client's HTTP library and whatever is between may change
    /// them (`Accept-Encoding`, `User-Agent`, `Content-Length`). The path is signed as it is
    /// sent where it is one of Amazon S3, and encoded once more elsewhere. `X-Amz-Content-Sha256` is sent
    /// to every service, as the SDK for JavaScript does; S3 and Glacier ask for it.
    /// ([Create a signed request](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html))
    ///
    /// # Errors
    /// [`SigningError`], for what cannot be signed. `headers` are then in no state to be sent.
    pub fn sign(
        &self,
        request: &Signable<'_>,
        headers: &mut HeaderMap,
        settings: &SigningSettings<'_>,
        credentials: &SigningCredentials,
        now: Timestamp,
    ) -> Result<(), SigningError> {
        let form = Form::of(request.target.style());
        self.sign_as(request, headers, settings, credentials, now, form)
    }

    fn sign_as(
        &self,
        request: &Signable<'_>,
        headers: &mut HeaderMap,
        settings: &SigningSettings<'_>,
        credentials: &SigningCredentials,
        now: Timestamp,
        form: Form,
    ) -> Result<(), SigningError> {
        settings.check()?;
        if headers
            .get_all(header::HOST)
            .iter()
            .any(|host| host.as_bytes() != request.host.as_bytes())
        {
            return Err(SigningError::Host);
        }
        let stamp = date::stamp(now).ok_or(SigningError::Clock)?;
        let payload = request.payload.header();
        set_headers(
            headers,
            settings,
            credentials,
            &stamp,
            form.with_payload.then(|| payload.clone()),
        )?;
        let mut canonical = Canonical::write(request, headers, &payload, form);
        let mut scope = Vec::with_capacity(64);
        settings.write_scope(&mut scope, &stamp[..8]);
        canonical.write_string_to_sign(settings.version, &stamp, &scope);
        let key = self.keys.get(&Wanted {
            credentials,
            settings,
            day: &stamp[..8],
        })?;
        let signature = key.sign(canonical.string_to_sign())?;

        let mut value = Vec::with_capacity(512);
        for part in [
            settings.version.algorithm().as_bytes(),
            b" Credential=",
            credentials.access_key_id().as_bytes(),
            b"/",
            &scope,
            b", SignedHeaders=",
            canonical.signed_headers(),
            b", Signature=",
            signature.as_bytes(),
        ] {
            value.extend_from_slice(part);
        }
        let mut value = HeaderValue::from_maybe_shared(Bytes::from(value))
            .map_err(|_| SigningError::Credentials("access key id"))?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
        Ok(())
    }
}

fn set_headers(
    headers: &mut HeaderMap,
    settings: &SigningSettings<'_>,
    credentials: &SigningCredentials,
    stamp: &[u8; 16],
    payload: Option<HeaderValue>,
) -> Result<(), SigningError> {
    let date = HeaderValue::from_bytes(stamp).map_err(|_| SigningError::Clock)?;
    headers.insert(X_AMZ_DATE, date);
    let region_set = (settings.version == SignatureVersion::V4a)
        .then(|| HeaderValue::from_str(settings.region))
        .transpose()
        .map_err(|_| SigningError::Scope("region set"))?;
    for (name, value) in [
        (X_AMZ_PAYLOAD, payload),
        (X_AMZ_TOKEN, credentials.token().cloned()),
        (X_AMZ_REGION_SET, region_set),
    ] {
        match value {
            Some(value) => drop(headers.insert(name, value)),
            None => drop(headers.remove(name)),
        }
    }
    Ok(())
}

impl SigningSettings<'_> {
    fn check(&self) -> Result<(), SigningError> {
        let is_name = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        };
        if !is_name(self.name) {
            return Err(SigningError::Scope("signing name"));
        }
        match self.version {
            SignatureVersion::V4 if is_name(self.region) => Ok(()),
            SignatureVersion::V4 => Err(SigningError::Scope("region")),
            SignatureVersion::V4a => {
                // A set may hold patterns, as `us-*`.
                let good = self
                    .region
                    .split(',')
                    .all(|region| is_name(&region.trim().replace('*', "-")));
                good.then_some(()).ok_or(SigningError::Scope("region set"))
            }
        }
    }

    /// `DATE/REGION/NAME/aws4_request`; Version 4a has no region there.
    fn write_scope(&self, out: &mut Vec<u8>, day: &[u8]) {
        out.extend_from_slice(day);
        out.push(b'/');
        if self.version == SignatureVersion::V4 {
            out.extend_from_slice(self.region.as_bytes());
            out.push(b'/');
        }
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(b"/aws4_request");
    }
}

fn sha256(bytes: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, bytes)
}

#[cfg(test)]
#[path = "sign_test.rs"]
mod tests;

#[cfg(test)]
#[path = "suite_test.rs"]
mod suite;
