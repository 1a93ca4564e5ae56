//! Bodies that are read as a whole before anything is sent: for the decision, or for their hash.

use std::{
    fs::File,
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    outgoing::{Held, SpooledFile},
    pace::{Pace, TooSlow},
};

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectError {
    /// It is longer.
    #[error("it is longer than {0} bytes")]
    TooLong(u64),
    /// The client broke off.
    #[error("the request's body broke off: {0}")]
    Client(#[source] hyper::Error),
    /// The client sends no more of it, or too little.
    #[error(transparent)]
    Slow(#[from] TooSlow),
    /// Too many others are being kept.
    #[error("{0} other requests' bodies are being kept until their hashes are known")]
    Full(usize),
    /// Too much of others is in memory.
    #[error("the bodies of other requests take all of the {} MiB that there are for them", .0 / (1024 * 1024))]
    NoMemory(u64),
    /// The file that it was to be kept in.
    #[error("it cannot be kept in {}: {error}", directory.display())]
    Spool {
        /// Where the file is.
        directory: PathBuf,
        /// What happened.
        error: io::Error,
    },
}

/// How bodies are kept that are read before they are sent: for the decision, or for their hash.
#[derive(Clone, Debug)]
pub struct SpoolSettings {
    /// Bodies up to this size stay in memory, in bytes.
    pub memory: u64,
    /// How much memory all of them have together, in bytes.
    pub memory_of_all: u64,
    /// The longest body, in bytes.
    pub most: u64,
    /// Where longer ones are kept meanwhile. The files have no names and nobody else can open them.
    pub directory: PathBuf,
    /// How many are kept there at once.
    pub files: usize,
    /// How long one waits until there is room for it.
    pub wait: Duration,
    /// How long nothing of a body may come. One that takes longer than this in all has to come at 256 KiB a
    /// second.
    pub patience: Duration,
}

impl SpoolSettings {
    /// 1 MiB in memory, 256 MiB for all together, 128 MiB in files of `directory`, of which there are 16 at
    /// once; a body waits for 10 s to be one of them, and may pause for a minute.
    #[must_use]
    pub const fn new(directory: PathBuf) -> Self {
        Self {
            memory: 1024 * 1024,
            memory_of_all: 256 * 1024 * 1024,
            most: 128 * 1024 * 1024,
            directory,
            files: 16,
            wait: Duration::from_secs(10),
            patience: Duration::from_mins(1),
        }
    }
}

/// Pieces that become one. A single piece is not copied.
#[derive(Default)]
struct Gathered {
    first: Bytes,
    all: BytesMut,
}

impl Gathered {
    fn length(&self) -> u64 {
        (self.first.len() + self.all.len()) as u64
    }

    fn push(&mut self, data: Bytes) {
        if self.first.is_empty() && self.all.is_empty() {
            self.first = data;
            return;
        }
        if !self.first.is_empty() {
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&data);
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        }
    }
}

/// Bytes that take up room until the last copy of them is gone.
struct Counted {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Counted {
    fn bytes(bytes: Bytes, room: OwnedSemaphorePermit) -> Bytes {
        Bytes::from_owner(Self { bytes, _room: room })
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The unit in which memory is counted, in bytes: a semaphore counts no further than 32 bits.
const UNIT: u64 = 1024;

/// Keeps bodies and hashes them.
#[derive(Debug)]
pub(super) struct Spool {
    settings: SpoolSettings,
    files: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

impl Spool {
    pub(super) fn new(settings: SpoolSettings) -> Self {
        Self {
            files: Arc::new(Semaphore::new(settings.files)),
            memory: Arc::new(Semaphore::new(
                usize::try_from(settings.memory_of_all / UNIT)
                    .unwrap_or(usize::MAX)
                    .min(Semaphore::MAX_PERMITS),
            )),
            settings,
        }
    }

    /// Reads a body into memory, of at most `most` bytes. What is announced to be longer is not read at all.
    pub(super) async fn read(
        &self,
        incoming: &mut Incoming,
        most: u64,
    ) -> Result<Bytes, CollectError> {
        if incoming.size_hint().lower() > most {
            return Err(CollectError::TooLong(most));
        }
        let room = self.room(incoming, most).await?;
        let mut pace = Pace::new(self.settings.patience);
        let mut whole = Gathered::default();
        while let Some(data) = next(&mut pace, incoming).await? {
            if whole.length() + data.len() as u64 > most {
                return Err(CollectError::TooLong(most));
            }
            whole.push(data);
        }
        Ok(Counted::bytes(whole.into_bytes(), room))
    }

    /// Waits for room for as much of a body as stays in memory. All of it at once: who waited with half of a
    /// body in memory would wait for others who do.
    async fn room(
        &self,
        incoming: &Incoming,
        most: u64,
    ) -> Result<OwnedSemaphorePermit, CollectError> {
        let announced = incoming.size_hint().upper().unwrap_or(most).min(most);
        let units = u32::try_from(announced.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.memory).acquire_many_owned(units);
        match timeout(self.settings.wait, room).await {
            Ok(Ok(room)) => Ok(room),
            // The semaphore is never closed.
            _ => Err(CollectError::NoMemory(self.settings.memory_of_all)),
        }
    }

    /// Reads a body to its end, and gives it with its SHA-256.
    pub(super) async fn keep(
        &self,
        incoming: &mut Incoming,
    ) -> Result<(Held, [u8; 32]), CollectError> {
        let most = self.settings.most;
        if incoming.size_hint().lower() > most {
            return Err(CollectError::TooLong(most));
        }
        let room = self.room(incoming, self.settings.memory).await?;
        let mut pace = Pace::new(self.settings.patience);
        let mut hash = Context::new(&SHA256);
        let mut whole = Gathered::default();
        while let Some(data) = next(&mut pace, incoming).await? {
            hash.update(&data);
            let length = whole.length() + data.len() as u64;
            whole.push(data);
            if length > self.settings.memory {
                let beginning = whole.into_bytes();
                return self.spool(incoming, pace, hash, beginning).await;
            }
        }
        let whole = Counted::bytes(whole.into_bytes(), room);
        Ok((Held::Memory(whole), finish(hash)))
    }

    async fn spool(
        &self,
        incoming: &mut Incoming,
        mut speed: Pace,
        mut hash: Context,
        beginning: Bytes,
    ) -> Result<(Held, [u8; 32]), CollectError> {
        let place = timeout(self.settings.wait, Arc::clone(&self.files).acquire_owned());
        // The semaphore is never closed.
        let Ok(Ok(place)) = place.await else {
            return Err(CollectError::Full(self.settings.files));
        };
        let directory = self.settings.directory.clone();
        let mut file = self
            .blocking(move || tempfile::tempfile_in(directory))
            .await?;
        let mut length = 0;
        let mut pending = Gathered::default();
        pending.push(beginning);
        loop {
            let next = next(&mut speed, incoming).await?;
            let ended = next.is_none();
            if let Some(data) = next {
                hash.update(&data);
                if length + pending.length() + data.len() as u64 > self.settings.most {
                    return Err(CollectError::TooLong(self.settings.most));
                }
                pending.push(data);
            }
            if ended || pending.length() >= self.settings.memory {
                let bytes = std::mem::take(&mut pending).into_bytes();
                length += bytes.len() as u64;
                file = self
                    .blocking(move || {
                        file.write_all(&bytes)?;
                        Ok(file)
                    })
                    .await?;
            }
            if ended {
                let spooled = SpooledFile {
                    file,
                    length,
                    _place: place,
                };
                return Ok((Held::Spooled(Arc::new(spooled)), finish(hash)));
            }
        }
    }

    async fn blocking(
        &self,
        work: impl FnOnce() -> io::Result<File> + Send + 'static,
    ) -> Result<File, CollectError> {
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| CollectError::Spool {
                directory: self.settings.directory.clone(),
                error,
            })
    }
}

async fn next(pace: &mut Pace, incoming: &mut Incoming) -> Result<Option<Bytes>, CollectError> {
    let data = pace.next(incoming).await?;
    data.transpose().map_err(CollectError::Client)
}

fn finish(context: Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
