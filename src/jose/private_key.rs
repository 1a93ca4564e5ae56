//! Private keys: made, parsed once, kept in memory, wiped by aws-lc when dropped.

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rand::SystemRandom,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256},
};
use zeroize::Zeroizing;

use super::base64url_encode;
use crate::domain::{PublicJwk, SigningAlgorithm};

/// Why a private key could not be made or used. The reasons hold nothing of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are not a PKCS #8 key of the algorithm.
    #[error("it is not a PKCS #8 private key for {0}: {1}")]
    Rejected(&'static str, String),
    /// aws-lc could not make a key.
    #[error("the key could not be generated")]
    Generate,
    /// aws-lc could not sign.
    #[error("the signature could not be made")]
    Sign,
}

enum Pair {
    Rsa(Box<rsa::KeyPair>),
    Ec(EcdsaKeyPair),
}

/// An RS256 or ES256 key pair.
pub struct PrivateKey {
    pair: Pair,
    public: PublicJwk,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Makes a key: RSA with 2048 bits, or P-256.
    ///
    /// # Errors
    /// aws-lc could not.
    pub fn generate(algorithm: SigningAlgorithm) -> Result<Self, KeyError> {
        let pair = match algorithm {
            SigningAlgorithm::Rs256 => rsa::KeyPair::generate(rsa::KeySize::Rsa2048)
                .map(|pair| Pair::Rsa(Box::new(pair)))
                .map_err(|_| KeyError::Generate)?,
            SigningAlgorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .map(Pair::Ec)
                .map_err(|_| KeyError::Generate)?,
        };
        Ok(Self::from_pair(pair))
    }

    /// Parses PKCS #8 in DER.
    ///
    /// # Errors
    /// Not such a key, or (RSA) not of 2048 bits or more.
    pub fn from_pkcs8(algorithm: SigningAlgorithm, der: &[u8]) -> Result<Self, KeyError> {
        let rejected = |error: aws_lc_rs::error::KeyRejected| {
            KeyError::Rejected(algorithm.as_str(), error.to_string())
        };
        let pair = match algorithm {
            SigningAlgorithm::Rs256 => rsa::KeyPair::from_pkcs8(der)
                .map(|pair| Pair::Rsa(Box::new(pair)))
                .map_err(rejected)?,
            SigningAlgorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
                    .map(Pair::Ec)
                    .map_err(rejected)?
            }
        };
        Ok(Self::from_pair(pair))
    }

    /// Parses an EC key on P-256 as RFC 5915 has it.
    ///
    /// # Errors
    /// Not such a key.
    pub fn from_sec1(der: &[u8]) -> Result<Self, KeyError> {
        EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .map(|pair| Self::from_pair(Pair::Ec(pair)))
            .map_err(|error| KeyError::Rejected("ES256", error.to_string()))
    }

    /// The key as PKCS #8 in DER, wiped when dropped.
    ///
    /// # Errors
    /// aws-lc could not encode it.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Generate)?;
                Ok(Zeroizing::new(der.as_ref().to_vec()))
            }
            Pair::Ec(pair) => {
                let der = pair.to_pkcs8v1().map_err(|_| KeyError::Generate)?;
                Ok(Zeroizing::new(der.as_ref().to_vec()))
            }
        }
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicJwk {
        &self.public
    }

    /// The algorithm that it signs with.
    #[must_use]
    pub const fn algorithm(&self) -> SigningAlgorithm {
        match self.pair {
            Pair::Rsa(_) => SigningAlgorithm::Rs256,
            Pair::Ec(_) => SigningAlgorithm::Es256,
        }
    }

    /// Signs; the form is that of JWS (RFC 7518 §3.3, §3.4).
    ///
    /// # Errors
    /// aws-lc could not.
    pub fn sign(&self, input: &[u8]) -> Result<Vec<u8>, KeyError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "aws-lc takes this argument and draws its nonces from its own generator"
        )]
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, input, &mut signature)
                    .map_err(|_| KeyError::Sign)?;
                Ok(signature)
            }
            Pair::Ec(pair) => pair
                .sign(&random, input)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| KeyError::Sign),
        }
    }

    fn from_pair(pair: Pair) -> Self {
        let public = match &pair {
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                PublicJwk::Rsa {
                    n: base64url_encode(public.modulus().big_endian_without_leading_zero()),
                    e: base64url_encode(public.exponent().big_endian_without_leading_zero()),
                }
            }
            Pair::Ec(pair) => {
                // An uncompressed point: 0x04, then x and y with 32 bytes each.
                let point = pair.public_key().as_ref();
                PublicJwk::Ec {
                    crv: "P-256".to_owned(),
                    x: base64url_encode(&point[1..33]),
                    y: base64url_encode(&point[33..65]),
                }
            }
        };
        Self { pair, public }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::VerifyingKey;

    #[test]
    fn goes_through_pkcs8_and_back() {
        for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let again = PrivateKey::from_pkcs8(algorithm, &key.to_pkcs8().unwrap()).unwrap();
            assert_eq!(again.public(), key.public());
            assert_eq!(again.algorithm(), algorithm);
            let verifying = VerifyingKey::from_jwk(key.public()).unwrap();
            assert_eq!(verifying.algorithm(), algorithm.as_str());
            assert!(verifying.verifies(b"x", &again.sign(b"x").unwrap()));
            assert!(!verifying.verifies(b"y", &again.sign(b"x").unwrap()));
        }
    }

    #[test]
    fn refuses_the_other_algorithms_key() {
        let key = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        let error = PrivateKey::from_pkcs8(SigningAlgorithm::Rs256, &key.to_pkcs8().unwrap());
        assert!(matches!(error, Err(KeyError::Rejected("RS256", _))));
        assert!(PrivateKey::from_pkcs8(SigningAlgorithm::Es256, b"").is_err());
    }

    #[test]
    fn debug_shows_the_public_half_only() {
        let key = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains("P-256") && !shown.contains("pair"));
    }
}
