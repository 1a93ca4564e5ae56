//! One transaction for many mints and audit appends.
//!
//! It is two statements, whatever the number of entries. The first locks what mints rely on, takes
//! their `jti`s and locks the heads of the audit chains, in this order; it is answered with refusals
//! and heads only. The second writes all records.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::{
    Connection as _, PgConnection, PgTransaction, Row as _, postgres::PgRow, query, query_scalar,
};

use crate::{
    domain::{AuditEvent, FORMER_KEY_GRACE, OrganizationId, Timestamp},
    ports::{AuditRecord, MintOutcome, MintRequest, StoreError},
    store::{
        audit::{Head, chain_name, chain_owner, without_nul},
        error::store_error,
        jti::jti_key,
        rows::HeadRow,
    },
};

/// What waits for a commit.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// A mint, with an outcome of its own.
    Mint(MintRequest),
    /// An audit event, which is always recorded.
    Event(AuditEvent),
}

/// Judges all mints, and takes the `jti`s of those that may be recorded. `$1` to `$5`, for each mint:
/// its environment, the `kid` it proved, the `kid` that is to sign, the key of its `jti`, and when that
/// may be forgotten; `$6`: the audit chains; `$7`, for each mint: when it happens. Rows are exceptions,
/// by the mint's place from 1, first uses of new keys among them, and the chains' heads.
///
/// What is locked is read as it is once the lock is held (READ COMMITTED), so a stop that has returned
/// is seen, and one that has not waits until this batch is durable. The last part of the UNION runs
/// last, and every lock is taken in the order of its key, so that replicas cannot deadlock.
const READ: &str = "
WITH mint AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bigint[],
        $7::bigint[]) WITH ORDINALITY AS m (environment, kid, signing_kid, jti, expires_at, at, place)
), environment AS MATERIALIZED (
    SELECT id, state, kid, key_unused FROM environments WHERE id = ANY ($1) ORDER BY id FOR SHARE
), signing AS MATERIALIZED (
    SELECT kid FROM issuer_keys WHERE kid = ANY ($3) AND activated_at IS NOT NULL
        AND retiring_at IS NULL AND retired_at IS NULL ORDER BY kid FOR SHARE
), judged AS MATERIALIZED (
    SELECT m.place, m.jti, m.expires_at, e.key_unused AND e.kid = m.kid AS first_use, CASE
        WHEN e.state = 'stopped' THEN 'stopped'
        WHEN e.kid IS DISTINCT FROM m.kid AND NOT EXISTS (SELECT 1 FROM former_keys f
            WHERE f.kid = m.kid AND f.environment_id = m.environment
            AND (f.ends_at IS NULL OR f.ends_at > m.at OR e.state = 'quarantined')) THEN 'changed'
        WHEN e.state = 'quarantined' THEN 'quarantined'
        WHEN e.state IS DISTINCT FROM 'enrolled' THEN 'changed'
        WHEN s.kid IS NULL THEN 'inactive' END AS refusal
    FROM mint m LEFT JOIN environment e ON e.id = m.environment
        LEFT JOIN signing s ON s.kid = m.signing_kid
), first AS MATERIALIZED (
    SELECT DISTINCT ON (jti) place, jti, expires_at FROM judged WHERE refusal IS NULL
        ORDER BY jti, place
), taken AS (
    INSERT INTO used_jtis (key, expires_at) SELECT jti, expires_at FROM first ORDER BY jti
        ON CONFLICT DO NOTHING RETURNING key
)
SELECT place, refusal, NULL::text AS chain, NULL::bigint AS seq, NULL::bytea AS hash FROM judged
    WHERE refusal IS NOT NULL
UNION ALL SELECT place, 'replayed', NULL, NULL, NULL FROM judged
    WHERE refusal IS NULL
        AND (place NOT IN (SELECT place FROM first) OR jti NOT IN (SELECT key FROM taken))
