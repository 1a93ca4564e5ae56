//! The thread that brings records to the disk.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{MOST_WAITING, chain::Link, file::LogFile};
use crate::ports::{LogError, RequestRecord};

/// How long a record that nobody waits for stays in memory.
const LINGER: Duration = Duration::from_millis(20);
/// How many bytes of them at most.
const BATCH: usize = 64 * 1024;
/// How long there is nothing to write until what was written is brought to the disk.
const IDLE: Duration = Duration::from_millis(100);
/// How many batches are written until then at most: with [`LINGER`] and [`IDLE`] between them, no record is
/// without the disk for longer than two seconds.
const UNSYNCED: u32 = 16;
/// How long the writer leaves a disk alone that failed, unless somebody waits.
const PAUSE: Duration = Duration::from_secs(1);

/// Records on their way to the disk.
pub(super) struct State {
    /// Lines that are not written.
    pub(super) buffer: Vec<u8>,
    /// Who waits for them.
    pub(super) waiting: Vec<oneshot::Sender<Result<(), LogError>>>,
    /// Records that found no room since the last one that did.
    pub(super) lost: u64,
    /// Whether the log is to end.
    pub(super) stop: bool,
    /// Why the last try to write failed.
    failed: Option<LogError>,
    /// The last line in the buffer, or before it.
    link: Link,
}

impl State {
    pub(super) fn after(link: Link) -> Self {
        Self {
            buffer: Vec::with_capacity(BATCH),
            waiting: Vec::new(),
            lost: 0,
            stop: false,
            failed: None,
            link,
        }
    }

    pub(super) fn append(&mut self, record: &RequestRecord) -> Result<(), LogError> {
        self.link = self.link.append(&mut self.buffer, record)?;
        Ok(())
    }

    /// Whether another record may wait.
    pub(super) fn check_room(&self) -> Result<(), LogError> {
        if self.buffer.len() < MOST_WAITING {
            return Ok(());
        }
        Err(self
            .failed
            .clone()
            .unwrap_or_else(|| LogError("the disk does not keep up".to_owned())))
    }
}

/// What the log and its writer share.
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    wake: Condvar,
}

impl Shared {
    pub(super) const fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            wake: Condvar::new(),
        }
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Writes until the log is dropped.
    pub(super) fn write(&self, mut file: LogFile) {
        let mut spare = Vec::with_capacity(BATCH);
        let mut unsynced = 0;
        while let Some(waiting) = self.take(&mut spare, unsynced > 0) {
            let sync = !waiting.is_empty() || spare.is_empty() || unsynced == UNSYNCED;
            unsynced = if sync { 0 } else { unsynced + 1 };
            let outcome = file.write(&spare, sync);
            self.note(&mut spare, outcome.as_ref().err());
            for tell in waiting {
                // Who does not wait any more needs no answer.
                drop(tell.send(outcome.clone()));
            }
        }
        if let Err(error) = file.sync() {
            tracing::error!(%error, "the end of the request log may be lost");
        }
    }

    /// Waits for something to write and moves it into `batch`, which is empty. It stays so where nothing comes
    /// and there is something to sync. `None` at the end.
    fn take(
        &self,
        batch: &mut Vec<u8>,
        unsynced: bool,
    ) -> Option<Vec<oneshot::Sender<Result<(), LogError>>>> {
        let mut state = self.lock();
        let mut lingered = false;
        loop {
            if !state.waiting.is_empty() || state.buffer.len() >= BATCH || lingered || state.stop {
                if state.stop && (state.buffer.is_empty() || state.failed.is_some()) {
                    return None;
                }
                if !state.buffer.is_empty() || (lingered && unsynced) {
                    break;
                }
            }
            let idle = state.buffer.is_empty();
            let pause = match (&state.failed, idle) {
                (_, true) => unsynced.then_some(IDLE),
                (Some(_), false) => Some(PAUSE),
                (None, false) => Some(LINGER),
            };
            state = match pause {
                None => self
                    .wake
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(pause) => {
                    let (state, waited) = self
                        .wake
                        .wait_timeout_while(state, pause, |state| {
                            state.waiting.is_empty()
                                && !state.stop
                                && state.buffer.is_empty() == idle
                        })
                        .unwrap_or_else(PoisonError::into_inner);
                    lingered = waited.timed_out();
                    state
                }
            };
        }
        std::mem::swap(&mut state.buffer, batch);
        Some(std::mem::take(&mut state.waiting))
    }

    /// Notes how a batch fared. One that was not written is the first of the next.
    fn note(&self, batch: &mut Vec<u8>, error: Option<&LogError>) {
        let mut state = self.lock();
        if let Some(error) = error {
            if state.failed.is_none() {
                tracing::error!(%error, "requests that change anything are refused until it can be");
            }
            batch.append(&mut state.buffer);
            std::mem::swap(&mut state.buffer, batch);
            state.failed = Some(error.clone());
        } else if state.failed.take().is_some() {
            let lost = std::mem::take(&mut state.lost);
            tracing::warn!(lost, "the request log is written again");
        }
        batch.clear();
    }
}
