use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const NOW: i64 = 1_740_514_245;

/// A request signed by aws-sigv4: the oracle.
struct Signed {
    method: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Signed {
    fn new(method: &str, target: &str, body: &[u8], token: Option<&str>) -> Self {
        Self::by(SECRET, method, target, body, token, "sts", NOW)
    }

    fn by(
        secret: &str,
        method: &str,
        target: &str,
        body: &[u8],
        token: Option<&str>,
        service: &str,
        at: i64,
    ) -> Self {
        let credentials = Credentials::new("ASIATEST", secret, token.map(str::to_owned), None, "t");
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name(service)
            .time(UNIX_EPOCH + Duration::from_secs(at.unsigned_abs()))
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let mut headers = vec![
            ("Host".to_owned(), "127.0.0.1:8080".to_owned()),
            ("X-Custom".to_owned(), "  a   b ".to_owned()),
            (
                "Content-Type".to_owned(),
                "application/x-www-form-urlencoded".to_owned(),
            ),
        ];
        let uri = format!("http://127.0.0.1:8080{target}");
        let signable = SignableRequest::new(
            method,
            &uri,
            headers.iter().map(|(n, v)| (n.as_str(), v.as_str())),
            SignableBody::Bytes(body),
        )
        .unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        headers.extend(
            instructions
                .headers()
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let (path, query) = target
            .split_once('?')
            .map_or((target, None), |(path, query)| (path, Some(query)));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.map(str::to_owned),
            headers,
            body: body.to_vec(),
        }
    }

    fn verify_at(&self, now: i64) -> Result<Verified<Option<String>>, SignatureError> {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        verify(
            &SignedRequest {
                method: &self.method,
                path: &self.path,
                query: self.query.as_deref(),
                headers: &headers,
                body: &self.body,
            },
            "sts",
            Timestamp::from_secs(now),
            |key, token| match key {
                "ASIATEST" => Ok((SecretString::from(SECRET), token.map(str::to_owned))),
                "ASIAEXPIRED" => Err(LookupError::Expired),
                _ => Err(LookupError::Unknown),
            },
        )
    }

    fn verify(&self) -> Result<Verified<Option<String>>, SignatureError> {
        self.verify_at(NOW)
    }

    fn header(&mut self, name: &str) -> &mut String {
        &mut self
            .headers
            .iter_mut()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .unwrap()
            .1
    }
}

#[test]
fn accepts_what_aws_sigv4_signs() {
    for (method, target, body, token) in [
        ("POST", "/", &b"Action=GetCallerIdentity"[..], None),
        ("POST", "/sts", b"", Some("token")),
        ("POST", "/sts/", b"x", Some("token")),
        (
            "GET",
            "/?Version=2011-06-15&Action=GetCallerIdentity",
            b"",
            None,
        ),
        ("GET", "/a%20b/./c/../d?x=%2F&b=a%20b&b=&a", b"", None),
    ] {
        let verified = Signed::new(method, target, body, token).verify();
        let verified = verified.unwrap_or_else(|error| panic!("{method} {target}: {error}"));
        assert_eq!(verified.identity.as_deref(), token);
        assert_eq!(verified.access_key_id, "ASIATEST");
        assert_eq!(verified.scope.region, "eu-west-1");
    }
}

#[test]
fn refuses_whatever_was_changed() {
    let good = || {
        Signed::new(
            "POST",
            "/sts?a=b",
            b"Action=GetCallerIdentity",
            Some("token"),
        )
    };
    let mut method = good();
    method.method = "GET".to_owned();
    let mut path = good();
    path.path = "/".to_owned();
    let mut query = good();
    query.query = Some("a=c".to_owned());
    let mut body = good();
    body.body.push(b'x');
    let mut host = good();
    host.header("host").push('0');
    let mut missing = good();
    missing.headers.retain(|(name, _)| name != "X-Custom");
    let mut twice = good();
    twice
        .headers
        .push(("X-Custom".to_owned(), "a b".to_owned()));
    let other = Signed::by("x", "POST", "/", b"", None, "sts", NOW);
    for changed in [method, path, query, body, host, missing, twice, other] {
        assert_eq!(
            changed.verify().unwrap_err(),
            SignatureError::SignatureDoesNotMatch,
            "{:?}",
            changed.headers
        );
    }
}

#[test]
fn headers_that_carry_meaning_must_be_signed() {
    let mut token = Signed::new("POST", "/", b"", None);
    token
        .headers
        .push(("X-Amz-Security-Token".to_owned(), "other".to_owned()));
    assert_eq!(
        token.verify().unwrap_err(),
        SignatureError::UnsignedHeader("X-Amz-Security-Token".to_owned())
    );
    let mut host = Signed::new("POST", "/", b"", None);
    let header = host.header("authorization");
    *header = header.replace("host;", "");
    assert_eq!(
        host.verify().unwrap_err(),
        SignatureError::UnsignedHeader("Host".to_owned())
    );
}

#[test]
fn refuses_another_service_and_another_day() {
    let error = Signed::by(SECRET, "POST", "/", b"", None, "s3x", NOW)
        .verify()
        .unwrap_err();
    assert!(error.to_string().contains("correct service: 'sts'"));
    let mut day = Signed::new("POST", "/", b"", None);
    let header = day.header("authorization");
    *header = header.replace("/20250225/", "/20250224/");
    let error = day.verify().unwrap_err();
    assert_eq!(error.code(), "SignatureDoesNotMatch");
    assert!(error.to_string().contains("'20250224' != '20250225'"));
}

#[test]
fn the_clock_may_be_off_by_a_quarter_of_an_hour() {
    let signed = Signed::new("POST", "/", b"", None);
    for off in [-900, 900] {
        signed.verify_at(NOW + off).unwrap();
    }
    assert_eq!(
        signed.verify_at(NOW + 901).unwrap_err().to_string(),
        "Signature expired: 20250225T201045Z is now earlier than 20250225T201046Z \
         (20250225T202546Z - 15 min.)"
    );
    assert_eq!(
        signed.verify_at(NOW - 901).unwrap_err().to_string(),
        "Signature not yet current: 20250225T201045Z is still later than 20250225T201044Z \
         (20250225T195544Z + 15 min.)"
    );
}

#[test]
fn keys_that_nobody_issued_or_that_expired() {
    for (key, code) in [
        ("ASIAOTHER", "InvalidClientTokenId"),
        ("ASIAEXPIRED", "ExpiredToken"),
    ] {
        let mut signed = Signed::new("POST", "/", b"", None);
        let header = signed.header("authorization");
        *header = header.replace("ASIATEST", key);
        let error = signed.verify().unwrap_err();
        assert_eq!((error.code(), error.status()), (code, 403));
    }
}

#[test]
fn what_is_missing_is_named() {
    let mut unsigned = Signed::new("POST", "/", b"", None);
    unsigned.headers.retain(|(name, _)| name != "authorization");
    assert_eq!(
        unsigned.verify().unwrap_err(),
        SignatureError::MissingAuthenticationToken
    );
    for date in ["", "yesterday", "20250225T201045+", "2025022éT201045Z"] {
        let mut signed = Signed::new("POST", "/", b"", None);
        date.clone_into(signed.header("x-amz-date"));
        assert_eq!(signed.verify().unwrap_err().code(), "IncompleteSignature");
    }
}
