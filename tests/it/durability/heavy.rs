//! `SIGKILL` in a storm of mints.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use http::Method;
use idp::{
    client::{
        admin::Admin,
        enrol::enrol,
        identity::Identity,
        server::{Server, ServerUrl},
    },
    domain::{OrganizationId, SecretString, SystemClock},
    jose::PrivateKey,
    ports::{AuditRecord, AuditStore as _, Store as _},
    store::{SqliteStore, first_broken},
    upstream::http::HttpClient,
};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection, query_scalar};
use tokio::task::JoinSet;

use crate::e2e::{
    attackers::claims_of,
    client::{assertion, http, token_form},
    installation::Installation,
};

const ROUNDS: usize = 5;
const ENVIRONMENTS: usize = 24;
/// Requests of one environment at once.
const PER_ENVIRONMENT: usize = 2;
/// How many tokens the storm has to have got before the kill; the kill comes in the midst of the next.
const TOKENS_BEFORE_THE_KILL: usize = 150;
const FORM: &str = "application/x-www-form-urlencoded";

/// One environment, and how to ask for its tokens.
struct Client {
    identity: Identity,
    key: PrivateKey,
    http: HttpClient,
}

/// An answered request: the assertion, and the `jti` of the token.
struct Answered {
    assertion: String,
    jti: String,
}

impl Client {
    /// Status and body; `None` where there was no answer.
    async fn ask(&self, assertion: &str) -> Option<(u16, Value)> {
        let url = format!("{}/oauth2/token", self.identity.server_url);
        let url = url.parse().unwrap();
        let answer = self
            .http
            .post(&url, FORM, token_form(assertion))
            .await
            .ok()?;
        let body = serde_json::from_slice(&answer.body).ok()?;
        Some((answer.status.as_u16(), body))
    }

    /// Mints until the server is gone, and tells of every token as soon as it is there.
    async fn storm(&self, prefix: String, answered: tokio::sync::mpsc::UnboundedSender<Answered>) {
        for number in 0.. {
            let assertion = assertion(&self.identity, &self.key, &format!("{prefix}-{number}"));
            let Some((status, body)) = self.ask(&assertion).await else {
                return;
            };
            assert_eq!(status, 200, "{body}");
            let claims = claims_of(body["access_token"].as_str().unwrap());
            let jti = claims["jti"].as_str().unwrap().to_owned();
            answered.send(Answered { assertion, jti }).unwrap();
        }
    }
}

/// Makes an organisation with enrolled environments over the API.
async fn enrolled(installation: &Installation) -> (OrganizationId, Vec<Arc<Client>>) {
    let url: ServerUrl = installation.url().parse().unwrap();
    let token = SecretString::from(installation.admin_token());
    let http_client = http();
    let server = || Server {
        http: &http_client,
        url: &url,
        clock: &SystemClock,
    };
    let admin = Admin {
        server: server(),
        token: &token,
    };
    let post = async |path: &str, body: Value| {
        let made = admin.call(Method::POST, path, Some(body)).await;
        made.unwrap()
    };
    let organization = post("/organizations", json!({"name": "acme"})).await["id"].clone();
    let organization = organization.as_str().unwrap().to_owned();
    let path = format!("/organizations/{organization}/environments");
    let mut clients = Vec::new();
    for number in 0..ENVIRONMENTS {
        let made = post(&path, json!({"name": format!("env-{number}")})).await;
        let join_token = SecretString::from(made["join_token"].as_str().unwrap());
        let identity = enrol(server(), &join_token).await.unwrap();
        let key = identity.key(&PathBuf::new()).unwrap();
        clients.push(Arc::new(Client {
            identity,
            key,
            http: http(),
        }));
    }
    (organization.parse().unwrap(), clients)
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
            tasks.spawn(async move { client.storm(prefix, sender).await });
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
async fn audit_records(store: &SqliteStore, organization: OrganizationId) -> Vec<AuditRecord> {
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
fn recorded_jtis(records: &[AuditRecord]) -> HashSet<String> {
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
    let (organization, clients) = enrolled(&installation).await;
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
            let (status, body) = client.ask(&used.assertion).await.unwrap();
            assert_eq!(status, 401, "{body}");
            let description = body["error_description"].as_str().unwrap();
            assert!(description.contains("used before"), "{description}");
        }
        let fresh = assertion(
            &client.identity,
            &client.key,
            &format!("after-round-{round}"),
        );
        let (status, body) = client.ask(&fresh).await.unwrap();
        assert_eq!(status, 200, "{body}");
    }
}
