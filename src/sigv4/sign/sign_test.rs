//! Signatures against those of AWS's own code, and what signing does to headers.

use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest,
        SigningSettings as AwsSettings, UriPathNormalizationMode,
    },
    sign::v4 as aws_v4,
};
use proptest::prelude::*;

use super::*;
use crate::{
    domain::{PathStyle, SecretString},
    sigv4::{SignatureError, SignedRequest, verify},
};

const KEY: &str = "ASIAEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const NOW: Timestamp = Timestamp::from_secs(1_740_514_245);

fn credentials(token: Option<&str>) -> SigningCredentials {
    SigningCredentials::new(KEY.to_owned(), SecretString::from(SECRET), token).unwrap()
}

const fn settings(name: &str) -> SigningSettings<'_> {
    SigningSettings {
        name,
        region: "eu-central-1",
        version: SignatureVersion::V4,
    }
}

/// A request to be signed by both.
#[derive(Clone, Debug)]
struct Sample {
    method: Method,
    target: RequestTarget,
    headers: HeaderMap,
    body: Vec<u8>,
    token: Option<String>,
    payload: PayloadHash,
}

impl Sample {
    fn new(target: &str, style: PathStyle) -> Self {
        Self {
            method: Method::POST,
            target: RequestTarget::parse(target, style).unwrap(),
            headers: HeaderMap::new(),
            body: b"{}".to_vec(),
            token: Some("token".to_owned()),
            payload: PayloadHash::of(b"{}"),
        }
    }

    fn name(&self) -> &'static str {
        match self.target.style() {
            PathStyle::S3 => "s3",
            PathStyle::Plain => "dynamodb",
        }
    }

    fn signed(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        let request = Signable {
            method: &self.method,
            host: "h.example",
            target: &self.target,
            payload: self.payload,
        };
        let credentials = credentials(self.token.as_deref());
        Signer::new()
            .sign(
                &request,
                &mut headers,
                &settings(self.name()),
                &credentials,
                NOW,
            )
            .unwrap();
        headers
    }

    fn signed_by_aws(&self) -> HeaderMap {
        let mut settings = AwsSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.excluded_headers = Some(
            ["accept", "cache-control", "user-agent", "x-amzn-trace-id"]
                .map(Into::into)
                .to_vec(),
        );
        if self.target.style() == PathStyle::S3 {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        let identity =
            aws_credential_types::Credentials::new(KEY, SECRET, self.token.clone(), None, "test")
                .into();
        let parameters = aws_v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-central-1")
            .name(self.name())
            .time(UNIX_EPOCH + Duration::from_millis(u64::try_from(NOW.ms()).unwrap()))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let mut request = http::Request::builder()
            .method(self.method.clone())
            .uri(format!("https://h.example{}", self.target))
            .body(())
            .unwrap();
        *request.headers_mut() = self.headers.clone();
        let body = match self.payload {
            PayloadHash::Sha256(_) => SignableBody::Bytes(&self.body),
            PayloadHash::Unsigned => SignableBody::UnsignedPayload,
            PayloadHash::UnsignedTrailer => SignableBody::StreamingUnsignedPayloadTrailer,
        };
        let uri = request.uri().to_string();
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        let signable =
            SignableRequest::new(self.method.as_str(), uri, headers.into_iter(), body).unwrap();
        let (instructions, _) = aws_sigv4::http_request::sign(signable, &parameters)
            .unwrap()
            .into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request.into_parts().0.headers
    }
}

fn sample() -> impl Strategy<Value = Sample> {
    let method = proptest::sample::select(vec![Method::GET, Method::PUT, Method::POST]);
    let name = proptest::sample::select(vec![
        "content-type",
        "content-md5",
        "range",
        "x-amz-meta-a",
        "x-amz-meta-b",
        "x-amz-target",
        "accept",
        "cache-control",
        "user-agent",
        "x-amzn-trace-id",
    ]);
    let headers = proptest::collection::vec((name, "[!-~]( {0,3}[!-~]{1,5}){0,3}"), 0..6);
    let path = "/([a-zA-Z0-9._~+@:,é%-]{1,8}/?){0,4}";
    let query = proptest::collection::vec(("[a-zA-Z+é-]{0,3}", "[ -~é]{0,5}"), 0..4);
    let token = proptest::option::of("[A-Za-z0-9+/=]{1,80}");
    let payload = proptest::bool::ANY;
    (method, path, query, headers, token, payload, ".{0,30}").prop_filter_map(
        "not a path that is signed",
        |(method, path, query, headers, token, hashed, body)| {
            let style = if body.len() % 2 == 0 {
                PathStyle::S3
            } else {
                PathStyle::Plain
            };
            let all = percent_encoding::NON_ALPHANUMERIC;
            let encode = |text: &str| percent_encoding::utf8_percent_encode(text, all).to_string();
            let mut target = path.split('/').map(encode).collect::<Vec<_>>().join("/");
            for (index, (name, value)) in query.iter().enumerate() {
                target.push(if index == 0 { '?' } else { '&' });
                target.push_str(&[encode(name), encode(value)].join("="));
            }
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name, HeaderValue::from_str(&value).unwrap());
            }
            Some(Sample {
                method,
                target: RequestTarget::parse(&target, style).ok()?,
                headers: map,
                payload: match (style, hashed) {
                    (PathStyle::S3, false) => PayloadHash::UnsignedTrailer,
                    (PathStyle::Plain, false) => PayloadHash::Unsigned,
                    _ => PayloadHash::of(body.as_bytes()),
                },
                body: body.into_bytes(),
                token,
            })
        },
    )
}

