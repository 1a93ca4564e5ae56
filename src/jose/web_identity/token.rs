//! A web-identity token before its signature is verified.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::keys::{Algorithm, WebIdentityKeys};

/// A token that proves nothing yet: it shows only what is needed to find its key, and
/// [`WebIdentityToken::for_display`] is for a person's eyes.
pub struct WebIdentityToken<'a> {
    signing_input: &'a str,
    signature: Vec<u8>,
    algorithm: Option<Algorithm>,
    alg: String,
    kid: Option<String>,
    claims: Map<String, Value>,
}

/// Why AWS takes a token for none of the issuer's, in plain words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebIdentityError {
    /// It is no JWT, or its header is one that AWS does not read.
    #[error("{0}")]
    NotAJwt(String),
    /// Its `alg` is another than AWS's six.
    #[error("{0}")]
    Algorithm(String),
    /// The issuer's key set holds no key for it that counts.
    #[error("{0}")]
    NoKey(String),
    /// The key's signature it is not.
    #[error("{0}")]
    Signature(String),
}

impl<'a> WebIdentityToken<'a> {
    /// Reads the compact serialisation (RFC 7515 §3.1): three parts of unpadded base64url, header
    /// and payload JSON objects. Of members that are there twice the last counts.
    ///
    /// A line break at the end counts for nothing: the SDKs send a token file as it is, `echo` and
    /// `idp token` leave one there, and AWS reads such a token all the same.
    ///
    /// # Errors
    /// [`WebIdentityError::NotAJwt`]: another form, `crit` in the header, an `alg` or `kid` that is
    /// not a string.
    pub fn parse(token: &'a str) -> Result<Self, WebIdentityError> {
        let not_a_jwt = WebIdentityError::NotAJwt;
        let token = token.trim_end_matches(['\r', '\n']);
        let parts: Vec<_> = token.splitn(4, '.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err(not_a_jwt(
                "the token does not have three parts separated by dots".to_owned(),
            ));
        };
        let decode = |part: &str, name: &str| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| not_a_jwt(format!("the {name} is not unpadded base64url")))
        };
        let object = |part: &str, name: &str| match serde_json::from_slice(&decode(part, name)?) {
            Ok(Value::Object(members)) => Ok(members),
            _ => Err(not_a_jwt(format!("the {name} is not a JSON object"))),
        };
        let header_members = object(header, "header")?;
        // An extension that must be understood, and none is (RFC 7515 §4.1.11).
        if header_members.contains_key("crit") {
            return Err(not_a_jwt("the header has crit".to_owned()));
        }
        let Some(Value::String(alg)) = header_members.get("alg") else {
            return Err(not_a_jwt("the header's alg is not a string".to_owned()));
        };
        let kid = match header_members.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(not_a_jwt("the header's kid is not a string".to_owned())),
        };
        Ok(Self {
            signing_input: &token[..header.len() + 1 + payload.len()],
            signature: decode(signature, "signature")?,
            algorithm: Algorithm::from_name(alg),
            alg: alg.clone(),
            kid,
            claims: object(payload, "payload")?,
        })
    }

    /// The header's `kid`.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The `iss`, for finding the provider; any JSON value.
    #[must_use]
    pub fn issuer(&self) -> Option<&Value> {
        self.claims.get("iss")
    }

    /// The claims, for printing and advice. Nothing may be admitted on them.
    #[must_use]
    pub const fn for_display(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The type of the keys (`kty`) that its `alg` goes with, where that is one that AWS takes.
    /// What AWS says to others is not in the record.
    ///
    /// # Errors
    /// [`WebIdentityError::Algorithm`].
    pub fn key_type(&self) -> Result<&'static str, WebIdentityError> {
        self.algorithm().map(Algorithm::key_type)
    }

    fn algorithm(&self) -> Result<Algorithm, WebIdentityError> {
        self.algorithm.ok_or_else(|| {
            WebIdentityError::Algorithm(format!(
                "the header's alg is {:?}; AWS takes RS256, RS384, RS512, ES256, ES384 and ES512",
                self.alg
            ))
        })
    }

    /// The claims, once the signature is verified by one of `keys`.
    ///
    /// # Errors
    /// All but [`WebIdentityError::NotAJwt`].
    pub fn verify(&self, keys: &WebIdentityKeys) -> Result<&Map<String, Value>, WebIdentityError> {
        let algorithm = self.algorithm()?;
        let kid = self.kid.as_deref();
        let key = keys
            .select(kid)
            .ok_or_else(|| WebIdentityError::NoKey(keys.why_none(kid)))?;
        key.verify(algorithm, self.signing_input.as_bytes(), &self.signature)
            .map_err(|why| {
                WebIdentityError::Signature(format!(
                    "key {:?}: {why}",
                    kid.unwrap_or("without kid")
                ))
            })?;
        Ok(&self.claims)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn jwt(header: &str, payload: &str) -> String {
        format!(
            "{}.{}.AA",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(payload)
        )
    }

    #[test]
    fn reads_what_finds_the_key() {
        let text = jwt(
            r#"{"alg":"RS256","kid":"first","kid":"k"}"#,
            r#"{"iss":"https://i"}"#,
        );
        let token = WebIdentityToken::parse(&text).unwrap();
        assert_eq!(token.kid(), Some("k"));
        assert_eq!(token.issuer().unwrap(), "https://i");
        assert_eq!(token.key_type(), Ok("RSA"));
    }

    #[test]
    fn a_line_break_at_the_end_of_a_token_file_does_no_harm() {
        let text = jwt(r#"{"alg":"RS256"}"#, "{}");
        for end in ["\n", "\r\n"] {
            assert!(WebIdentityToken::parse(&format!("{text}{end}")).is_ok());
        }
        assert!(WebIdentityToken::parse(&format!("\n{text}")).is_err());
        assert!(WebIdentityToken::parse(&format!("{text} ")).is_err());
    }

    #[test]
    fn what_is_not_a_jwt_is_told_so() {
        let good = jwt(r#"{"alg":"RS256"}"#, "{}");
        for bad in [
            String::new(),
            "a.b".to_owned(),
            format!("{good}.x"),
            good.replace(".AA", ".A"),
            good.replace(".AA", ".AA=="),
            good.replace(".AA", ".AB"),
            good.replace(".AA", ".+/"),
            jwt("[]", "{}"),
            jwt("{", "{}"),
            jwt(r#"{"alg":"RS256"}"#, "7"),
            jwt(r#"{"alg":"RS256"}"#, "{} x"),
            jwt("{}", "{}"),
            jwt(r#"{"alg":7}"#, "{}"),
            jwt(r#"{"alg":"RS256","kid":7}"#, "{}"),
            jwt(r#"{"alg":"RS256","crit":["b64"],"b64":false}"#, "{}"),
            jwt(r#"{"alg":"RS256","crit":[]}"#, "{}"),
        ] {
            let error = WebIdentityToken::parse(&bad).map(drop).unwrap_err();
            assert!(matches!(error, WebIdentityError::NotAJwt(_)), "{bad}");
        }
    }

    #[test]
    fn other_algorithms_are_refused_in_every_spelling() {
        for alg in [
            "none", "None", "NONE", "nOnE", "", "HS256", "PS256", "EdDSA", "rs256", "RS256 ",
        ] {
            let text = jwt(&format!("{{\"alg\":{alg:?}}}"), "{}");
            let token = WebIdentityToken::parse(&text).unwrap();
            let error = token.key_type().unwrap_err();
            assert!(matches!(error, WebIdentityError::Algorithm(_)), "{alg}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}", header in ".{0,30}", payload in ".{0,30}") {
            drop(WebIdentityToken::parse(&text));
            drop(WebIdentityToken::parse(&jwt(&header, &payload)));
        }
    }
}
