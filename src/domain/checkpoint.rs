//! Checkpoints: what a log's chains ended with at a time.

use super::{ChainHead, Issuer, Timestamp};

/// The ends of all chains at a time. Kept elsewhere, it shows who rewrites the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose log.
    pub issuer: Issuer,
    /// Its place in the series, from 1.
    pub number: i64,
    /// When it was made.
    pub at: Timestamp,
    /// SHA-256 of the checkpoint before it, as it was written; `None` for the first.
    pub previous: Option<[u8; 32]>,
    /// Every chain's last record.
    pub chains: Vec<ChainHead>,
}