proptest! {
    #[test]
    fn signs_as_aws_does(sample in sample()) {
        let (mut ours, mut theirs) = (sample.signed(), sample.signed_by_aws());
        let [our, their] = [&mut ours, &mut theirs].map(|headers| headers.remove("authorization"));
        prop_assert_eq!(our, their, "{:?}", sample);
        prop_assert_eq!(ours, theirs);
    }

    /// The verifier reads what other services than S3 are sent.
    #[test]
    fn signatures_are_verified(mut sample in sample()) {
        prop_assume!(sample.target.style() == PathStyle::Plain && sample.target.path() != "/");
        sample.payload = PayloadHash::of(&sample.body);
        let signed = sample.signed();
        prop_assert_eq!(verified(&sample, &signed), Ok(()));
        let mut other = sample.clone();
        other.body.push(0);
        prop_assert_eq!(verified(&other, &signed), Err(SignatureError::SignatureDoesNotMatch));
    }
}

fn verified(sample: &Sample, signed: &HeaderMap) -> Result<(), SignatureError> {
    let mut headers = vec![("host", "h.example")];
    headers.extend(
        signed
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap())),
    );
    let request = SignedRequest {
        method: sample.method.as_str(),
        path: sample.target.path(),
        query: Some(sample.target.query()),
        headers: &headers,
        body: &sample.body,
    };
    verify(&request, "dynamodb", NOW, |key, token| {
        assert_eq!((key, token), (KEY, sample.token.as_deref()));
        Ok((SecretString::from(SECRET), ()))
    })
    .map(|_| ())
}

/// Keys of S3 as they come, and the path that is sent and signed.
#[test]
fn keys_of_s3_are_signed_as_they_are_sent() {
    for (raw, path) in [
        ("/b/a%20b", "/b/a%20b"),
        ("/b/a+b", "/b/a%20b"),
        ("/b/a%2Bb", "/b/a%2Bb"),
        ("/b/%c3%a9", "/b/%C3%A9"),
        ("/b/a//b", "/b/a//b"),
        ("//a", "//a"),
        ("/b/a/../b", "/b/a/../b"),
        ("/b/%2e%2e/c", "/b/../c"),
        ("/b/a%2Fb", "/b/a/b"),
        ("/b/a%252Fb", "/b/a%252Fb"),
        ("/b/@=:~$%3F", "/b/%40%3D%3A~%24%3F"),
    ] {
        let sample = Sample::new(raw, PathStyle::S3);
        assert_eq!(sample.target.path(), path);
        let canonical = canonical(&sample);
        assert_eq!(canonical.lines().nth(1), Some(path), "{raw}");
        assert_eq!(
            sample.signed()["authorization"],
            sample.signed_by_aws()["authorization"],
            "{raw}"
        );
    }
}

#[test]
fn other_paths_are_encoded_once_more() {
    for (raw, signed) in [
        ("/", "/"),
        ("/model/a:1/invoke", "/model/a%253A1/invoke"),
        ("/functions/arn%3Aaws/", "/functions/arn%253Aaws/"),
        ("/a%252Fb", "/a%25252Fb"),
    ] {
        let canonical = canonical(&Sample::new(raw, PathStyle::Plain));
        assert_eq!(canonical.lines().nth(1), Some(signed), "{raw}");
    }
}

fn canonical(sample: &Sample) -> String {
    let request = Signable {
        method: &sample.method,
        host: "h.example",
        target: &sample.target,
        payload: sample.payload,
    };
    let form = Form::of(sample.target.style());
    let canonical = Canonical::write(&request, &sample.headers, &sample.payload.header(), form);
    String::from_utf8(canonical.request().to_vec()).unwrap()
}

