//! Questions that wait together are answered together.

use std::{future::Future, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use crate::ports::{Patience, StoreError};

/// The most questions that are answered at once. Past a few dozen, what they share (a commit, hops
/// between threads) is as good as free, and the first of them waits for the last.
pub(super) const BATCH: usize = 256;

/// How many questions may wait; whoever comes later waits for a place.
const WAITING: usize = 4 * BATCH;

/// Answers whole batches.
pub(super) trait Answer: Send + 'static {
    /// What is asked.
    type Question: Send + 'static;
    /// What is answered.
    type Answer: Send + 'static;

    /// What `question` may wait for before it is answered: nothing, unless it says otherwise.
    fn patience(_: &Self::Question) -> Patience {
        Patience::default()
    }

    /// Answers every question, in their order; or none, and why.
    fn answer(
        &mut self,
        questions: Vec<Self::Question>,
    ) -> impl Future<Output = Result<Vec<Self::Answer>, StoreError>> + Send;

    /// After the last question.
    fn close(self) -> impl Future<Output = ()> + Send;
}

enum Message<Q, A> {
    Question(Q, oneshot::Sender<Result<A, StoreError>>),
    Close(oneshot::Sender<()>),
}

/// A bounded queue in front of a task that answers everything that waits at once. Under load a batch
/// gathers while the one before it is answered, and for as long as all that are in it have patience;
/// an idle queue answers a question without any at once.
pub(super) struct BatchQueue<Q, A>(mpsc::Sender<Message<Q, A>>);

impl<Q: Send + 'static, A: Send + 'static> BatchQueue<Q, A> {
    /// Starts the task.
    pub(super) fn start(answerer: impl Answer<Question = Q, Answer = A>) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(run(receiver, answerer));
        Self(sender)
    }

    /// The answer to `question`. Whoever stops waiting for it changes nothing: it is answered
    /// together with the others, and the answer dropped.
    pub(super) async fn ask(&self, question: Q) -> Result<A, StoreError> {
        let (sender, receiver) = oneshot::channel();
        self.0
            .send(Message::Question(question, sender))
            .await
            .map_err(|_| closed())?;
        receiver.await.map_err(|_| closed())?
    }

    /// How many questions wait.
    pub(super) fn waiting(&self) -> usize {
        self.0.max_capacity() - self.0.capacity()
    }

    /// Answers what waits and ends the task. Questions from now on find the store closed.
    pub(super) async fn close(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.0.send(Message::Close(sender)).await.is_ok() {
            // An error means that the task has ended, which is what is wanted.
            let _ = receiver.await;
        }
    }
}

async fn run<T: Answer>(
    mut receiver: mpsc::Receiver<Message<T::Question, T::Answer>>,
    mut answerer: T,
) {
    let mut messages = Vec::with_capacity(BATCH);
    let mut closers = Vec::new();
    while receiver.recv_many(&mut messages, BATCH).await > 0 {
        gather::<T>(&mut receiver, &mut messages).await;
        let mut questions = Vec::with_capacity(messages.len());
        let mut waiters = Vec::with_capacity(messages.len());
        for message in messages.drain(..) {
            match message {
                Message::Question(question, waiter) => {
                    questions.push(question);
                    waiters.push(waiter);
                }
                Message::Close(closer) => {
                    receiver.close();
                    closers.push(closer);
                }
            }
        }
        if questions.is_empty() {
            continue;
        }
        // A waiter that is gone does not take its answer.
        match answerer.answer(questions).await {
            Ok(answers) => {
                for (waiter, answer) in waiters.into_iter().zip(answers) {
                    let _ = waiter.send(Ok(answer));
                }
            }
            Err(error) => {
                for waiter in waiters {
                    let _ = waiter.send(Err(again(&error)));
                }
            }
        }
    }
    answerer.close().await;
    for closer in closers {
        let _ = closer.send(());
    }
}

/// Waits for more questions for as long as all that are there have patience.
async fn gather<T: Answer>(
    receiver: &mut mpsc::Receiver<Message<T::Question, T::Answer>>,
    messages: &mut Vec<Message<T::Question, T::Answer>>,
) {
    let start = Instant::now();
    let mut known = 0;
    let mut least = Patience {
        time: Duration::MAX,
        company: BATCH,
    };
    loop {
        for message in &messages[known..] {
            let patience = match message {
                Message::Question(question, _) => T::patience(question),
                Message::Close(_) => Patience::default(),
            };
            least.time = least.time.min(patience.time);
            least.company = least.company.min(patience.company);
        }
        known = messages.len();
        if known >= least.company {
            return;
        }
        let more = receiver.recv_many(messages, BATCH - known);
        if !matches!(timeout_at(start + least.time, more).await, Ok(1..)) {
            return;
        }
    }
}

