//! A bounded pool of threads for verifications and signatures, so that they neither stall the
//! threads that serve JWKS and health nor pile up without limit.

use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
#[cfg(target_os = "linux")]
use rustix::process::{getpriority_process, setpriority_process};
use tokio::sync::oneshot;

use crate::ports::Patience;

/// Work; and what hands over its result, if anybody still wants it.
type Job = Box<dyn FnOnce() -> Option<Delivery> + Send>;
type Delivery = Box<dyn FnOnce() + Send>;

/// How many results a thread keeps at most, and for how long, while there is more work: whoever waits
/// for one has to be woken, which stops a thread that works for as long as it takes, unless others are
/// woken with them.
const KEPT: (usize, Duration) = (8, Duration::from_millis(6));

/// How much nicer than others the threads are. With this one a thread gets a quarter of a core that somebody
/// else could use alone.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;
#[cfg(target_os = "linux")]
const NICEST: i32 = 19;

/// How many visitors there may be for brief work to be done at once. Each can hold up a thread that
/// serves JWKS and health for some 0.1 ms, so together they do so for no longer than 10 ms.
const FEW: usize = 96;

/// From how many visitors on each of them may be kept waiting for others, to do something together.
const SEVERAL: usize = 8;

/// How many do it together at most: what they do next comes at once, and holds up others.
const TOGETHER: usize = 48;

/// How long visitors are kept waiting at least and at most.
const WAIT: (Duration, Duration) = (Duration::from_millis(3), Duration::from_millis(10));

/// The queue is full, or the pool is shutting down; nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests wait for a signature already")]
pub struct Overloaded;

/// The pool. Its threads end when it is dropped and the queue is empty.
pub struct Pool {
    queue: Sender<Job>,
    threads: u32,
    /// How long jobs took lately, in microseconds.
    pace: Arc<AtomicU32>,
    visitors: AtomicUsize,
}

/// Somebody who has brief work to do, and counts among the visitors until this is dropped.
#[derive(Debug)]
pub(super) struct Visit<'a>(&'a AtomicUsize);

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("waiting", &self.queue.len())
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool of `threads` threads for which at most `queue` jobs wait.
    ///
    /// # Errors
    /// The operating system gives no threads.
    pub fn new(threads: NonZeroUsize, queue: usize) -> std::io::Result<Self> {
        let (sender, receiver) = bounded::<Job>(queue);
        let count = u32::try_from(threads.get()).unwrap_or(u32::MAX);
        let pace = Arc::new(AtomicU32::new(0));
        for number in 0..threads.get() {
            let (receiver, pace) = (receiver.clone(), pace.clone());
            thread::Builder::new()
                .name(format!("sign-{number}"))
                .spawn(move || {
                    stand_back();
                    work(&receiver, &pace);
                })?;
        }
        Ok(Self {
            queue: sender,
            threads: count,
            pace,
            visitors: AtomicUsize::new(0),
        })
    }

    /// Counts the caller among the visitors.
    pub(super) fn visit(&self) -> Visit<'_> {
        self.visitors.fetch_add(1, Ordering::Relaxed);
        Visit(&self.visitors)
    }

    /// How long a visitor may be kept waiting for others: until half of all that are here can
    /// do it together, but not for longer than 3 ms, or than half of what jobs have to wait for a
    /// thread anyway. Who is alone, or nearly so, does not wait.
    pub(super) fn patience(&self) -> Patience {
        let visitors = self.visitors.load(Ordering::Relaxed);
        if visitors < SEVERAL {
            return Patience::default();
        }
        let waiting = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        let pace = Duration::from_micros(self.pace.load(Ordering::Relaxed).into());
        let backlog = pace.saturating_mul(waiting) / self.threads;
        Patience {
            time: (backlog / 2).clamp(WAIT.0, WAIT.1),
            company: (visitors / 2).min(TOGETHER),
        }
    }

    /// Runs work of some 0.1 ms (an ES256 signature or verification). To hand it to another thread
    /// costs half as much again, so while there are few visitors it is done here and now; the
    /// threads serve a crowd, which must not hold up whoever asks for something else.
    ///
    /// # Errors
    /// [`Overloaded`] at once where the queue is full, wherever the work would have been done: what
    /// comes after it is likely to need a thread.
    pub(super) async fn run_brief<T, F>(&self, work: F) -> Result<T, Overloaded>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        if self.visitors.load(Ordering::Relaxed) > FEW {
            return self.run(work).await;
        }
        if self.queue.is_full() {
            return Err(Overloaded);
        }
        Ok(work())
    }

    /// How many jobs wait for a thread.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Runs `work` on one of the threads. While more waits for them, its result may be kept for as
    /// long as a few jobs take, so this is not for work that takes much longer than a signature.
    ///
    /// # Errors
    /// [`Overloaded`] at once where the queue is full.
    pub async fn run<T, F>(&self, work: F) -> Result<T, Overloaded>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || {
            // A caller that has gone away does not want the work any more.
            if answer.is_closed() {
                return None;
            }
            let result = work();
            Some(Box::new(move || drop(answer.send(result))))
        });
        match self.queue.try_send(job) {
            Ok(()) => answered.await.map_err(|_| Overloaded),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Overloaded),
        }
    }
}

