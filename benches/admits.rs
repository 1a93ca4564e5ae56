//! What it costs to ask a million principals whom a trust policy admits, over a loop that only reads
//! them.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times are far below 2^52"
)]

#[expect(dead_code, reason = "each benchmark uses its part of what they share")]
mod support;

use std::{fs, process::Stdio, time::Instant};

use futures_util::TryStreamExt as _;
use idp::domain::SigningAlgorithm;
use sqlx::{ConnectOptions as _, Row as _, SqliteConnection, query, sqlite::SqliteConnectOptions};

use support::{
    environments::Size,
    median,
    process::clean,
    report::{Bound, dependency, figure, finish, note},
    site::{IDP, Site},
};

const ROUNDS: usize = 5;

const SIZE: Size = Size {
    organizations: 1_000,
    environments: 1_000_000,
    minting: 1,
    records: 0,
};

fn main() {
    if !support::wanted() {
        return;
    }
    let site = Site::new(SigningAlgorithm::Es256);
    let start = Instant::now();
    site.fill(SIZE);
    note(&format!(
        "{} environments of {} organisations, filled in {:.0} s",
        SIZE.environments,
        SIZE.organizations,
        start.elapsed().as_secs_f64()
    ));
    let server = site.serve();
    let (mut ratios, mut reads, mut asks) = (vec![], vec![], vec![]);
    for round in 0..=ROUNDS {
        let (read, ask) = (read(&site), ask(&site));
        // The first one fills caches.
        if round > 0 {
            ratios.push(ask / read);
            reads.push(read);
            asks.push(ask);
        }
    }
    figure("admits_ratio", median(ratios), Bound::AtMost(2.0));
    figure("admits_ms", median(asks), Bound::None);
    figure("read_ms", median(reads), Bound::None);
    figure("server_rss_mib", server.memory("VmHWM"), Bound::None);
    finish(&[dependency("libsqlite3-sys")]);
}

/// Reads every principal's ids, name and state, in milliseconds.
fn read(site: &Site) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime needs nothing here");
    let start = Instant::now();
    let count = runtime
        .block_on(count(site))
        .expect("the database can be read");
    assert_eq!(count, SIZE.environments);
    start.elapsed().as_secs_f64() * 1000.0
}

async fn count(site: &Site) -> Result<usize, sqlx::Error> {
    let mut database: SqliteConnection = SqliteConnectOptions::new()
        .filename(site.database())
        .read_only(true)
        .connect()
        .await?;
    let mut rows =
        query("SELECT id, organization_id, project_id, name, state FROM environments ORDER BY id")
            .fetch(&mut database);
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.try_next().await? {
        for column in 0..5 {
            bytes += row.try_get::<Option<&str>, _>(column)?.map_or(0, str::len);
        }
        count += 1;
    }
    assert!(bytes > 0);
    Ok(count)
}

/// The whole command: a policy that admits one organisation, in milliseconds.
fn ask(site: &Site) -> f64 {
    let provider = site.issuer.trim_start_matches("http://");
    let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": { "Federated": format!("arn:aws:iam::123456789012:oidc-provider/{provider}") },
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": { format!("{provider}:aud"): "sts.amazonaws.com" },
            "StringLike": { format!("{provider}:sub"): "org:*7/*" },
        },
    }] });
    let file = site.path().join("trust.json");
    fs::write(&file, policy.to_string()).expect("the directory is writable");
    let start = Instant::now();
    let output = clean(IDP, site.path())
        .args(["aws", "lint", "--admits", "--trust-policy"])
        .arg(&file)
        .env("IDP_URL", &site.issuer)
        .env("IDP_ADMIN_TOKEN", &site.admin_token)
        .stderr(Stdio::piped())
        .output()
        .expect("idp starts");
    let wall = start.elapsed().as_secs_f64() * 1000.0;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("of 1000000 principals"), "{told}");
    wall
}
