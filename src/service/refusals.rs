//! Counts of requests that were refused to clients that proved nothing. They are counted, with one
//! sample each, and not stored one by one, so that nobody can fill the disk from outside.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::RequestContext;

/// How often something was refused, and the last request that was.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) reason: &'static str,
    pub(super) count: u64,
    pub(super) sample: RequestContext,
}

/// The counts since they were last taken. Reasons are fixed texts, so that there are few.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<&'static str, (u64, RequestContext)>>);

impl Refusals {
    pub(super) fn count(&self, reason: &'static str, sample: RequestContext) {
        self.add(reason, 1, sample);
    }

    pub(super) fn take(&self) -> Vec<Tally> {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *tallies)
            .into_iter()
            .map(|(reason, (count, sample))| Tally {
                reason,
                count,
                sample,
            })
            .collect()
    }

    /// How many are counted and not taken.
    pub(super) fn waiting(&self) -> u64 {
        let tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.values().map(|(count, _)| count).sum()
    }

    /// Puts back what could not be recorded.
    pub(super) fn give_back(&self, tally: &Tally) {
        self.add(tally.reason, tally.count, tally.sample);
    }

    fn add(&self, reason: &'static str, count: u64, sample: RequestContext) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = tallies.entry(reason).or_insert((0, sample));
        *entry = (entry.0.saturating_add(count), sample);
    }
}
