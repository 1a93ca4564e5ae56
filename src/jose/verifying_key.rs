//! Public keys, parsed once.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::{base64url_decode, jwk::JwkError};
use crate::domain::PublicJwk;

/// A public key with the one algorithm that it verifies: ES256 for P-256, `EdDSA` for Ed25519, RS256
/// for RSA. A key never serves another algorithm than its own.
#[derive(Debug)]
pub struct VerifyingKey {
    algorithm: &'static str,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    /// Parses a JWK.
    ///
    /// # Errors
    /// A curve other than P-256 and Ed25519, a member that is not base64url of the right length, a
    /// point that is not on the curve, an RSA modulus under 2048 or over 8192 bits.
    pub fn from_jwk(jwk: &PublicJwk) -> Result<Self, JwkError> {
        match jwk {
            PublicJwk::Ec { crv, x, y } => {
                if crv != "P-256" {
                    return Err(JwkError::Curve(crv.clone()));
                }
                let mut point = vec![4];
                point.extend(coordinate("x", x)?);
                point.extend(coordinate("y", y)?);
                Self::parse("ES256", &ECDSA_P256_SHA256_FIXED, &point)
            }
            PublicJwk::Okp { crv, x } => {
                if crv != "Ed25519" {
                    return Err(JwkError::Curve(crv.clone()));
                }
                Self::parse("EdDSA", &ED25519, &coordinate("x", x)?)
            }
            PublicJwk::Rsa { n, e } => {
                let n = base64url_decode(n).ok_or(JwkError::Member("n"))?;
                let e = base64url_decode(e).ok_or(JwkError::Member("e"))?;
                if !(256..=1024).contains(&n.len()) || n[0] == 0 || e.is_empty() || e[0] == 0 {
                    return Err(JwkError::Key);
                }
                let key = RsaPublicKeyComponents { n: &n, e: &e }
                    .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
                    .map_err(|_| JwkError::Key)?;
                Ok(Self {
                    algorithm: "RS256",
                    key,
                })
            }
        }
    }

    fn parse(
        algorithm: &'static str,
        verification: &'static dyn aws_lc_rs::signature::VerificationAlgorithm,
        bytes: &[u8],
    ) -> Result<Self, JwkError> {
        let key = UnparsedPublicKey::new(verification, bytes)
            .parse()
            .map_err(|_| JwkError::Key)?;
        Ok(Self { algorithm, key })
    }

    /// The JWS algorithm that this key verifies.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// Whether `signature` (in the form of JWS) is this key's over `input`.
    #[must_use]
    pub fn verifies(&self, input: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(input, signature).is_ok()
    }
}

/// A 32-byte member.
fn coordinate(name: &'static str, text: &str) -> Result<Vec<u8>, JwkError> {
    base64url_decode(text)
        .filter(|bytes| bytes.len() == 32)
        .ok_or(JwkError::Member(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ec(x: &str, y: &str) -> PublicJwk {
        PublicJwk::Ec {
            crv: "P-256".to_owned(),
            x: x.to_owned(),
            y: y.to_owned(),
        }
    }

    #[test]
    fn verifies_the_example_of_rfc_7515_a3() {
        let key = VerifyingKey::from_jwk(&ec(
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        ))
        .unwrap();
        let input = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = base64url_decode(
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        )
        .unwrap();
        assert_eq!(key.algorithm(), "ES256");
        assert!(key.verifies(input.as_bytes(), &signature));
        assert!(!key.verifies(&input.as_bytes()[1..], &signature));
        assert!(!key.verifies(input.as_bytes(), &signature[1..]));
    }

    #[test]
    fn refuses_what_is_no_key() {
        let good = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
        assert!(matches!(
            VerifyingKey::from_jwk(&ec(good, good)),
            Err(JwkError::Key)
        ));
        assert!(matches!(
            VerifyingKey::from_jwk(&ec("AA", good)),
            Err(JwkError::Member("x"))
        ));
        assert!(matches!(
            VerifyingKey::from_jwk(&PublicJwk::Ec {
                crv: "P-384".to_owned(),
                x: good.to_owned(),
                y: good.to_owned()
            }),
            Err(JwkError::Curve(_))
        ));
        assert!(matches!(
            VerifyingKey::from_jwk(&PublicJwk::Rsa {
                n: "AQAB".to_owned(),
                e: "AQAB".to_owned()
            }),
            Err(JwkError::Key)
        ));
    }
}
