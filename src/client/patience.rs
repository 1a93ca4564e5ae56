//! Waiting for an identity provider that says that it cannot answer now: a restart of its database, a
//! limit, too much to do. It says itself when to come again (RFC 9110 §10.2.3).

use std::{future::Future, sync::Arc, time::Duration};

use super::server::ServerError;
use crate::domain::Random;

/// All tries, the first one too.
const TRIES: u32 = 4;
/// What is waited where the server names no time.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);
/// Who is told to wait for longer than this is told so instead.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long the server is waited for.
#[derive(Clone)]
pub struct Patience {
    tries: u32,
    random: Arc<dyn Random>,
    on_wait: Arc<dyn Fn(&Pause<'_>) + Send + Sync>,
}

/// A try that failed in a way that passes.
#[derive(Debug)]
pub struct Pause<'a> {
    /// What the server said.
    pub error: &'a ServerError,
    /// How long it is waited for now.
    pub wait: Duration,
    /// The number of the next try.
    pub next_try: u32,
    /// All tries.
    pub tries: u32,
}

impl Patience {
    /// Some tries, with waits that `on_wait` hears of.
    #[must_use]
    pub fn new(
        random: Arc<dyn Random>,
        on_wait: impl Fn(&Pause<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            tries: TRIES,
            random,
            on_wait: Arc::new(on_wait),
        }
    }

    /// One try.
    #[must_use]
    pub fn none(random: Arc<dyn Random>) -> Self {
        Self {
            tries: 1,
            ..Self::new(random, |_| ())
        }
    }

    /// Makes attempts until one is answered with something else than [`ServerError::Unavailable`].
    /// Each attempt has to be a request of its own: an assertion or a nonce is good for one.
    ///
    /// # Errors
    /// The last attempt's.
    pub async fn of<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, ServerError>
    where
        F: Future<Output = Result<T, ServerError>>,
    {
        let mut number = 1;
        loop {
            let error = match attempt().await {
                Err(error @ ServerError::Unavailable { .. }) => error,
                outcome => return outcome,
            };
            let Some(wait) = self.wait_after(&error, number) else {
                return Err(error);
            };
            number += 1;
            (self.on_wait)(&Pause {
                error: &error,
                wait,
                next_try: number,
                tries: self.tries,
            });
            tokio::time::sleep(wait).await;
        }
    }

    /// The wait that the server asks for, twice as long from try to try, and up to half of it more,
    /// so that many environments that were sent away together do not come back together.
    fn wait_after(&self, error: &ServerError, number: u32) -> Option<Duration> {
        let ServerError::Unavailable { retry_after, .. } = error else {
            return None;
        };
        let asked = retry_after.unwrap_or(DEFAULT_WAIT);
        if number >= self.tries || asked > LONGEST_WAIT {
            return None;
        }
        let full = asked
            .saturating_mul(2_u32.saturating_pow(number - 1))
            .min(LONGEST_WAIT);
        let mut byte = [0];
        self.random.fill(&mut byte);
        Some(full + full / 2 * u32::from(byte[0]) / 255)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, sync::Mutex};

    use super::*;
    use crate::domain::SystemRandom;

    fn unavailable(seconds: u64) -> ServerError {
        ServerError::Unavailable {
            description: "the database is away".to_owned(),
            retry_after: Some(Duration::from_secs(seconds)),
        }
    }

    async fn tried(patience: &Patience, failures: u32, seconds: u64) -> (u32, bool) {
        let attempts = Cell::new(0);
        let outcome = patience
            .of(|| {
                attempts.set(attempts.get() + 1);
                let fails = attempts.get() <= failures;
                async move {
                    if fails {
                        Err(unavailable(seconds))
                    } else {
                        Ok(())
                    }
                }
            })
            .await;
        (attempts.get(), outcome.is_ok())
    }

    #[tokio::test]
    async fn tries_again_and_not_for_ever() {
        let waits = Arc::new(Mutex::new(0));
        let heard = Arc::clone(&waits);
        let patience = Patience::new(Arc::new(SystemRandom), move |pause| {
            assert_eq!(pause.tries, TRIES);
            *heard.lock().unwrap() += 1;
        });
        assert_eq!(tried(&patience, 0, 0).await, (1, true));
        assert_eq!(tried(&patience, 3, 0).await, (4, true));
        assert_eq!(*waits.lock().unwrap(), 3);
        assert_eq!(tried(&patience, 9, 0).await, (4, false));
        assert_eq!(tried(&patience, 9, 3600).await, (1, false), "too long");
        let none = Patience::none(Arc::new(SystemRandom));
        assert_eq!(tried(&none, 9, 0).await, (1, false));
    }

    #[test]
    fn waits_as_long_as_it_is_told_and_up_to_half_more() {
        let patience = Patience::new(Arc::new(SystemRandom), |_| ());
        for (asked, number, least) in [(2, 1, 2), (2, 2, 4), (2, 3, 8), (30, 3, 30)] {
            let wait = patience.wait_after(&unavailable(asked), number).unwrap();
            let least = Duration::from_secs(least);
            assert!(wait >= least && wait <= least + least / 2, "{wait:?}");
        }
        let vague = ServerError::Unavailable {
            description: String::new(),
            retry_after: None,
        };
        assert!(patience.wait_after(&vague, 1).unwrap() >= DEFAULT_WAIT);
    }

    #[tokio::test]
    async fn other_errors_are_no_reason_to_wait() {
        let patience = Patience::new(Arc::new(SystemRandom), |_| panic!("it waits"));
        let outcome: Result<(), _> = patience
            .of(async || {
                Err(ServerError::Unexpected {
                    url: "https://idp.example.com".to_owned(),
                    reason: "HTTP 500".to_owned(),
                })
            })
            .await;
        assert!(matches!(outcome, Err(ServerError::Unexpected { .. })));
    }
}
