//! Refusals of those who proved who they are. Each is worth a record, but whoever holds one captured
//! assertion, even an expired one, could make as many as they like: so the first of each kind and
//! minute is recorded, and the rest are counted into the next record.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use super::{RequestContext, Service};
use crate::{
    domain::{AdminTokenId, AuditEvent, EnvironmentId, JoinTokenId, Timestamp},
    ports::StoreError,
};

/// Who was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Known {
    /// An environment that proved its key.
    Environment(EnvironmentId),
    /// The holder of an administrator token.
    Administrator(AdminTokenId),
    /// The holder of a join token.
    JoinToken(JoinTokenId),
}

/// The longest time for which a kind of refusal is recorded once, in milliseconds.
const WINDOW: i64 = 60_000;

/// How many kinds are told apart at once: some 2 KiB each. Others are only counted.
const CAPACITY: usize = 4_096;

/// What becomes of a refusal.
#[derive(Debug)]
pub(super) enum Admission {
    /// It is to be recorded, in this form.
    Record(Box<AuditEvent>),
    /// It is counted into a later record.
    Counted,
    /// Too many kinds are told apart already.
    Full,
}

struct Window {
    begun: i64,
    held_back: u64,
    /// The last one that was held back.
    sample: Option<AuditEvent>,
}

/// What was recorded in the last minute, and what was held back since.
#[derive(Default)]
pub(super) struct KnownRefusals(Mutex<HashMap<(Known, &'static str), Window>>);

impl KnownRefusals {
    /// Decides on a refusal. `reason` is one of a few texts.
    pub(super) fn admit(
        &self,
        who: Known,
        reason: &'static str,
        mut event: AuditEvent,
    ) -> Admission {
        let begun = window(event.at);
        let mut windows = self.lock();
        if !windows.contains_key(&(who, reason)) && windows.len() >= CAPACITY {
            windows.retain(|_, window| window.begun == begun || window.held_back > 0);
            if windows.len() >= CAPACITY {
                return Admission::Full;
            }
        }
        let window = windows.entry((who, reason)).or_insert(Window {
            begun: begun - 1,
            held_back: 0,
            sample: None,
        });
        if window.begun == begun {
            window.held_back += 1;
            window.sample = Some(event);
            return Admission::Counted;
        }
        count_into(&mut event, window.held_back);
        *window = Window {
            begun,
            held_back: 0,
            sample: None,
        };
        Admission::Record(Box::new(event))
    }

    /// Takes out what was held back and has no later refusal to be counted into: of minutes that are
    /// over, or of all with `now` `None`.
    fn take(&self, now: Option<Timestamp>) -> Vec<((Known, &'static str), AuditEvent)> {
        let present = now.map(window);
        let mut taken = Vec::new();
        self.lock().retain(|key, window| {
            if Some(window.begun) == present {
                return true;
            }
            if let Some(mut event) = window.sample.take() {
                // The sample stands for itself and those before it.
                count_into(&mut event, window.held_back.saturating_sub(1));
                taken.push((*key, event));
            }
            false
        });
        taken
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Known, &'static str), Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn window(at: Timestamp) -> i64 {
    at.ms().div_euclid(WINDOW)
}

/// Says in a record how many like it were not recorded.
fn count_into(event: &mut AuditEvent, held_back: u64) {
    if let (true, Value::Object(details)) = (held_back > 0, &mut event.details) {
        let earlier = details
            .get("not_recorded")
            .and_then(Value::as_u64)
            .unwrap_or(0);
        details.insert("not_recorded".to_owned(), (earlier + held_back).into());
    }
}

impl Service {
    /// Records a refusal of somebody who is known, or counts it.
    pub(super) async fn record_refusal_of(
        &self,
        who: Known,
        reason: &'static str,
        mut event: AuditEvent,
    ) -> Result<(), StoreError> {
        event.outcome = crate::domain::Outcome::Refused;
        let action = event.action;
        let sample = event.request_id.map(|id| RequestContext {
            id,
            source: event.source,
        });
        match self.known_refusals.admit(who, reason, event) {
            Admission::Record(event) => self.store.append(*event).await,
            Admission::Counted => Ok(()),
            Admission::Full => {
                if let Some(sample) = sample {
                    self.refusals.count(action, sample);
                }
                Ok(())
            }
        }
    }

    /// Records what was held back: of minutes that are over, or of all with `now` `None`.
    pub(super) async fn record_held_back(&self, now: Option<Timestamp>) -> Result<(), StoreError> {
        let mut result = Ok(());
        for ((who, reason), event) in self.known_refusals.take(now) {
            if result.is_ok() {
                result = self.store.append(event.clone()).await;
            }
            if result.is_err() {
                // Counted again, for a time when the database is back.
                let _ = self.known_refusals.admit(who, reason, event.clone());
                let _ = self.known_refusals.admit(who, reason, event);
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SimulatedClock, SystemRandom};

    fn environment(number: usize) -> Known {
        let id = format!("019527e4-75d5-704d-a5a4-{number:012x}");
        Known::Environment(id.parse().unwrap())
    }

    fn event(ms: i64) -> AuditEvent {
        let clock = SimulatedClock::new(Timestamp::from_ms(ms));
        AuditEvent::new(&clock, &SystemRandom, "token.mint", "target")
    }

    fn recorded(admission: Admission) -> Option<Value> {
        match admission {
            Admission::Record(event) => Some(event.details["not_recorded"].clone()),
            Admission::Counted => None,
            Admission::Full => panic!("full"),
        }
    }

    #[test]
    fn the_first_of_a_minute_is_recorded_and_the_rest_are_counted() {
        let refusals = KnownRefusals::default();
        let admit = |who, reason, ms| recorded(refusals.admit(environment(who), reason, event(ms)));
        assert_eq!(admit(1, "a", 0), Some(Value::Null));
        assert_eq!(admit(1, "a", 59_999), None);
        assert_eq!(admit(1, "a", 10), None);
        assert_eq!(admit(2, "a", 10), Some(Value::Null), "another one");
        assert_eq!(admit(1, "b", 10), Some(Value::Null), "another reason");
        assert_eq!(admit(1, "a", 60_000), Some(2.into()));
        assert_eq!(admit(1, "a", 120_000), Some(Value::Null));
    }

    #[test]
    fn what_was_held_back_is_recorded_when_its_minute_is_over() {
        let refusals = KnownRefusals::default();
        for ms in 0..5 {
            refusals.admit(environment(1), "a", event(ms));
        }
        assert!(refusals.take(Some(Timestamp::from_ms(50_000))).is_empty());
        let taken = refusals.take(Some(Timestamp::from_ms(60_000)));
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].1.details["not_recorded"], 3, "and itself");
        assert!(refusals.lock().is_empty());
        refusals.admit(environment(1), "a", event(0));
        refusals.admit(environment(1), "a", event(0));
        assert_eq!(refusals.take(None).len(), 1);
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let refusals = KnownRefusals::default();
        for number in 0..CAPACITY {
            recorded(refusals.admit(environment(number), "a", event(0)));
        }
        let more = refusals.admit(environment(CAPACITY), "a", event(0));
        assert!(matches!(more, Admission::Full));
        let later = refusals.admit(environment(CAPACITY), "a", event(60_000));
        assert!(recorded(later).is_some(), "what is over makes room");
        assert_eq!(refusals.lock().len(), 1);
    }
}
