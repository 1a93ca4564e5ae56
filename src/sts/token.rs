//! A JWT before its signature is verified.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{
    Refusal,
    jwks::{Algorithm, KeySet},
};

/// A token that proves nothing yet: it shows only what is needed to find its key.
pub(super) struct UnverifiedToken<'a> {
    signing_input: &'a str,
    signature: Vec<u8>,
    algorithm: Option<Algorithm>,
    alg: String,
    kid: Option<String>,
    claims: Map<String, Value>,
}

impl<'a> UnverifiedToken<'a> {
    /// Reads the compact serialisation (RFC 7515 §3.1): three parts of unpadded base64url, header
    /// and payload JSON objects. Of members that are there twice the last counts.
    ///
    /// A line break at the end counts for nothing: the SDKs send a token file as it is, `echo` and
    /// `idp token` leave one there, and AWS reads such a token all the same.
    pub(super) fn parse(token: &'a str) -> Result<Self, Refusal> {
        let token = token.trim_end_matches(['\r', '\n']);
        let parts: Vec<_> = token.splitn(4, '.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err(Refusal::not_a_jwt(
                "the token does not have three parts separated by dots",
            ));
        };
        let decode = |part: &str, name: &str| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| Refusal::not_a_jwt(format!("the {name} is not unpadded base64url")))
        };
        let object = |part: &str, name: &str| match serde_json::from_slice(&decode(part, name)?) {
            Ok(Value::Object(members)) => Ok(members),
            _ => Err(Refusal::not_a_jwt(format!(
                "the {name} is not a JSON object"
            ))),
        };
        let header_members = object(header, "header")?;
        // An extension that must be understood, and none is (RFC 7515 §4.1.11).
        if header_members.contains_key("crit") {
            return Err(Refusal::not_a_jwt("the header has crit"));
        }
        let Some(Value::String(alg)) = header_members.get("alg") else {
            return Err(Refusal::not_a_jwt("the header's alg is not a string"));
        };
        let kid = match header_members.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(Refusal::not_a_jwt("the header's kid is not a string")),
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
    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The `iss`, for finding the provider.
    pub(super) fn issuer(&self) -> Result<&str, Refusal> {
        match self.claims.get("iss") {
            None => Err(missing("iss")),
            Some(Value::String(issuer)) => Ok(issuer),
            Some(_) => Err(Refusal::general("iss is not a string")),
        }
    }

    /// The signature's algorithm, where it is one that AWS takes. What AWS says to others is not
    /// in the record.
    pub(super) fn algorithm(&self) -> Result<Algorithm, Refusal> {
        self.algorithm.ok_or_else(|| {
            Refusal::general(format!(
                "the header's alg is {:?}; AWS takes RS256, RS384, RS512, ES256, ES384 and ES512",
                self.alg
            ))
        })
    }

    /// The claims, once the signature is verified by one of `keys`.
    pub(super) fn verify(self, keys: &KeySet) -> Result<Map<String, Value>, Refusal> {
        let algorithm = self.algorithm()?;
        let kid = self.kid.as_deref();
        let key = keys
            .select(kid)
            .ok_or_else(|| Refusal::no_key(keys.why_none(kid)))?;
        key.verify(algorithm, self.signing_input.as_bytes(), &self.signature)
            .map_err(|why| {
                Refusal::general(format!("key {:?}: {why}", kid.unwrap_or("without kid")))
            })?;
        Ok(self.claims)
    }
}

/// A required claim that is not there.
pub(super) fn missing(name: &str) -> Refusal {
    let message = format!("Missing a required claim: {name}");
    Refusal::token(message.clone(), message)
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
        let token = UnverifiedToken::parse(&text).unwrap();
        assert_eq!(token.kid(), Some("k"));
        assert_eq!(token.issuer().unwrap(), "https://i");
        assert_eq!(token.algorithm().unwrap(), Algorithm::Rsa(0));
    }

    #[test]
    fn a_line_break_at_the_end_of_a_token_file_does_no_harm() {
        let text = jwt(r#"{"alg":"RS256"}"#, "{}");
        for end in ["\n", "\r\n"] {
            assert!(UnverifiedToken::parse(&format!("{text}{end}")).is_ok());
        }
        assert!(UnverifiedToken::parse(&format!("\n{text}")).is_err());
        assert!(UnverifiedToken::parse(&format!("{text} ")).is_err());
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
            let Err(refusal) = UnverifiedToken::parse(&bad).map(drop) else {
                panic!("{bad}")
            };
            assert!(refusal.message.contains("not a valid JWT"), "{bad}");
        }
    }

    #[test]
    fn other_algorithms_are_refused_in_every_spelling() {
        for alg in [
            "none", "None", "NONE", "nOnE", "", "HS256", "PS256", "EdDSA", "rs256", "RS256 ",
        ] {
            let text = jwt(&format!("{{\"alg\":{alg:?}}}"), "{}");
            let token = UnverifiedToken::parse(&text).unwrap();
            assert_eq!(token.algorithm().unwrap_err().code, "InvalidIdentityToken");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}", header in ".{0,30}", payload in ".{0,30}") {
            drop(UnverifiedToken::parse(&text));
            drop(UnverifiedToken::parse(&jwt(&header, &payload)));
        }
    }
}
