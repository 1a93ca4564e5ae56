//! `SIGKILL` in a storm of mints.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use idp::{
    domain::{OrganizationId, SystemClock},
    ports::{AuditRecord, Store},
    store::{SqliteStore, first_broken},
};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection, query_scalar};
use tokio::task::JoinSet;

use crate::e2e::{
    attackers::claims_of,
    client::assertion,
    crowd::{Client, enrolled},
    installation::Installation,
};

const ROUNDS: usize = 5;
const ENVIRONMENTS: usize = 24;
/// Requests of one environment at once.
const PER_ENVIRONMENT: usize = 2;
/// How many tokens the storm has to have got before the kill; the kill comes in the midst of the next.
const TOKENS_BEFORE_THE_KILL: usize = 150;
/// An answered request: the assertion, and the `jti` of the token.
struct Answered {
    assertion: String,
    jti: String,
}

/// Mints until the server is gone, and tells of every token as soon as it is there.
async fn storm(
    client: &Client,
    prefix: String,
    answered: tokio::sync::mpsc::UnboundedSender<Answered>,
) {
    for number in 0.. {
        let assertion = assertion(&client.identity, &client.key, &format!("{prefix}-{number}"));
        let Some((status, body)) = ask(client, &assertion).await else {
            return;
        };
        assert_eq!(status, 200, "{body}");
        let claims = claims_of(body["access_token"].as_str().unwrap());
        let jti = claims["jti"].as_str().unwrap().to_owned();
        answered.send(Answered { assertion, jti }).unwrap();
    }
}

async fn ask(client: &Client, assertion: &str) -> Option<(u16, Value)> {
    client
        .ask(&client.identity.server_url.to_string(), assertion)
        .await
}

/// Lets the storm loose and kills the server in its midst; every answer that arrived.
async fn kill_in_a_storm(
    installation: &mut Installation,
    clients: &[Arc<Client>],
    round: usize,
) -> Vec<Answered> {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for client in clients {
        for lane in 0..PER_ENVIRONMENT {
            let (client, sender) = (Arc::clone(client), sender.clone());
            let prefix = format!("round-{round}-lane-{lane}");
            tasks.spawn(async move { storm(&client, prefix, sender).await });
        }
    }
    drop(sender);
    let mut answered = Vec::new();
    while answered.len() < TOKENS_BEFORE_THE_KILL {
        answered.push(receiver.recv().await.expect("the server answers"));
    }
    installation.kill();
    while let Some(last) = receiver.recv().await {
        answered.push(last);
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    answered
}

/// Everything in the chain of one organisation.
pub(crate) async fn audit_records(
    store: &dyn Store,
    organization: OrganizationId,
) -> Vec<AuditRecord> {
    let mut records: Vec<AuditRecord> = Vec::new();
    loop {
        let after = records.last().map_or(0, |record| record.seq);
        let page = store.audit_records(Some(organization), after, 1000);
        let page = page.await.unwrap();
        if page.is_empty() {
            return records;
        }
        records.extend(page);
    }
}

/// The `jti`s of the tokens that the audit log knows; none of them twice.
pub(crate) fn recorded_jtis(records: &[AuditRecord]) -> HashSet<String> {
    let mut jtis = HashSet::new();
    for record in records {
        if record.action == "token.mint" && record.outcome == "success" {
            let details: Value = serde_json::from_str(&record.details).unwrap();
            let jti = details["jti"].as_str().unwrap().to_owned();
            assert!(jtis.insert(jti), "twice: {details}");
        }
    }
    jtis
}

/// What SQLite itself says of the file, before anything of ours has mended it.
async fn assert_sound(url: &str) {
    let mut database = SqliteConnection::connect(url).await.unwrap();
    let found: Vec<String> = query_scalar("PRAGMA integrity_check")
        .fetch_all(&mut database)
        .await
        .unwrap();
    assert_eq!(found, ["ok"]);
    let orphans = sqlx::query("PRAGMA foreign_key_check")
        .fetch_all(&mut database)
        .await
        .unwrap();
    assert!(
        orphans.is_empty(),
        "{} rows without a parent",
        orphans.len()
    );
    database.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_token_that_was_answered_is_on_record_after_a_kill() {
    let mut installation = Installation::running("ES256");
    let (organization, clients) = enrolled(
        &installation.url(),
        installation.admin_token(),
        ENVIRONMENTS,
    )
    .await;
    let path = installation.path().join("idp.db");
    let url = format!("sqlite:{}", path.display());
    let mut all = HashSet::new();
    for round in 0..ROUNDS {
        let answered = kill_in_a_storm(&mut installation, &clients, round).await;
        assert_sound(&url).await;
        let store = SqliteStore::open(&url, Arc::new(SystemClock))
            .await
            .unwrap();
        let records = audit_records(&store, organization).await;
        store.close().await;
        assert_eq!(first_broken(&records), None);
        let recorded = recorded_jtis(&records);
        for answer in &answered {
            assert!(
                recorded.contains(&answer.jti),
                "round {round}: not on record"
            );
            assert!(
                all.insert(answer.jti.clone()),
                "round {round}: issued twice"
            );
        }
        assert!(
            all.is_subset(&recorded),
            "round {round}: an older record is gone"
        );

        let begun = Instant::now();
        installation.start();
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert_used_up(&clients, &answered, round).await;
    }
}

/// The server that started again knows the assertions that it has answered, and serves new ones.
async fn assert_used_up(clients: &[Arc<Client>], answered: &[Answered], round: usize) {
    for client in clients {
        let id = client.identity.environment_id.to_string();
        let used = answered
            .iter()
            .rev()
            .find(|answer| claims_of(&answer.assertion)["sub"] == *id);
        if let Some(used) = used {
            let (status, body) = ask(client, &used.assertion).await.unwrap();
            assert_eq!(status, 401, "{body}");
            let description = body["error_description"].as_str().unwrap();
            assert!(description.contains("used before"), "{description}");
        }
        let fresh = assertion(
            &client.identity,
            &client.key,
            &format!("after-round-{round}"),
        );
        let (status, body) = ask(client, &fresh).await.unwrap();
        assert_eq!(status, 200, "{body}");
    }
}
