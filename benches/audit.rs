//! What checking the audit log costs, over what reading and hashing its rows costs.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times are far below 2^52"
)]

#[expect(dead_code, reason = "each benchmark uses its part of what they share")]
mod support;

use std::{process::Stdio, time::Instant};

use futures_util::TryStreamExt as _;
use idp::{
    domain::{
        AuditEvent, AuditRecord, OrganizationId, SigningAlgorithm, SystemClock, SystemRandom,
        audit_hash,
    },
    jose::sha256,
};
use sqlx::{
    ConnectOptions as _, Connection as _, Row as _, SqliteConnection, query, query_scalar,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use support::{
    median,
    process::clean,
    report::{Bound, dependency, figure, finish, note},
    site::{IDP, Site},
};

const ROUNDS: usize = 5;
const CHAINS: i64 = 10;
const RECORDS: i64 = 30_000;

fn main() {
    if !support::wanted() {
        return;
    }
    let site = Site::new(SigningAlgorithm::Es256);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs nothing here");
    runtime
        .block_on(fill(&site))
        .expect("the schema is the one that this fills");
    note(&format!("{CHAINS} chains with {RECORDS} records each"));
    // The first start makes the key-encryption key, without which nothing is checked.
    drop(site.serve());
    let (mut ratios, mut checks, mut loops) = (vec![], vec![], vec![]);
    for round in 0..=ROUNDS {
        let begun = Instant::now();
        let verify = clean(IDP, site.path())
            .args(["admin", "audit", "verify", "--config"])
            .arg(site.config())
            .stdout(Stdio::null())
            .output()
            .expect("idp starts");
        let checked = begun.elapsed().as_secs_f64();
        assert!(
            verify.status.success(),
            "{}",
            String::from_utf8_lossy(&verify.stderr)
        );
        let begun = Instant::now();
        let rows = runtime.block_on(bare(&site)).expect("the rows can be read");
        let looped = begun.elapsed().as_secs_f64();
        assert!(rows >= CHAINS * RECORDS);
        // The first one fills caches.
        if round > 0 {
            ratios.push(checked / looped);
            checks.push(checked * 1e6 / rows as f64);
            loops.push(looped * 1e6 / rows as f64);
        }
    }
    figure("audit_verify_ratio", median(ratios), Bound::AtMost(1.5));
    figure("audit_verify_us_per_record", median(checks), Bound::None);
    figure("audit_loop_us_per_record", median(loops), Bound::None);
    finish(&[dependency("libsqlite3-sys"), dependency("sqlx")]);
}

async fn connect(site: &Site) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .filename(site.database())
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Off)
        .connect()
        .await
}

/// Chains as mints make them.
async fn fill(site: &Site) -> Result<(), sqlx::Error> {
    let mut database = connect(site).await?;
    let mut transaction = database.begin().await?;
    for _ in 0..CHAINS {
        let organization = OrganizationId::new(&SystemClock, &SystemRandom);
        let chain = organization.to_string();
        let mut previous = [0; 32];
        for seq in 1..=RECORDS {
            let event = AuditEvent::new(&SystemClock, &SystemRandom, "token.mint", &*chain);
            let mut record = AuditRecord {
                id: event.id,
                organization_id: Some(organization),
                seq,
                at: event.at,
                actor: format!("environment:{chain}"),
                action: event.action.to_owned(),
                target: event.target,
                outcome: "success".to_owned(),
                request_id: Some(chain.clone()),
                source: Some("127.0.0.1".to_owned()),
                details: format!(
                    "{{\"jti\":\"ly8KiFr409Sssdc52OoOvQ\",\"sub\":\"org:{chain}/prj:{chain}/env:{chain}\",\
                     \"aud\":\"sts.amazonaws.com\",\"exp\":1795335847,\
                     \"kid\":\"vdr0Jvw5RFFUlf9Se1Go-X5gzX9Sy6N_ze03P9cLGe4\"}}"
                ),
                previous,
                hash: [0; 32],
            };
            record.hash = audit_hash(&record);
            previous = record.hash;
            query("INSERT INTO audit VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)")
                .bind(&chain)
                .bind(seq)
                .bind(record.id.to_string())
                .bind(record.at.ms())
                .bind(record.actor)
                .bind(record.action)
                .bind(record.target)
                .bind(record.outcome)
                .bind(record.request_id)
                .bind(record.source)
                .bind(record.details)
                .bind(record.hash.to_vec())
                .execute(&mut *transaction)
                .await?;
        }
        query("INSERT INTO audit_heads VALUES ($1, $2, $3)")
            .bind(&chain)
            .bind(RECORDS)
            .bind(previous.to_vec())
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    database.close().await
}

/// Selects every chain's rows in their order and hashes the bytes of each; checks nothing.
async fn bare(site: &Site) -> Result<i64, sqlx::Error> {
    let mut database = connect(site).await?;
    let chains: Vec<String> = query_scalar("SELECT chain FROM audit_heads")
        .fetch_all(&mut database)
        .await?;
    let mut count = 0;
    let mut seen = 0;
    for chain in chains {
        let mut rows = query(
            "SELECT seq, at, chain, id, actor, action, target, outcome, request_id, source, details, \
             hash FROM audit WHERE chain = $1 ORDER BY seq",
        )
        .bind(chain)
        .fetch(&mut database);
        while let Some(row) = rows.try_next().await? {
            let mut bytes = Vec::with_capacity(768);
            for column in 0..2 {
                bytes.extend_from_slice(&row.try_get::<i64, _>(column)?.to_be_bytes());
            }
            for column in 2..11 {
                let text: Option<&str> = row.try_get(column)?;
                bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
            }
            bytes.extend_from_slice(row.try_get::<&[u8], _>(11)?);
            seen ^= sha256(&bytes)[0];
            count += 1;
        }
    }
    std::hint::black_box(seen);
    database.close().await?;
    Ok(count)
}
