//! Compact JWS (RFC 7515 §7.1): taking apart what came in, putting together what goes out.

use serde_json::{Map, Value};

use super::{
    PrivateKey, VerifyingKey, base64url_decode, encoding::encode_onto as base64url_encode_onto,
    private_key::KeyError,
};
use crate::domain::strict_json;

/// Why a text is not a JWS that this program takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not three parts.
    #[error("a compact JWS has three parts separated by dots, this has {0}")]
    Parts(usize),
    /// A part that is not unpadded base64url.
    #[error("its {0} is not unpadded base64url")]
    Encoding(&'static str),
    /// A part that is not a JSON object without duplicates.
    #[error("its {0} is refused: {1}")]
    Json(&'static str, String),
    /// A header parameter that is missing or wrong.
    #[error("its header {0}")]
    Header(&'static str),
}

/// The header parameters that matter here. `jwk`, `jku`, `x5u` and `x5c` are not among them: a
/// message does not choose the key that it is verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwsHeader {
    /// The algorithm's name, whatever it is.
    pub alg: String,
    /// The key's id.
    pub kid: Option<String>,
    /// The media type.
    pub typ: Option<String>,
}

/// A compact JWS, taken apart but not verified. Its claims are out of reach until a key has
/// verified them.
#[derive(Debug)]
pub struct Jws {
    header: JwsHeader,
    claims: Map<String, Value>,
    input: Box<str>,
    signature: Vec<u8>,
}

impl Jws {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// Not three base64url parts; a header or payload that is not a JSON object without duplicate
    /// members; a header that lacks `alg`, names a critical extension (none is understood here,
    /// RFC 7515 §4.1.11), or has `b64: false` (RFC 7797).
    pub fn parse(text: &str) -> Result<Self, JwsError> {
        let parts = text.split('.').count();
        if parts != 3 {
            return Err(JwsError::Parts(parts));
        }
        let (input, signature) = text.rsplit_once('.').ok_or(JwsError::Parts(1))?;
        let (header, payload) = input.split_once('.').ok_or(JwsError::Parts(1))?;
        let decode = |part, name| base64url_decode(part).ok_or(JwsError::Encoding(name));
        let payload = decode(payload, "payload")?;
        Ok(Self {
            header: read_header(&decode(header, "header")?)?,
            claims: strict_json(&payload).map_err(|error| JwsError::Json("payload", error))?,
            signature: decode(signature, "signature")?,
            input: input.into(),
        })
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &JwsHeader {
        &self.header
    }

    /// Who the payload says has issued it: what is needed to find the key, and not to be believed
    /// before that key has verified it.
    #[must_use]
    pub fn unverified_issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// Whether `key` made the signature, with the algorithm that the header names.
    #[must_use]
    pub fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        self.header.alg == key.algorithm() && key.verifies(self.input.as_bytes(), &self.signature)
    }

    /// The claims, once `key` has verified them; `None` where the signature is not its own.
    #[must_use]
    pub fn verified_claims(self, key: &VerifyingKey) -> Option<Map<String, Value>> {
        self.is_signed_by(key).then_some(self.claims)
    }

    /// The claims, verified by nobody, for printing.
    pub(super) const fn unverified_claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

fn read_header(bytes: &[u8]) -> Result<JwsHeader, JwsError> {
    let mut header = strict_json(bytes).map_err(|error| JwsError::Json("header", error))?;
    if header.contains_key("crit") {
        return Err(JwsError::Header(
            "has \"crit\": no critical extension is understood here",
        ));
    }
    if header.get("b64").is_some_and(|b64| b64 != true) {
        return Err(JwsError::Header(
            "has \"b64\": an unencoded payload is not accepted",
        ));
    }
    let mut text = |name| match header.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(name),
    };
    let read = (|| Ok::<_, &str>((text("alg")?, text("kid")?, text("typ")?)))();
    match read {
        Ok((Some(alg), kid, typ)) => Ok(JwsHeader { alg, kid, typ }),
        Ok((None, ..)) => Err(JwsError::Header("lacks \"alg\"")),
        Err("alg") => Err(JwsError::Header("has an \"alg\" that is not a string")),
        Err("kid") => Err(JwsError::Header("has a \"kid\" that is not a string")),
        Err(_) => Err(JwsError::Header("has a \"typ\" that is not a string")),
    }
}

/// The text that a JWS signs: `BASE64URL(header) "." BASE64URL(payload)`, with room for the
/// signature behind it.
#[must_use]
pub fn signing_input(alg: &str, typ: &str, kid: &str, claims: &[u8]) -> String {
    let mut header = String::with_capacity(128);
    for (before, text) in [("{\"alg\":", alg), (",\"typ\":", typ), (",\"kid\":", kid)] {
        header.push_str(before);
        push_quoted(&mut header, text);
    }
    header.push('}');
    // Base64 makes four characters of three bytes; an RS256 signature has 342.
    let mut input = String::with_capacity((header.len() + claims.len()) / 3 * 4 + 8 + 344);
    base64url_encode_onto(header, &mut input);
    input.push('.');
    base64url_encode_onto(claims, &mut input);
    input
}

/// `text` as JSON. Names of algorithms and thumbprints have nothing to escape.
fn push_quoted(json: &mut String, text: &str) {
    if text
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
    {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        json.push_str(&Value::from(text).to_string());
    }
}

/// Signs `claims` (JSON) in one go: for client assertions and enrolment proofs.
///
/// # Errors
/// The key cannot sign.
pub fn sign_compact(
    key: &PrivateKey,
    typ: &str,
    kid: &str,
    claims: &[u8],
) -> Result<String, KeyError> {
    let mut text = signing_input(key.algorithm().as_str(), typ, kid, claims);
    let signature = key.sign(text.as_bytes())?;
    text.push('.');
    base64url_encode_onto(signature, &mut text);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        domain::SigningAlgorithm,
        jose::{base64url_encode, thumbprint},
    };

    fn compact(header: &str, payload: &str) -> String {
        format!(
            "{}.{}.AA",
            base64url_encode(header),
            base64url_encode(payload)
        )
    }

    #[test]
    fn signs_and_verifies() {
        let key = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        let kid = thumbprint(key.public());
        let text = sign_compact(&key, "x+jwt", &kid, br#"{"a":1}"#).unwrap();
        let jws = Jws::parse(&text).unwrap();
        assert_eq!(jws.header().typ.as_deref(), Some("x+jwt"));
        assert_eq!(jws.header().kid.as_deref(), Some(&*kid));
        let verifying = VerifyingKey::from_jwk(key.public()).unwrap();
        let other = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        let other = VerifyingKey::from_jwk(other.public()).unwrap();
        assert!(!jws.is_signed_by(&other));
        assert_eq!(jws.verified_claims(&verifying).unwrap()["a"], 1);
    }

    #[test]
    fn a_key_serves_its_own_algorithm_only() {
        let key = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        let verifying = VerifyingKey::from_jwk(key.public()).unwrap();
        for alg in ["none", "None", "HS256", "ES384", "es256", ""] {
            let input = format!(
                "{}.{}",
                base64url_encode(format!(r#"{{"alg":"{alg}"}}"#)),
                base64url_encode("{}")
            );
            let signature = key.sign(input.as_bytes()).unwrap();
            let text = format!("{input}.{}", base64url_encode(signature));
            assert!(
                !Jws::parse(&text).unwrap().is_signed_by(&verifying),
                "{alg}"
            );
        }
    }

    #[test]
    fn refuses_what_is_malformed() {
        for (text, says) in [
            (String::new(), "this has 1"),
            ("a.b".to_owned(), "this has 2"),
            ("a.b.c.d.e".to_owned(), "this has 5"),
            ("!.e30.AA".to_owned(), "header is not unpadded base64url"),
            (
                format!("{}.e30.!", base64url_encode(r#"{"alg":"x"}"#)),
                "signature is not",
            ),
            (compact("{}", "{}"), "lacks \"alg\""),
            (
                compact(r#"{"alg":1}"#, "{}"),
                "\"alg\" that is not a string",
            ),
            (
                compact(r#"{"alg":"x","kid":1}"#, "{}"),
                "\"kid\" that is not a string",
            ),
            (compact(r#"{"alg":"x","alg":"y"}"#, "{}"), "occurs twice"),
            (compact(r#"{"alg":"x","crit":["exp"]}"#, "{}"), "critical"),
            (compact(r#"{"alg":"x","b64":false}"#, "{}"), "unencoded"),
            (compact("[]", "{}"), "not a JSON object"),
        ] {
            let error = Jws::parse(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn headers_say_what_they_were_given(alg in any::<String>(), kid in any::<String>()) {
            let input = signing_input(&alg, "x+jwt", &kid, b"{}");
            let jws = Jws::parse(&format!("{input}.AA")).unwrap();
            prop_assert_eq!(&jws.header().alg, &alg);
            prop_assert_eq!(jws.header().kid.as_ref(), Some(&kid));
        }

        #[test]
        fn never_panics(text in "[A-Za-z0-9_.=-]{0,200}|\\PC{0,80}") {
            drop(Jws::parse(&text));
        }
    }
}
