//! JWKs: thumbprints, and the key set that an issuer publishes.

use serde::Serialize;

use super::{base64url_encode, sha256};
use crate::domain::{IssuerKey, KeyState, PublicJwk};

/// Why a JWK is not a usable public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// A curve other than the one that its type is used with here.
    #[error("the curve {0:?} is not supported; use P-256 (ES256) or Ed25519 (EdDSA)")]
    Curve(String),
    /// A member that is not base64url, or not of the right length.
    #[error("the member {0:?} is not unpadded base64url of the right length")]
    Member(&'static str),
    /// Not a point on the curve, or a modulus out of bounds.
    #[error("the members do not make a valid public key")]
    Key,
}

/// The RFC 7638 thumbprint, SHA-256, in base64url: 43 characters. It is the `kid` of every key here.
#[must_use]
pub fn thumbprint(jwk: &PublicJwk) -> String {
    // RFC 7638 §3.2: the required members in lexicographic order, no white space. The values are
    // base64url or curve names, in which JSON escapes nothing; anything else is escaped all the same.
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let canonical = match jwk {
        PublicJwk::Ec { crv, x, y } => format!(
            r#"{{"crv":{},"kty":"EC","x":{},"y":{}}}"#,
            quote(crv),
            quote(x),
            quote(y)
        ),
        PublicJwk::Okp { crv, x } => {
            format!(r#"{{"crv":{},"kty":"OKP","x":{}}}"#, quote(crv), quote(x))
        }
        PublicJwk::Rsa { n, e } => {
            format!(r#"{{"e":{},"kty":"RSA","n":{}}}"#, quote(e), quote(n))
        }
    };
    base64url_encode(sha256(canonical.as_bytes()))
}

/// One member of the published set. It is built from the public half alone, so that there is no
/// private member to forget.
#[derive(Serialize)]
struct PublishedKey<'a> {
    #[serde(flatten)]
    public: &'a PublicJwk,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    kid: &'a str,
    x5c: [&'a str; 1],
}

/// The body of `/.well-known/jwks.json` (RFC 7517 §5).
#[derive(Serialize)]
pub struct PublishedKeys<'a> {
    keys: Vec<PublishedKey<'a>>,
}

impl<'a> PublishedKeys<'a> {
    /// The keys that are to be published, in the order of [`IssuerKey::rank`].
    #[must_use]
    pub fn of(keys: &'a [IssuerKey]) -> Self {
        let mut published: Vec<&IssuerKey> = keys
            .iter()
            .filter(|key| key.state() != KeyState::Retired)
            .collect();
        published.sort_by_key(|key| key.rank());
        Self {
            keys: published
                .into_iter()
                .map(|key| PublishedKey {
                    public: &key.public,
                    alg: key.algorithm.as_str(),
                    usage: "sig",
                    kid: &key.kid,
                    x5c: [&key.certificate],
                })
                .collect(),
        }
    }

    /// The set as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Strings only, so that serialising into memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprint_of_rfc_7638() {
        let jwk = PublicJwk::Rsa {
            n: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw".to_owned(),
            e: "AQAB".to_owned(),
        };
        assert_eq!(
            thumbprint(&jwk),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    #[test]
    fn thumbprint_of_rfc_8037() {
        let jwk = PublicJwk::Okp {
            crv: "Ed25519".to_owned(),
            x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned(),
        };
        assert_eq!(
            thumbprint(&jwk),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn agrees_with_jsonwebtoken() {
        let jwk = PublicJwk::Ec {
            crv: "P-256".to_owned(),
            x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU".to_owned(),
            y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0".to_owned(),
        };
        let theirs: jsonwebtoken::jwk::Jwk =
            serde_json::from_value(serde_json::to_value(&jwk).unwrap()).unwrap();
        assert_eq!(
            thumbprint(&jwk),
            theirs
                .thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256)
                .unwrap()
        );
    }
}
