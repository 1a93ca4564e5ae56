//! Hosts whose refusal the user has been told of. boto3 shows nothing of a tunnel that was refused, so the
//! proxy says it itself.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// How many hosts are told of; whoever asks for more is no program that was set up wrongly.
const MOST: usize = 64;

/// Names each host once.
#[derive(Debug, Default)]
pub struct ToldHosts(Mutex<HashSet<String>>);

impl ToldHosts {
    /// Whether nobody was told of this host yet.
    pub(super) fn is_new(&self, host: &str) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MOST && told.insert(host.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_of_once_and_not_without_end() {
        let told = ToldHosts::default();
        assert!(told.is_new("a.example") && !told.is_new("a.example"));
        let more = (0..1000).filter(|n| told.is_new(&n.to_string())).count();
        assert_eq!(more, MOST - 1);
    }
}