/// The example "GET Object" of the S3 documentation, whose signature it gives
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>).
#[test]
fn signs_the_example_of_the_documentation() {
    let mut headers = HeaderMap::new();
    headers.insert("range", HeaderValue::from_static("bytes=0-9"));
    let request = Signable {
        method: &Method::GET,
        host: "examplebucket.s3.amazonaws.com",
        target: &RequestTarget::parse("/test.txt", PathStyle::S3).unwrap(),
        payload: PayloadHash::EMPTY,
    };
    let settings = SigningSettings {
        name: "s3",
        region: "us-east-1",
        version: SignatureVersion::V4,
    };
    let credentials = SigningCredentials::new(
        "AKIAIOSFODNN7EXAMPLE".to_owned(),
        SecretString::from("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        None,
    )
    .unwrap();
    let at = Timestamp::from_secs(1_369_353_600);
    Signer::new()
        .sign(&request, &mut headers, &settings, &credentials, at)
        .unwrap();
    let authorization = headers["authorization"].to_str().unwrap();
    assert!(
        authorization.ends_with(
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        ),
        "{authorization}"
    );
}

#[test]
fn a_request_is_signed_again_with_other_credentials() {
    let sample = Sample::new("/", PathStyle::Plain);
    let request = Signable {
        method: &sample.method,
        host: "h.example",
        target: &sample.target,
        payload: sample.payload,
    };
    let signer = Signer::new();
    let mut headers = HeaderMap::new();
    let v4a = SigningSettings {
        region: "*",
        version: SignatureVersion::V4a,
        ..settings("dynamodb")
    };
    let mut sign = |settings: &SigningSettings<'_>, credentials: &SigningCredentials, now| {
        signer
            .sign(&request, &mut headers, settings, credentials, now)
            .unwrap();
        headers.clone()
    };
    let first = sign(&v4a, &credentials(Some("old")), NOW);
    assert_eq!(first["x-amz-region-set"], "*");
    assert_eq!(first["x-amz-security-token"], "old");
    let second = sign(&settings("dynamodb"), &credentials(None), NOW);
    assert!(!second.contains_key("x-amz-region-set"));
    assert!(!second.contains_key("x-amz-security-token"));

    // The kept key is for one day and one secret only.
    let tomorrow = NOW.plus(Duration::from_hours(24));
    let day = |headers: &HeaderMap| headers["authorization"].to_str().unwrap()[..60].to_owned();
    let third = sign(&settings("dynamodb"), &credentials(None), tomorrow);
    assert_ne!(day(&second), day(&third));
    let other = SigningCredentials::new(KEY.to_owned(), SecretString::from("other"), None).unwrap();
    let fourth = sign(&settings("dynamodb"), &other, tomorrow);
    assert_eq!(day(&third), day(&fourth));
    assert_ne!(third["authorization"], fourth["authorization"]);
    let fifth = sign(&settings("dynamodb"), &credentials(None), tomorrow);
    assert_eq!(third["authorization"], fifth["authorization"]);
}

#[test]
fn what_cannot_be_signed_is_said() {
    let sample = Sample::new("/", PathStyle::Plain);
    let request = Signable {
        method: &sample.method,
        host: "h.example",
        target: &sample.target,
        payload: sample.payload,
    };
    let sign = |headers: &mut HeaderMap, settings: &SigningSettings<'_>, now| {
        Signer::new().sign(&request, headers, settings, &credentials(None), now)
    };
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("other.example"));
    let good = settings("dynamodb");
    assert_eq!(sign(&mut headers, &good, NOW), Err(SigningError::Host));
    let mut headers = HeaderMap::new();
    for name in ["", "a/b", "a b", "a,b"] {
        let error = sign(&mut headers, &settings(name), NOW).unwrap_err();
        assert_eq!(error, SigningError::Scope("signing name"));
    }
    for region in ["", "*", "us-east-1,us-east-2"] {
        let error = sign(&mut headers, &SigningSettings { region, ..good }, NOW).unwrap_err();
        assert_eq!(error, SigningError::Scope("region"));
    }
    let late = Timestamp::from_secs(253_402_300_800);
    assert_eq!(sign(&mut headers, &good, late), Err(SigningError::Clock));
    let make = |id: &str, token| SigningCredentials::new(id.to_owned(), SECRET.into(), token).err();
    assert_eq!(
        make("a/b", None),
        Some(SigningError::Credentials("access key id"))
    );
    assert_eq!(
        make("a", Some("b\nc")),
        Some(SigningError::Credentials("session token"))
    );
}

#[test]
fn secrets_stay_out_of_debug() {
    let mut sample = Sample::new("/", PathStyle::Plain);
    sample.token = Some("IQoJb3Jp".to_owned());
    let shown = format!("{:?} {:?}", sample.signed(), credentials(Some("IQoJb3Jp")));
    for secret in [SECRET, "IQoJb3Jp", "Signature="] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
