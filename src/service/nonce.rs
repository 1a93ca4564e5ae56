//! Enrolment nonces without a store: each carries its time and a MAC over it and the issuer.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::hmac;

use super::Sealing;
use crate::{
    domain::{Clock, Issuer, Random, Timestamp},
    jose::{SealError, base64url_decode, base64url_encode},
};

/// How long a nonce can be used.
pub const NONCE_LIFE: Duration = Duration::from_mins(1);

/// Epoch milliseconds, random bytes.
const BODY: usize = 8 + 8;

/// What the keys of nonces are derived for.
const PURPOSE: &str = "enrolment nonce";

/// Issues and checks nonces. Replicas that know the same key-encryption key accept each other's.
#[derive(Debug)]
pub struct Nonces {
    sealing: Arc<Sealing>,
    issuer: Issuer,
}

impl Nonces {
    /// Nonces for enrolment at `issuer`, under keys that are derived from the key-encryption keys.
    #[must_use]
    pub const fn new(sealing: Arc<Sealing>, issuer: Issuer) -> Self {
        Self { sealing, issuer }
    }

    pub(super) fn issue(
        &self,
        clock: &dyn Clock,
        random: &dyn Random,
    ) -> Result<String, SealError> {
        let key = self.sealing.derive(PURPOSE)?;
        let mut nonce = clock.now().ms().to_be_bytes().to_vec();
        let mut salt = [0; BODY - 8];
        random.fill(&mut salt);
        nonce.extend_from_slice(&salt);
        let mac = hmac::sign(&hmac_key(&key), &self.input(&nonce));
        nonce.extend_from_slice(mac.as_ref());
        Ok(base64url_encode(nonce))
    }

    /// Whether this is one of ours and fresh.
    pub(super) fn accepts(&self, nonce: &str, now: Timestamp) -> bool {
        self.issued_at(nonce, now).is_some()
    }

    /// When this was issued, where it is one of ours and fresh. What signed it did so later.
    pub(super) fn issued_at(&self, nonce: &str, now: Timestamp) -> Option<Timestamp> {
        let bytes = base64url_decode(nonce)?;
        let (body, mac) = bytes.split_at_checked(BODY)?;
        let keys = self.sealing.derive_all(PURPOSE).ok()?;
        // `hmac::verify` compares in constant time.
        let input = self.input(body);
        keys.iter()
            .find(|key| hmac::verify(&hmac_key(key), &input, mac).is_ok())?;
        let issued = Timestamp::from_ms(i64::from_be_bytes(*body.first_chunk::<8>()?));
        (issued <= now && now.since(issued) < NONCE_LIFE).then_some(issued)
    }

    fn input(&self, body: &[u8]) -> Vec<u8> {
        let mut input = body.to_vec();
        input.extend_from_slice(self.issuer.as_str().as_bytes());
        input
    }
}

fn hmac_key(derived: &[u8; 32]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, derived)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{SimulatedClock, SystemRandom},
        jose::SealingKey,
    };

    fn nonces(sealing: &Arc<Sealing>, issuer: &str) -> Nonces {
        Nonces::new(sealing.clone(), issuer.parse().unwrap())
    }

    fn sealing() -> Arc<Sealing> {
        Arc::new(SealingKey::generate(&SystemRandom).into())
    }

    #[test]
    fn lasts_a_minute_at_one_issuer() {
        let clock = SimulatedClock::new(Timestamp::from_secs(1_000));
        let key = sealing();
        let elsewhere = nonces(&key, "https://b.example");
        let nonces = nonces(&key, "https://a.example");
        let nonce = nonces.issue(&clock, &SystemRandom).unwrap();
        assert!(nonces.accepts(&nonce, clock.now()));
        assert!(!elsewhere.accepts(&nonce, clock.now()));
        let other_key = Nonces::new(sealing(), "https://a.example".parse().unwrap());
        assert!(!other_key.accepts(&nonce, clock.now()));
        clock.advance(Duration::from_millis(59_999));
        assert!(nonces.accepts(&nonce, clock.now()));
        clock.advance(Duration::from_millis(1));
        assert!(!nonces.accepts(&nonce, clock.now()));
        assert!(!nonces.accepts(&nonce, Timestamp::from_secs(999)));
    }

    #[test]
    fn refuses_anything_else() {
        let nonces = nonces(&sealing(), "https://a.example");
        for bad in ["", "AA", "!", &"A".repeat(64), &"A".repeat(4096)] {
            assert!(!nonces.accepts(bad, Timestamp::from_secs(0)), "{bad}");
        }
    }
}
