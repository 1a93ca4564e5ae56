//! What a token costs on PostgreSQL, what a second server adds, and how quickly one starts beside a
//! million environments.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times are far below 2^52"
)]

#[expect(dead_code, reason = "each benchmark uses its part of what they share")]
mod support;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread::scope,
    time::{Duration, Instant},
};

use idp::domain::SigningAlgorithm;

use support::{
    bare::BareHandler,
    crypto::Crypto,
    environments::{Environments, Size},
    load::{Load, answer_length, get},
    median,
    postgres::Postgres,
    report::{Bound, dependency, figure, finish, note},
    site::{Site, free_address},
};

const ROUNDS: usize = 5;

/// Mints of a round.
const MINTS: usize = 6_000;

const SIZE: Size = Size {
    organizations: 4,
    environments: 256,
    minting: 256,
    records: 0,
};

const LARGE: Size = Size {
    organizations: 1_000,
    environments: 1_000_000,
    minting: 2_000,
    records: 0,
};

fn main() {
    support::bare::serve_if_asked();
    if !support::wanted() {
        return;
    }
    let Some(postgres) = Postgres::start() else {
        note("PostgreSQL is not installed");
        return;
    };
    cost(&postgres);
    replicas(&postgres);
    start(&postgres);
    finish(&[dependency("aws-lc-rs"), dependency("sqlx-postgres")]);
}

fn site(postgres: &Postgres, name: &str, size: Size) -> (Site, Environments) {
    let mut place = Site::new(SigningAlgorithm::Rs256);
    let environments = place.fill(size);
    place.move_to(&postgres.database(name));
    (place, environments)
}

/// CPU of a mint in the server's process, over that of the cryptography in it.
fn cost(postgres: &Postgres) {
    let (place, environments) = site(postgres, "cost", SIZE);
    let server = place.serve();
    let crypto = Crypto::new();
    let needed = || {
        let bare = crypto.measure();
        bare.sign_rs256 + bare.verify_es256
    };
    let mint = |count: usize| {
        let load = Load::once(place.address, 64, environments.requests(count));
        let before = server.cpu();
        load.send();
        server.cpu().saturating_sub(before).as_secs_f64() * 1e6 / count as f64
    };
    mint(MINTS / 2);
    let (mut ratios, mut costs) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        let before = needed();
        let cpu = mint(MINTS);
        ratios.push(cpu / f64::midpoint(before, needed()));
        costs.push(cpu);
    }
    figure(
        "postgres_mint_rs256_cpu_ratio",
        median(ratios),
        Bound::AtMost(1.5),
    );
    figure("postgres_mint_rs256_cpu_us", median(costs), Bound::None);
}

/// Tokens a second of two servers on one database, over the rate of two programs with as many threads
/// that answer the same requests with one verification and one signature and nothing else.
fn replicas(postgres: &Postgres) {
    let (site, environments) = site(postgres, "replicas", SIZE);
    let second = free_address();
    let _servers = [site.serve(), site.serve_at(second)];
    let bare = [BareHandler::minting(), BareHandler::minting()];
    let mints = || rate([site.address, second], &environments);
    let crypto = || rate([bare[0].address, bare[1].address], &environments);
    mints();
    let (mut ratios, mut rates, mut bares) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let (mints, crypto) = (mints(), crypto());
        ratios.push(mints / crypto);
        rates.push(mints);
        bares.push(crypto);
    }
    figure(
        "postgres_replicas_rate_ratio",
        median(ratios),
        Bound::AtLeast(0.6),
    );
    figure("postgres_replicas_mints_per_s", median(rates), Bound::None);
    figure("bare_replicas_per_s", median(bares), Bound::None);
}

/// Requests that two servers answer in a second, half of the load each.
fn rate(addresses: [SocketAddr; 2], environments: &Environments) -> f64 {
    let halves = [0, 1].map(|_| environments.requests(MINTS / 2).to_vec());
    let start = Instant::now();
    scope(|scope| {
        for (address, requests) in addresses.into_iter().zip(halves) {
            scope.spawn(move || Load::once(address, 32, requests.into()).send());
        }
    });
    MINTS as f64 / start.elapsed().as_secs_f64()
}

/// From the start of the process to the first answer, and the memory that it has then and later.
fn start(postgres: &Postgres) {
    let (site, environments) = site(postgres, "large", LARGE);
    let request = get(site.address, "/.well-known/jwks.json");
    let mut times = vec![];
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let server = site.serve();
        ask(site.address, &request);
        times.push(begun.elapsed());
        server.stop();
    }
    times.sort_unstable();
    let time: Duration = times[ROUNDS / 2];
    figure(
        "start_ms_1m_environments",
        time.as_secs_f64() * 1e3,
        Bound::AtMost(1000.0),
    );
    let server = site.serve();
    figure(
        "rss_mib_1m_environments",
        server.memory("VmRSS"),
        Bound::AtMost(60.0),
    );
    Load::once(site.address, 64, environments.requests(MINTS)).send();
    figure(
        "rss_mib_1m_environments_after_mints",
        server.memory("VmRSS"),
        Bound::AtMost(60.0),
    );
}

/// One whole answer.
fn ask(address: SocketAddr, request: &[u8]) {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.write_all(request).expect("the server reads");
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while answer_length(&answer).is_none_or(|length| length > answer.len()) {
        let read = stream.read(&mut part).expect("the server answers");
        assert!(read > 0, "the server closed the connection");
        answer.extend_from_slice(&part[..read]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}
