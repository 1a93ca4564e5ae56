//! Noticing a clock that goes back.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use crate::domain::Timestamp;

/// What a clock that is disciplined by NTP may step back without anybody minding.
const STEP: Duration = Duration::from_secs(1);

/// By how much the clocks of replicas may differ before it is worth a word.
const DIFFERENCE: Duration = Duration::from_mins(1);

/// What this replica's clock showed last, and how it stands to what any replica's showed.
#[derive(Debug)]
pub(super) struct ClockWatch {
    /// Epoch milliseconds.
    last: AtomicI64,
    /// Milliseconds behind the newest time that is stored; 0 for a clock that is right.
    behind: AtomicI64,
}

/// What a comparison with the newest stored time brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing new.
    AsBefore,
    /// It is behind, and was not at the last comparison.
    FellBehind,
    /// It was behind, and is not any more.
    CaughtUp,
}

impl ClockWatch {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            last: AtomicI64::new(now.ms()),
            behind: AtomicI64::new(0),
        }
    }

    /// How far the clock was set back since the last look, if it was. Needs no database.
    pub(super) fn set_back(&self, now: Timestamp) -> Option<Duration> {
        let last = Timestamp::from_ms(self.last.swap(now.ms(), Ordering::Relaxed));
        let back = last.since(now);
        (back > STEP).then_some(back)
    }

    /// Compares with the newest time that any replica ever noted, which outlives a restart.
    pub(super) fn compare(&self, now: Timestamp, newest: Timestamp) -> Standing {
        let behind = Some(newest.since(now)).filter(|behind| *behind > DIFFERENCE);
        let millis = behind.map_or(0, |behind| {
            i64::try_from(behind.as_millis()).unwrap_or(i64::MAX)
        });
        let before = self.behind.swap(millis, Ordering::Relaxed);
        match (before > 0, millis > 0) {
            (false, true) => Standing::FellBehind,
            (true, false) => Standing::CaughtUp,
            _ => Standing::AsBefore,
        }
    }

    /// By how much the clock was behind at the last comparison.
    pub(super) fn behind(&self) -> Duration {
        Duration::from_millis(self.behind.load(Ordering::Relaxed).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_is_noticed_once() {
        let watch = ClockWatch::new(Timestamp::from_secs(100));
        assert_eq!(watch.set_back(Timestamp::from_secs(110)), None);
        assert_eq!(watch.set_back(Timestamp::from_ms(109_500)), None);
        assert_eq!(
            watch.set_back(Timestamp::from_secs(50)),
            Some(Duration::from_millis(59_500))
        );
        assert_eq!(watch.set_back(Timestamp::from_secs(51)), None);
    }

    #[test]
    fn a_clock_that_is_behind_is_told_of_once_until_it_is_right() {
        let watch = ClockWatch::new(Timestamp::from_secs(1_000));
        let newest = Timestamp::from_secs(1_000);
        let compare = |secs| watch.compare(Timestamp::from_secs(secs), newest);
        assert_eq!(compare(940), Standing::AsBefore);
        assert_eq!(compare(939), Standing::FellBehind);
        assert_eq!(watch.behind(), Duration::from_secs(61));
        assert_eq!(compare(800), Standing::AsBefore);
        assert_eq!(watch.behind(), Duration::from_secs(200));
        assert_eq!(compare(950), Standing::CaughtUp);
        assert_eq!(watch.behind(), Duration::ZERO);
        assert_eq!(compare(2_000), Standing::AsBefore);
    }
}
