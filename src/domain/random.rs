//! Chance as a parameter.

/// A source of cryptographically secure random bytes.
pub trait Random: Send + Sync {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's source, through aws-lc.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine for random bytes"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        // aws-lc aborts the process rather than hand out predictable bytes, so the error arm is
        // unreachable; a panic is still the only safe answer to it.
        aws_lc_rs::rand::fill(bytes).expect("the operating system's random source answers");
    }
}
