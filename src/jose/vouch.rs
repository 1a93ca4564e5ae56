//! Vouching for the records of issuers' keys: what is published has to be written by somebody who has
//! the key-encryption key, not merely by somebody who can write to the database.

use aws_lc_rs::hmac;

use super::{SealError, SealingKey, base64url_decode, base64url_encode};
use crate::domain::IssuerKey;

/// What the keys of these MACs are derived for.
const PURPOSE: &str = "issuer key record";

impl SealingKey {
    /// A MAC (HMAC with SHA-256, RFC 2104, in base64url) over what of the record decides which tokens
    /// verify and which external key is used or destroyed: its id, issuer, `kid`, algorithm, public
    /// key, certificate, reference and time of creation, and whether it is retired.
    ///
    /// The other transitions are left out: they change nothing for whoever lacks the private half. The
    /// sealed private half is left out because it proves itself (see [`SealingKey::open`]).
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn vouch(&self, key: &IssuerKey) -> Result<String, SealError> {
        let mac = hmac::sign(&self.vouching_key()?, &record(key)?);
        Ok(base64url_encode(mac.as_ref()))
    }

    /// Whether the record's MAC is [`SealingKey::vouch`]'s.
    #[must_use]
    pub fn vouches(&self, key: &IssuerKey) -> bool {
        let mac = key.mac.as_deref().and_then(base64url_decode);
        let (Some(mac), Ok(secret), Ok(record)) = (mac, self.vouching_key(), record(key)) else {
            return false;
        };
        hmac::verify(&secret, &record, &mac).is_ok()
    }

    fn vouching_key(&self) -> Result<hmac::Key, SealError> {
        Ok(hmac::Key::new(
            hmac::HMAC_SHA256,
            self.derive(PURPOSE)?.as_ref(),
        ))
    }
}

/// The fields in one order, each behind its length, so that no two records give the same bytes.
fn record(key: &IssuerKey) -> Result<Vec<u8>, SealError> {
    let public =
        serde_json::to_string(&key.public).map_err(|error| SealError::Seal(error.to_string()))?;
    let (id, created) = (key.id.to_string(), key.created_at.ms().to_string());
    let external = if key.reference.is_some() {
        "external"
    } else {
        ""
    };
    let retired = if key.retired_at.is_some() {
        "retired"
    } else {
        ""
    };
    let fields = [
        &id,
        key.issuer.as_str(),
        &key.kid,
        key.algorithm.as_str(),
        &public,
        &key.certificate,
        external,
        key.reference.as_deref().unwrap_or_default(),
        &created,
        retired,
    ];
    let mut bytes = Vec::with_capacity(2048);
    for field in fields {
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field.as_bytes());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        KeyFacts, KeyId, PublicJwk, SigningAlgorithm, SimulatedClock, SystemRandom, Timestamp,
    };

    fn key() -> IssuerKey {
        let clock = SimulatedClock::new(Timestamp::from_secs(1_740_514_245));
        IssuerKey {
            id: KeyId::new(&clock, &SystemRandom),
            issuer: "https://idp.example.com".parse().unwrap(),
            kid: "kid".to_owned(),
            algorithm: SigningAlgorithm::Rs256,
            public: PublicJwk::Rsa {
                n: "AQAB".to_owned(),
                e: "AQAB".to_owned(),
            },
            certificate: "MII=".to_owned(),
            sealed: None,
            reference: None,
            mac: None,
            created_at: Timestamp::from_ms(1_000),
            activated_at: None,
            retiring_at: None,
            retired_at: None,
            facts: KeyFacts::default(),
        }
    }

    #[test]
    fn only_the_same_key_vouches() {
        let secret = SealingKey::generate(&SystemRandom);
        let mut key = key();
        assert!(!secret.vouches(&key), "no MAC");
        key.mac = Some(secret.vouch(&key).unwrap());
        assert!(secret.vouches(&key));
        assert!(!SealingKey::generate(&SystemRandom).vouches(&key));
        let good = key.mac.clone().unwrap();
        for bad in [
            "",
            "!",
            "AA",
            &good[..good.len() - 1],
            &good.replace(&good[..1], "_"),
        ] {
            key.mac = Some(bad.to_owned());
            assert!(bad == good || !secret.vouches(&key), "{bad:?}");
        }
    }

    #[test]
    fn what_decides_is_bound_and_what_rotates_is_not() {
        type Change = fn(&mut IssuerKey, &IssuerKey);

        let secret = SealingKey::generate(&SystemRandom);
        let mut good = key();
        good.mac = Some(secret.vouch(&good).unwrap());
        let other = key();
        let bound: [(&str, Change); 9] = [
            ("id", |key, other| key.id = other.id),
            ("issuer", |key, _| {
                key.issuer = "https://b.example.com".parse().unwrap();
            }),
            ("kid", |key, _| key.kid.push('x')),
            ("algorithm", |key, _| {
                key.algorithm = SigningAlgorithm::Es256;
            }),
            ("public", |key, _| {
                key.public = PublicJwk::Rsa {
                    n: "AQAC".to_owned(),
                    e: "AQAB".to_owned(),
                };
            }),
            ("certificate", |key, _| key.certificate.clear()),
            ("reference", |key, _| key.reference = Some(String::new())),
            ("created_at", |key, _| {
                key.created_at = Timestamp::from_ms(1);
            }),
            ("retired_at", |key, _| {
                key.retired_at = Some(Timestamp::from_ms(2));
            }),
        ];
        for (field, change) in bound {
            let mut changed = good.clone();
            change(&mut changed, &other);
            assert!(!secret.vouches(&changed), "{field}");
        }
        good.activated_at = Some(Timestamp::from_ms(3));
        good.retiring_at = Some(Timestamp::from_ms(4));
        good.sealed = Some("sealed".to_owned());
        good.facts.wanted_at = Some(Timestamp::from_ms(5));
        assert!(secret.vouches(&good));
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let secret = SealingKey::generate(&SystemRandom);
        let (mut one, mut two) = (key(), key());
        (two.id, one.kid, one.certificate) = (one.id, "ab".to_owned(), "c".to_owned());
        (two.kid, two.certificate) = ("a".to_owned(), "bc".to_owned());
        assert_ne!(secret.vouch(&one).unwrap(), secret.vouch(&two).unwrap());
    }
}
