//! What the cryptography alone costs, with keys that are parsed already.

use std::{
    thread::{available_parallelism, scope},
    time::Duration,
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    },
};
use rustix::time::{ClockId, clock_gettime};

/// About what a token's signing input has.
const MESSAGE: [u8; 500] = [b'x'; 500];

/// How long each operation is measured for, on every core.
const EACH: Duration = Duration::from_millis(300);

/// CPU time of one operation each, in microseconds, while all cores do the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bare {
    pub(crate) sign_rs256: f64,
    pub(crate) verify_rs256: f64,
    pub(crate) sign_es256: f64,
    pub(crate) verify_es256: f64,
}

/// The keys that the operations need.
pub(crate) struct Crypto {
    random: SystemRandom,
    rsa: rsa::KeyPair,
    ec: EcdsaKeyPair,
    rsa_public: ParsedPublicKey,
    ec_public: ParsedPublicKey,
}

impl Crypto {
    pub(crate) fn new() -> Self {
        let rsa = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("aws-lc makes keys");
        let ec =
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("aws-lc makes keys");
        let parse = |algorithm, bytes: &[u8]| {
            ParsedPublicKey::new(algorithm, bytes).expect("its own public key")
        };
        Self {
            #[expect(
                clippy::disallowed_methods,
                reason = "aws-lc takes this argument and draws from its own generator"
            )]
            random: SystemRandom::new(),
            rsa_public: parse(&RSA_PKCS1_2048_8192_SHA256, rsa.public_key().as_ref()),
            ec_public: parse(&ECDSA_P256_SHA256_FIXED, ec.public_key().as_ref()),
            rsa,
            ec,
        }
    }

    /// One RS256 signature.
    pub(crate) fn sign_rs256(&self) -> Vec<u8> {
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        self.rsa
            .sign(&RSA_PKCS1_SHA256, &self.random, &MESSAGE, &mut signature)
            .expect("aws-lc signs");
        signature
    }

    /// One ES256 signature.
    pub(crate) fn sign_es256(&self) -> Vec<u8> {
        let signature = self.ec.sign(&self.random, &MESSAGE).expect("aws-lc signs");
        signature.as_ref().to_vec()
    }

    /// One verification of a signature that [`Crypto::sign_es256`] made.
    pub(crate) fn verify_es256(&self, signature: &[u8]) {
        self.ec_public
            .verify_sig(&MESSAGE, signature)
            .expect("its own signature");
    }

    /// Measures all four operations.
    pub(crate) fn measure(&self) -> Bare {
        let (rsa, ec) = (self.sign_rs256(), self.sign_es256());
        let verify = |key: &ParsedPublicKey, signature: &[u8]| {
            key.verify_sig(&MESSAGE, signature)
                .expect("its own signature");
        };
        Bare {
            sign_rs256: cost(&|| drop(self.sign_rs256())),
            verify_rs256: cost(&|| verify(&self.rsa_public, &rsa)),
            sign_es256: cost(&|| drop(self.sign_es256())),
            verify_es256: cost(&|| verify(&self.ec_public, &ec)),
        }
    }
}

/// Microseconds of CPU that `operation` takes, on average over all cores. A core whose neighbour is idle
/// may be quicker, and a server under load has no idle neighbour.
fn cost(operation: &(dyn Fn() + Sync)) -> f64 {
    let cores = available_parallelism().map_or(1, usize::from);
    let costs: Vec<f64> = scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|_| scope.spawn(|| cost_here(&operation)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("it measures"))
            .collect()
    });
    costs.iter().sum::<f64>() / costs.len() as f64
}

/// Microseconds of CPU that `operation` takes on this thread.
pub(crate) fn cost_here(operation: &dyn Fn()) -> f64 {
    let start = thread_cpu();
    let mut count = 0_u32;
    loop {
        for _ in 0..50 {
            operation();
        }
        count += 50;
        let used = thread_cpu().saturating_sub(start);
        if used >= EACH {
            return used.as_secs_f64() * 1e6 / f64::from(count);
        }
    }
}

/// CPU time of the calling thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("CPU time is not negative")
}
