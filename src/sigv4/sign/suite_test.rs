//! AWS's own test suite (`tests/data/sigv4-suite`).
//!
//! It differs from what the proxy does in three ways, so that its cases run with a form of their own: it
//! signs all headers, encodes paths once, and sends no `X-Amz-Content-Sha256` unless it says so.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, KeyPair as _, UnparsedPublicKey};
use http::HeaderName;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Deserialize;

use super::*;
use crate::domain::{PathStyle, SecretString, TargetError};

/// The cases whose paths the proxy refuses, because a service could read them as others than it judged.
const REFUSED: [(&str, TargetError); 6] = [
    ("get-relative-normalized", TargetError::DotSegment),
    ("get-relative-relative-normalized", TargetError::DotSegment),
    ("get-slash-dot-slash-normalized", TargetError::DotSegment),
    ("get-slash-normalized", TargetError::EmptySegment),
    (
        "get-slash-pointless-dot-normalized",
        TargetError::DotSegment,
    ),
    ("get-slashes-normalized", TargetError::EmptySegment),
];

#[derive(Deserialize)]
struct Case {
    name: String,
    context: Option<Context>,
    request: String,
    canonical_request: String,
    string_to_sign: Option<String>,
    signed_request: String,
}

#[derive(Deserialize)]
struct Context {
    credentials: AccessKey,
    normalize: bool,
    region: String,
    service: String,
    sign_body: bool,
    timestamp: jiff::Timestamp,
    #[serde(default)]
    omit_session_token: bool,
}

#[derive(Deserialize)]
struct AccessKey {
    #[serde(rename = "access_key_id")]
    id: String,
    #[serde(rename = "secret_access_key")]
    secret: String,
    token: Option<String>,
}

impl Case {
    /// The two cases without a context are of an older suite, and encode the path twice.
    fn context(&self) -> Context {
        let token = None;
        let access_key = |id: &str, secret: &str| AccessKey {
            id: id.to_owned(),
            secret: secret.to_owned(),
            token: token.clone(),
        };
        match &self.context {
            Some(context) => Context {
                credentials: AccessKey {
                    token: context
                        .credentials
                        .token
                        .clone()
                        // Where the token is added after the signature, there is none for the signer.
                        .filter(|_| !context.omit_session_token),
                    ..access_key(&context.credentials.id, &context.credentials.secret)
                },
                region: context.region.clone(),
                service: context.service.clone(),
                ..*context
            },
            None => Context {
                credentials: access_key("ANOTREAL", "notrealrnrELgWzOk3IfjzDKtFBhDby"),
                normalize: false,
                region: "us-east-1".to_owned(),
                service: "service".to_owned(),
                sign_body: false,
                timestamp: "2021-05-11T15:40:45Z".parse().unwrap(),
                omit_session_token: false,
            },
        }
    }
}

struct Raw {
    method: Method,
    path: String,
    host: String,
    headers: HeaderMap,
    body: String,
}

fn parse(request: &str) -> Raw {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    // A value that goes on in the next line is one that has blanks instead.
    let head = head.replace("\n ", " ");
    let mut lines = head.lines();
    let first = lines.next().unwrap();
    let (method, rest) = first.split_once(' ').unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value.trim()).unwrap(),
        );
    }
    let host = headers.remove("host").unwrap().to_str().unwrap().to_owned();
    Raw {
        method: method.parse().unwrap(),
        path: rest.rsplit_once(' ').unwrap().0.to_owned(),
        host,
        headers,
        body: body.to_owned(),
    }
}

/// Some paths are not those of a URI, which no request on the wire has.
const NOT_IN_URIS: AsciiSet = CONTROLS.add(b' ');

fn authorization(headers: &HeaderMap) -> &str {
    headers["authorization"].to_str().unwrap()
}

