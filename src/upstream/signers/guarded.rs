//! An external keystore as the server uses it: with an end to every wait, and an account of it.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{
    circuit::{Circuit, Turn},
    report::{Counts, SignerReport},
};
use crate::{
    domain::{Clock, SigningAlgorithm},
    ports::{ExternalKey, ExternalKeys, SignError, UnkeptKey},
};

/// How long making or destroying a key may take: some modules take half a minute for an RSA key.
const CHANGE_TIME: Duration = Duration::from_mins(1);

/// How much of a keystore is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignerLimits {
    /// How long a signature may take, waiting included.
    pub timeout: Duration,
    /// Requests at once.
    pub concurrency: usize,
    /// Signatures that may wait for their turn; more are refused at once.
    pub queue: usize,
}

/// A keystore with limits around it. Signatures that fail in a row open a circuit: for a while all
/// fail at once, and then one tries whether the keystore is back. Making and destroying keys is apart
/// from that, because it may be forbidden where signing is not.
pub struct GuardedKeys {
    inner: Arc<dyn ExternalKeys>,
    name: &'static str,
    limits: SignerLimits,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    circuit: Circuit,
    counts: Counts,
}

impl GuardedKeys {
    /// Puts `limits` around a keystore. `name` is for messages and reports.
    #[must_use]
    pub fn new(
        inner: Arc<dyn ExternalKeys>,
        name: &'static str,
        limits: SignerLimits,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            inner,
            name,
            limits,
            permits: Arc::new(Semaphore::new(limits.concurrency)),
            waiting: AtomicUsize::new(0),
            circuit: Circuit::new(clock),
            counts: Counts::default(),
        }
    }

    /// How it has been, since the start, and how it is.
    #[must_use]
    pub fn report(&self) -> SignerReport {
        self.counts.report(
            self.name,
            self.circuit.is_closed(),
            self.limits
                .concurrency
                .saturating_sub(self.permits.available_permits()),
            self.waiting.load(Ordering::Relaxed),
        )
    }

    /// Runs `work` when it is its turn, and gives up after `time`. What was begun keeps its place
    /// until it has really ended, so that calls which hang do not pile up.
    async fn run<T, F>(&self, time: Duration, work: F) -> Result<T, SignError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, SignError>> + Send + 'static,
    {
        let deadline = Instant::now() + time;
        let late = |what: &str| {
            SignError::Failed(format!(
                "{} {what} within {} s",
                self.name,
                time.as_secs_f32()
            ))
        };
        let permit = timeout_at(deadline, self.permits.clone().acquire_owned())
            .await
            .map_err(|_| late("was busy with other requests and took no further one"))?
            .map_err(|_| SignError::Overloaded)?;
        let task = tokio::spawn(async move {
            let result = work.await;
            drop(permit);
            result
        });
        match timeout_at(deadline, task).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(SignError::Failed(format!("{}: {error}", self.name))),
            Err(_) => Err(late("did not answer")),
        }
    }

    fn down(&self) -> SignError {
        SignError::Failed(format!(
            "{} failed several times in a row and is not asked for some seconds",
            self.name
        ))
    }
}

/// Counts a waiter for as long as it lives.
struct Waiter<'a>(&'a AtomicUsize);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl ExternalKeys for GuardedKeys {
    fn available(&self, _reference: &str) -> Result<(), SignError> {
        if self.circuit.accepts() {
            Ok(())
        } else {
            self.counts.refused();
            Err(self.down())
        }
    }

    async fn create(
        &self,
        algorithm: SigningAlgorithm,
        label: &str,
    ) -> Result<ExternalKey, SignError> {
        let (inner, label) = (self.inner.clone(), label.to_owned());
        // A key that comes after its time, when nobody waits for it any more, is destroyed.
        let work = async move {
            let made = inner.create(algorithm, &label).await?;
            let unkept = UnkeptKey::new(inner, made.reference.clone());
            Ok((made, unkept))
        };
        let (made, unkept) = self.run(CHANGE_TIME, work).await?;
        unkept.keep();
        Ok(made)
    }

