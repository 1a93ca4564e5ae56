//! Public keys and signatures in the forms that keystores outside the process give.

use rsa::{RsaPublicKey, pkcs8::DecodePublicKey as _, traits::PublicKeyParts as _};

use super::{JwkError, base64url_encode};
use crate::domain::{PublicJwk, SigningAlgorithm};

/// What comes before the point in the `SubjectPublicKeyInfo` of a P-256 key (RFC 5480 §2).
const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The length of RSA-2048's modulus in bytes.
const RSA_2048: usize = 256;

/// The key in a DER `SubjectPublicKeyInfo` (RFC 5280 §4.1), which must be one of the algorithm: RSA
/// with 2048 bits, or EC on P-256.
///
/// # Errors
/// It is not.
pub fn jwk_of_public_key_info(
    algorithm: SigningAlgorithm,
    der: &[u8],
) -> Result<PublicJwk, JwkError> {
    match algorithm {
        SigningAlgorithm::Rs256 => {
            let key = RsaPublicKey::from_public_key_der(der).map_err(|_| JwkError::Key)?;
            jwk_of_rsa(&key.n().to_bytes_be(), &key.e().to_bytes_be())
        }
        SigningAlgorithm::Es256 => {
            let point = der.strip_prefix(&P256_INFO).ok_or(JwkError::Key)?;
            jwk_of_p256_point(point)
        }
    }
}

/// The RSA key with a big-endian modulus of 2048 bits and exponent.
///
/// # Errors
/// It has another length.
pub fn jwk_of_rsa(modulus: &[u8], exponent: &[u8]) -> Result<PublicJwk, JwkError> {
    let (n, e) = (without_zeros(modulus), without_zeros(exponent));
    if n.len() != RSA_2048 || n[0] & 0x80 == 0 || e.is_empty() {
        return Err(JwkError::Key);
    }
    Ok(PublicJwk::Rsa {
        n: base64url_encode(n),
        e: base64url_encode(e),
    })
}

/// The P-256 key with an uncompressed point (SEC 1 §2.3.3), bare or in a DER OCTET STRING: PKCS #11
/// prescribes the latter, and not every module keeps to it.
///
/// # Errors
/// It is another form, or another curve's.
pub fn jwk_of_p256_point(point: &[u8]) -> Result<PublicJwk, JwkError> {
    let bare = match point {
        [0x04, 0x41, bare @ ..] if bare.len() == 65 => bare,
        bare => bare,
    };
    let Some((4, coordinates)) = bare.split_first().map(|(form, rest)| (*form, rest)) else {
        return Err(JwkError::Key);
    };
    let (x, y) = coordinates.split_at_checked(32).ok_or(JwkError::Key)?;
    if y.len() != 32 {
        return Err(JwkError::Key);
    }
    Ok(PublicJwk::Ec {
        crv: "P-256".to_owned(),
        x: base64url_encode(x),
        y: base64url_encode(y),
    })
}

/// A P-256 signature as JWS has it, `R || S` (RFC 7518 §3.4), from a DER `Ecdsa-Sig-Value` (RFC 3279
/// §2.2.3). `None` where it is none.
#[must_use]
pub fn ecdsa_signature_of_der(der: &[u8]) -> Option<Vec<u8>> {
    let (content, rest) = element(0x30, der)?;
    let (r, after) = element(0x02, content)?;
    let (s, end) = element(0x02, after)?;
    if !rest.is_empty() || !end.is_empty() {
        return None;
    }
    let mut signature = vec![0; 64];
    for (number, half) in [r, s].into_iter().zip(signature.chunks_mut(32)) {
        if number.first().is_none_or(|first| first & 0x80 != 0) {
            return None;
        }
        let digits = without_zeros(number);
        half.get_mut(32usize.checked_sub(digits.len())?..)?
            .copy_from_slice(digits);
    }
    Some(signature)
}

