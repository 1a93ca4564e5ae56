//! The self-signed certificate that goes into a published key's `x5c`.

use std::{cell::RefCell, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm, SigningKey, date_time_ymd,
};

use super::{JwkError, base64url_decode, der, private_key::KeyError};
use crate::domain::{Issuer, PublicJwk, Random, SigningAlgorithm, Timestamp};

/// How long the certificate is good for, in years. Nothing trusts it: a verifier takes the key from
/// the JWKS. Some refuse a JWK without `x5c`, and AWS drops one whose `x5c` disagrees with `n`.
const YEARS: i16 = 10;

/// A certificate over a public key that its private half has yet to sign, wherever that is.
pub struct UnsignedCertificate {
    params: CertificateParams,
    algorithm: SigningAlgorithm,
    /// The key as `SubjectPublicKeyInfo` has it: `RSAPublicKey` (RFC 8017 §A.1.1), or an uncompressed
    /// point (RFC 5480 §2.2).
    key: Vec<u8>,
}

impl std::fmt::Debug for UnsignedCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnsignedCertificate")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl UnsignedCertificate {
    /// A certificate for `public`, which signs with `algorithm`, in the name of `issuer`.
    ///
    /// # Errors
    /// The key is not one of the algorithm.
    pub fn new(
        public: &PublicJwk,
        algorithm: SigningAlgorithm,
        issuer: &Issuer,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<Self, KeyError> {
        let key = public_key(public, algorithm)
            .map_err(|error| KeyError::Rejected(algorithm.as_str(), error.to_string()))?;
        let mut serial = [0; 16];
        random.fill(&mut serial);
        serial[0] &= 0x7f; // a serial number is positive (RFC 5280 §4.1.2.2)
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.distinguished_name = DistinguishedName::new();
        // A common name holds at most 64 characters (RFC 5280, ub-common-name).
        let name: String = issuer.provider().chars().take(64).collect();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = validity(now);
        Ok(Self {
            params,
            algorithm,
            key,
        })
    }

    /// What is to be signed (`tbsCertificate`, RFC 5280 §4.1).
    ///
    /// # Errors
    /// The certificate cannot be written.
    pub fn to_sign(&self) -> Result<Vec<u8>, KeyError> {
        let signer = Signer::new(self, Vec::new());
        self.params
            .self_signed(&signer)
            .map_err(|_| KeyError::Sign)?;
        Ok(signer.input.into_inner())
    }

    /// The certificate with the key's own `signature` (in the form of JWS) over
    /// [`UnsignedCertificate::to_sign`]: DER in standard base64, as `x5c` wants it (RFC 7517 §4.7).
    ///
    /// # Errors
    /// The certificate cannot be written.
    pub fn signed(&self, signature: &[u8]) -> Result<String, KeyError> {
        let signature = match self.algorithm {
            SigningAlgorithm::Rs256 => signature.to_vec(),
            SigningAlgorithm::Es256 => der::ecdsa_signature(signature).ok_or(KeyError::Sign)?,
        };
        self.params
            .self_signed(&Signer::new(self, signature))
            .map(|certificate| STANDARD.encode(certificate.der()))
            .map_err(|_| KeyError::Sign)
    }
}

/// Gives rcgen a signature that was made elsewhere, and keeps what it was to be over. The same
/// certificate is written twice, once to learn what is signed; a signer outside the process is so
/// asked in between, without a thread that waits for it.
struct Signer<'a> {
    certificate: &'a UnsignedCertificate,
    signature: Vec<u8>,
    input: RefCell<Vec<u8>>,
}

impl<'a> Signer<'a> {
    const fn new(certificate: &'a UnsignedCertificate, signature: Vec<u8>) -> Self {
        Self {
            certificate,
            signature,
            input: RefCell::new(Vec::new()),
        }
    }
}

impl PublicKeyData for Signer<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.certificate.key
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.certificate.algorithm {
            SigningAlgorithm::Rs256 => &PKCS_RSA_SHA256,
            SigningAlgorithm::Es256 => &PKCS_ECDSA_P256_SHA256,
        }
    }
}

impl SigningKey for Signer<'_> {
    fn sign(&self, input: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.input.replace(input.to_vec());
        Ok(self.signature.clone())
    }
}

fn public_key(public: &PublicJwk, algorithm: SigningAlgorithm) -> Result<Vec<u8>, JwkError> {
    let member = |name, text: &str| base64url_decode(text).ok_or(JwkError::Member(name));
    match (public, algorithm) {
        (PublicJwk::Rsa { n, e }, SigningAlgorithm::Rs256) => {
            Ok(der::rsa_public_key(&member("n", n)?, &member("e", e)?))
        }
        (PublicJwk::Ec { x, y, .. }, SigningAlgorithm::Es256) => {
            Ok([vec![4], member("x", x)?, member("y", y)?].concat())
        }
        _ => Err(JwkError::Key),
    }
}

/// From the day before `now`, so that a clock that is behind accepts it, for [`YEARS`] years.
fn validity(now: Timestamp) -> (time::OffsetDateTime, time::OffsetDateTime) {
    let day = |at: Timestamp, years: i16| {
        let date = jiff::Timestamp::from_second(at.secs())
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date();
        let month = u8::try_from(date.month()).unwrap_or(1);
        // The 28th exists in every month of every year.
        let day = u8::try_from(date.day()).unwrap_or(1).min(28);
        date_time_ymd(i32::from(date.year() + years), month, day)
    };
    let before = now.minus(Duration::from_hours(24));
    (day(before, 0), day(before, YEARS))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
        VerificationAlgorithm,
    };

    use super::*;
    use crate::{domain::SystemRandom, jose::PrivateKey};

    #[test]
    fn is_signed_by_the_key_that_it_holds() {
        for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let issuer = "https://idp.example.com".parse().unwrap();
            let now = Timestamp::from_secs(1_740_514_245);
            let unsigned =
                UnsignedCertificate::new(key.public(), algorithm, &issuer, now, &SystemRandom)
                    .unwrap();
            let input = unsigned.to_sign().unwrap();
            let text = unsigned.signed(&key.sign(&input).unwrap()).unwrap();
            let der = STANDARD.decode(text).unwrap();
            assert!(der.windows(15).any(|at| at == b"idp.example.com"));
            // A SEQUENCE with four bytes of head: what was signed, the algorithm, the signature.
            assert!(der[4..].starts_with(&input));
            let (verification, signature): (&dyn VerificationAlgorithm, _) = match algorithm {
                SigningAlgorithm::Rs256 => (&RSA_PKCS1_2048_8192_SHA256, &der[der.len() - 256..]),
                SigningAlgorithm::Es256 => {
                    let rest = &der[4 + input.len() + 12..];
                    assert_eq!(rest[0], 3, "a BIT STRING");
                    (&ECDSA_P256_SHA256_ASN1, &rest[3..])
                }
            };
            UnparsedPublicKey::new(verification, &unsigned.key)
                .verify(&input, signature)
                .unwrap();
        }
    }

    #[test]
    fn refuses_a_key_of_the_other_algorithm() {
        let key = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        let issuer = "https://idp.example.com".parse().unwrap();
        let now = Timestamp::from_secs(1_740_514_245);
        let refused = UnsignedCertificate::new(
            key.public(),
            SigningAlgorithm::Rs256,
            &issuer,
            now,
            &SystemRandom,
        );
        assert!(refused.is_err());
    }
}