fn run(cases: &str, version: SignatureVersion) -> usize {
    let cases: Vec<Case> = serde_json::from_str(cases).unwrap();
    let mut refused = Vec::new();
    for case in &cases {
        let context = case.context();
        let raw = parse(&case.request);
        let path = utf8_percent_encode(&raw.path, &NOT_IN_URIS).to_string();
        if context.normalize
            && let Err(error) = RequestTarget::parse(&path, PathStyle::Plain)
        {
            refused.push((case.name.as_str(), error));
            continue;
        }
        let style = if context.normalize {
            PathStyle::Plain
        } else {
            PathStyle::S3
        };
        let target = RequestTarget::parse(&path, style).unwrap();
        let form = Form {
            encode_again: case.context.is_none(),
            with_payload: context.sign_body,
            signs: |_| true,
        };
        let credentials = SigningCredentials::new(
            context.credentials.id.clone(),
            SecretString::from(context.credentials.secret.clone()),
            context.credentials.token.as_deref(),
        )
        .unwrap();
        let settings = SigningSettings {
            name: &context.service,
            region: &context.region,
            version,
        };
        let request = Signable {
            method: &raw.method,
            host: &raw.host,
            target: &target,
            payload: if context.sign_body {
                PayloadHash::of(raw.body.as_bytes())
            } else {
                PayloadHash::EMPTY
            },
        };
        let now = Timestamp::from_secs(context.timestamp.as_second());
        let mut headers = raw.headers.clone();
        Signer::new()
            .sign_as(&request, &mut headers, &settings, &credentials, now, form)
            .unwrap();

        let signed = headers.remove("authorization").unwrap();
        let mut canonical = Canonical::write(&request, &headers, &request.payload.header(), form);
        let text = std::str::from_utf8(canonical.request()).unwrap();
        if case.name == "double-encode-path" {
            // On our wire the sign is encoded, and then the percent sign of that.
            let ours = case.canonical_request.replace("%40", "%2540");
            assert_eq!(text, ours.replace("20150830", "20210511"));
            continue;
        }
        assert_eq!(text, case.canonical_request, "{}", case.name);
        headers.insert("authorization", signed);
        let stamp = date::stamp(now).unwrap();
        let mut scope = Vec::new();
        settings.write_scope(&mut scope, &stamp[..8]);
        canonical.write_string_to_sign(version, &stamp, &scope);
        let to_sign = canonical.string_to_sign();
        if case.context.is_some() {
            let theirs = case.string_to_sign.as_ref().unwrap();
            assert_eq!(
                std::str::from_utf8(to_sign).unwrap(),
                theirs,
                "{}",
                case.name
            );
            let mut theirs = parse(&case.signed_request).headers;
            if context.omit_session_token {
                theirs.remove("x-amz-security-token");
            }
            compare(&headers, &theirs, version, to_sign, &case.name);
        }
    }
    assert_eq!(refused, REFUSED);
    cases.len()
}

fn compare(
    ours: &HeaderMap,
    theirs: &HeaderMap,
    version: SignatureVersion,
    to_sign: &[u8],
    name: &str,
) {
    let names = |headers: &HeaderMap| -> Vec<String> {
        let mut names: Vec<_> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    assert_eq!(names(ours), names(theirs), "{name}");
    if version == SignatureVersion::V4 {
        assert_eq!(authorization(ours), authorization(theirs), "{name}");
        return;
    }
    // An ECDSA signature is another one each time.
    let [(ours, our), (theirs, their)] = [ours, theirs].map(|headers| {
        let text = authorization(headers);
        let (before, signature) = text.rsplit_once('=').unwrap();
        (before, hex::decode(signature).unwrap())
    });
    assert_eq!(ours, theirs, "{name}");
    let pair = v4a::key_pair("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY").unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref());
    for signature in [our, their] {
        key.verify(to_sign, &signature).unwrap();
    }
}

#[test]
fn every_case_of_version_4() {
    let cases = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/sigv4-suite/v4.json"
    ));
    assert_eq!(run(cases, SignatureVersion::V4), 40);
}

#[test]
fn every_case_of_version_4a() {
    let cases = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/sigv4-suite/v4a.json"
    ));
    assert_eq!(run(cases, SignatureVersion::V4a), 38);
}
