//! One transaction for many mints and audit appends.
//!
//! It has two halves, one that asks about all entries and one that writes them all. Each is one text
//! of several SQL statements that stays prepared, so that a batch pays for two hops to the
//! connection's thread, whatever its size. The half that asks is answered with exceptions only, so
//! that an ordinary mint costs no row at all.

use std::{
    collections::{HashMap, HashSet},
    iter::repeat,
    sync::{Arc, OnceLock},
};

use futures_util::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, Either, Executor as _, FromRow as _, Row as _, SqlSafeStr as _, SqlStr,
    SqliteConnection, query, sqlite::SqliteRow,
};

use super::environment_keys::begin_grace;
use crate::{
    domain::{AuditEvent, EnvironmentId, EnvironmentState, OrganizationId, Timestamp},
    ports::{AuditRecord, MintOutcome, MintRequest, StoreError},
    store::{
        audit::{Head, chain_name, chain_owner, without_nul},
        error::store_error,
        json_text,
        jti::{JtiKey, jti_key},
        queue::BATCH,
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

/// Begins, and asks about all mints at once. `$1`: for each mint its environment's id (36
/// characters) and the `kid` it proved; `$2`: signing `kid`s; `$3`: for each mint the key of its
/// `jti` in hex; `$4`: the audit chains. The first column of a row says which question it answers.
const READ: &str = "
BEGIN IMMEDIATE;
SELECT 1, m.key, e.state AS chain, CASE WHEN e.kid IS substr(m.value, 37) THEN -1
    ELSE coalesce((SELECT coalesce(f.ends_at, 9223372036854775807) FROM former_keys f
    WHERE f.kid = substr(m.value, 37) AND f.environment_id = e.id), -2) END AS seq, NULL AS hash
    FROM json_each($1) m LEFT JOIN environments e ON e.id = substr(m.value, 1, 36)
    WHERE e.state IS NOT 'enrolled' OR e.kid IS NOT substr(m.value, 37) OR e.key_unused
UNION ALL SELECT 2, m.key, NULL, NULL, NULL FROM json_each($2) m WHERE NOT EXISTS (SELECT 1
    FROM issuer_keys k WHERE k.kid = m.value AND k.activated_at IS NOT NULL
    AND k.retiring_at IS NULL AND k.retired_at IS NULL)
UNION ALL SELECT 3, m.key, NULL, NULL, NULL FROM json_each($3) m WHERE EXISTS (SELECT 1
    FROM used_jtis u WHERE u.key = unhex(m.value))
UNION ALL SELECT 4, NULL, h.chain, h.seq, h.hash FROM json_each($4) m
    CROSS JOIN audit_heads h ON h.chain = m.value;
";

/// The environment of the mint at this place is not enrolled, or the mint's key is not its present
/// one, or was never used. The third column is the state, if any; the fourth says of the key:
/// [`PRESENT`], [`UNKNOWN`], or until when it is accepted though it was replaced.
const SPECIAL: i64 = 1;
/// The signing key at this place is not active.
const INACTIVE: i64 = 2;
/// The `jti` at this place was used before.
const USED: i64 = 3;
/// The head of a chain: its name, its place, its hash.
const HEAD: i64 = 4;

/// The key is the environment's present one.
const PRESENT: i64 = -1;
/// The key is none of the environment's.
const UNKNOWN: i64 = -2;

/// How many columns an audit record has.
const AUDIT_COLUMNS: usize = 12;

/// The largest batch that one statement writes.
const LARGEST: usize = BATCH.next_power_of_two();

/// [`write_sql`] for each power of two up to [`LARGEST`].
static WRITES: [OnceLock<SqlStr>; LARGEST.ilog2() as usize + 1] =
    [const { OnceLock::new() }; LARGEST.ilog2() as usize + 1];

/// Writes and commits: for `rows` rows a list of `jti` keys and when they may be forgotten, a list
/// of audit records, and the chains' new heads. Rows of NULL fill the lists up, so that a handful of
/// statements, each for twice as many rows as the one before, serves batches of every size and stays
/// prepared. `OR ROLLBACK` spares SQLite the bookkeeping for undoing one statement alone.
fn write_sql(rows: usize) -> String {
    fn values(columns: usize, rows: usize) -> String {
        let row = format!("({})", vec!["?"; columns].join(","));
        vec![row; rows].join(",")
    }
    format!(
        "INSERT OR ROLLBACK INTO used_jtis (key, expires_at)
             SELECT * FROM (VALUES {}) WHERE column1 IS NOT NULL;
         INSERT OR ROLLBACK INTO audit (chain, seq, id, at, actor, action, target, outcome,
             request_id, source, details, hash)
             SELECT * FROM (VALUES {}) WHERE column1 IS NOT NULL;
         INSERT INTO audit_heads (chain, seq, hash)
             SELECT m.value ->> 0, m.value ->> 1, unhex(m.value ->> 2) FROM json_each(?) m WHERE TRUE
             ON CONFLICT (chain) DO UPDATE SET seq = excluded.seq, hash = excluded.hash;
         COMMIT;",
        values(2, rows),
        values(AUDIT_COLUMNS, rows),
    )
}

/// Records what can be recorded, durably, and says of every entry how it ended, in their order. On
/// an error nothing was recorded.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    entries: Vec<Entry>,
) -> Result<Vec<MintOutcome>, StoreError> {
    let result = attempt(connection, entries).await;
    if result.is_err() {
        // Fails where the error has ended the transaction already. Should it fail otherwise, the
        // next batch cannot begin, and comes here again.
        let _ = connection.execute("ROLLBACK").await;
    }
    result
}

async fn attempt(
    connection: &mut SqliteConnection,
    entries: Vec<Entry>,
) -> Result<Vec<MintOutcome>, StoreError> {
    let question = Question::new(&entries);
    let facts = read(connection, &question).await?;
    let (outcomes, changes) = decide(entries, &question, facts);
    write(connection, changes).await?;
    Ok(outcomes)
}

/// What the entries depend on. Places in the lists count mints only.
struct Question {
    environments: Vec<String>,
    signing_kids: Vec<String>,
    /// For each mint the place of its `kid` in `signing_kids`.
    signed_with: Vec<usize>,
    jtis: Vec<JtiKey>,
    chains: HashSet<Option<OrganizationId>>,
}

impl Question {
    fn new(entries: &[Entry]) -> Self {
        let mut question = Self {
            environments: Vec::with_capacity(entries.len()),
            signing_kids: Vec::new(),
            signed_with: Vec::with_capacity(entries.len()),
            jtis: Vec::with_capacity(entries.len()),
            chains: HashSet::new(),
        };
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
        self.chains.insert(mint.event.organization_id);
        self.environments.push(without_nul(format!(
            "{}{}",
            mint.environment_id, mint.credential_kid
        )));
        self.jtis
            .push(jti_key(mint.environment_id, &mint.assertion_jti));
        // Nearly always one, so a search through a list it is.
        let kid = without_nul(mint.signing_kid.clone());
        let place = self.signing_kids.iter().position(|known| *known == kid);
        self.signed_with.push(place.unwrap_or_else(|| {
            self.signing_kids.push(kid);
            self.signing_kids.len() - 1
        }));
    }
}

/// What is not as usual with a mint's environment or key.
enum Special {
    /// The mint is refused.
    Refused(MintOutcome),
    /// It is the first one of a new key.
    FirstUse,
    /// Its key was replaced, and is accepted until then.
    AcceptedUntil(Timestamp),
}

impl Special {
    fn refusal(&self, at: Timestamp) -> Option<MintOutcome> {
        match self {
            Self::Refused(outcome) => Some(*outcome),
            Self::AcceptedUntil(end) if *end <= at => Some(MintOutcome::CredentialChanged),
            Self::FirstUse | Self::AcceptedUntil(_) => None,
        }
    }
}

/// What the database says, by the places in [`Question`]'s lists.
#[derive(Default)]
struct Facts {
    /// Mints whose environment or key is not as usual.
    special: HashMap<usize, Special>,
    inactive_kids: HashSet<usize>,
    used_jtis: HashSet<usize>,
    heads: HashMap<Option<OrganizationId>, Head>,
}

impl Facts {
    fn add(&mut self, row: &SqliteRow) -> Result<(), StoreError> {
        match row.try_get(0).map_err(store_error)? {
            SPECIAL => {
                let state: Option<&str> = row.try_get(2).map_err(store_error)?;
                let key: i64 = row.try_get(3).map_err(store_error)?;
                let special = match state.and_then(EnvironmentState::from_name) {
                    Some(EnvironmentState::Stopped) => Special::Refused(MintOutcome::Stopped),
                    Some(EnvironmentState::Quarantined) if key != UNKNOWN => {
                        Special::Refused(MintOutcome::Quarantined)
                    }
                    Some(EnvironmentState::Enrolled) if key == PRESENT => Special::FirstUse,
                    Some(EnvironmentState::Enrolled) if key != UNKNOWN => {
                        Special::AcceptedUntil(Timestamp::from_ms(key))
                    }
                    _ => Special::Refused(MintOutcome::CredentialChanged),
                };
                self.special.insert(place(row)?, special);
            }
            INACTIVE => {
                self.inactive_kids.insert(place(row)?);
            }
            USED => {
                self.used_jtis.insert(place(row)?);
            }
            HEAD => {
                let row = HeadRow::from_row(row).map_err(store_error)?;
                self.heads.insert(chain_owner(&row.chain)?, row.try_into()?);
            }
            unknown => return Err(StoreError::Corrupt(format!("answer {unknown} to a batch"))),
        }
        Ok(())
    }
}

/// The place in a list that a row speaks of.
fn place(row: &SqliteRow) -> Result<usize, StoreError> {
    let place: i64 = row.try_get(1).map_err(store_error)?;
    usize::try_from(place).map_err(|error| StoreError::Corrupt(error.to_string()))
}

async fn read(connection: &mut SqliteConnection, question: &Question) -> Result<Facts, StoreError> {
    let chains: Vec<String> = question.chains.iter().copied().map(chain_name).collect();
    let jtis: Vec<String> = question.jtis.iter().map(hex::encode).collect();
    let mut facts = Facts::default();
    let mut statements = 0;
    let mut results = connection.fetch_many(
        query(READ)
            .bind(json_text(&question.environments)?)
            .bind(json_text(&question.signing_kids)?)
            .bind(json_text(&jtis)?)
            .bind(json_text(&chains)?),
    );
    while let Some(result) = results.try_next().await.map_err(store_error)? {
        match result {
            Either::Left(_) => statements += 1,
            Either::Right(row) => facts.add(&row)?,
        }
    }
    // No rows read as consent, so be sure that the questions were asked.
    if statements == 2 {
        Ok(facts)
    } else {
        Err(StoreError::Unavailable(format!(
            "{statements} of 2 statements of a batch were run"
        )))
    }
}

/// What is to be written.
#[derive(Default)]
struct Changes {
    /// Keys, and when they may be forgotten.
    jtis: Vec<(JtiKey, Timestamp)>,
    records: Vec<AuditRecord>,
    heads: HashMap<Option<OrganizationId>, Head>,
    /// New keys that are used for the first time, and when.
    first_uses: Vec<(EnvironmentId, Timestamp)>,
}

fn decide(entries: Vec<Entry>, question: &Question, facts: Facts) -> (Vec<MintOutcome>, Changes) {
    let mut changes = Changes {
        jtis: Vec::with_capacity(question.jtis.len()),
        records: Vec::with_capacity(entries.len()),
        heads: facts.heads,
        first_uses: Vec::new(),
    };
    let mut seen = HashSet::with_capacity(question.jtis.len());
    let mut mints = question.jtis.iter().zip(&question.signed_with).enumerate();
    let mut outcomes = Vec::with_capacity(entries.len());
    for entry in entries {
        let event = match entry {
            Entry::Event(event) => event,
            Entry::Mint(mint) => {
                // `mints` has an item for each mint, in the same order.
                let Some((place, (jti, signed_with))) = mints.next() else {
                    break;
                };
                let special = facts.special.get(&place);
                let refusal = special.and_then(|special| special.refusal(mint.event.at));
                let refusal = refusal.or_else(|| {
                    if facts.inactive_kids.contains(signed_with) {
                        Some(MintOutcome::SigningKeyInactive)
                    } else if facts.used_jtis.contains(&place) || !seen.insert(jti) {
                        Some(MintOutcome::Replayed)
                    } else {
                        None
                    }
                });
                if let Some(refusal) = refusal {
                    outcomes.push(refusal);
                    continue;
                }
                if matches!(special, Some(Special::FirstUse)) {
                    changes
                        .first_uses
                        .push((mint.environment_id, mint.event.at));
                }
                changes.jtis.push((*jti, mint.jti_expires_at));
                mint.event
            }
        };
        let head = changes.heads.entry(event.organization_id).or_default();
        changes.records.push(head.append(event));
        outcomes.push(MintOutcome::Recorded);
    }
    (outcomes, changes)
}

async fn write(connection: &mut SqliteConnection, changes: Changes) -> Result<(), StoreError> {
    if changes.records.is_empty() {
        // Every mint was refused, and refusals leave no trace.
        connection.execute("ROLLBACK").await.map_err(store_error)?;
        return Ok(());
    }
    for (environment, at) in changes.first_uses {
        begin_grace(connection, environment, at).await?;
    }
    let rows = changes.records.len().next_power_of_two();
    let sql = WRITES[rows.ilog2() as usize]
        .get_or_init(|| AssertSqlSafe(write_sql(rows)).into_sql_str())
        .clone();
    let mut write = query(sql);
    let jtis = changes.jtis.into_iter().map(Some);
    for jti in jtis.chain(repeat(None)).take(rows) {
        write = write
            .bind(jti.map(|(key, _)| key.to_vec()))
            .bind(jti.map(|(_, expires_at)| expires_at.ms()));
    }
    let heads: HashMap<_, _> = changes
        .heads
        .into_iter()
        .map(|(organization, head)| (organization, (Arc::new(chain_name(organization)), head)))
        .collect();
    let missing = rows - changes.records.len();
    for record in changes.records {
        let chain = Arc::clone(&heads[&record.organization_id].0);
        write = write
            .bind(chain)
            .bind(record.seq)
            .bind(record.id.to_string())
            .bind(record.at.ms())
            .bind(record.actor)
            .bind(record.action)
            .bind(record.target)
            .bind(record.outcome)
            .bind(record.request_id)
            .bind(record.source)
            .bind(record.details)
            .bind(record.hash.to_vec());
    }
    for _ in 0..missing * AUDIT_COLUMNS {
        write = write.bind(None::<i64>);
    }
    let heads: Vec<_> = heads
        .values()
        .map(|(chain, head)| (chain, head.seq, hex::encode(head.hash)))
        .collect();
    connection
        .execute(write.bind(json_text(&heads)?))
        .await
        .map_err(store_error)?;
    Ok(())
}
