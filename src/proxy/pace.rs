//! How slowly a body may come that is read before anything is sent: others wait for its place.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::time::{Instant, timeout_at};

/// The bytes of a second, once the first while has passed. Clients are on this machine.
const SLOWEST: u64 = 256 * 1024;

/// A body came too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooSlow {
    /// Nothing came.
    #[error("no more of the request's body came for {} seconds", .0.as_secs())]
    Stalled(Duration),
    /// Little came.
    #[error("the request's body came at less than {} KiB a second", SLOWEST / 1024)]
    Trickled,
}

/// The pace of one body.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long nothing may come, and how long a body may take besides what its length gives it.
    patience: Duration,
    begun: Instant,
    received: u64,
}

impl Pace {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            patience,
            begun: Instant::now(),
            received: 0,
        }
    }

    /// The next data of the body; `None` at its end. A trailer is no part of what is hashed.
    pub(super) async fn next<B>(
        &mut self,
        body: &mut B,
    ) -> Result<Option<Result<Bytes, B::Error>>, TooSlow>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        loop {
            let (until, late) = self.until(Instant::now());
            let frame = timeout_at(until, body.frame()).await.map_err(|_| late)?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Ok(Some(Err(error))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.received += data.len() as u64;
                        return Ok(Some(Ok(data)));
                    }
                }
            }
        }
    }

    /// How long more of the body is waited for, and what it is when none came.
    fn until(&self, now: Instant) -> (Instant, TooSlow) {
        let stalled = now + self.patience;
        let trickled = self.begun + self.patience + Duration::from_secs(self.received / SLOWEST);
        if trickled < stalled {
            (trickled, TooSlow::Trickled)
        } else {
            (stalled, TooSlow::Stalled(self.patience))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_comes_in_drops_ends_and_a_long_one_does_not() {
        let patience = Duration::from_mins(1);
        let mut pace = Pace::new(patience);
        let begun = pace.begun;
        let stalled = TooSlow::Stalled(patience);
        assert_eq!(pace.until(begun), (begun + patience, stalled));
        // A byte after 59 seconds gives it no more time.
        pace.received = 1;
        let after = begun + Duration::from_secs(59);
        assert_eq!(pace.until(after), (begun + patience, TooSlow::Trickled));
        // After ten minutes of all that a minute needs, it may pause again.
        pace.received = 600 * SLOWEST;
        let after = begun + Duration::from_mins(10);
        assert_eq!(pace.until(after), (after + patience, stalled));
    }
}
