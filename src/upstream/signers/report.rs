//! What an external signer did, in numbers.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The upper ends of the classes that times of signatures are counted in; the last class has none.
pub const SIGN_TIMES: [Duration; 11] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
];

/// How an external signer has been since the start, and how it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerReport {
    /// Which one.
    pub name: &'static str,
    /// Whether it is used: not just failed several times in a row.
    pub available: bool,
    /// Requests that it works on.
    pub in_flight: usize,
    /// Signatures that are waited for, those it works on included.
    pub waiting: usize,
    /// Signatures that it made.
    pub signed: u64,
    /// Signatures that failed or took too long.
    pub failed: u64,
    /// Signatures that were not tried: it failed before, or too many waited.
    pub refused: u64,
    /// How long all signatures took together, failed ones included.
    pub sign_time: Duration,
    /// How many signatures, failed ones included, took how long: a class for each of [`SIGN_TIMES`]
    /// and one for what took longer.
    pub sign_times: [u64; SIGN_TIMES.len() + 1],
}

#[derive(Default)]
pub(super) struct Counts {
    signed: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    micros: AtomicU64,
    classes: [AtomicU64; SIGN_TIMES.len() + 1],
}

impl Counts {
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self, took: Duration, succeeded: bool) {
        let outcome = if succeeded {
            &self.signed
        } else {
            &self.failed
        };
        outcome.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        let class = SIGN_TIMES.partition_point(|end| *end < took);
        self.classes[class].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn report(
        &self,
        name: &'static str,
        available: bool,
        in_flight: usize,
        waiting: usize,
    ) -> SignerReport {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SignerReport {
            name,
            available,
            in_flight,
            waiting,
            signed: read(&self.signed),
            failed: read(&self.failed),
            refused: read(&self.refused),
            sign_time: Duration::from_micros(read(&self.micros)),
            sign_times: std::array::from_fn(|class| read(&self.classes[class])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_their_classes() {
        let counts = Counts::default();
        for micros in [1, 1_000, 1_001, 2_500_000, 2_500_001, 60_000_000] {
            counts.ended(Duration::from_micros(micros), micros % 2 == 0);
        }
        let report = counts.report("x", true, 0, 0);
        assert_eq!(report.sign_times, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!((report.signed, report.failed), (3, 3));
        assert_eq!(report.sign_time, Duration::from_micros(65_002_003));
    }
}
