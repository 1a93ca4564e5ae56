//! What both databases share about issuers' keys.

use std::time::Duration;

/// How much newer a clock has to be before its time is written down.
pub(super) const NOTE_EVERY: Duration = Duration::from_secs(30);

/// No token lives longer than an hour; the rest is for records that were not written in the order of
/// their times.
pub(super) const RECENT: Duration = Duration::from_mins(75);

/// A duration for a column of whole seconds.
pub(super) fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
