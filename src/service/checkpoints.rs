//! Checkpoints of the audit log, written to a place outside the database, and the retention that
//! relies on them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::Mutex;

use super::Service;
use crate::{
    domain::{AuditCut, ChainHead, Checkpoint, PublicJwk, Timestamp},
    jose::{SeedKey, SignedCheckpoint, read_checkpoint, sha256, sign_checkpoint, thumbprint},
    ports::{Change, Created, NewObject, ObjectError, ObjectStore, Page, StoreError},
};

/// How many chains are read at once.
const CHAINS: u32 = 1_000;

/// How often another replica may be quicker before this one gives up until the next time.
const TRIES: u32 = 5;

/// A chain is cut at most this often, since each cut is a record.
const BETWEEN_CUTS: Duration = Duration::from_hours(24);

/// The name of a checkpoint: its number, so that names sort as numbers do and one number is written
/// once.
#[must_use]
pub fn checkpoint_name(number: i64) -> String {
    format!("{number:012}.jws")
}

/// The number of a checkpoint of that name; `None` for what is none.
#[must_use]
pub fn checkpoint_number(name: &str) -> Option<i64> {
    let digits = name.strip_suffix(".jws")?;
    let number = digits.parse().ok()?;
    (checkpoint_name(number) == name).then_some(number)
}

/// Why no checkpoint was written, or nothing removed.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointFailure {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The place.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// Something at the place is not a checkpoint of this log.
    #[error("{place}: {reason}; move it away, or name another place in audit.checkpoints")]
    Foreign {
        /// Which object.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Other replicas were quicker each time.
    #[error("other replicas write checkpoints too fast")]
    Crowded,
}

/// What checkpoints are made with.
pub struct Checkpoints {
    key: SeedKey,
    objects: Option<Arc<dyn ObjectStore>>,
    last: Mutex<Option<Last>>,
    /// When the newest one was made, epoch milliseconds: for whoever does not wait for the place.
    newest_at: AtomicI64,
}

/// The newest checkpoint, as this replica knows it.
#[derive(Clone, Copy, Debug)]
struct Last {
    number: i64,
    hash: [u8; 32],
    at: Timestamp,
}

/// A checkpoint that was made.
#[derive(Clone, Debug)]
pub struct MadeCheckpoint {
    /// Its number; 0 for one that was not written.
    pub number: i64,
    /// Where it was written, if it was.
    pub place: Option<String>,
    /// How many chains it vouches for.
    pub chains: usize,
    /// The thumbprint of the key that signed it.
    pub kid: String,
    /// The statement, a compact JWS.
    pub statement: String,
}

impl Checkpoints {
    /// Signs with `key` and writes to `objects`, if that is given.
    #[must_use]
    pub fn new(key: SeedKey, objects: Option<Arc<dyn ObjectStore>>) -> Self {
        Self {
            key,
            objects,
            last: Mutex::new(None),
            newest_at: AtomicI64::new(i64::MIN),
        }
    }

    fn note(&self, last: Option<Last>) {
        if let Some(last) = last {
            self.newest_at.store(last.at.ms(), Ordering::Relaxed);
        }
    }
}

impl Service {
    /// The thumbprint and the public half of the key that signs checkpoints.
    #[must_use]
    pub fn checkpoint_key(&self) -> (String, PublicJwk) {
        let public = self.checkpoints.key.public();
        (thumbprint(public), public.clone())
    }

    /// Writes a checkpoint where the newest one is older than `every`; whether it did. Does nothing
    /// where no place is configured.
    ///
    /// # Errors
    /// See [`CheckpointFailure`].
    pub async fn checkpoint_if_due(&self, every: Duration) -> Result<bool, CheckpointFailure> {
        let written = self.write_if_due(every).await;
        if written.is_err() {
            self.metrics.checkpoint_failed();
        }
        written
    }

    async fn write_if_due(&self, every: Duration) -> Result<bool, CheckpointFailure> {
        let Some(objects) = &self.checkpoints.objects else {
            return Ok(false);
        };
        let due =
            |last: &Option<Last>| last.is_none_or(|last| self.clock.now().since(last.at) >= every);
        let mut last = self.checkpoints.last.lock().await;
        if !due(&last) {
            return Ok(false);
        }
        *last = self.newest(&**objects, *last).await?;
        self.checkpoints.note(*last);
        if !due(&last) {
            return Ok(false);
        }
        self.write_checkpoint(&**objects, &mut last).await?;
        Ok(true)
    }

