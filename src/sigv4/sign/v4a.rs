//! The key pair of Signature Version 4a.

use aws_lc_rs::{
    hmac,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use zeroize::Zeroizing;

use super::SigningError;

/// The order of P-256 less two.
const MOST: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x4f,
];

/// An `ECPrivateKey` of RFC 5915 up to its 32 bytes, without the parts that may be left out.
const DER: [u8; 7] = [0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20];

/// Derives the key pair from an access key: HMAC-SHA-256 in counter mode (NIST SP 800-108) under
/// `AWS4A` and the secret, tried with one counter after the other until the number is below the order.
/// ([Derive a signing key for SigV4a](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html))
pub(super) fn key_pair(access_key_id: &str, secret: &str) -> Result<EcdsaKeyPair, SigningError> {
    let input = Zeroizing::new(format!("AWS4A{secret}"));
    let key = hmac::Key::new(hmac::HMAC_SHA256, input.as_bytes());
    let mut text = Vec::with_capacity(64);
    for counter in 1..=254_u8 {
        text.clear();
        for part in [
            &1_u32.to_be_bytes()[..],
            b"AWS4-ECDSA-P256-SHA256\0",
            access_key_id.as_bytes(),
            &[counter],
            &256_u32.to_be_bytes(),
        ] {
            text.extend_from_slice(part);
        }
        let mut der = Zeroizing::new([0; DER.len() + 32]);
        let (head, scalar) = der.split_at_mut(DER.len());
        head.copy_from_slice(&DER);
        hmac::sign_to_buffer(&key, &text, scalar).map_err(|_| SigningError::KeyPair)?;
        if *scalar <= MOST[..] {
            add_one(scalar);
            return EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &*der)
                .map_err(|_| SigningError::KeyPair);
        }
    }
    Err(SigningError::KeyPair)
}

/// Adds one to a number in big-endian bytes.
fn add_one(number: &mut [u8]) {
    for byte in number.iter_mut().rev() {
        let (sum, carries) = byte.overflowing_add(1);
        *byte = sum;
        if !carries {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::KeyPair as _;

    use super::*;

    /// The public key is the one that AWS's test suite publishes for this access key.
    #[test]
    fn derives_the_key_of_the_test_suite() {
        let pair = key_pair("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY").unwrap();
        assert_eq!(
            hex::encode(pair.public_key()),
            "04b6618f6a65740a99e650b33b6b4b5bd0d43b176d721a3edfea7e7d2d56d936b1\
             865ed22a7eadc9c5cb9d2cbaca1b3699139fedc5043dc6661864218330c8e518"
        );
    }

    #[test]
    fn one_more_carries() {
        let mut number = [1, 0xff, 0xff];
        add_one(&mut number);
        assert_eq!(number, [2, 0, 0]);
    }
}
