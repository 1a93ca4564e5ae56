//! The little DER (ITU-T X.690) that keys and signatures outside of aws-lc need.

/// `RSAPublicKey` (RFC 8017 §A.1.1) of a big-endian modulus and exponent.
pub(super) fn rsa_public_key(n: &[u8], e: &[u8]) -> Vec<u8> {
    sequence(&[integer(n), integer(e)].concat())
}

/// `Ecdsa-Sig-Value` (RFC 3279 §2.2.3) of `R || S` with 32 bytes each, which is what JWS has (RFC 7518
/// §3.4). `None` for another length.
pub(super) fn ecdsa_signature(fixed: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = fixed.split_at_checked(32)?;
    (s.len() == 32).then(|| sequence(&[integer(r), integer(s)].concat()))
}

fn sequence(content: &[u8]) -> Vec<u8> {
    tagged(0x30, content)
}

/// A number that is not negative.
fn integer(big_endian: &[u8]) -> Vec<u8> {
    let zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
    let digits = &big_endian[zeros..];
    // A leading bit that is set would make it negative.
    let sign = digits.first().is_none_or(|first| first & 0x80 != 0);
    let mut content = vec![0; usize::from(sign)];
    content.extend_from_slice(digits);
    tagged(0x02, &content)
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let mut der = vec![tag];
    if let [.., short @ 0..=0x7f] = length
        && content.len() < 0x80
    {
        der.push(short);
    } else {
        let zeros = length.iter().take_while(|byte| **byte == 0).count();
        // A length of eight bytes at most: the number of bytes fits.
        der.push(0x80 | u8::try_from(length.len() - zeros).unwrap_or(8));
        der.extend_from_slice(&length[zeros..]);
    }
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be_and_never_negative() {
        for (bytes, der) in [
            (&[][..], &[2, 1, 0][..]),
            (&[0, 0], &[2, 1, 0]),
            (&[0x7f], &[2, 1, 0x7f]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[0, 1, 2], &[2, 2, 1, 2]),
        ] {
            assert_eq!(integer(bytes), der);
        }
    }

    #[test]
    fn lengths_have_their_three_forms() {
        assert_eq!(tagged(4, &[0; 0x7f])[..2], [4, 0x7f]);
        assert_eq!(tagged(4, &[0; 0x80])[..3], [4, 0x81, 0x80]);
        assert_eq!(tagged(4, &[0; 0x123])[..4], [4, 0x82, 1, 0x23]);
    }

    #[test]
    fn a_signature_has_64_bytes() {
        assert_eq!(ecdsa_signature(&[1; 63]), None);
        assert_eq!(ecdsa_signature(&[1; 65]), None);
        assert_eq!(ecdsa_signature(&[1; 64]).map(|der| der.len()), Some(70));
    }
}
