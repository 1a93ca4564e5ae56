//! When the database or the processor gives up: no token without its record, an answer at once, and
//! documents all the same.

use std::{
    sync::{Arc, atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{
    Answer, Environment, Request, World,
    faulty::{FaultyServer, Gate, REASON},
    world::token_request,
};

#[track_caller]
fn assert_unavailable(answer: &Answer, error: &str) {
    answer.assert_refused(error, "at present");
    assert_eq!(answer.get("retry-after"), Some("1"), "{answer:?}");
    assert!(!answer.text().contains("access_token"));
    assert!(!answer.text().contains(REASON), "{answer:?}");
    assert!(!answer.text().contains("/secret/path"), "{answer:?}");
}

async fn assert_documents_are_served(server: &FaultyServer) {
    for target in [
        "/.well-known/jwks.json",
        "/.well-known/openid-configuration",
        "/enroll/nonce",
    ] {
        let answer = server.send(Request::get(target)).await;
        assert_eq!(answer.status, 200, "{target}");
    }
}

/// Case 23: if the audit write fails, there is no token.
#[tokio::test]
async fn no_token_without_its_durable_record() {
    let world = World::start().await;
    let environment = world.environment().await;
    let server = FaultyServer::start(&world, None).await;
    let assertion = environment.assertion(world.now());

    server.store.no_writes.store(true, Ordering::SeqCst);
    let answer = server.send(token_request(&assertion)).await;
    assert_unavailable(&answer, "503 temporarily_unavailable");
    snapshot!("unavailable", answer);
    assert_documents_are_served(&server).await;
    assert!(world.audited("token.mint").await.is_empty());

    server.store.no_writes.store(false, Ordering::SeqCst);
    let answer = server.send(token_request(&assertion)).await;
    assert_eq!(answer.status, 200, "nothing was used up");
    assert_eq!(world.audited("token.mint").await.len(), 1);
}

/// A refusal that has to be recorded is not given out without its record either.
#[tokio::test]
async fn no_reason_without_its_durable_record() {
    let world = World::start().await;
    let environment = world.environment().await;
    let server = FaultyServer::start(&world, None).await;
    let late = environment.claiming(world.now(), "exp", world.now() - 90);
    server.store.no_writes.store(true, Ordering::SeqCst);
    let answer = server.send(token_request(&late)).await;
    assert_unavailable(&answer, "503 temporarily_unavailable");
}

#[tokio::test]
async fn every_other_request_is_told_to_come_back() {
    let world = World::start().await;
    let environment = world.environment().await;
    let ticket = world.ticket().await;
    let server = FaultyServer::start(&world, None).await;
    let nonce = server.send(Request::get("/enroll/nonce")).await.json();
    let nonce = nonce["nonce"].as_str().unwrap();
    let newcomer = Environment::new(&ticket.environment);
    let enrolment = newcomer.enrolment(&ticket.secret, nonce);
    let organizations = "/api/v1/organizations";

    for failing in [&server.store.no_reads, &server.store.no_writes] {
        failing.store(true, Ordering::SeqCst);
        let answer = server
            .send(Request::json("POST", "/enroll", &enrolment))
            .await;
        assert_unavailable(&answer, "503 temporarily_unavailable");
        let answer = server
            .send(token_request(&environment.assertion(world.now())))
            .await;
        assert_unavailable(&answer, "503 temporarily_unavailable");
        let request = Request::json("POST", organizations, &json!({ "name": "x" }));
        let answer = server.send(request.bearer(&world.admin)).await;
        assert_unavailable(&answer, "503");
        failing.store(false, Ordering::SeqCst);
    }
    server.store.no_reads.store(true, Ordering::SeqCst);
    let answer = server
        .send(Request::get(organizations).bearer(&world.admin))
        .await;
    assert_unavailable(&answer, "503");
    snapshot!("unavailable-administration", answer);
    let ready = server.send(Request::get("/readyz")).await;
    assert_eq!(ready.status, 503);
    assert_eq!(server.send(Request::get("/livez")).await.status, 200);
    assert_documents_are_served(&server).await;

    server.store.no_reads.store(false, Ordering::SeqCst);
    assert_eq!(server.send(Request::get("/readyz")).await.status, 200);
    let answer = server
        .send(Request::json("POST", "/enroll", &enrolment))
        .await;
    assert_eq!(answer.status, 200, "the join token was not used up");
}

/// All counts wait for the next time, not only the one that could not be recorded.
#[tokio::test]
async fn counts_of_refusals_wait_for_the_database() {
    let world = World::start().await;
    let environment = world.environment().await;
    let server = FaultyServer::start(&world, None).await;
    let stranger = Environment::new(&environment.id);
    for _ in 0..2 {
        let request = token_request(&stranger.assertion(world.now()));
        assert_eq!(server.send(request).await.status, 401);
    }
    let body = json!({ "join_token": "x", "jwk": stranger.key.jwk(), "proof": "x" });
    let request = Request::json("POST", "/enroll", &body);
    assert_eq!(server.send(request).await.status, 400);
    let request = Request::get("/api/v1/keys").bearer("idp_admin_x");
    assert_eq!(server.send(request).await.status, 401);

    server.store.no_writes.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        server.service.keep_house().await.unwrap_err();
    }
    server.store.no_writes.store(false, Ordering::SeqCst);
    server.service.keep_house().await.unwrap();
    let mut records = world.audit(None).await;
    records.retain(|record| record.action == "refusals.anonymous");
    let counts: Vec<(&str, Value)> = records
        .iter()
        .map(|record| {
            let details: Value = serde_json::from_str(&record.details).unwrap();
            (record.target.as_str(), details["count"].clone())
        })
        .collect();
    assert_eq!(
        counts,
        [
            ("admin.authenticate", json!(1)),
            ("environment.enrol", json!(1)),
            ("token.mint", json!(2)),
        ]
    );
}

/// Keeps the one signing thread busy and its queue full until what it returns is dropped.
async fn keep_busy(server: &FaultyServer) -> Vec<mpsc::Sender<()>> {
    let mut senders = Vec::new();
    let (started, starts) = mpsc::channel();
    for number in 0..2 {
        let (sender, end) = mpsc::channel::<()>();
        senders.push(sender);
        let (pool, started) = (server.pool.clone(), started.clone());
        tokio::spawn(async move {
            let work = move || {
                started.send(()).unwrap();
                // Fails when the sender is dropped, and that ends the wait too.
                end.recv().ok();
            };
            pool.run(work).await.unwrap();
        });
        if number == 0 {
            // Once the thread has the first one, the second one waits.
            while starts.try_recv().is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    while !format!("{:?}", server.pool).contains("waiting: 1") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    senders
}

#[tokio::test]
async fn too_much_to_verify_is_refused_at_once() {
    let world = World::start().await;
    let environment = world.environment().await;
    let ticket = world.ticket().await;
    let server = FaultyServer::start(&world, None).await;
    let assertion = environment.assertion(world.now());
    let busy = keep_busy(&server).await;
    let start = Instant::now();
    for _ in 0..20 {
        let answer = server.send(token_request(&assertion)).await;
        answer.assert_refused(
            "503 temporarily_unavailable",
            "too many requests wait for a signature already",
        );
        assert_eq!(answer.get("retry-after"), Some("1"));
    }
    let newcomer = Environment::new(&ticket.environment);
    let body = newcomer.enrolment(&ticket.secret, "");
    let answer = server.send(Request::json("POST", "/enroll", &body)).await;
    answer.assert_refused("503 temporarily_unavailable", "too many requests");
    assert_documents_are_served(&server).await;
    assert!(start.elapsed() < Duration::from_secs(5), "nobody waited");
    drop(busy);
    let answer = loop {
        let answer = server.send(token_request(&assertion)).await;
        if answer.status != 503 {
            break answer;
        }
    };
    assert_eq!(answer.status, 200, "nothing was used up");
    assert_eq!(world.audited("token.mint").await.len(), 1);
}

/// A mint that was recorded but cannot be signed leaves its record and no token.
#[tokio::test]
async fn too_much_to_sign_leaves_the_record_only() {
    let world = World::start().await;
    let environment = world.environment().await;
    let gate = Gate {
        recorded: Semaphore::new(0),
        go: Semaphore::new(0),
    };
    let server = Arc::new(FaultyServer::start(&world, Some(gate)).await);
    let request = token_request(&environment.assertion(world.now()));
    let asking = {
        let (server, request) = (server.clone(), request.clone());
        tokio::spawn(async move { server.send(request).await })
    };
    let gate = server.store.gate.as_ref().unwrap();
    gate.recorded.acquire().await.unwrap().forget();
    let busy = keep_busy(&server).await;
    gate.go.add_permits(100);
    let answer = asking.await.unwrap();
    answer.assert_refused(
        "503 temporarily_unavailable",
        "could not be signed at present",
    );
    assert!(!answer.text().contains("eyJ"), "{answer:?}");
    assert_eq!(world.audited("token.mint").await.len(), 1);
    drop(busy);
    let answer = loop {
        let fresh = token_request(&environment.assertion(world.now()));
        let answer = server.send(fresh).await;
        if answer.status != 503 {
            break answer;
        }
    };
    assert_eq!(answer.status, 200);
    let answer = server.send(request).await;
    answer.assert_refused("401 invalid_client", "its jti was used before");
}