/// Has the thread let others go first: who serves JWKS and health, or says that there is no room, is
/// done in a fraction of the time that a signature takes.
fn stand_back() {
    // Elsewhere the whole process would.
    #[cfg(target_os = "linux")]
    if let Err(error) = getpriority_process(None)
        .and_then(|nice| setpriority_process(None, (nice + NICE).min(NICEST)))
    {
        tracing::debug!(%error, "a signing thread keeps its priority");
    }
}

/// What a thread of the pool does.
fn work(queue: &Receiver<Job>, pace: &AtomicU32) {
    let mut kept = Vec::with_capacity(KEPT.0);
    let deliver = |kept: &mut Vec<(Instant, Delivery)>| {
        for (_, delivery) in kept.drain(..) {
            delivery();
        }
    };
    loop {
        let job = queue.try_recv().or_else(|_| {
            deliver(&mut kept);
            queue.recv()
        });
        let Ok(job) = job else { return };
        let start = Instant::now();
        // A job that panics has dropped its answer, which its caller sees; the thread is needed for
        // the next one.
        let delivery = catch_unwind(AssertUnwindSafe(job)).ok().flatten();
        let end = Instant::now();
        let took = end - start;
        follow(pace, took);
        kept.extend(delivery.map(|delivery| (end, delivery)));
        // The next job is taken to be like this one.
        let is_overdue = |(since, _): &(Instant, Delivery)| end - *since + took > KEPT.1;
        if kept.len() == KEPT.0 || kept.first().is_some_and(is_overdue) {
            deliver(&mut kept);
        }
    }
}

/// Moves the pace towards what the last job took. That threads overwrite each other's steps does not
/// matter.
fn follow(pace: &AtomicU32, took: Duration) {
    let (old, took) = (
        u64::from(pace.load(Ordering::Relaxed)),
        u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    );
    let new = old.saturating_mul(7).saturating_add(took) / 8;
    pace.store(u32::try_from(new).unwrap_or(u32::MAX), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn pool(queue: usize) -> Pool {
        Pool::new(NonZeroUsize::MIN, queue).unwrap()
    }

    #[tokio::test]
    async fn runs_work_and_survives_a_panic() {
        let pool = pool(4);
        assert_eq!(pool.run(|| 1 + 1).await, Ok(2));
        assert_eq!(
            pool.run(|| panic!("on purpose")).await,
            Err::<(), _>(Overloaded)
        );
        assert_eq!(pool.run(|| 3).await, Ok(3));
    }

    #[tokio::test]
    async fn every_result_is_handed_over_though_some_are_kept_for_a_while() {
        let pool = pool(32);
        let jobs = (0..3 * KEPT.0).map(|number| {
            pool.run(move || {
                assert_ne!(number, KEPT.0 + 1, "on purpose");
                number
            })
        });
        let results = futures_util::future::join_all(jobs).await;
        for (number, result) in results.into_iter().enumerate() {
            let expected = if number == KEPT.0 + 1 {
                Err(Overloaded)
            } else {
                Ok(number)
            };
            assert_eq!(result, expected);
        }
    }

    #[tokio::test]
    async fn brief_work_stays_here_until_there_is_a_crowd() {
        let pool = pool(4);
        let here = || thread::current().id();
        assert_eq!(pool.run_brief(here).await, Ok(here()));
        let crowd: Vec<_> = (0..=FEW).map(|_| pool.visit()).collect();
        assert_ne!(pool.run_brief(here).await, Ok(here()));
        drop(crowd);
        assert_eq!(pool.run_brief(here).await, Ok(here()));
    }

    #[test]
    fn a_crowd_has_patience() {
        let pool = pool(4);
        let mut visits: Vec<_> = (1..SEVERAL).map(|_| pool.visit()).collect();
        assert_eq!(pool.patience(), Patience::default());
        visits.push(pool.visit());
        let patience = pool.patience();
        assert_eq!((patience.time, patience.company), (WAIT.0, SEVERAL / 2));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn refuses_at_once_when_full() {
        let pool = Arc::new(pool(1));
        let (started, gate) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let busy = tokio::spawn({
            let (pool, started, gate) = (pool.clone(), started.clone(), gate.clone());
            async move {
                pool.run(move || {
                    started.wait();
                    gate.wait();
                })
                .await
            }
        });
        tokio::task::spawn_blocking(move || started.wait())
            .await
            .unwrap();
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(|| ()).await }
        });
        while pool.queue.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| ()).await, Err(Overloaded));
        assert_eq!(pool.run_brief(|| ()).await, Err(Overloaded));
        tokio::task::spawn_blocking(move || gate.wait())
            .await
            .unwrap();
        assert_eq!(busy.await.unwrap(), Ok(()));
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }
}
