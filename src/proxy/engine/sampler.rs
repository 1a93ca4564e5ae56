//! Which refusals of strangers are recorded.

use std::sync::{Mutex, PoisonError};

use crate::domain::Timestamp;

/// How many are recorded in a minute; the others are only counted.
const IN_A_MINUTE: u32 = 10;

/// Lets the first few of each minute through.
#[derive(Debug, Default)]
pub(super) struct Sampler(Mutex<(i64, u32)>);

impl Sampler {
    pub(super) fn admits(&self, now: Timestamp) -> bool {
        let minute = now.secs().div_euclid(60);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.0 != minute {
            *seen = (minute, 0);
        }
        seen.1 = seen.1.saturating_add(1);
        seen.1 <= IN_A_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_fill_the_disk() {
        let sampler = Sampler::default();
        let recorded = |secs: i64| {
            (0..1000)
                .filter(|_| sampler.admits(Timestamp::from_secs(secs)))
                .count()
        };
        assert_eq!(recorded(0), 10);
        assert_eq!(recorded(59), 0);
        assert_eq!(recorded(60), 10);
    }
}