UNION ALL SELECT place, 'first use', NULL, NULL, NULL FROM judged WHERE refusal IS NULL AND first_use
UNION ALL SELECT NULL, NULL, chain, seq, hash FROM (
    SELECT chain, seq, hash FROM audit_heads WHERE chain = ANY ($6) ORDER BY chain FOR UPDATE) head
";

/// Writes records (`$1` to `$12`, a list for each column) and their chains' new heads (`$13` to `$15`).
const WRITE: &str = "
WITH head AS (
    UPDATE audit_heads SET seq = n.seq, hash = n.hash
        FROM unnest($13::text[], $14::bigint[], $15::bytea[]) AS n (chain, seq, hash)
        WHERE audit_heads.chain = n.chain
)
INSERT INTO audit (chain, seq, id, at, actor, action, target, outcome, request_id, source, details,
    hash)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[],
    $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bytea[])
";

/// Makes the heads of chains that begin.
const BEGIN_CHAINS: &str = "INSERT INTO audit_heads (chain, seq, hash) \
     SELECT chain, $2, $3 FROM unnest($1::text[]) AS n (chain) ORDER BY chain ON CONFLICT DO NOTHING";

/// Notes that new keys (`$1`: their environments) were used. Locked in the order of their ids.
const MARK_USED: &str = "WITH used AS (SELECT id FROM environments WHERE id = ANY ($1) AND key_unused \
     ORDER BY id FOR NO KEY UPDATE) \
     UPDATE environments SET key_unused = FALSE FROM used WHERE environments.id = used.id \
     RETURNING environments.id";

/// Begins the grace of the keys before them, which ends at `$2`.
const BEGIN_GRACES: &str =
    "UPDATE former_keys SET ends_at = $2 WHERE environment_id = ANY ($1) AND ends_at IS NULL";

type Heads = BTreeMap<Option<OrganizationId>, Head>;

/// Records what can be recorded, durably, and says of every entry how it ended, in their order. On
/// an error nothing was recorded, unless it struck the commit itself: then nobody can tell.
pub(super) async fn commit(
    connection: &mut PgConnection,
    entries: Vec<Entry>,
) -> Result<Vec<MintOutcome>, StoreError> {
    let question = Question::new(&entries);
    let mut transaction = connection.begin().await.map_err(store_error)?;
    let mut facts = read(&mut transaction, &question).await?;
    let begun: Vec<String> = question.begun(&facts.heads);
    if !begun.is_empty() {
        // In a transaction of its own: this one holds heads, and would wait out of order.
        transaction.rollback().await.map_err(store_error)?;
        begin_chains(connection, begun).await?;
        transaction = connection.begin().await.map_err(store_error)?;
        facts = read(&mut transaction, &question).await?;
    }
    // A key that was replaced while this waited for its lock is looked up as it was before. And a
    // first use is noted in a transaction of its own: this one shares the lock of the environment
    // with others, and two that want it for themselves would wait for each other.
    let (replaced, used) = (facts.key_changed(), facts.first_used(&entries));
    if replaced || used.is_some() {
        transaction.rollback().await.map_err(store_error)?;
        if let Some((environments, at)) = used {
            begin_graces(connection, environments, at).await?;
        }
        transaction = connection.begin().await.map_err(store_error)?;
        facts = read(&mut transaction, &question).await?;
    }
    let (outcomes, changes) = decide(entries, facts);
    if changes.records.is_empty() {
        // Every mint was refused, and refusals leave no trace.
        transaction.rollback().await.map_err(store_error)?;
    } else {
        write(&mut transaction, changes).await?;
        transaction.commit().await.map_err(store_error)?;
    }
    Ok(outcomes)
}

/// What the entries depend on: lists with an item for each mint, and the chains of all entries.
#[derive(Default)]
struct Question {
    environments: Vec<String>,
    kids: Vec<String>,
    signing_kids: Vec<String>,
    jtis: Vec<Vec<u8>>,
    expiries: Vec<i64>,
    times: Vec<i64>,
    chains: BTreeSet<Option<OrganizationId>>,
}

