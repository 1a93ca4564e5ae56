//! The public key in an X.509 certificate, for comparing `x5c` with a JWK's own members.
//!
//! Nothing is trusted because of a certificate, so nothing else of it is read: no signature, no
//! validity, no chain. ([RFC 7517 §4.7](https://www.rfc-editor.org/rfc/rfc7517#section-4.7): "the
//! key in the first certificate MUST match the public key represented by other members".)

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const VERSION: u8 = 0xA0;
/// rsaEncryption, 1.2.840.113549.1.1.1.
const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
/// id-ecPublicKey, 1.2.840.10045.2.1.
const EC: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];

/// A certificate's public key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CertifiedKey<'a> {
    /// Modulus and exponent, big-endian without leading zeros.
    Rsa {
        /// The modulus.
        n: &'a [u8],
        /// The exponent.
        e: &'a [u8],
    },
    /// The point, uncompressed (`04 || x || y`).
    Ec(&'a [u8]),
}

/// Reads the public key out of a DER certificate; `None` where it is not one.
pub(super) fn public_key(der: &[u8]) -> Option<CertifiedKey<'_>> {
    let (certificate, []) = take(der, SEQUENCE)? else {
        return None;
    };
    let (tbs, _) = take(certificate, SEQUENCE)?;
    let rest = take(tbs, VERSION).map_or(tbs, |(_, rest)| rest);
    let (_serial, rest) = take(rest, INTEGER)?;
    let (_algorithm, rest) = take(rest, SEQUENCE)?;
    let (_issuer, rest) = take(rest, SEQUENCE)?;
    let (_validity, rest) = take(rest, SEQUENCE)?;
    let (_subject, rest) = take(rest, SEQUENCE)?;
    let (spki, _) = take(rest, SEQUENCE)?;
    let (algorithm, rest) = take(spki, SEQUENCE)?;
    let (oid, _) = take(algorithm, OBJECT_IDENTIFIER)?;
    let (bits, _) = take(rest, BIT_STRING)?;
    let key = bits.strip_prefix(&[0])?;
    match oid {
        RSA => {
            let (key, _) = take(key, SEQUENCE)?;
            let (n, rest) = take(key, INTEGER)?;
            let (e, _) = take(rest, INTEGER)?;
            Some(CertifiedKey::Rsa {
                n: trim(n),
                e: trim(e),
            })
        }
        EC => Some(CertifiedKey::Ec(key)),
        _ => None,
    }
}

/// An unsigned integer without its leading zeros.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// The contents of the element of that tag at the start, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match short {
        0..=0x7F => (usize::from(short), rest),
        0x81..=0x83 => {
            let (long, rest) = rest.split_at_checked(usize::from(short & 0x7F))?;
            let length = long
                .iter()
                .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_an_ec_key() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default()
            .self_signed(&key)
            .unwrap();
        assert_eq!(
            public_key(certificate.der()),
            Some(CertifiedKey::Ec(rcgen::PublicKeyData::der_bytes(&key)))
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = public_key(&bytes).is_some();
        }

        #[test]
        fn no_damaged_certificate_panics(at in 0_usize..400, byte: u8) {
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
            let mut der = certificate.der().to_vec();
            let at = at % der.len();
            der[at] = byte;
            let _ = public_key(&der).is_some();
            let _ = public_key(&der[..at]).is_some();
        }
    }
}
