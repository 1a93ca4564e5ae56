//! The body of a request on its way to AWS.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::{sync::OwnedSemaphorePermit, task::JoinHandle};

use super::BodyError;
use crate::sigv4::{ChunkError, Reframer};

/// How much of a spooled body is read at a time.
const PIECE: usize = 256 * 1024;

/// How far a body has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    bytes: AtomicU64,
    done: AtomicBool,
}

impl Progress {
    /// How many bytes have gone on.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether all have.
    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    fn finish(&self) {
        self.done.store(true, Ordering::Release);
    }
}

/// A body that is here as a whole and can be sent again.
#[derive(Clone, Debug)]
pub(super) enum Held {
    /// In memory.
    Memory(Bytes),
    /// In a file that has no name any more.
    Spooled(Arc<SpooledFile>),
}

/// A body in a file.
#[derive(Debug)]
pub(super) struct SpooledFile {
    /// The file.
    pub(super) file: File,
    /// The body's length.
    pub(super) length: u64,
    /// One of the places that there are for such files.
    pub(super) _place: OwnedSemaphorePermit,
}

impl Held {
    /// How long it is.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Spooled(spooled) => spooled.length,
        }
    }
}

/// The body of a request on its way to AWS.
pub(super) struct Outgoing(Kind);

enum Kind {
    /// Nothing, or the last of it.
    Whole(Option<Bytes>),
    Spooled(Spooled),
    Stream {
        incoming: Incoming,
        progress: Arc<Progress>,
    },
    Reframed(Box<Reframed>),
}

struct Spooled {
    file: Arc<SpooledFile>,
    at: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    progress: Arc<Progress>,
}

struct Reframed {
    incoming: Incoming,
    /// Frames that came and were not taken apart yet.
    input: Bytes,
    /// The last piece of what goes on. It waits for the one behind it: AWS may not have all of a body whose
    /// own end has not come and been found right.
    held: Bytes,
    /// `None` once the end was written.
    reframer: Option<Reframer>,
    length: Option<u64>,
    progress: Arc<Progress>,
}

impl Outgoing {
    /// A body that is here already. It can be made again.
    pub(super) fn held(body: &Held) -> Self {
        Self(match body {
            Held::Memory(bytes) => {
                Kind::Whole(Some(bytes.clone()).filter(|bytes| !bytes.is_empty()))
            }
            Held::Spooled(file) => Kind::Spooled(Spooled {
                file: Arc::clone(file),
                at: 0,
                reading: None,
                progress: Arc::default(),
            }),
        })
    }

    /// A body that goes on as it comes.
    pub(super) fn stream(incoming: Incoming) -> Self {
        Self(Kind::Stream {
            incoming,
            progress: Arc::default(),
        })
    }

    /// A body in chunks that are taken apart. `length` is that of what goes on.
    pub(super) fn reframed(incoming: Incoming, reframer: Reframer, length: Option<u64>) -> Self {
        Self(Kind::Reframed(Box::new(Reframed {
            incoming,
            input: Bytes::new(),
            held: Bytes::new(),
            reframer: Some(reframer),
            length,
            progress: Arc::default(),
        })))
    }

    /// How far it has come; `None` for one that is sent in one piece.
    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        match &self.0 {
            Kind::Whole(_) => None,
            Kind::Spooled(Spooled { progress, .. }) | Kind::Stream { progress, .. } => {
                Some(Arc::clone(progress))
            }
            Kind::Reframed(reframed) => Some(Arc::clone(&reframed.progress)),
        }
    }
}

type Next = Option<Result<Frame<Bytes>, BodyError>>;

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Next> {
        match &mut self.0 {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Spooled(spooled) => spooled.poll_frame(context),
            Kind::Stream { incoming, progress } => {
                let frame = ready!(Pin::new(&mut *incoming).poll_frame(context));
                match &frame {
                    Some(Ok(frame)) => {
                        note(progress, frame.data_ref());
                        if incoming.is_end_stream() {
                            progress.finish();
                        }
                    }
                    Some(Err(_)) => {}
                    None => progress.finish(),
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Kind::Reframed(reframed) => reframed.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Spooled(spooled) => spooled.at == spooled.file.length,
            Kind::Stream { incoming, .. } => incoming.is_end_stream(),
            Kind::Reframed(reframed) => reframed.reframer.is_none() && reframed.held.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Kind::Spooled(spooled) => SizeHint::with_exact(spooled.file.length - spooled.at),
            Kind::Stream { incoming, .. } => incoming.size_hint(),
            Kind::Reframed(reframed) => reframed
                .length
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

fn note(progress: &Progress, data: Option<&Bytes>) {
    if let Some(data) = data {
        progress
            .bytes
            .fetch_add(data.len() as u64, Ordering::Relaxed);
    }
}

impl Spooled {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        if self.at == self.file.length {
            self.progress.finish();
            return Poll::Ready(None);
        }
        let reading = self.reading.get_or_insert_with(|| {
            let (file, at) = (Arc::clone(&self.file), self.at);
            let left = usize::try_from(self.file.length - at).unwrap_or(PIECE);
            tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; left.min(PIECE)];
                file.file.read_exact_at(&mut piece, at)?;
                Ok(Bytes::from(piece))
            })
        });
        let read = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        Poll::Ready(Some(match read {
            Ok(Ok(piece)) => {
                self.at += piece.len() as u64;
                note(&self.progress, Some(&piece));
                if self.at == self.file.length {
                    self.progress.finish();
                }
                Ok(Frame::data(piece))
            }
            Ok(Err(error)) => Err(error.into()),
            Err(error) => Err(error.into()),
        }))
    }
}

impl Reframed {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        loop {
            let Some(reframer) = &mut self.reframer else {
                let last = std::mem::take(&mut self.held);
                return Poll::Ready((!last.is_empty()).then(|| Ok(Frame::data(last))));
            };
            match reframer.next(&mut self.input) {
                Ok(Some(piece)) => {
                    if let Some(frame) = self.pass(piece) {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            match ready!(Pin::new(&mut self.incoming).poll_frame(context)) {
                // What HTTP itself has behind the body is not part of the chunks.
                Some(Ok(frame)) => self.input = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => match self.finish() {
                    Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Some(Err(error.into()))),
                },
            }
        }
    }

    /// Holds a piece, and gives the one that was held before.
    fn pass(&mut self, piece: Bytes) -> Option<Frame<Bytes>> {
        note(&self.progress, Some(&piece));
        let before = std::mem::replace(&mut self.held, piece);
        (!before.is_empty()).then(|| Frame::data(before))
    }

    fn finish(&mut self) -> Result<Option<Frame<Bytes>>, ChunkError> {
        let end = self
            .reframer
            .take()
            .map_or(Ok(Bytes::new()), Reframer::finish)?;
        self.progress.finish();
        Ok(if end.is_empty() { None } else { self.pass(end) })
    }
}