impl Question {
    fn new(entries: &[Entry]) -> Self {
        let mut question = Self::default();
        for entry in entries {
            match entry {
                Entry::Mint(mint) => question.add(mint),
                Entry::Event(event) => {
                    question.chains.insert(event.organization_id);
                }
            }
        }
        question
    }

    fn add(&mut self, mint: &MintRequest) {
        let id = mint.environment_id;
        self.chains.insert(mint.event.organization_id);
        self.environments.push(id.to_string());
        self.kids.push(without_nul(mint.credential_kid.clone()));
        self.signing_kids
            .push(without_nul(mint.signing_kid.clone()));
        self.jtis.push(jti_key(id, &mint.assertion_jti).to_vec());
        self.expiries.push(mint.jti_expires_at.ms());
        self.times.push(mint.event.at.ms());
    }

    /// The names of the chains that have no head yet.
    fn begun(&self, heads: &Heads) -> Vec<String> {
        let missing = self
            .chains
            .iter()
            .filter(|chain| !heads.contains_key(chain));
        missing.copied().map(chain_name).collect()
    }
}

/// What the database says.
#[derive(Default)]
struct Facts {
    /// Refused mints by their place among the mints.
    refused: HashMap<usize, MintOutcome>,
    /// Mints that are the first ones of a new key, by their place too.
    first_uses: BTreeSet<usize>,
    heads: Heads,
}

impl Facts {
    fn add(&mut self, row: &PgRow) -> Result<(), StoreError> {
        use sqlx::FromRow as _;

        let place: Option<i64> = row.try_get("place").map_err(store_error)?;
        let Some(place) = place else {
            let row = HeadRow::from_row(row).map_err(store_error)?;
            self.heads.insert(chain_owner(&row.chain)?, row.try_into()?);
            return Ok(());
        };
        let place = usize::try_from(place - 1)
            .map_err(|error| StoreError::Corrupt(format!("a mint's place: {error}")))?;
        let outcome = match row.try_get("refusal").map_err(store_error)? {
            "first use" => {
                self.first_uses.insert(place);
                return Ok(());
            }
            "stopped" => MintOutcome::Stopped,
            "quarantined" => MintOutcome::Quarantined,
            "changed" => MintOutcome::CredentialChanged,
            "inactive" => MintOutcome::SigningKeyInactive,
            "replayed" => MintOutcome::Replayed,
            unknown => {
                return Err(StoreError::Corrupt(format!("a mint was judged {unknown}")));
            }
        };
        self.refused.insert(place, outcome);
        Ok(())
    }

    fn key_changed(&self) -> bool {
        self.refused
            .values()
            .any(|outcome| *outcome == MintOutcome::CredentialChanged)
    }

    /// The environments whose new key is used for the first time by a mint that is recorded, and when.
    fn first_used(&self, entries: &[Entry]) -> Option<(Vec<String>, Timestamp)> {
        let mints = entries.iter().filter_map(|entry| match entry {
            Entry::Mint(mint) => Some(mint),
            Entry::Event(_) => None,
        });
        let used: Vec<_> = mints
            .enumerate()
            .filter(|(place, _)| {
                self.first_uses.contains(place) && !self.refused.contains_key(place)
            })
            .map(|(_, mint)| mint)
            .collect();
        let at = used.iter().map(|mint| mint.event.at).max()?;
        let environments = used.iter().map(|mint| mint.environment_id.to_string());
        Some((environments.collect(), at))
    }
}

async fn read(
    transaction: &mut PgTransaction<'_>,
    question: &Question,
) -> Result<Facts, StoreError> {
    let chains: Vec<String> = question.chains.iter().copied().map(chain_name).collect();
    let rows = query(READ)
        .bind(&question.environments)
        .bind(&question.kids)
        .bind(&question.signing_kids)
        .bind(&question.jtis)
        .bind(&question.expiries)
        .bind(chains)
        .bind(&question.times)
        .fetch_all(&mut **transaction)
        .await
        .map_err(store_error)?;
    let mut facts = Facts::default();
    rows.iter().try_for_each(|row| facts.add(row))?;
    Ok(facts)
}

