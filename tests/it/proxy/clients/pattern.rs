//! Bytes of any length that are the same every time, for bodies too large to keep. The period is a
//! prime number, so that a piece that is lost, repeated or moved changes the hash.

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;

/// Bytes until the pattern begins again; a prime.
const PERIOD: usize = 1_048_583;

/// One period. `tests/python/proxied/large.py` computes the same.
fn period() -> Bytes {
    let mut state = 1_u32;
    let bytes = (0..PERIOD).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    bytes.collect()
}

/// The first `length` bytes.
pub(super) fn chunks(length: u64) -> impl Iterator<Item = Bytes> + Send {
    let period = period();
    let mut left = length;
    std::iter::from_fn(move || {
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(PERIOD);
        left -= now as u64;
        (now > 0).then(|| period.slice(..now))
    })
}

/// SHA-256 of the first `length` bytes, in hex.
pub(super) fn sha256(length: u64) -> String {
    let mut digest = Context::new(&SHA256);
    chunks(length).for_each(|chunk| digest.update(&chunk));
    hex::encode(digest.finish())
}
