//! Crowds (cases 5, 15, 17): what must happen once happens once.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use idp::{
    domain::{SimulatedClock, SystemRandom},
    ports::{AuditStore as _, IssuerKeyStore as _},
    server::Server,
};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    Answer, Environment, Request, World,
    world::{START, settings, token_request},
};

/// Sends all at once, each over a connection of its own.
async fn crowd(world: &World, requests: Vec<Request>) -> Vec<Answer> {
    let mut tasks = JoinSet::new();
    for request in requests {
        let address = world.address;
        tasks.spawn(async move { request.send(address).await });
    }
    tasks.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn case_5_of_100_clients_with_one_assertion_one_wins() {
    let world = World::start().await;
    let environment = world.environment().await;
    for _ in 0..3 {
        let assertion = environment.assertion(world.now());
        let answers = crowd(&world, vec![token_request(&assertion); 100]).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!(won.len(), 1);
        assert_eq!(lost.len(), 99);
        for answer in lost {
            answer.assert_refused("401 invalid_client", "its jti was used before");
        }
    }
    let minted = world.audited("token.mint").await;
    let successes = minted.iter().filter(|record| record.outcome == "success");
    assert_eq!(successes.count(), 3);
    assert_eq!(
        minted.len(),
        4,
        "one record stands for the refusals of a minute"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn case_15_of_50_clients_with_one_join_token_one_wins() {
    let world = World::start().await;
    let ticket = world.ticket().await;
    let nonce = world.nonce().await;
    let environments: Vec<Environment> = (0..50)
        .map(|_| Environment::new(&ticket.environment))
        .collect();
    let requests = environments
        .iter()
        .map(|environment| {
            let body = environment.enrolment(&ticket.secret, &nonce);
            Request::json("POST", "/enroll", &body)
        })
        .collect();
    let answers = crowd(&world, requests).await;
    let won: Vec<Value> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .map(Answer::json)
        .collect();
    assert_eq!(won.len(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.assert_refused("400 invalid_grant", "ask an administrator for a new one");
    }
    let records = world.audited("environment.enrol").await;
    let successes = records.iter().filter(|record| record.outcome == "success");
    assert_eq!(successes.count(), 1);
    assert_eq!(
        records.len(),
        2,
        "one record stands for the refusals of a minute"
    );
    for environment in &environments {
        let is_winner = won[0]["kid"] == environment.kid;
        let expected = if is_winner { 200 } else { 401 };
        assert_eq!(world.token(environment).await.status, expected);
    }
}

/// What a minting client saw.
struct Seen {
    began: Instant,
    answer: Answer,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn case_17_mints_that_race_a_stop() {
    let world = World::start().await;
    let bystander = Arc::new(world.environment().await);
    for _ in 0..3 {
        let environment = Arc::new(world.environment().await);
        let enough = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for number in 0..16 {
            // Some mint for another environment, so that batches are mixed.
            let other = number % 4 == 0;
            let client = if other { &bystander } else { &environment }.clone();
            let (address, now, enough) = (world.address, world.now(), enough.clone());
            tasks.spawn(async move {
                let mut seen = Vec::new();
                while !enough.load(Ordering::SeqCst) {
                    let request = token_request(&client.assertion(now));
                    let began = Instant::now();
                    let answer = request.send(address).await;
                    seen.push(Seen { began, answer });
                }
                (other, seen)
            });
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(world.stop(&environment.id).await.status, 200);
        let stopped = Instant::now();
        tokio::time::sleep(Duration::from_millis(150)).await;
        enough.store(true, Ordering::SeqCst);

        let mut tokens = HashSet::new();
        let (mut before, mut after) = (0, 0);
        while let Some(joined) = tasks.join_next().await {
            let (other, seen) = joined.unwrap();
            for Seen { began, answer } in seen {
                if other {
                    assert_eq!(answer.status, 200, "a bystander was refused");
                } else if answer.status == 200 {
                    assert!(began < stopped, "a token after stop returned");
                    before += 1;
                    let token = answer.json()["access_token"].clone();
                    tokens.insert(jti(token.as_str().unwrap()));
                } else {
                    answer.assert_refused("400 unauthorized_client", "is stopped");
                    after += usize::from(began > stopped);
                }
            }
        }
        assert!(
            before > 0 && after > 0,
            "there was no race: {before} {after}"
        );

        // In the chain of the organisation the stop comes after the last token's record.
        let mut recorded = HashSet::new();
        let mut has_stopped = false;
        for record in world.audit(Some(world.organization)).await {
            if record.target != environment.id {
                continue;
            }
            has_stopped |= record.action == "environment.stop";
            if record.action == "token.mint" && record.outcome == "success" {
                assert!(!has_stopped, "a mint was recorded after the stop");
                let details: Value = serde_json::from_str(&record.details).unwrap();
                recorded.insert(details["jti"].as_str().unwrap().to_owned());
            }
        }
        assert!(has_stopped);
        assert!(tokens.is_subset(&recorded), "a token without its record");
    }
}

fn jti(token: &str) -> String {
    let payload = token.split('.').nth(1).unwrap();
    let payload = idp::jose::base64url_decode(payload).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    claims["jti"].as_str().unwrap().to_owned()
}

/// Of servers that start at once on an empty database one makes the keys, and all serve them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_start_at_once_agree_on_their_keys() {
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir);
        let clock = Arc::new(SimulatedClock::new(START));
        let mut starting = JoinSet::new();
        for _ in 0..4 {
            let (settings, clock) = (settings.clone(), clock.clone());
            starting.spawn(Server::build(settings, clock, Arc::new(SystemRandom)));
        }
        let servers: Vec<Server> = starting
            .join_all()
            .await
            .into_iter()
            .map(|started| started.unwrap_or_else(|error| panic!("{error}")))
            .collect();
        let jwks = servers[0].service.keys().jwks();
        let store = idp::store::SqliteStore::open(settings.database_url.expose(), clock.clone())
            .await
            .unwrap();
        let stored = store.issuer_keys(&settings.issuer).await.unwrap();
        assert_eq!(stored.len(), 2, "one active and one pending");
        for server in &servers {
            assert_eq!(server.service.keys().jwks().body, jwks.body);
        }
        let text = String::from_utf8(jwks.body.to_vec()).unwrap();
        assert!(stored.iter().all(|key| text.contains(&key.kid)));
        let made = store.audit_records(None, 0, 100).await.unwrap();
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].action, "key.create");
        for server in servers {
            server.close().await;
        }
    }
}