async fn begin_graces(
    connection: &mut PgConnection,
    environments: Vec<String>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await.map_err(store_error)?;
    let used: Vec<String> = query_scalar(MARK_USED)
        .bind(environments)
        .fetch_all(&mut *transaction)
        .await
        .map_err(store_error)?;
    query(BEGIN_GRACES)
        .bind(used)
        .bind(at.plus(FORMER_KEY_GRACE).ms())
        .execute(&mut *transaction)
        .await
        .map_err(store_error)?;
    transaction.commit().await.map_err(store_error)
}

async fn begin_chains(
    connection: &mut PgConnection,
    chains: Vec<String>,
) -> Result<(), StoreError> {
    let empty = Head::default();
    query(BEGIN_CHAINS)
        .bind(chains)
        .bind(empty.seq)
        .bind(empty.hash.as_slice())
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(())
}

/// What is to be written.
struct Changes {
    records: Vec<AuditRecord>,
    heads: Heads,
}

fn decide(entries: Vec<Entry>, facts: Facts) -> (Vec<MintOutcome>, Changes) {
    let mut heads = facts.heads;
    let mut records = Vec::with_capacity(entries.len());
    let mut outcomes = Vec::with_capacity(entries.len());
    let mut mints = 0;
    for entry in entries {
        let event = match entry {
            Entry::Event(event) => event,
            Entry::Mint(mint) => {
                mints += 1;
                if let Some(refusal) = facts.refused.get(&(mints - 1)) {
                    outcomes.push(*refusal);
                    continue;
                }
                mint.event
            }
        };
        let head = heads.entry(event.organization_id).or_default();
        records.push(head.append(event));
        outcomes.push(MintOutcome::Recorded);
    }
    (outcomes, Changes { records, heads })
}

/// The columns of audit records as lists.
#[derive(Default)]
struct Columns {
    chain: Vec<String>,
    seq: Vec<i64>,
    id: Vec<String>,
    at: Vec<i64>,
    actor: Vec<String>,
    action: Vec<String>,
    target: Vec<String>,
    outcome: Vec<String>,
    request_id: Vec<Option<String>>,
    source: Vec<Option<String>>,
    details: Vec<String>,
    hash: Vec<Vec<u8>>,
}

impl Columns {
    fn add(&mut self, record: AuditRecord) {
        self.chain.push(chain_name(record.organization_id));
        self.seq.push(record.seq);
        self.id.push(record.id.to_string());
        self.at.push(record.at.ms());
        self.actor.push(record.actor);
        self.action.push(record.action);
        self.target.push(record.target);
        self.outcome.push(record.outcome);
        self.request_id.push(record.request_id);
        self.source.push(record.source);
        self.details.push(record.details);
        self.hash.push(record.hash.to_vec());
    }
}

async fn write(transaction: &mut PgTransaction<'_>, changes: Changes) -> Result<(), StoreError> {
    let mut columns = Columns::default();
    let count = changes.records.len();
    changes
        .records
        .into_iter()
        .for_each(|record| columns.add(record));
    let heads = changes.heads;
    let chains: Vec<String> = heads.keys().copied().map(chain_name).collect();
    let places: Vec<i64> = heads.values().map(|head| head.seq).collect();
    let hashes: Vec<Vec<u8>> = heads.values().map(|head| head.hash.to_vec()).collect();
    let written = query(WRITE)
        .bind(columns.chain)
        .bind(columns.seq)
        .bind(columns.id)
        .bind(columns.at)
        .bind(columns.actor)
        .bind(columns.action)
        .bind(columns.target)
        .bind(columns.outcome)
        .bind(columns.request_id)
        .bind(columns.source)
        .bind(columns.details)
        .bind(columns.hash)
        .bind(chains)
        .bind(places)
        .bind(hashes)
        .execute(&mut **transaction)
        .await
        .map_err(store_error)?;
    if written.rows_affected() == count as u64 {
        Ok(())
    } else {
        Err(StoreError::Unavailable(format!(
            "{} of {count} audit records were written",
            written.rows_affected()
        )))
    }
}