/// The same error for one more waiter.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(reason) => StoreError::Unavailable(reason.clone()),
        StoreError::Corrupt(reason) => StoreError::Corrupt(reason.clone()),
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store was closed".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::{task::JoinHandle, time::sleep};

    use super::*;

    /// Numbers from this one on have time.
    const PATIENT: u32 = 1_000_000;

    type Sizes = Arc<Mutex<Vec<usize>>>;

    /// Doubles; fails a batch that holds a zero; notes how large the batches were.
    struct Doubler(Sizes);

    impl Answer for Doubler {
        type Question = u32;
        type Answer = u32;

        fn patience(question: &u32) -> Patience {
            let patient = Patience {
                time: Duration::from_secs(10),
                company: 3,
            };
            if *question >= PATIENT {
                patient
            } else {
                Patience::default()
            }
        }

        async fn answer(&mut self, questions: Vec<u32>) -> Result<Vec<u32>, StoreError> {
            self.0.lock().unwrap().push(questions.len());
            tokio::task::yield_now().await;
            if questions.contains(&0) {
                return Err(StoreError::Unavailable("zero".to_owned()));
            }
            Ok(questions.into_iter().map(|n| n * 2).collect())
        }

        async fn close(self) {}
    }

    fn doubler() -> (Arc<BatchQueue<u32, u32>>, Sizes) {
        let sizes = Sizes::default();
        (
            Arc::new(BatchQueue::start(Doubler(Arc::clone(&sizes)))),
            sizes,
        )
    }

    #[tokio::test]
    async fn each_gets_its_own_answer_and_batches_gather() {
        let (queue, sizes) = doubler();
        let asked: Vec<_> = (1..=2000_u32)
            .map(|n| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move { (n, queue.ask(n).await.unwrap()) })
            })
            .collect();
        for task in asked {
            let (n, answer) = task.await.unwrap();
            assert_eq!(answer, n * 2);
        }
        let sizes = sizes.lock().unwrap();
        assert_eq!(sizes.iter().sum::<usize>(), 2000);
        assert!(sizes.iter().all(|size| *size <= BATCH));
        assert!(sizes.len() < 100, "{sizes:?}");
    }

    #[tokio::test]
    async fn who_has_patience_finds_company() {
        let (queue, sizes) = doubler();
        let ask = |n: u32| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { assert_eq!(queue.ask(n).await.unwrap(), n * 2) })
        };
        let start = Instant::now();
        for crowd in [&[PATIENT, PATIENT, PATIENT][..], &[PATIENT, 1]] {
            let mut tasks = Vec::new();
            for n in crowd {
                assert!(tasks.iter().all(|task: &JoinHandle<_>| !task.is_finished()));
                tasks.push(ask(*n));
                sleep(Duration::from_millis(2)).await;
            }
            for task in tasks {
                task.await.unwrap();
            }
        }
        assert_eq!(*sizes.lock().unwrap(), [3, 2]);
        assert!(start.elapsed() < Duration::from_secs(5), "nobody had to");
    }

    #[tokio::test]
    async fn a_failed_batch_fails_its_own_waiters_only() {
        let (queue, _) = doubler();
        assert!(matches!(
            queue.ask(0).await,
            Err(StoreError::Unavailable(reason)) if reason == "zero"
        ));
        assert_eq!(queue.ask(4).await.unwrap(), 8);
    }

    #[tokio::test]
    async fn a_waiter_that_leaves_harms_nobody() {
        let (queue, sizes) = doubler();
        {
            let leaver = queue.ask(1);
            tokio::select! {
                biased;
                _ = leaver => panic!("answered before anybody else ran"),
                () = std::future::ready(()) => {}
            }
        }
        assert_eq!(queue.ask(2).await.unwrap(), 4);
        assert_eq!(sizes.lock().unwrap().iter().sum::<usize>(), 2);
    }

    #[tokio::test]
    async fn closing_answers_what_waits_and_nothing_after() {
        let (queue, _) = doubler();
        let waiting: Vec<_> = (1..=10_u32)
            .map(|n| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move { queue.ask(n).await })
            })
            .collect();
        tokio::task::yield_now().await;
        queue.close().await;
        for task in waiting {
            task.await.unwrap().unwrap();
        }
        assert!(matches!(
            queue.ask(1).await,
            Err(StoreError::Unavailable(_))
        ));
        queue.close().await;
    }
}
