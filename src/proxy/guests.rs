//! The open connections. Those that have not shown the key may be anybody's on this machine, and are not to
//! take the places of those that have.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc},
    time::sleep,
};

use super::Limits;

/// Lets connections in.
pub(super) struct Guests {
    limits: Limits,
    places: Arc<Semaphore>,
    strangers: Arc<Strangers>,
    open: Gauge,
    refused: Counter,
    alive: mpsc::Sender<Infallible>,
}

/// An open connection, until this is dropped.
pub(super) struct Guest {
    limits: Limits,
    strangers: Arc<Strangers>,
    /// Notified when it has to make room.
    out: Arc<Notify>,
    is_known: AtomicBool,
    open: Gauge,
    _place: OwnedSemaphorePermit,
    /// Dropped last of all when nothing is served any more.
    _alive: mpsc::Sender<Infallible>,
}

/// The connections that have not shown the key, the oldest first.
#[derive(Default)]
struct Strangers(Mutex<VecDeque<Arc<Notify>>>);

impl Guests {
    /// Places for connections; the receiver ends when no connection and nothing of this is left.
    pub(super) fn new(limits: Limits) -> (Self, mpsc::Receiver<Infallible>) {
        describe_gauge!(
            "idp_proxy_connections",
            "Open connections, tunnels included"
        );
        describe_counter!(
            "idp_proxy_connections_refused_total",
            "Connections that there was no room for, and silent ones that made room"
        );
        let (alive, all_gone) = mpsc::channel(1);
        let guests = Self {
            limits,
            places: Arc::new(Semaphore::new(limits.connections)),
            strangers: Arc::default(),
            open: gauge!("idp_proxy_connections"),
            refused: counter!("idp_proxy_connections_refused_total"),
            alive,
        };
        (guests, all_gone)
    }

    /// Lets a connection in; `None` where there is no room.
    ///
    /// Where too many have not shown the key yet, the one goes that has been silent for longest: whoever
    /// has the key shows it at once.
    pub(super) fn enter(&self) -> Option<Arc<Guest>> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.refused.increment(1);
            return None;
        };
        let out = Arc::new(Notify::new());
        if self.strangers.add(&out, self.limits.strangers) {
            self.refused.increment(1);
        }
        self.open.increment(1.0);
        Some(Arc::new(Guest {
            limits: self.limits,
            strangers: Arc::clone(&self.strangers),
            out,
            is_known: AtomicBool::new(false),
            open: self.open.clone(),
            _place: place,
            _alive: self.alive.clone(),
        }))
    }
}

impl Guest {
    /// Somebody on this connection has shown the key.
    pub(super) fn admit(&self) {
        if !self.is_known.swap(true, Ordering::AcqRel) {
            self.strangers.remove(&self.out);
        }
    }

    /// Whether somebody has.
    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Acquire)
    }

    /// Waits until the connection has to go, because nobody on it has shown the key in time, or others need
    /// its place.
    pub(super) async fn has_to_go(&self) {
        tokio::select! {
            () = self.out.notified() => {}
            () = sleep(self.limits.unknown) => {}
        }
        if self.is_known() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.strangers.remove(&self.out);
        self.open.decrement(1.0);
    }
}

impl Strangers {
    /// Whether another one had to go for it.
    fn add(&self, one: &Arc<Notify>, most: usize) -> bool {
        let mut all = self.lock();
        all.push_back(Arc::clone(one));
        let oldest = if all.len() > most {
            all.pop_front()
        } else {
            None
        };
        oldest.inspect(|oldest| oldest.notify_one()).is_some()
    }

    fn remove(&self, one: &Arc<Notify>) {
        let mut all = self.lock();
        // Most show the key at once: it is among the last.
        if let Some(at) = all.iter().rposition(|other| Arc::ptr_eq(other, one)) {
            all.remove(at);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