    /// How old the newest checkpoint is that this server knows of; where it knows of none yet, how long
    /// it has been running. `None` where no place is configured.
    pub(super) fn checkpoint_age(&self) -> Option<Duration> {
        self.checkpoints.objects.as_ref()?;
        let newest = match self.checkpoints.newest_at.load(Ordering::Relaxed) {
            i64::MIN => self.started,
            at => Timestamp::from_ms(at),
        };
        Some(self.clock.now().since(newest))
    }

    /// Makes a checkpoint now, and writes it where a place is configured.
    ///
    /// # Errors
    /// See [`CheckpointFailure`].
    pub async fn make_checkpoint(&self) -> Result<MadeCheckpoint, CheckpointFailure> {
        let Some(objects) = &self.checkpoints.objects else {
            let (checkpoint, statement) = self.sign(0, None).await?;
            return Ok(self.made(None, &checkpoint, statement));
        };
        let mut last = self.checkpoints.last.lock().await;
        *last = self.newest(&**objects, *last).await?;
        self.write_checkpoint(&**objects, &mut last).await
    }

    async fn write_checkpoint(
        &self,
        objects: &dyn ObjectStore,
        last: &mut Option<Last>,
    ) -> Result<MadeCheckpoint, CheckpointFailure> {
        for _ in 0..TRIES {
            let number = last.map_or(1, |last| last.number + 1);
            let (checkpoint, statement) = self.sign(number, last.map(|last| last.hash)).await?;
            let name = checkpoint_name(number);
            let place = objects.place(&name);
            let object = NewObject {
                name,
                body: Bytes::from(statement.clone()),
                content_type: "application/jose",
                cache_control: None,
            };
            if objects.create(object).await? == Created::Exists {
                *last = self.newest(objects, *last).await?;
                continue;
            }
            let hash = sha256(statement.as_bytes());
            *last = Some(Last {
                number,
                hash,
                at: checkpoint.at,
            });
            self.checkpoints.note(*last);
            let mut event = self.event("audit.checkpoint", &place);
            event.details = json!({
                "number": number, "chains": checkpoint.chains.len(), "sha256": hex::encode(hash),
            });
            self.store.append(event).await?;
            return Ok(self.made(Some(place), &checkpoint, statement));
        }
        Err(CheckpointFailure::Crowded)
    }

    fn made(
        &self,
        place: Option<String>,
        checkpoint: &Checkpoint,
        statement: String,
    ) -> MadeCheckpoint {
        MadeCheckpoint {
            number: checkpoint.number,
            place,
            chains: checkpoint.chains.len(),
            kid: thumbprint(self.checkpoints.key.public()),
            statement,
        }
    }

    async fn sign(
        &self,
        number: i64,
        previous: Option<[u8; 32]>,
    ) -> Result<(Checkpoint, String), StoreError> {
        let checkpoint = Checkpoint {
            issuer: self.issuer.clone(),
            number,
            at: self.clock.now(),
            previous,
            chains: self.heads().await?,
        };
        let statement = sign_checkpoint(&self.checkpoints.key, &checkpoint);
        Ok((checkpoint, statement))
    }

    /// The end of every chain.
    async fn heads(&self) -> Result<Vec<ChainHead>, StoreError> {
        let mut heads: Vec<ChainHead> = self
            .store
            .audit_chain(None)
            .await?
            .map(|chain| chain.head)
            .into_iter()
            .collect();
        let mut page = Page {
            after: None,
            limit: CHAINS,
        };
        loop {
            let chains = self.store.audit_chains(page).await?;
            heads.extend(chains.iter().map(|chain| chain.head));
            match chains.last().and_then(|last| last.head.organization_id) {
                Some(last) => page.after = Some(last),
                None => return Ok(heads),
            }
        }
    }

    /// The newest checkpoint at the place, of whatever replica.
    async fn newest(
        &self,
        objects: &dyn ObjectStore,
        known: Option<Last>,
    ) -> Result<Option<Last>, CheckpointFailure> {
        let after = known.map_or(0, |known| known.number);
        match numbers(objects, after).await?.last() {
            None => Ok(known),
            Some(number) => {
                let (read, hash) = self.read(objects, *number).await?;
                Ok(Some(Last {
                    number: *number,
                    hash,
                    at: read.checkpoint.at,
                }))
            }
        }
    }