/// The content of an element with a short length, and what comes after it. A P-256 signature has no
/// longer one.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    match der {
        [found, length @ 0..=0x7f, rest @ ..] if *found == tag => {
            rest.split_at_checked(usize::from(*length))
        }
        _ => None,
    }
}

fn without_zeros(big_endian: &[u8]) -> &[u8] {
    let zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
    &big_endian[zeros..]
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::AsDer as _,
        signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
    };
    use proptest::prelude::*;
    use rsa::pkcs8::EncodePublicKey as _;

    use super::*;
    use crate::jose::{Jws, VerifyingKey};

    #[test]
    fn reads_keys_of_both_algorithms_and_no_others() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let info = pair.public_key().as_der().unwrap();
        let jwk = jwk_of_public_key_info(SigningAlgorithm::Es256, info.as_ref()).unwrap();
        let point = pair.public_key().as_ref();
        assert_eq!(jwk_of_p256_point(point).unwrap(), jwk);
        let wrapped = [&[0x04, 0x41][..], point].concat();
        assert_eq!(jwk_of_p256_point(&wrapped).unwrap(), jwk);
        VerifyingKey::from_jwk(&jwk).unwrap();

        let n = [&[0xc3][..], &[0x55; 255]].concat();
        let rsa = RsaPublicKey::new(
            rsa::BigUint::from_bytes_be(&n),
            rsa::BigUint::from(65_537_u32),
        )
        .unwrap();
        let der = rsa.to_public_key_der().unwrap();
        let jwk = jwk_of_public_key_info(SigningAlgorithm::Rs256, der.as_bytes()).unwrap();
        assert_eq!(
            jwk_of_rsa(&[&[0][..], &n].concat(), &[1, 0, 1]).unwrap(),
            jwk
        );
        assert!(matches!(&jwk, PublicJwk::Rsa { e, .. } if e == "AQAB"));

        for (algorithm, der) in [
            (SigningAlgorithm::Es256, der.as_bytes()),
            (SigningAlgorithm::Rs256, info.as_ref()),
            (SigningAlgorithm::Es256, &[][..]),
            (SigningAlgorithm::Rs256, &[][..]),
            (SigningAlgorithm::Es256, &info.as_ref()[..90]),
        ] {
            assert!(jwk_of_public_key_info(algorithm, der).is_err());
        }
        assert!(jwk_of_rsa(&n[1..], &[1, 0, 1]).is_err());
        assert!(jwk_of_p256_point(&point[..64]).is_err());
        assert!(jwk_of_p256_point(&[2; 33]).is_err());
    }

    #[test]
    fn signatures_of_a_keystore_verify_as_jws() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let key = jwk_of_p256_point(pair.public_key().as_ref()).unwrap();
        let key = VerifyingKey::from_jwk(&key).unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "aws-lc takes this argument and draws its nonces from its own generator"
        )]
        let random = aws_lc_rs::rand::SystemRandom::new();
        let input = format!("{}.{}", base64url_encode(r#"{"alg":"ES256"}"#), "e30");
        // Among so many there are numbers with leading zeros and with a leading bit.
        for _ in 0..600 {
            let der = pair.sign(&random, input.as_bytes()).unwrap();
            let signature = ecdsa_signature_of_der(der.as_ref()).unwrap();
            assert_eq!(signature.len(), 64);
            let jws = format!("{input}.{}", base64url_encode(signature));
            assert!(Jws::parse(&jws).unwrap().is_signed_by(&key));
        }
    }

    proptest! {
        #[test]
        fn garbage_is_no_signature_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..90)) {
            let _ = ecdsa_signature_of_der(&bytes);
            let _ = jwk_of_p256_point(&bytes);
            let _ = jwk_of_public_key_info(SigningAlgorithm::Es256, &bytes);
            let _ = jwk_of_public_key_info(SigningAlgorithm::Rs256, &bytes);
        }
    }
}
