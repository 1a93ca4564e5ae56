//! After failures in a row a signer is left alone for a while, so that requests fail at once instead
//! of waiting for it one after the other.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::domain::{Clock, Timestamp};

/// How many failures in a row open the circuit.
const FAILURES: u32 = 3;

/// How long it is open at first; every failed probe doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest that it is open. A signer that is back is used again after this much at the latest.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many failures in a row, fewer than [`FAILURES`].
    Closed(u32),
    /// Nothing is tried until the pause is over.
    Open { since: Timestamp, pause: Duration },
    /// The pause is over, and one request tries.
    Probing { pause: Duration },
}

/// What the end of a request changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is left alone from now on.
    Opened,
    /// It works again.
    Closed,
}

pub(super) struct Circuit {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

/// The right to make one request. Dropped without an end, it counts as a failure: whoever waited has
/// given up.
pub(super) struct Admission<'a> {
    circuit: &'a Circuit,
    ended: bool,
}

impl Circuit {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Mutex::new(State::Closed(0)),
            clock,
        }
    }

    /// Whether a request would be tried now.
    pub(super) fn accepts(&self) -> bool {
        match self.state() {
            State::Closed(_) => true,
            State::Open { since, pause } => is_over(since, pause, self.clock.now()),
            State::Probing { .. } => false,
        }
    }

    /// Whether the last request succeeded, or failures are few.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state(), State::Closed(_))
    }

    /// Admits a request. Of those that come after a pause, one is.
    pub(super) fn admit(&self) -> Option<Admission<'_>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Closed(_) => {}
            State::Open { since, pause } if is_over(since, pause, self.clock.now()) => {
                *state = State::Probing { pause };
            }
            State::Open { .. } | State::Probing { .. } => return None,
        }
        Some(Admission {
            circuit: self,
            ended: false,
        })
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn succeeded(&self) -> Option<Turn> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *state, State::Closed(0));
        (!matches!(before, State::Closed(_))).then_some(Turn::Closed)
    }

    fn failed(&self) -> Option<Turn> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = self.clock.now();
        let (next, turn) = match *state {
            State::Closed(failures) if failures + 1 < FAILURES => {
                (State::Closed(failures + 1), None)
            }
            State::Closed(_) => (
                State::Open {
                    since,
                    pause: FIRST_PAUSE,
                },
                Some(Turn::Opened),
            ),
            State::Probing { pause } => (
                State::Open {
                    since,
                    pause: (pause * 2).min(LONGEST_PAUSE),
                },
                None,
            ),
            // It was admitted before the circuit opened.
            open @ State::Open { .. } => (open, None),
        };
        *state = next;
        turn
    }
}

/// With a clock that was set back a pause is over: better one try too many than none for hours.
fn is_over(since: Timestamp, pause: Duration, now: Timestamp) -> bool {
    now < since || now.since(since) >= pause
}

impl Admission<'_> {
    pub(super) fn succeeded(mut self) -> Option<Turn> {
        self.ended = true;
        self.circuit.succeeded()
    }

    pub(super) fn failed(mut self) -> Option<Turn> {
        self.ended = true;
        self.circuit.failed()
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.circuit.failed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SimulatedClock;

    fn circuit() -> (Circuit, Arc<SimulatedClock>) {
        let clock = Arc::new(SimulatedClock::new(Timestamp::from_secs(1_000)));
        (Circuit::new(clock.clone()), clock)
    }

    fn fail(circuit: &Circuit) -> Option<Turn> {
        circuit.admit().unwrap().failed()
    }

    #[test]
    fn three_failures_in_a_row_open_it() {
        let (circuit, _) = circuit();
        for _ in 0..2 {
            assert_eq!(fail(&circuit), None);
            assert_eq!(fail(&circuit), None);
            assert_eq!(circuit.admit().unwrap().succeeded(), None);
        }
        assert_eq!(fail(&circuit), None);
        // Somebody who stops waiting counts.
        drop(circuit.admit());
        assert!(circuit.is_closed());
        assert_eq!(fail(&circuit), Some(Turn::Opened));
        assert!(!circuit.accepts() && !circuit.is_closed());
        assert!(circuit.admit().is_none());
    }

    #[test]
    fn one_probe_after_each_pause_and_pauses_grow() {
        let (circuit, clock) = circuit();
        let late = circuit.admit().unwrap();
        for _ in 0..3 {
            fail(&circuit);
        }
        late.failed();
        for pause in [1, 2, 4, 8, 15, 15] {
            clock.advance(Duration::from_millis(pause * 1_000 - 1));
            assert!(circuit.admit().is_none(), "{pause}");
            clock.advance(Duration::from_millis(1));
            assert!(circuit.accepts());
            let probe = circuit.admit().unwrap();
            assert!(circuit.admit().is_none() && !circuit.accepts());
            assert_eq!(probe.failed(), None);
        }
        clock.advance(LONGEST_PAUSE);
        let probe = circuit.admit().unwrap();
        assert_eq!(probe.succeeded(), Some(Turn::Closed));
        assert!(circuit.is_closed() && circuit.admit().is_some());
    }

    #[test]
    fn a_clock_set_back_does_not_prolong_it() {
        let (circuit, clock) = circuit();
        for _ in 0..3 {
            fail(&circuit);
        }
        clock.set(Timestamp::from_secs(10));
        assert!(circuit.admit().is_some());
    }
}
