//! A signature that a client presents, taken apart without being verified.

use std::fmt;

use super::PresentedError;
use crate::{
    domain::{RequestTarget, SecretString},
    sigv4::{CredentialScope, authorization},
};

/// A client's AWS signature. Nobody has verified it.
#[derive(Clone)]
pub struct ClaimedSignature {
    /// Where it was.
    pub place: SignaturePlace,
    /// Its algorithm.
    pub version: SignatureVersion,
    /// The access key id. A proxy's own key may be presented as one, so it counts as a secret.
    pub access_key_id: SecretString,
    /// What it is for. For Signature Version 4a, the region is the region set: `*`, or names with
    /// commas between them.
    pub scope: CredentialScope,
}

/// Where a signature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignaturePlace {
    /// The `Authorization` header.
    Header,
    /// The query: a presigned URL.
    Query,
}

/// The algorithm of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureVersion {
    /// `AWS4-HMAC-SHA256`, for one region.
    V4,
    /// `AWS4-ECDSA-P256-SHA256`, for a set of regions.
    V4a,
}

impl SignatureVersion {
    /// The name on the wire.
    #[must_use]
    pub const fn algorithm(self) -> &'static str {
        match self {
            Self::V4 => "AWS4-HMAC-SHA256",
            Self::V4a => "AWS4-ECDSA-P256-SHA256",
        }
    }

    fn named(algorithm: &str) -> Option<Self> {
        [Self::V4, Self::V4a]
            .into_iter()
            .find(|version| version.algorithm() == algorithm)
    }
}

impl fmt::Debug for ClaimedSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimedSignature")
            .field("place", &self.place)
            .field("version", &self.version)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// Reads an `Authorization` header.
pub(super) fn from_header(
    text: &str,
    region_set: Option<&str>,
) -> Result<ClaimedSignature, PresentedError> {
    let (scheme, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let Some(version) = SignatureVersion::named(scheme) else {
        // `AWS AKID:signature` to S3, and `AWS3 …` to services that are older than Version 4.
        let old = matches!(scheme, "AWS" | "AWS3" | "AWS3-HTTPS");
        return Err(if old {
            PresentedError::OldVersion
        } else {
            PresentedError::Scheme
        });
    };
    let fields = authorization::Fields::read(rest).map_err(|_| {
        PresentedError::Malformed("its parts have to be Name=value, none of them twice")
    })?;
    let credential = fields.credential.ok_or(NO_PARTS)?;
    fields
        .signed_headers
        .and(fields.signature)
        .ok_or(NO_PARTS)?;
    claimed(SignaturePlace::Header, version, credential, region_set)
}

const NO_PARTS: PresentedError =
    PresentedError::Malformed("Credential, SignedHeaders and Signature have to be there");

/// Reads the query of a presigned URL; `None` where it is none.
pub(super) fn from_query(
    target: &RequestTarget,
) -> Result<Option<ClaimedSignature>, PresentedError> {
    let mut found: [Option<&str>; 4] = [None; 4];
    let [mut old_key, mut old_signature, mut old_partner] = [false; 3];
    for (name, value) in target.parameters() {
        match name {
            "AWSAccessKeyId" => old_key = true,
            "Signature" => old_signature = true,
            "Expires" | "SignatureVersion" | "SignatureMethod" => old_partner = true,
            _ => {}
        }
        let place = [
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Signature",
            "X-Amz-Region-Set",
        ]
        .into_iter()
        .position(|known| name.eq_ignore_ascii_case(known));
        if let Some(place) = place
            && found[place].replace(value).is_some()
        {
            return Err(PresentedError::Malformed(
                "a query parameter of it is there twice",
            ));
        }
    }
    if old_key || (old_signature && old_partner) {
        return Err(PresentedError::OldVersion);
    }
    let [algorithm, credential, signature, region_set] = found;
    if algorithm.or(credential).or(signature).is_none() {
        return Ok(None);
    }
    let (Some(algorithm), Some(credential), Some(_)) = (algorithm, credential, signature) else {
        return Err(PresentedError::Malformed(
            "X-Amz-Algorithm, X-Amz-Credential and X-Amz-Signature have to be in the query together",
        ));
    };
    let version = SignatureVersion::named(algorithm).ok_or(PresentedError::Malformed(
        "X-Amz-Algorithm is neither AWS4-HMAC-SHA256 nor AWS4-ECDSA-P256-SHA256",
    ))?;
    claimed(SignaturePlace::Query, version, credential, region_set).map(Some)
}

/// Whether a query parameter belongs to a presigned URL of Version 4.
pub(super) fn is_parameter(name: &str) -> bool {
    [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Security-Token",
        "X-Amz-S3session-Token",
        "X-Amz-Region-Set",
        "X-Amz-Content-Sha256",
    ]
    .into_iter()
    .any(|known| name.eq_ignore_ascii_case(known))
}

fn claimed(
    place: SignaturePlace,
    version: SignatureVersion,
    credential: &str,
    region_set: Option<&str>,
) -> Result<ClaimedSignature, PresentedError> {
    let fields: Vec<&str> = credential.split('/').collect();
    let whole = fields.iter().all(|field| !field.is_empty());
    let (key, date, region, service) = match (version, fields.as_slice()) {
        (SignatureVersion::V4, [key, date, region, service, "aws4_request"]) if whole => {
            (*key, *date, *region, *service)
        }
        (SignatureVersion::V4a, [key, date, service, "aws4_request"]) if whole => {
            let region = region_set
                .filter(|set| !set.is_empty())
                .ok_or(PresentedError::Malformed("X-Amz-Region-Set is missing"))?;
            (*key, *date, region, *service)
        }
        _ => {
            return Err(PresentedError::Malformed(
                "the credential has to be KEY/YYYYMMDD/REGION/SERVICE/aws4_request, without the \
                 region for AWS4-ECDSA-P256-SHA256",
            ));
        }
    };
    if date.len() != 8 || !date.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PresentedError::Malformed(
            "the date of the credential is not YYYYMMDD",
        ));
    }
    Ok(ClaimedSignature {
        place,
        version,
        access_key_id: SecretString::from(key),
        scope: CredentialScope {
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        },
    })
}
