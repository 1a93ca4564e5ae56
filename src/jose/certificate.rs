//! The self-signed certificate that goes into a published key's `x5c`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256, SerialNumber, date_time_ymd,
};

use super::{PrivateKey, private_key::KeyError};
use crate::domain::{Issuer, Random, SigningAlgorithm, Timestamp};

/// How long the certificate is good for, in years. Nothing trusts it: a verifier takes the key from
/// the JWKS. Some refuse a JWK without `x5c`, and AWS drops one whose `x5c` disagrees with `n`.
const YEARS: i16 = 10;

/// A certificate over the key's public half, signed with itself: DER in standard base64, as `x5c`
/// wants it (RFC 7517 §4.7).
///
/// # Errors
/// The key cannot be encoded or cannot sign.
pub fn self_signed(
    key: &PrivateKey,
    issuer: &Issuer,
    now: Timestamp,
    random: &dyn Random,
) -> Result<String, KeyError> {
    let algorithm = match key.algorithm() {
        SigningAlgorithm::Rs256 => &PKCS_RSA_SHA256,
        SigningAlgorithm::Es256 => &PKCS_ECDSA_P256_SHA256,
    };
    let pkcs8 = key.to_pkcs8()?;
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.as_slice().into(), algorithm)
        .map_err(|error| KeyError::Rejected(key.algorithm().as_str(), error.to_string()))?;
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
    params
        .self_signed(&pair)
        .map(|certificate| STANDARD.encode(certificate.der()))
        .map_err(|_| KeyError::Sign)
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
    let before = now.minus(std::time::Duration::from_hours(24));
    (day(before, 0), day(before, YEARS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemRandom;

    #[test]
    fn holds_the_key() {
        for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let issuer = "https://idp.example.com".parse().unwrap();
            let now = Timestamp::from_secs(1_740_514_245);
            let text = self_signed(&key, &issuer, now, &SystemRandom).unwrap();
            let der = STANDARD.decode(text).unwrap();
            let x509 = readable(&der);
            assert!(x509.contains("idp.example.com"), "{x509}");
        }
    }

    /// The readable strings of a DER structure, enough to see the common name.
    fn readable(der: &[u8]) -> String {
        der.iter()
            .filter(|b| b.is_ascii_graphic())
            .map(|b| char::from(*b))
            .collect()
    }
}
