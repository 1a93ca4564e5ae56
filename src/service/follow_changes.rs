//! Keeping what is in memory in step with the database, which other replicas change too.

use std::{pin::pin, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::Service;
use crate::ports::{Notice, StoreError};

/// How often everything is read again though nobody told of a change: what a lost notice costs.
const POLL: Duration = Duration::from_secs(5);

/// How long to wait before the database is asked again that could not tell of changes.
const RETRY: Duration = Duration::from_secs(1);

impl Service {
    /// Reads again what other replicas change, as they tell of it and every few seconds, until `stop`
    /// turns true. While the database is away what is in memory stays: discovery and keys are served.
    pub async fn follow_changes(&self, mut stop: watch::Receiver<bool>) {
        let mut stopped = pin!(stop.wait_for(|stop| *stop));
        let mut away = false;
        loop {
            let mut next = pin!(self.next_notice());
            let notice = tokio::select! {
                notice = &mut next => notice,
                () = sleep(POLL) => Notice::Unknown,
                _ = &mut stopped => return,
            };
            match self.heed(notice).await {
                Ok(()) => away = false,
                // Told once: it may take a while.
                Err(error) if !away => {
                    away = true;
                    tracing::warn!(%error, "keys and settings stay as they are in memory");
                }
                Err(_) => {}
            }
        }
    }

    async fn next_notice(&self) -> Notice {
        if let Ok(notice) = self.store.next_notice().await {
            return notice;
        }
        sleep(RETRY).await;
        Notice::Unknown
    }

    async fn heed(&self, notice: Notice) -> Result<(), StoreError> {
        match notice {
            Notice::Keys => self.keys.reload(&*self.store).await.map(drop),
            Notice::Organizations => {
                self.credentials.forget_all();
                Ok(())
            }
            Notice::Environment(id) => {
                self.credentials.forget(id);
                Ok(())
            }
            Notice::Unknown => {
                self.credentials.forget_all();
                self.keys.reload(&*self.store).await.map(drop)
            }
        }
    }
}
