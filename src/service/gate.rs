//! A bound on how much is worked on at once: what comes on top is refused at once, before it costs
//! memory or time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The bound, and how much of it is taken.
#[derive(Clone, Debug)]
pub struct Gate {
    inside: Arc<AtomicUsize>,
    most: usize,
}

/// A place inside, until it is dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Gate {
    /// A gate that lets `most` in at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            inside: Arc::default(),
            most,
        }
    }

    /// A place, if one is free.
    #[must_use]
    pub fn enter(&self) -> Option<Place> {
        let place = Place(self.inside.clone());
        // Counted first: of many that come at once, no more than `most` see a place.
        let before = self.inside.fetch_add(1, Ordering::Relaxed);
        (before < self.most).then_some(place)
    }

    /// How many are inside.
    #[must_use]
    pub fn inside(&self) -> usize {
        self.inside.load(Ordering::Relaxed).min(self.most)
    }

    /// How many can be.
    #[must_use]
    pub const fn most(&self) -> usize {
        self.most
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_fit_and_again_when_one_leaves() {
        let gate = Gate::new(2);
        let first = gate.enter().unwrap();
        let second = gate.enter().unwrap();
        assert!(gate.enter().is_none());
        assert!(gate.enter().is_none(), "a refusal takes no place");
        assert_eq!(gate.inside(), 2);
        drop(first);
        assert!(gate.enter().is_some());
        drop(second);
        assert_eq!(gate.inside(), 0);
    }
}
