//! Which refusals are recorded. An agent can be refused as often as it likes, and must not turn the log over
//! with it: what it did before is in there.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::ports::RequestRecord;

/// How many bytes of refusals are recorded at once at most, and in a minute over time. The log keeps about
/// 700 MiB, which are a month of these.
const AT_ONCE: u64 = 1024 * 1024;
const IN_A_MINUTE: u64 = 16 * 1024;

/// How many refusals that are alike are recorded in a minute.
const ALIKE: u32 = 10;

/// How many kinds of refusals are told apart in a minute.
const KINDS: usize = 4096;

/// What a record has besides the texts of varying length, in bytes, about.
const FRAME: usize = 512;

/// Counts what is not recorded.
#[derive(Debug)]
pub(super) struct Refusals(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Bytes that may be recorded.
    room: u64,
    /// Up to when `room` has grown, in seconds.
    since: i64,
    minute: i64,
    seen: HashMap<u64, u32>,
    unrecorded: u64,
}

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new(State {
            room: AT_ONCE,
            since: i64::MIN,
            minute: i64::MIN,
            seen: HashMap::new(),
            unrecorded: 0,
        }))
    }
}

impl Refusals {
    /// Whether this refusal is recorded; it is counted if not.
    pub(super) fn admits(&self, record: &RequestRecord) -> bool {
        let mut state = self.lock();
        let admitted = state.admits(record);
        if !admitted {
            if state.unrecorded == 0 {
                tracing::warn!(
                    "more requests are refused than are recorded one by one; a later record has their number"
                );
            }
            state.unrecorded += 1;
        }
        admitted
    }

    /// How many were counted since this was asked last, for the record that is written now.
    pub(super) fn unrecorded(&self) -> Option<u64> {
        let counted = std::mem::take(&mut self.lock().unrecorded);
        (counted > 0).then_some(counted)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn admits(&mut self, record: &RequestRecord) -> bool {
        let now = record.time.secs();
        // A clock that was set back gives nothing, and takes nothing.
        let passed = u64::try_from(now.saturating_sub(self.since)).unwrap_or(0);
        let grown = passed.saturating_mul(IN_A_MINUTE) / 60;
        if grown > 0 {
            self.room = self.room.saturating_add(grown).min(AT_ONCE);
            self.since = now;
        }
        if self.minute != now.div_euclid(60) || self.seen.len() >= KINDS {
            self.minute = now.div_euclid(60);
            self.seen.clear();
        }
        let alike = self.seen.entry(kind(record)).or_default();
        *alike += 1;
        let Some(left) = self.room.checked_sub(size(record)) else {
            return false;
        };
        if *alike > ALIKE {
            return false;
        }
        self.room = left;
        true
    }
}

/// What refusals that are alike have in common.
fn kind(record: &RequestRecord) -> u64 {
    let mut hasher = DefaultHasher::new();
    let what = (&record.method, &record.host, &record.path);
    (what, &record.resources, &record.reason).hash(&mut hasher);
    hasher.finish()
}

/// How long its line is, about: a control character takes up to six bytes there.
fn size(record: &RequestRecord) -> u64 {
    let written = |text: &str| {
        let escaped = |b: &u8| b.is_ascii_control() || matches!(b, b'"' | b'\\');
        text.len() + 5 * text.as_bytes().iter().filter(|b| escaped(b)).count()
    };
    let texts = [&record.host, &record.method, &record.path]
        .into_iter()
        .chain(&record.resources)
        .chain(&record.reason);
    let texts: usize = texts.map(|text| written(text) + 3).sum();
    let actions: usize = record.actions.iter().map(|action| action.len() + 3).sum();
    (FRAME + texts + actions) as u64
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, sync::Arc};

    use super::*;
    use crate::{
        domain::{RequestId, SystemClock, SystemRandom, Timestamp},
        ports::RequestPhase,
    };

    fn refusal(secs: i64, path: String) -> RequestRecord {
        RequestRecord {
            time: Timestamp::from_secs(secs),
            request_id: RequestId::new(&SystemClock, &SystemRandom),
            phase: RequestPhase::Answered,
            environment: Arc::from("0191e223-1c3c-7607-badf-303c98b52d2f"),
            subject: None,
            peer: "127.0.0.1:54321".to_owned(),
            way: "intercepted",
            service: Some("s3"),
            operation: Some("DeleteObject"),
            actions: vec![Cow::Borrowed("s3:DeleteObject")],
            resources: vec!["arn:aws:s3:::bucket/k".to_owned()],
            decision: "block",
            rule: None,
            reason: Some("no rule allows it".to_owned()),
            unrecorded: None,
            role: None,
            session: None,
            region: None,
            host: "bucket.s3.eu-central-1.amazonaws.com".to_owned(),
            method: "DELETE".to_owned(),
            path,
            aws_request_id: None,
            status: Some(403),
            bytes_in: None,
            bytes_out: None,
            duration_ms: Some(1),
        }
    }

    #[test]
    fn what_is_refused_again_and_again_is_counted() {
        let refusals = Refusals::default();
        let admitted = |secs: i64, path: &str| {
            (0..1000)
                .filter(|_| refusals.admits(&refusal(secs, path.to_owned())))
                .count()
        };
        assert_eq!(admitted(0, "/a"), 10);
        assert_eq!(admitted(1, "/a"), 0);
        // Another one is still recorded.
        assert_eq!(admitted(1, "/b"), 10);
        assert_eq!(admitted(60, "/a"), 10);
        assert_eq!(refusals.unrecorded(), Some(3970));
        assert_eq!(refusals.unrecorded(), None);
    }

    /// An agent that varies its requests and makes them as long as records can be.
    #[test]
    fn refusals_are_a_small_part_of_the_log() {
        let refusals = Refusals::default();
        let (mut bytes, mut count) = (0, 0);
        let mut record = refusal(0, String::new());
        for secs in (0..7200_i64).step_by(5) {
            record.time = Timestamp::from_secs(secs);
            for n in 0..10 {
                record.path = format!("/{secs}/{n}/{}", "\u{1}".repeat(n * 400));
                if refusals.admits(&record) {
                    bytes += serde_json::to_vec(&record).unwrap().len();
                    count += 1;
                }
            }
        }
        let most = AT_ONCE + 120 * IN_A_MINUTE;
        assert!((bytes as u64) < most, "{bytes} of {most}");
        assert!(count > 1000, "{count}");
        let counted = refusals.unrecorded().unwrap();
        assert_eq!(counted + count, 14_400);
    }
}
