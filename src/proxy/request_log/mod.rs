//! The request log: a file of JSON lines, chained by hashes, on the disk before a change is sent.
//!
//! - [`RequestLogFile`] is the log as the engine has it. Records are written into memory in the order
//!   of the chain.
//! - `writer` is the one thread that brings them to the disk: what waits is written together, and
//!   synced where somebody waits for it.
//! - `file` is the file itself: what is in it at start, its end, its rotation.
//! - `chain` is what a line looks like and how it hangs on the one before it.
//! - `verify` checks a log that was written, in all the files of its `series`.

mod chain;
mod file;
mod series;
mod verify;
mod writer;

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError},
    thread::JoinHandle,
};

use async_trait::async_trait;
use tokio::sync::oneshot;

use self::{
    file::LogFile,
    writer::{Shared, State},
};
use crate::ports::{LogError, RequestLog, RequestRecord};

pub use file::OpenError;
pub use series::{log_name, request_logs_in};
pub use verify::{LogFinding, LogFindingKind, VerifiedFile, VerifiedLog, verify_request_log};

/// Where and how large the log is.
#[derive(Clone, Debug)]
pub struct RequestLogSettings {
    /// The file. Older ones stand beside it as `NAME.1`, `NAME.2` and so on, the newest first.
    pub path: PathBuf,
    /// The size in bytes from which on a new file is begun.
    pub rotate_at: u64,
    /// How many older files are kept.
    pub keep: u32,
}

impl RequestLogSettings {
    /// A log at `path` in files of 64 MiB, of which ten older ones are kept.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self {
            path,
            rotate_at: 64 * 1024 * 1024,
            keep: 10,
        }
    }
}

/// How many bytes of records may wait for the disk. A disk that does not take them for so long is down.
const MOST_WAITING: usize = 4 * 1024 * 1024;

/// The request log in a file, readable by its owner alone.
///
/// When it is dropped, what was recorded is written.
pub struct RequestLogFile {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl RequestLogFile {
    /// Opens the log, and begins it where there is none. Half a line at its end, which a crash left
    /// behind, is cut off: nobody was told that it was written.
    ///
    /// # Errors
    /// [`OpenError`]: the file cannot be used, or another proxy writes it.
    pub fn open(settings: RequestLogSettings) -> Result<Self, OpenError> {
        let (file, link) = LogFile::open(settings)?;
        let shared = Arc::new(Shared::new(State::after(link)));
        let writer = std::thread::Builder::new()
            .name("request-log".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.write(file)
            })
            .map_err(OpenError::Thread)?;
        Ok(Self {
            shared,
            writer: Some(writer),
        })
    }
}

#[async_trait]
impl RequestLog for RequestLogFile {
    async fn durable(&self, record: &RequestRecord) -> Result<(), LogError> {
        let written = {
            let mut state = self.shared.lock();
            state.check_room()?;
            state.append(record)?;
            let (tell, written) = oneshot::channel();
            state.waiting.push(tell);
            written
        };
        self.shared.wake();
        written
            .await
            .unwrap_or_else(|_| Err(LogError("its writer has ended".to_owned())))
    }

    fn later(&self, record: &RequestRecord) {
        let mut state = self.shared.lock();
        let was_empty = state.buffer.is_empty();
        if state
            .check_room()
            .and_then(|()| state.append(record))
            .is_err()
        {
            state.lost += 1;
            return;
        }
        drop(state);
        if was_empty {
            self.shared.wake();
        }
    }

    fn room(&self) -> Result<(), LogError> {
        self.shared.lock().check_room()
    }
}

impl Drop for RequestLogFile {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wake();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so.
            drop(writer.join());
        }
    }
}

impl std::fmt::Debug for RequestLogFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestLogFile").finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod verify_test;