    /// A checkpoint at the place and the hash of its bytes.
    async fn read(
        &self,
        objects: &dyn ObjectStore,
        number: i64,
    ) -> Result<(SignedCheckpoint, [u8; 32]), CheckpointFailure> {
        let name = checkpoint_name(number);
        let foreign = |reason: String| CheckpointFailure::Foreign {
            place: objects.place(&name),
            reason,
        };
        let bytes = objects.get(&name).await?;
        let bytes = bytes.ok_or_else(|| foreign("it is missing".to_owned()))?;
        let read = std::str::from_utf8(&bytes)
            .map_err(|error| foreign(error.to_string()))
            .and_then(|text| read_checkpoint(text).map_err(|error| foreign(error.to_string())))?;
        if read.checkpoint.issuer != self.issuer {
            return Err(foreign(format!(
                "it is a checkpoint of {}",
                read.checkpoint.issuer
            )));
        }
        if read.checkpoint.number != number {
            return Err(foreign(format!(
                "it is checkpoint {}",
                read.checkpoint.number
            )));
        }
        Ok((read, sha256(&bytes)))
    }

    /// Removes records that are older than `retain`: those up to the heads that the newest checkpoint
    /// of that age vouches for. Each chain's last record stays. Returns how many were removed.
    ///
    /// # Errors
    /// See [`CheckpointFailure`]. A chain that is not what the checkpoint vouches for is left as it is,
    /// and the log says so.
    pub async fn remove_old_records(&self, retain: Duration) -> Result<u64, CheckpointFailure> {
        let Some(objects) = &self.checkpoints.objects else {
            return Ok(0);
        };
        let limit = self.clock.now().minus(retain);
        if let Some(checkpoint) = self.newest_before(&**objects, limit).await? {
            for head in &checkpoint.chains {
                self.cut(*head, checkpoint.number).await?;
            }
        }
        Ok(self.store.purge_audit_records().await?)
    }

    async fn cut(&self, head: ChainHead, checkpoint: i64) -> Result<(), StoreError> {
        let Some(chain) = self.store.audit_chain(head.organization_id).await? else {
            tracing::error!(
                ?head,
                checkpoint,
                "a chain that a checkpoint vouches for is gone"
            );
            return Ok(());
        };
        let now = self.clock.now();
        let recent = chain
            .cut
            .is_some_and(|cut| cut.seq >= head.seq || now.since(cut.at) < BETWEEN_CUTS);
        if recent || head.seq == chain.head.seq {
            return Ok(());
        }
        let cut = AuditCut {
            seq: head.seq,
            hash: head.hash,
            checkpoint,
            at: now,
        };
        let target = head
            .organization_id
            .map_or_else(|| "system".to_owned(), |id| id.to_string());
        let mut event = self.event("audit.remove", target);
        event.organization_id = head.organization_id;
        event.details = json!({
            "through": cut.seq, "hash": hex::encode(cut.hash), "checkpoint": checkpoint,
        });
        let done = self
            .store
            .cut_audit_chain(head.organization_id, cut, event)
            .await?;
        if done == Change::Missing {
            tracing::error!(
                ?head,
                checkpoint,
                "a chain is not what a checkpoint vouches for and is left as it is; run idp admin audit verify"
            );
        }
        Ok(())
    }

    /// The newest checkpoint that is not younger than `limit` and for which a signature of ours
    /// vouches, its own or through the links of later ones.
    async fn newest_before(
        &self,
        objects: &dyn ObjectStore,
        limit: Timestamp,
    ) -> Result<Option<Checkpoint>, CheckpointFailure> {
        let numbers = numbers(objects, 0).await?;
        let (mut low, mut high) = (0, numbers.len());
        let mut found = None;
        while low < high {
            let middle = usize::midpoint(low, high);
            let (read, hash) = self.read(objects, numbers[middle]).await?;
            if read.checkpoint.at <= limit {
                low = middle + 1;
                found = Some((middle, read, hash));
            } else {
                high = middle;
            }
        }
        let Some((at, found, mut hash)) = found else {
            return Ok(None);
        };
        let ours = thumbprint(self.checkpoints.key.public());
        let mut kid = found.kid.clone();
        for number in &numbers[at + 1..] {
            if kid == ours {
                break;
            }
            let (next, next_hash) = self.read(objects, *number).await?;
            if next.checkpoint.previous != Some(hash) {
                break;
            }
            (kid, hash) = (next.kid, next_hash);
        }
        if kid == ours {
            return Ok(Some(found.checkpoint));
        }
        tracing::error!(
            number = found.checkpoint.number,
            "no checkpoint of this server's key vouches for the old records: they are kept"
        );
        Ok(None)
    }
}

/// The numbers of all checkpoints at a place after `after`, in order.
async fn numbers(objects: &dyn ObjectStore, after: i64) -> Result<Vec<i64>, ObjectError> {
    let mut numbers = Vec::new();
    let mut last = checkpoint_name(after);
    loop {
        let names = objects.list(&last).await?;
        match names.last() {
            Some(name) => last.clone_from(name),
            None => return Ok(numbers),
        }
        numbers.extend(names.iter().filter_map(|name| checkpoint_number(name)));
    }
}