    async fn sign(
        &self,
        reference: &str,
        algorithm: SigningAlgorithm,
        input: &[u8],
    ) -> Result<Vec<u8>, SignError> {
        let waiter = Waiter(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.limits.queue {
            self.counts.refused();
            return Err(SignError::Overloaded);
        }
        let Some(admission) = self.circuit.admit() else {
            self.counts.refused();
            return Err(self.down());
        };
        let begun = Instant::now();
        let inner = self.inner.clone();
        let (reference, input) = (reference.to_owned(), input.to_vec());
        let work = async move { inner.sign(&reference, algorithm, &input).await };
        let result = self.run(self.limits.timeout, work).await;
        drop(waiter);
        self.counts.ended(begun.elapsed(), result.is_ok());
        let turn = match &result {
            Ok(_) => admission.succeeded(),
            Err(_) => admission.failed(),
        };
        match (turn, &result) {
            (Some(Turn::Opened), Err(error)) => {
                tracing::error!(signer = self.name, %error, "the signer fails: tokens are refused until it is back");
            }
            (Some(Turn::Closed), _) => tracing::info!(signer = self.name, "the signer is back"),
            _ => {}
        }
        result
    }

    async fn destroy(&self, reference: &str) -> Result<(), SignError> {
        let (inner, reference) = (self.inner.clone(), reference.to_owned());
        let work = async move { inner.destroy(&reference).await };
        self.run(CHANGE_TIME, work).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Notify;

    use super::*;
    use crate::domain::{PublicJwk, SimulatedClock, Timestamp};

    /// A keystore that does as it is told.
    #[derive(Default)]
    struct Told {
        fails: Mutex<bool>,
        hangs: Mutex<bool>,
        go: Notify,
        asked: AtomicUsize,
        destroyed: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl ExternalKeys for Told {
        async fn create(&self, _: SigningAlgorithm, _: &str) -> Result<ExternalKey, SignError> {
            if *self.hangs.lock().unwrap() {
                self.go.notified().await;
            }
            Ok(ExternalKey {
                public: PublicJwk::Okp {
                    crv: String::new(),
                    x: String::new(),
                },
                reference: "told:1".to_owned(),
            })
        }

        async fn sign(
            &self,
            reference: &str,
            _: SigningAlgorithm,
            input: &[u8],
        ) -> Result<Vec<u8>, SignError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if *self.hangs.lock().unwrap() {
                self.go.notified().await;
            }
            if *self.fails.lock().unwrap() {
                return Err(SignError::Failed("on purpose".to_owned()));
            }
            Ok([reference.as_bytes(), input].concat())
        }

        async fn destroy(&self, reference: &str) -> Result<(), SignError> {
            self.destroyed.lock().unwrap().push(reference.to_owned());
            Ok(())
        }
    }

    const LIMITS: SignerLimits = SignerLimits {
        timeout: Duration::from_millis(50),
        concurrency: 2,
        queue: 3,
    };

    fn guarded() -> (Arc<GuardedKeys>, Arc<Told>, Arc<SimulatedClock>) {
        let clock = Arc::new(SimulatedClock::new(Timestamp::from_secs(1_000)));
        let told = Arc::new(Told::default());
        let keys = GuardedKeys::new(told.clone(), "the keystore", LIMITS, clock.clone());
        (Arc::new(keys), told, clock)
    }

    async fn sign(keys: &GuardedKeys) -> Result<Vec<u8>, SignError> {
        keys.sign("r", SigningAlgorithm::Es256, b"x").await
    }

    #[tokio::test]
    async fn passes_on_and_counts() {
        let (keys, _, _) = guarded();
        assert_eq!(sign(&keys).await.unwrap(), b"rx");
        let made = keys.create(SigningAlgorithm::Es256, "l").await.unwrap();
        assert_eq!(made.reference, "told:1");
        keys.destroy("told:1").await.unwrap();
        let report = keys.report();
        assert!(report.available);
        assert_eq!((report.signed, report.failed, report.refused), (1, 0, 0));
        assert_eq!((report.in_flight, report.waiting), (0, 0));
    }

    #[tokio::test]
    async fn failures_are_quick_after_a_few_and_end_with_the_cause() {
        let (keys, told, clock) = guarded();
        *told.fails.lock().unwrap() = true;
        for _ in 0..3 {
            assert!(keys.available("r").is_ok());
            let error = sign(&keys).await.unwrap_err().to_string();
            assert!(error.contains("on purpose"), "{error}");
        }
        for _ in 0..5 {
            assert!(keys.available("r").is_err());
            let error = sign(&keys).await.unwrap_err().to_string();
            assert!(
                error.contains("the keystore failed several times"),
                "{error}"
            );
        }
        assert_eq!(told.asked.load(Ordering::SeqCst), 3);
        assert!(!keys.report().available);
        // Keys can still be made and destroyed.
        keys.destroy("r").await.unwrap();

        *told.fails.lock().unwrap() = false;
        clock.advance(Duration::from_secs(1));
        assert!(keys.available("r").is_ok());
        sign(&keys).await.unwrap();
        let report = keys.report();
        assert!(report.available);
        assert_eq!((report.signed, report.failed, report.refused), (1, 3, 10));
    }

    #[tokio::test]
    async fn waits_end_and_calls_that_hang_do_not_pile_up() {
        let (keys, told, clock) = guarded();
        *told.hangs.lock().unwrap() = true;
        let results = futures_util::future::join_all((0..5).map(|_| sign(&keys))).await;
        let texts: Vec<String> = results
            .into_iter()
            .map(|result| result.unwrap_err().to_string())
            .collect();
        assert!(
            texts[0].contains("did not answer within 0.05 s"),
            "{texts:?}"
        );
        assert!(
            texts[2].contains("was busy with other requests"),
            "{texts:?}"
        );
        assert!(texts[4].contains("queue is full"), "{texts:?}");
        assert_eq!(told.asked.load(Ordering::SeqCst), 2, "two at once");
        let report = keys.report();
        assert_eq!((report.in_flight, report.waiting), (2, 0));
        assert_eq!((report.failed, report.refused), (3, 2));

        // The two that hung end at last, and their places are free again.
        *told.hangs.lock().unwrap() = false;
        told.go.notify_waiters();
        clock.advance(Duration::from_secs(1));
        while keys.report().in_flight > 0 {
            tokio::task::yield_now().await;
        }
        sign(&keys).await.unwrap();
    }

    #[tokio::test]
    async fn a_key_that_comes_too_late_is_destroyed() {
        let (keys, told, _) = guarded();
        *told.hangs.lock().unwrap() = true;
        let waiting = keys.create(SigningAlgorithm::Es256, "l");
        let given_up = tokio::time::timeout(Duration::from_millis(20), waiting).await;
        assert!(given_up.is_err());
        assert!(told.destroyed.lock().unwrap().is_empty());
        told.go.notify_one();
        while told.destroyed.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(*told.destroyed.lock().unwrap(), ["told:1"]);
        // One that is waited for stays.
        *told.hangs.lock().unwrap() = false;
        keys.create(SigningAlgorithm::Es256, "l").await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(told.destroyed.lock().unwrap().len(), 1);
    }
}
