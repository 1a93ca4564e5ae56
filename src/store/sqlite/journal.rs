//! What mints and audit appends wait in: all that wait together share one commit.

use super::{
    Writer,
    batch::{Entry, commit},
    change::connection,
};
use crate::{
    ports::{MintOutcome, Patience, StoreError},
    store::queue::{Answer, BatchQueue},
};

/// The queue in front of the writing connection.
pub(super) type Journal = BatchQueue<Entry, MintOutcome>;

/// Commits batches on the writing connection.
pub(super) struct Committer(pub(super) Writer);

impl Answer for Committer {
    type Question = Entry;
    type Answer = MintOutcome;

    fn patience(entry: &Entry) -> Patience {
        match entry {
            Entry::Mint(mint) => mint.patience,
            Entry::Event(_) => Patience::default(),
        }
    }

    async fn answer(&mut self, entries: Vec<Entry>) -> Result<Vec<MintOutcome>, StoreError> {
        let mut writer = connection(&self.0).await?;
        commit(&mut writer, entries).await
    }

    /// The connection is not only this queue's: the store closes it.
    async fn close(self) {}
}
