//! Signing requests that go out, by `aws-sigv4`.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use bytes::Bytes;

use crate::domain::Timestamp;

/// A request could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("the request cannot be signed: {0}")]
pub struct SigningError(String);

/// Signs a request to Amazon S3 in its `Authorization` header, the body's hash included. Its path is
/// signed as it is, which is S3's own rule.
/// ([Signing AWS API requests](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html))
///
/// # Errors
/// The URI or a header has no form that can be signed.
pub fn sign_s3(
    request: &mut http::Request<Bytes>,
    credentials: &Credentials,
    region: &str,
    now: Timestamp,
) -> Result<(), SigningError> {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = credentials.clone().into();
    let failed = |error: &dyn std::fmt::Display| SigningError(error.to_string());
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(UNIX_EPOCH + Duration::from_millis(u64::try_from(now.ms()).unwrap_or(0)))
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let uri = request.uri().to_string();
    let headers: Vec<(&str, &str)> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let signable = SignableRequest::new(
        request.method().as_str(),
        uri,
        headers.into_iter(),
        SignableBody::Bytes(request.body()),
    )
    .map_err(|error| failed(&error))?;
    let (instructions, _) = sign(signable, &parameters)
        .map_err(|error| failed(&error))?
        .into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example "GET Object" of the S3 documentation, whose signature it gives
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>).
    #[test]
    fn signs_the_example_of_the_documentation() {
        let mut request = http::Request::get("https://examplebucket.s3.amazonaws.com/test.txt")
            .header("range", "bytes=0-9")
            .body(Bytes::new())
            .unwrap();
        let credentials = Credentials::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            None,
            None,
            "test",
        );
        let at = Timestamp::from_secs(1_369_353_600);
        sign_s3(&mut request, &credentials, "us-east-1", at).unwrap();
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(
            authorization.ends_with(
                "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
            ),
            "{authorization}"
        );
    }
}
