//! Enrolment nonces without a store: each carries its time and a MAC over it and the issuer.

use std::time::Duration;

use aws_lc_rs::hmac;

use crate::{
    domain::{Clock, Issuer, Random, Timestamp},
    jose::{base64url_decode, base64url_encode},
};

/// How long a nonce can be used.
pub const NONCE_LIFE: Duration = Duration::from_mins(1);

/// Epoch milliseconds, random bytes.
const BODY: usize = 8 + 8;

/// Issues and checks nonces. Replicas that derive the same key accept each other's.
#[derive(Debug)]
pub struct Nonces {
    key: hmac::Key,
    issuer: Issuer,
}

impl Nonces {
    /// Nonces for enrolment at `issuer`, under a secret key.
    #[must_use]
    pub fn new(key: &[u8; 32], issuer: Issuer) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            issuer,
        }
    }

    pub(super) fn issue(&self, clock: &dyn Clock, random: &dyn Random) -> String {
        let mut nonce = clock.now().ms().to_be_bytes().to_vec();
        let mut salt = [0; BODY - 8];
        random.fill(&mut salt);
        nonce.extend_from_slice(&salt);
        let mac = hmac::sign(&self.key, &self.input(&nonce));
        nonce.extend_from_slice(mac.as_ref());
        base64url_encode(nonce)
    }

    /// Whether this is one of ours and fresh.
    pub(super) fn accepts(&self, nonce: &str, now: Timestamp) -> bool {
        let Some(bytes) = base64url_decode(nonce) else {
            return false;
        };
        let Some((body, mac)) = bytes.split_at_checked(BODY) else {
            return false;
        };
        // `hmac::verify` compares in constant time.
        if hmac::verify(&self.key, &self.input(body), mac).is_err() {
            return false;
        }
        let Some(time) = body.first_chunk::<8>() else {
            return false;
        };
        let issued = Timestamp::from_ms(i64::from_be_bytes(*time));
        issued <= now && now.since(issued) < NONCE_LIFE
    }

    fn input(&self, body: &[u8]) -> Vec<u8> {
        let mut input = body.to_vec();
        input.extend_from_slice(self.issuer.as_str().as_bytes());
        input
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SimulatedClock, SystemRandom};

    #[test]
    fn lasts_a_minute_at_one_issuer() {
        let clock = SimulatedClock::new(Timestamp::from_secs(1_000));
        let nonces = Nonces::new(&[1; 32], "https://a.example".parse().unwrap());
        let nonce = nonces.issue(&clock, &SystemRandom);
        assert!(nonces.accepts(&nonce, clock.now()));
        let elsewhere = Nonces::new(&[1; 32], "https://b.example".parse().unwrap());
        assert!(!elsewhere.accepts(&nonce, clock.now()));
        let other_key = Nonces::new(&[2; 32], "https://a.example".parse().unwrap());
        assert!(!other_key.accepts(&nonce, clock.now()));
        clock.advance(Duration::from_millis(59_999));
        assert!(nonces.accepts(&nonce, clock.now()));
        clock.advance(Duration::from_millis(1));
        assert!(!nonces.accepts(&nonce, clock.now()));
        assert!(!nonces.accepts(&nonce, Timestamp::from_secs(999)));
    }

    #[test]
    fn refuses_anything_else() {
        let nonces = Nonces::new(&[1; 32], "https://a.example".parse().unwrap());
        for bad in ["", "AA", "!", &"A".repeat(64), &"A".repeat(4096)] {
            assert!(!nonces.accepts(bad, Timestamp::from_secs(0)), "{bad}");
        }
    }
}
