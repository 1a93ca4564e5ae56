//! Tokens for a person's eyes. Nothing may be decided on what is shown here.

use serde::Serialize;
use serde_json::{Map, Value, ser::PrettyFormatter};

use crate::{domain::strict_json, jose::base64url_decode};

/// A token's header and claims, verified by nobody.
#[derive(Clone, Debug)]
pub struct DecodedToken {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

/// Why a text is not a token that can be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// Five parts: a JWE, whose claims only its recipient can read.
    #[error("it is encrypted (a JWE, five parts); only its recipient can read it")]
    Encrypted,
    /// Another number of parts than a JWS has.
    #[error("a JWT has three parts separated by dots, this has {0}")]
    Parts(usize),
    /// A part in another encoding.
    #[error("its {0} is not unpadded base64url")]
    Encoding(&'static str),
    /// A part that holds something else.
    #[error("its {0} cannot be read: {1}")]
    Json(&'static str, String),
}

/// The printed form; the order of members is part of the interface.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown {
    claims: Value,
    header: [ShownHeader; 1],
}

#[derive(Serialize)]
struct ShownHeader {
    #[serde(rename = "KeyID")]
    key_id: Value,
    #[serde(rename = "JSONWebKey")]
    json_web_key: Value,
    #[serde(rename = "Algorithm")]
    algorithm: Value,
    #[serde(rename = "Nonce")]
    nonce: Value,
    #[serde(rename = "ExtraHeaders")]
    extra_headers: Value,
}

impl DecodedToken {
    /// Takes a compact JWS apart; white space around it does not matter.
    pub fn parse(text: &str) -> Result<Self, DecodeError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(DecodeError::Empty);
        }
        let parts = text.split('.').collect::<Vec<_>>();
        let [header, claims, signature] = parts[..] else {
            return Err(match parts.len() {
                5 => DecodeError::Encrypted,
                other => DecodeError::Parts(other),
            });
        };
        if base64url_decode(signature).is_none() {
            return Err(DecodeError::Encoding("signature"));
        }
        Ok(Self {
            header: object("header", header)?,
            claims: object("payload", claims)?,
        })
    }

    /// A claim that is a string.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// Every claim.
    #[must_use]
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// A member of the header that is a string.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// Whether there is such a claim.
    #[must_use]
    pub fn has_claim(&self, name: &str) -> bool {
        self.claims.contains_key(name)
    }

    /// The tab-indented form that `docs` and scripts rely on, without a newline at its end: `Claims`
    /// with sorted members, then `Header`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut header = self.header.clone();
        let mut take = |name: &str, default: Value| header.remove(name).unwrap_or(default);
        let shown = ShownHeader {
            key_id: take("kid", "".into()),
            json_web_key: take("jwk", Value::Null),
            algorithm: take("alg", "".into()),
            nonce: take("nonce", "".into()),
            extra_headers: Value::Null,
        };
        let shown = Shown {
            claims: sorted(Value::Object(self.claims.clone())),
            header: [ShownHeader {
                extra_headers: if header.is_empty() {
                    Value::Null
                } else {
                    sorted(Value::Object(header))
                },
                ..shown
            }],
        };
        let mut json = Vec::with_capacity(1024);
        let mut serializer =
            serde_json::Serializer::with_formatter(&mut json, PrettyFormatter::with_indent(b"\t"));
        // Memory takes every write, and JSON values always serialise.
        shown.serialize(&mut serializer).map_or_else(
            |_| String::new(),
            |()| String::from_utf8_lossy(&json).into_owned(),
        )
    }
}

fn object(part: &'static str, text: &str) -> Result<Map<String, Value>, DecodeError> {
    let bytes = base64url_decode(text).ok_or(DecodeError::Encoding(part))?;
    strict_json(&bytes).map_err(|error| DecodeError::Json(part, error))
}

/// The value with the members of every object in order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut members = map.into_iter().collect::<Vec<_>>();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            members
                .into_iter()
                .map(|(name, value)| (name, sorted(value)))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::jose::base64url_encode;

    fn compact(header: &str, claims: &str) -> String {
        format!(
            "{}.{}.AA",
            base64url_encode(header),
            base64url_encode(claims)
        )
    }

    #[test]
    fn prints_the_shape_of_the_interface() {
        let token = compact(
            r#"{"typ":"JWT","alg":"RS256","kid":"k"}"#,
            r#"{"sub":"org:o/env:e","aud":"sts.amazonaws.com","exp":1740517845}"#,
        );
        let expected = "{\n\t\"Claims\": {\n\t\t\"aud\": \"sts.amazonaws.com\",\n\t\t\"exp\": 1740517845,\n\
            \t\t\"sub\": \"org:o/env:e\"\n\t},\n\t\"Header\": [\n\t\t{\n\t\t\t\"KeyID\": \"k\",\n\
            \t\t\t\"JSONWebKey\": null,\n\t\t\t\"Algorithm\": \"RS256\",\n\t\t\t\"Nonce\": \"\",\n\
            \t\t\t\"ExtraHeaders\": {\n\t\t\t\t\"typ\": \"JWT\"\n\t\t\t}\n\t\t}\n\t]\n}";
        let decoded = DecodedToken::parse(&format!("\n{token}\r\n")).unwrap();
        assert_eq!(decoded.to_json(), expected);
        assert_eq!(decoded.claim("aud"), Some("sts.amazonaws.com"));
    }

    #[test]
    fn keeps_claims_that_it_does_not_know() {
        let token = compact(
            r#"{"alg":"none"}"#,
            r#"{"z":{"b":[{"y":1,"x":2}],"a":null},"aud":["a"],"n":-1.5}"#,
        );
        let json = DecodedToken::parse(&token).unwrap().to_json();
        let at = |text: &str| {
            json.find(text)
                .unwrap_or_else(|| panic!("{text} in {json}"))
        };
        assert!(at("\"aud\"") < at("\"n\": -1.5") && at("\"n\"") < at("\"z\""));
        assert!(at("\"a\": null") < at("\"b\"") && at("\"x\"") < at("\"y\""));
        at("\"ExtraHeaders\": null");
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, says) in [
            ("", "empty"),
            ("\n", "empty"),
            ("abc", "this has 1"),
            ("a.b.c.d.e", "encrypted"),
            ("a.b.c.d", "this has 4"),
            ("!.e30.AA", "header is not unpadded base64url"),
            ("e30.e30=.AA", "payload is not unpadded base64url"),
            ("e30.e30.A", "signature is not unpadded base64url"),
            (&compact("x", "{}"), "its header cannot be read"),
            (&compact("{}", "[]"), "its payload cannot be read"),
            (
                &compact("{}", r#"{"a":1,"a":2}"#),
                "its payload cannot be read",
            ),
        ] {
            let error = DecodedToken::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            let _ = DecodedToken::parse(&text);
        }
    }
}
