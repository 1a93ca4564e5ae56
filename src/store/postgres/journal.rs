//! What mints and audit appends wait in: all that wait together share one commit.

use super::{
    batch::{Entry, commit},
    session::{Link, in_time},
};
use crate::{
    ports::{MintOutcome, Patience, StoreError},
    store::queue::{Answer, BatchQueue},
};

/// The queue in front of the connection that commits batches.
pub(super) type Journal = BatchQueue<Entry, MintOutcome>;

/// Commits batches.
pub(super) struct Committer(pub(super) Link);

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
        let mut connection = self.0.take().await?;
        let outcomes = in_time(commit(&mut connection, entries)).await?;
        self.0.give_back(connection);
        Ok(outcomes)
    }

    async fn close(self) {
        self.0.close().await;
    }
}
