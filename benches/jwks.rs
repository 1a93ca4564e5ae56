//! What the key set costs the server, and how long it takes while tokens are minted as fast as they can be.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times are far below 2^52"
)]

#[expect(dead_code, reason = "each benchmark uses its part of what they share")]
mod support;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, available_parallelism, sleep},
    time::{Duration, Instant},
};

use idp::domain::SigningAlgorithm;

use support::{
    bare::{BareHandler, serve_if_asked},
    environments::{Environments, Size},
    load::{Load, answer_length, get},
    median,
    process::Running,
    report::{Bound, dependency, figure, finish},
    site::Site,
};

const JWKS: &str = "/.well-known/jwks.json";

const ROUNDS: usize = 5;

/// Requests of a round: about a second of CPU.
const REQUESTS: usize = 60_000;

/// How long latencies are taken in a round, on each side.
const LATENCY_TIME: Duration = Duration::from_secs(5);

/// Between a connection's requests while latencies are taken.
const PAUSE: Duration = Duration::from_millis(1);

/// Connections that latencies are taken on.
const PROBES: usize = 2;

fn main() {
    serve_if_asked();
    if !support::wanted() {
        return;
    }
    let site = Site::new(SigningAlgorithm::Rs256);
    let environments = site.fill(Size {
        organizations: 4,
        environments: 256,
        minting: 256,
        records: 0,
    });
    let server = site.serve();
    let bytes = body_length(site.address);
    compare_cpu(&site, &server, bytes);
    compare_latency(&site, &environments, bytes);
    finish(&[dependency("axum"), dependency("hyper"), dependency("tokio")]);
}

fn compare_cpu(site: &Site, server: &Running, bytes: usize) {
    let bare = BareHandler::start(bytes, 0);
    let cost = |process: &Running, address, path| {
        let request = get(address, path);
        let load = Load {
            address,
            connections: 64,
            requests: Rc::new([request]),
            count: REQUESTS,
        };
        let before = process.cpu();
        load.send();
        process.cpu().saturating_sub(before).as_secs_f64() * 1e6 / REQUESTS as f64
    };
    let (mut ratios, mut costs, mut bares) = (vec![], vec![], vec![]);
    for round in 0..=ROUNDS {
        let theirs = cost(&bare.process, bare.address, "/");
        let ours = cost(server, site.address, JWKS);
        // The first one warms both up.
        if round > 0 {
            ratios.push(ours / theirs);
            costs.push(ours);
            bares.push(theirs);
        }
    }
    figure("jwks_cpu_ratio", median(ratios), Bound::AtMost(1.6));
    figure("jwks_cpu_us", median(costs), Bound::None);
    figure("jwks_bare_handler_cpu_us", median(bares), Bound::None);
}

fn compare_latency(site: &Site, environments: &Environments, bytes: usize) {
    // As many as the server has.
    let signers = available_parallelism().map_or(1, usize::from);
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        let bare = BareHandler::start(bytes, signers);
        theirs.push(probe(bare.address, "/"));
        drop(bare);
        ours.push(latency_under_mints(site, environments));
    }
    let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs);
    figure(
        "jwks_p99_under_mint_ratio",
        median(ratios.collect()),
        Bound::AtMost(2.0),
    );
    figure("jwks_p99_under_mint_us", median(ours), Bound::None);
    figure(
        "jwks_bare_handler_p99_beside_signers_us",
        median(theirs),
        Bound::None,
    );
}

fn latency_under_mints(site: &Site, environments: &Environments) -> f64 {
    // More than any machine mints meanwhile on two cores, and cheap to have made in vain.
    let per_second = 5_000 * available_parallelism().map_or(1, usize::from) as u64;
    let count = usize::try_from(per_second * LATENCY_TIME.as_secs()).unwrap_or(usize::MAX);
    let load = Load::once(site.address, 64, environments.requests(count));
    let address = site.address;
    let done = Arc::new(AtomicBool::new(false));
    let prober = thread::spawn({
        let done = Arc::clone(&done);
        move || {
            // Until the mints have come up to speed.
            sleep(Duration::from_millis(200));
            let latency = probe(address, JWKS);
            done.store(true, Ordering::Relaxed);
            latency
        }
    });
    let sent = load.send_while(move || !done.load(Ordering::Relaxed));
    assert!(sent.count < count, "the mints ended before the measurement");
    prober.join().expect("the key set is served")
}

/// The 99th percentile of the time that an answer takes, in microseconds.
fn probe(address: SocketAddr, path: &str) -> f64 {
    let request = get(address, path);
    let probes: Vec<_> = (0..PROBES)
        .map(|_| {
            let request = request.clone();
            thread::spawn(move || latencies(address, &request))
        })
        .collect();
    let mut all: Vec<f64> = probes
        .into_iter()
        .flat_map(|probe| probe.join().expect("every request is answered"))
        .collect();
    all.sort_by(f64::total_cmp);
    all[all.len() * 99 / 100]
}

fn latencies(address: SocketAddr, request: &[u8]) -> Vec<f64> {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("it is a TCP socket");
    let mut buffer = vec![0; 64 * 1024];
    let mut latencies = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < LATENCY_TIME {
        let start = Instant::now();
        read_answer(&mut stream, request, &mut buffer);
        latencies.push(start.elapsed().as_secs_f64() * 1e6);
        sleep(PAUSE);
    }
    latencies
}

/// Sends a request and returns how many bytes the answer has.
fn read_answer(stream: &mut TcpStream, request: &[u8], buffer: &mut [u8]) -> usize {
    stream.write_all(request).expect("the server reads");
    let mut filled = 0;
    loop {
        let read = stream
            .read(&mut buffer[filled..])
            .expect("the server answers");
        assert!(read > 0, "the server closed a connection");
        filled += read;
        if answer_length(&buffer[..filled]).is_some_and(|length| length <= filled) {
            return filled;
        }
    }
}

/// How many bytes of JSON the key set has.
fn body_length(address: SocketAddr) -> usize {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let mut buffer = vec![0; 64 * 1024];
    let length = read_answer(&mut stream, &get(address, JWKS), &mut buffer);
    let head = buffer[..length]
        .windows(4)
        .position(|four| four == b"\r\n\r\n");
    length - head.expect("an answer has a head") - 4
}
