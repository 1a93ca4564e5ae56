//! A bounded pool of threads for verifications and signatures, so that they neither stall the
//! threads that serve JWKS and health nor pile up without limit.

use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use crossbeam_channel::{Sender, TrySendError, bounded};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The queue is full, or the pool is shutting down; nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests wait for a signature already")]
pub struct Overloaded;

/// The pool. Its threads end when it is dropped and the queue is empty.
pub struct Pool {
    queue: Sender<Job>,
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
        for number in 0..threads.get() {
            let receiver = receiver.clone();
            thread::Builder::new()
                .name(format!("sign-{number}"))
                .spawn(move || {
                    for job in receiver {
                        // A job that panics has dropped its answer, which its caller sees; the
                        // thread is needed for the next one.
                        drop(catch_unwind(AssertUnwindSafe(job)));
                    }
                })?;
        }
        Ok(Self { queue: sender })
    }

    /// How many jobs wait for a thread.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Runs `work` on one of the threads.
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
            if !answer.is_closed() {
                drop(answer.send(work()));
            }
        });
        match self.queue.try_send(job) {
            Ok(()) => answered.await.map_err(|_| Overloaded),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Overloaded),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

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
        tokio::task::spawn_blocking(move || gate.wait())
            .await
            .unwrap();
        assert_eq!(busy.await.unwrap(), Ok(()));
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }
}
