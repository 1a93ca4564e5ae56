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
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::{sync::Semaphore, time::timeout};

use super::outgoing::{Held, SpooledFile};

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectError {
    /// It is longer.
    #[error("it is longer than {0} bytes")]
    TooLong(u64),
    /// The client broke off.
    #[error("the request's body broke off: {0}")]
    Client(#[source] hyper::Error),
    /// The client sends no more of it.
    #[error("no more of the request's body came for {} seconds", .0.as_secs())]
    Stalled(Duration),
    /// Too many others are being kept.
    #[error("{0} other requests' bodies are being kept until their hashes are known")]
    Full(usize),
    /// The file that it was to be kept in.
    #[error("it cannot be kept in {}: {error}", directory.display())]
    Spool {
        /// Where the file is.
        directory: PathBuf,
        /// What happened.
        error: io::Error,
    },
}

/// How bodies are kept whose hash is needed before they are sent.
#[derive(Clone, Debug)]
pub struct SpoolSettings {
    /// Bodies up to this size stay in memory, in bytes.
    pub memory: u64,
    /// The longest body, in bytes.
    pub most: u64,
    /// Where longer ones are kept meanwhile. The files have no names and nobody else can open them.
    pub directory: PathBuf,
    /// How many are kept there at once.
    pub files: usize,
    /// How long one waits until there is room for it.
    pub wait: Duration,
}

impl SpoolSettings {
    /// 1 MiB in memory, 128 MiB in files of `directory`, of which there are 16 at once; a body waits for
    /// 10 s to be one of them.
    #[must_use]
    pub const fn new(directory: PathBuf) -> Self {
        Self {
            memory: 1024 * 1024,
            most: 128 * 1024 * 1024,
            directory,
            files: 16,
            wait: Duration::from_secs(10),
        }
    }
}

/// Reads a body into memory, of at most `most` bytes. What is announced to be longer is not read at all.
pub(super) async fn read(incoming: &mut Incoming, most: u64) -> Result<Bytes, CollectError> {
    if incoming.size_hint().lower() > most {
        return Err(CollectError::TooLong(most));
    }
    let mut whole = Gathered::default();
    while let Some(data) = next(incoming).await? {
        if whole.length() + data.len() as u64 > most {
            return Err(CollectError::TooLong(most));
        }
        whole.push(data);
    }
    Ok(whole.into_bytes())
}

/// How long nothing of a body may come.
const STALL: Duration = Duration::from_secs(60);

async fn next(incoming: &mut Incoming) -> Result<Option<Bytes>, CollectError> {
    while let Some(frame) = timeout(STALL, incoming.frame())
        .await
        .map_err(|_| CollectError::Stalled(STALL))?
    {
        // A trailer is no part of what is hashed.
        if let Ok(data) = frame.map_err(CollectError::Client)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
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

/// Keeps bodies and hashes them.
#[derive(Debug)]
pub(super) struct Spool {
    settings: SpoolSettings,
    files: Arc<Semaphore>,
}

impl Spool {
    pub(super) fn new(settings: SpoolSettings) -> Self {
        Self {
            files: Arc::new(Semaphore::new(settings.files)),
            settings,
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
        let mut hash = Context::new(&SHA256);
        let mut whole = Gathered::default();
        while let Some(data) = next(incoming).await? {
            hash.update(&data);
            let length = whole.length() + data.len() as u64;
            whole.push(data);
            if length > self.settings.memory {
                return self.spool(incoming, hash, whole.into_bytes()).await;
            }
        }
        Ok((Held::Memory(whole.into_bytes()), finish(hash)))
    }

    async fn spool(
        &self,
        incoming: &mut Incoming,
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
            let next = next(incoming).await?;
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

fn finish(context: Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
