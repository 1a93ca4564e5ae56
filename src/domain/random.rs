//! Chance as a parameter.

use std::cell::RefCell;

/// A source of cryptographically secure random bytes.
pub trait Random: Send + Sync {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's source, through aws-lc.
///
/// aws-lc asks the system again for every draw, which costs some two microseconds. So each thread
/// draws what identifiers, `jti`s and nonces need ahead; keys and other secrets, which are longer,
/// are drawn when they are needed and pass through no stock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

/// The longest draw that is taken from a stock. The shortest secret has twice as many bytes.
const SHORT: usize = 16;

/// Bytes drawn ahead, for some forty requests.
struct Stock {
    bytes: [u8; 1024],
    left: usize,
}

thread_local! {
    static STOCK: RefCell<Stock> = const {
        RefCell::new(Stock {
            bytes: [0; 1024],
            left: 0,
        })
    };
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() > SHORT {
            draw(bytes);
        } else {
            STOCK.with_borrow_mut(|stock| stock.take(bytes));
        }
    }
}

impl Stock {
    fn take(&mut self, wanted: &mut [u8]) {
        if self.left < wanted.len() {
            draw(&mut self.bytes);
            self.left = self.bytes.len();
        }
        let from = self.left - wanted.len();
        let taken = &mut self.bytes[from..self.left];
        wanted.copy_from_slice(taken);
        taken.fill(0);
        self.left = from;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks the machine for random bytes"
)]
fn draw(bytes: &mut [u8]) {
    // aws-lc aborts the process rather than hand out predictable bytes, so the error arm is
    // unreachable; a panic is still the only safe answer to it.
    aws_lc_rs::rand::fill(bytes).expect("the operating system's random source answers");
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, thread};

    use super::*;

    #[test]
    fn nothing_is_given_out_twice() {
        let draw = |length: usize| {
            let mut bytes = vec![0; length];
            SystemRandom.fill(&mut bytes);
            bytes
        };
        let drawn = move || {
            let lengths = (0..500).map(|n| [8, 10, 16, 32][n % 4]);
            lengths.map(draw).collect::<Vec<_>>()
        };
        let mut all: Vec<Vec<u8>> = drawn();
        all.extend(thread::spawn(drawn).join().unwrap());
        let mut seen = HashSet::new();
        for bytes in &all {
            for eight in bytes.windows(8) {
                assert!(seen.insert(eight.to_vec()), "{eight:?}");
            }
        }
    }
}
