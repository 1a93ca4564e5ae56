//! A storm of mints in which a replica is killed and PostgreSQL crashes.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use idp::{
    domain::SystemClock,
    ports::Store as _,
    store::{PostgresStore, first_broken},
};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use super::world::{RECOVERY, Replicas, get, until};
use crate::{
    durability::heavy::{audit_records, recorded_jtis},
    e2e::{
        attackers::claims_of,
        client::assertion,
        crowd::{Client, enrolled},
    },
};

/// How many tokens are to be minted unless `IDP_TEST_CHAOS_MINTS` says otherwise.
const MINTS: usize = 6_000;
const ENVIRONMENTS: usize = 48;

/// What the storm has seen.
#[derive(Default)]
struct Seen {
    tokens: AtomicUsize,
    refused: AtomicUsize,
    dropped: AtomicUsize,
    turn: AtomicUsize,
    enough: AtomicBool,
}

/// An answered request.
struct Answered {
    client: usize,
    assertion: String,
    jti: String,
}

/// Mints at each replica in turn, until there are enough tokens.
async fn storm(
    number: usize,
    client: Arc<Client>,
    urls: Arc<Vec<String>>,
    seen: Arc<Seen>,
    answered: mpsc::UnboundedSender<Answered>,
) {
    for count in 0.. {
        if seen.enough.load(Ordering::Relaxed) {
            return;
        }
        let assertion = assertion(
            &client.identity,
            &client.key,
            &format!("storm-{number}-{count}"),
        );
        let url = &urls[seen.turn.fetch_add(1, Ordering::Relaxed) % urls.len()];
        match client.ask(url, &assertion).await {
            Some((200, body)) => {
                seen.tokens.fetch_add(1, Ordering::Relaxed);
                let claims = claims_of(body["access_token"].as_str().unwrap());
                let jti = claims["jti"].as_str().unwrap().to_owned();
                let answer = Answered {
                    client: number,
                    assertion,
                    jti,
                };
                answered.send(answer).unwrap();
            }
            Some((503, _)) => {
                seen.refused.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(50)).await;
            }
            Some((status, body)) => panic!("{status}: {body}"),
            None => {
                seen.dropped.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl Seen {
    async fn wait_for(&self, tokens: usize) {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let now = self.tokens.load(Ordering::Relaxed);
            if now >= tokens {
                return;
            }
            if now > last {
                (last, since) = (now, Instant::now());
            }
            assert!(since.elapsed() < Duration::from_secs(30), "stuck at {now}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_and_the_database_fall_in_a_storm_and_nothing_is_lost() {
    let mints = std::env::var("IDP_TEST_CHAOS_MINTS")
        .map_or(MINTS, |text| text.parse().expect("a number of mints"));
    let Some(mut replicas) = Replicas::start(3).await else {
        return;
    };
    let urls = Arc::new(replicas.urls());
    let (organization, clients) = enrolled(&urls[0], &replicas.admin_token, ENVIRONMENTS).await;
    let seen = Arc::new(Seen::default());
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let begun = Instant::now();
    let mut storms = JoinSet::new();
    for (number, client) in clients.iter().enumerate() {
        let (client, urls, seen) = (Arc::clone(client), Arc::clone(&urls), Arc::clone(&seen));
        storms.spawn(storm(number, client, urls, seen, sender.clone()));
    }
    drop(sender);

    seen.wait_for(mints / 4).await;
    replicas.kill(1);
    seen.wait_for(mints / 2).await;
    replicas.postgres.stop();
    sleep(Duration::from_secs(1)).await;
    for number in [0, 2] {
        let url = format!("{}/.well-known/jwks.json", urls[number]);
        assert_eq!(get(&clients[0], &url).await.0, 200);
    }
    replicas.postgres.resume().await;
    for number in [0, 2] {
        let what = format!("replica {number} after the crash of the database");
        let client = &clients[0];
        let ((), took) = until(&what, RECOVERY, async || {
            let jti = format!("probe-{number}-{:?}", begun.elapsed());
            let probe = assertion(&client.identity, &client.key, &jti);
            let answer = client.ask(&urls[number], &probe).await;
            answer
                .is_some_and(|(status, _)| status == 200)
                .then_some(())
        })
        .await;
        eprintln!("{what}: back in {took:?}");
    }
    replicas.launch(1);
    seen.wait_for(mints).await;
    seen.enough.store(true, Ordering::Relaxed);
    while let Some(ended) = storms.join_next().await {
        ended.unwrap();
    }
    let count = |number: &AtomicUsize| number.load(Ordering::Relaxed);
    eprintln!(
        "{} tokens in {:?}; {} refused with 503, {} connections dropped",
        count(&seen.tokens),
        begun.elapsed(),
        count(&seen.refused),
        count(&seen.dropped)
    );

    let store = PostgresStore::open(&replicas.postgres.url(), Arc::new(SystemClock))
        .await
        .unwrap();
    let records = audit_records(&store, organization).await;
    store.close().await;
    assert_eq!(first_broken(&records), None);
    let recorded = recorded_jtis(&records);
    let mut issued = HashSet::new();
    let mut last = None;
    while let Some(answer) = receiver.recv().await {
        assert!(recorded.contains(&answer.jti), "a token without its record");
        assert!(issued.insert(answer.jti.clone()), "a jti twice");
        last = Some(answer);
    }
    assert_eq!(issued.len(), count(&seen.tokens));

    let last = last.unwrap();
    for url in urls.iter() {
        let (status, body) = clients[last.client]
            .ask(url, &last.assertion)
            .await
            .unwrap();
        assert_eq!(status, 401, "an assertion twice: {body}");
    }
}
