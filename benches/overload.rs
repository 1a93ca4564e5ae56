//! Ten times more token requests than the server can serve, for half a minute: whether its memory stays
//! flat, refusals are quick, and the key set is served as by a server that has nothing else to do.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times are far below 2^52"
)]

#[expect(dead_code, reason = "each benchmark uses its part of what they share")]
mod support;

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use idp::domain::SigningAlgorithm;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::LocalSet,
    time::sleep,
};

use support::{
    environments::{Environments, Size},
    load::{Load, answer_length, get},
    process::{Running, clean},
    report::{Bound, dependency, figure, finish},
    site::{IDP, Site},
};

const JWKS: &str = "/.well-known/jwks.json";

/// How many token requests the server works on at once.
const INSIDE: usize = 256;

/// How many clients ask at once: half of them find no place.
const CLIENTS: usize = 2 * INSIDE;

/// How many times its capacity the server is asked for.
const TIMES: f64 = 10.0;

/// How long the load lasts.
const DURATION: Duration = Duration::from_secs(30);

/// By when queues and caches have their size.
const SETTLED: Duration = Duration::from_secs(6);

fn main() {
    if !support::wanted() {
        return;
    }
    let site = Site::new(SigningAlgorithm::Rs256);
    let environments = site.fill(Size {
        organizations: 4,
        environments: 2_000,
        minting: 2_000,
        records: 0,
    });
    let mut command = clean(IDP, site.path());
    command.env("IDP_LIMITS_SIGNING_QUEUE", INSIDE.to_string());
    let server = site.serve_under(command);
    let idle = Site::new(SigningAlgorithm::Rs256);
    let _idle_server = idle.serve();

    let capacity = capacity(&site, &environments);
    figure("overload_capacity_per_s", capacity, Bound::None);
    overload(&site, &server, &idle, &environments, capacity);
    finish(&[dependency("axum"), dependency("hyper"), dependency("tokio")]);
}

/// How many tokens a second it mints for as many clients as it has room for.
fn capacity(site: &Site, environments: &Environments) -> f64 {
    let sent = Load::once(site.address, 64, environments.requests(8_000)).send();
    sent.count as f64 / sent.wall.as_secs_f64()
}

fn overload(
    site: &Site,
    server: &Running,
    idle: &Site,
    environments: &Environments,
    capacity: f64,
) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number far below 2^52"
    )]
    let tokens = (capacity * DURATION.as_secs_f64() * 1.5) as usize;
    let requests = environments.requests(tokens);
    let probes = [site.address, idle.address].map(|address| {
        thread::spawn(move || {
            thread::sleep(SETTLED);
            probe(address, DURATION.saturating_sub(SETTLED))
        })
    });
    let watcher = thread::spawn({
        let id = server.id();
        move || {
            thread::sleep(SETTLED);
            let settled = resident(id);
            thread::sleep(DURATION.saturating_sub(SETTLED + Duration::from_secs(1)));
            (settled, resident(id))
        }
    });
    let asked = flood(site.address, &requests, capacity);
    let [busy, calm] = probes.map(|probe| probe.join().expect("the key set is served"));
    let (settled, last) = watcher.join().expect("the server runs");

    let seconds = DURATION.as_secs_f64();
    figure(
        "overload_asked_to_capacity_ratio",
        asked.total as f64 / seconds / capacity,
        Bound::AtLeast(TIMES * 0.9),
    );
    figure(
        "overload_minted_per_s",
        asked.minted as f64 / seconds,
        Bound::None,
    );
    figure(
        "overload_refusal_p99_ms",
        percentile(asked.refusals, 99) * 1e3,
        Bound::AtMost(10.0),
    );
    figure("overload_rss_mib", last, Bound::None);
    figure(
        "overload_rss_growth_mib",
        last - settled,
        Bound::AtMost(2.0),
    );
    let (busy, calm) = (percentile(busy, 99), percentile(calm, 99));
    figure("overload_jwks_p99_us", busy * 1e6, Bound::None);
    figure("overload_idle_jwks_p99_us", calm * 1e6, Bound::None);
    figure("overload_jwks_p99_ratio", busy / calm, Bound::AtMost(2.0));
}

/// How the requests ended.
#[derive(Default)]
struct Asked {
    total: usize,
    minted: usize,
    /// How long each refusal took, in seconds.
    refusals: Vec<f64>,
}

/// Asks for tokens. A client that is refused comes again with the same assertion, which was not looked
/// at, after a pause that makes the whole [`TIMES`] the capacity.
fn flood(address: SocketAddr, requests: &Rc<[Vec<u8>]>, capacity: f64) -> Asked {
    let pause = Duration::from_secs_f64((CLIENTS - INSIDE) as f64 / ((TIMES - 1.0) * capacity));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system gives an epoll");
    let (next, asked) = (
        Rc::new(Cell::new(0)),
        Rc::new(RefCell::new(Asked::default())),
    );
    let end = Instant::now() + DURATION;
    LocalSet::new().block_on(&runtime, async {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (next, asked, requests) = (next.clone(), asked.clone(), Rc::clone(requests));
                tokio::task::spawn_local(client(address, requests, next, asked, end, pause))
            })
            .collect();
        for client in clients {
            client.await.expect("a client works to its end");
        }
    });
    asked.take()
}

async fn client(
    address: SocketAddr,
    requests: Rc<[Vec<u8>]>,
    next: Rc<Cell<usize>>,
    asked: Rc<RefCell<Asked>>,
    end: Instant,
    pause: Duration,
) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.set_nodelay(true).expect("it is a TCP socket");
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut number = next.replace(next.get() + 1);
    while Instant::now() < end {
        let begun = Instant::now();
        let request = requests.get(number).expect("there are enough assertions");
        stream.write_all(request).await.expect("the server reads");
        buffer.clear();
        while answer_length(&buffer).is_none_or(|length| length > buffer.len()) {
            let read = stream.read_buf(&mut buffer).await.expect("it answers");
            assert!(read > 0, "the server closed a connection");
        }
        let took = begun.elapsed().as_secs_f64();
        let refused = buffer.starts_with(b"HTTP/1.1 503");
        assert!(
            refused || buffer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&buffer)
        );
        {
            let mut asked = asked.borrow_mut();
            asked.total += 1;
            if refused {
                asked.refusals.push(took);
            } else {
                asked.minted += 1;
            }
        }
        if refused {
            sleep(pause).await;
        } else {
            number = next.replace(next.get() + 1);
        }
    }
}

/// How long each answer takes, in seconds, on one connection with pauses.
fn probe(address: SocketAddr, duration: Duration) -> Vec<f64> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("it is a TCP socket");
    let request = get(address, JWKS);
    let mut buffer = vec![0; 64 * 1024];
    let mut latencies = Vec::new();
    let end = Instant::now() + duration;
    while Instant::now() < end {
        let begun = Instant::now();
        stream.write_all(&request).expect("the server reads");
        let mut filled = 0;
        while answer_length(&buffer[..filled]).is_none_or(|length| length > filled) {
            let read = stream.read(&mut buffer[filled..]).expect("it answers");
            assert!(read > 0, "the server closed a connection");
            filled += read;
        }
        latencies.push(begun.elapsed().as_secs_f64());
        thread::sleep(Duration::from_millis(1));
    }
    latencies
}

/// Resident memory of a process in MiB.
fn resident(id: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse().ok())
        .expect("it has memory");
    kib / 1024.0
}

fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = values.len() * percent / 100;
    values
        .get(at.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
