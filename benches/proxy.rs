//! What the signing proxy costs beside nginx, which forwards the same requests and signs nothing.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times are far below 2^52"
)]

#[expect(dead_code, reason = "each benchmark uses its part of what they share")]
mod support;

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::Runtime,
    task::LocalSet,
};

use support::{
    demo::Demo,
    load::Connection,
    median,
    nginx::{self, Nginx},
    proxy::Proxy,
    report::{Bound, dependency, figure, finish, note},
    route::{Route, trusting},
    upstream::{HOSTS, OBJECT, Upstream, serve_if_asked},
};

const ROUNDS: usize = 5;

/// Requests of a round.
const REQUESTS: usize = 20_000;

/// Connections that CPU is measured at.
const CONNECTIONS: usize = 64;

/// Requests of a round, one after the other, whose time is taken.
const TIMED: usize = 4_000;

/// How often each object is sent and fetched.
const TRANSFERS: usize = 3;

/// What is written at a time while an object is sent.
const CHUNK: usize = 64 * 1024;

fn main() {
    serve_if_asked();
    if !support::wanted() {
        return;
    }
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("nobody was quicker");
    let demo = Demo::start();
    let dir = support::site::scratch();
    let upstream = Upstream::start(dir.path());
    let Some(nginx) = Nginx::start(dir.path(), &upstream) else {
        note("nginx is not installed; scripts/test installs it");
        return;
    };
    compare_plain(&demo, &upstream, &nginx);
    compare_intercepted(&demo, &upstream, &nginx);
    finish(&[
        nginx::version().unwrap_or_default(),
        dependency("hyper"),
        dependency("rustls"),
        dependency("aws-lc-rs"),
    ]);
}

/// Requests without TLS on either side, as an SDK sends them to an endpoint on loopback.
fn compare_plain(demo: &Demo, upstream: &Upstream, nginx: &Nginx) {
    let proxy = Proxy::start(demo, upstream, false);
    let (ours, theirs) = (Route::Plain(proxy.address), Route::Plain(nginx.plain));
    let show_key = proxy.authorization();
    for (name, operation, reach) in [("read", "GetItem", 5.0), ("write", "PutItem", 8.0)] {
        let costs = Costs::of(
            || cost(&ours, &post(operation, &show_key), || proxy.process.cpu()),
            || cost(&theirs, &post(operation, ""), || nginx.cpu()),
        );
        costs.print(&format!("proxy_{name}"), reach);
    }
    let direct = Route::Plain(upstream.plain);
    let (mut ratios, mut added) = (vec![], vec![]);
    for round in 0..=ROUNDS {
        let alone = p50(&direct, &post("GetItem", ""));
        let nginx = p50(&theirs, &post("GetItem", "")) - alone;
        let proxy = p50(&ours, &post("GetItem", &show_key)) - alone;
        if round > 0 {
            ratios.push(proxy / nginx);
            added.push(proxy);
        }
    }
    figure("proxy_added_p50_ratio", median(ratios), Bound::AtMost(2.0));
    figure("proxy_added_p50_us", median(added), Bound::None);
}

/// Requests through a tunnel whose TLS the proxy ends, with TLS to the upstream.
fn compare_intercepted(demo: &Demo, upstream: &Upstream, nginx: &Nginx) {
    let proxy = Proxy::start(demo, upstream, true);
    let (trusts_proxy, trusts_nginx) = (trusting(&proxy.ca), trusting(&upstream.ca()));
    let ours = |host| {
        let key = proxy.key.clone();
        Route::Tunnel(proxy.address, host, trusts_proxy.clone(), key)
    };
    let theirs = |host| Route::Tls(nginx.tls, host, trusts_nginx.clone());
    let request = post("GetItem", "");
    let costs = Costs::of(
        || cost(&ours(HOSTS[0]), &request, || proxy.process.cpu()),
        || cost(&theirs(HOSTS[0]), &request, || nginx.cpu()),
    );
    costs.print("proxy_intercepted_read", 2.5);

    let before = proxy.process.memory("VmRSS");
    for (name, transfer) in [
        ("up", send_object as fn(&Route) -> Duration),
        ("down", fetch_object),
    ] {
        let (mut ratios, mut rates) = (vec![], vec![]);
        for round in 0..=TRANSFERS {
            let nginx = transfer(&theirs(HOSTS[1]));
            let proxy = transfer(&ours(HOSTS[1]));
            if round > 0 {
                ratios.push(nginx.as_secs_f64() / proxy.as_secs_f64());
                rates.push(OBJECT as f64 / f64::from(1 << 20) / proxy.as_secs_f64());
            }
        }
        figure(
            &format!("proxy_1gib_{name}_rate_ratio"),
            median(ratios),
            Bound::AtLeast(0.7),
        );
        figure(
            &format!("proxy_1gib_{name}_mib_per_s"),
            median(rates),
            Bound::None,
        );
    }
    figure(
        "proxy_1gib_rss_growth_mib",
        proxy.process.memory("VmHWM") - before,
        Bound::AtMost(16.0),
    );
}

/// CPU of a request, measured in turns.
struct Costs {
    ratios: Vec<f64>,
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

impl Costs {
    fn of(ours: impl Fn() -> f64, theirs: impl Fn() -> f64) -> Self {
        let mut costs = Self {
            ratios: vec![],
            ours: vec![],
            theirs: vec![],
        };
        for round in 0..=ROUNDS {
            let (theirs, ours) = (theirs(), ours());
            // The first one warms both up.
            if round > 0 {
                costs.ratios.push(ours / theirs);
                costs.ours.push(ours);
                costs.theirs.push(theirs);
            }
        }
        costs
    }

    fn print(self, name: &str, reach: f64) {
        figure(
            &format!("{name}_cpu_ratio"),
            median(self.ratios),
            Bound::AtMost(reach),
        );
        figure(&format!("{name}_cpu_us"), median(self.ours), Bound::None);
        figure(
            &format!("{name}_nginx_cpu_us"),
            median(self.theirs),
            Bound::None,
        );
    }
}

/// Microseconds of CPU that a request costs the process whose CPU time `used` tells.
fn cost(route: &Route, request: &[u8], used: impl Fn() -> Duration) -> f64 {
    let left = Rc::new(Cell::new(REQUESTS));
    let before = used();
    run(async {
        let workers: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (route, request, left) = (route.clone(), request.to_vec(), Rc::clone(&left));
                tokio::task::spawn_local(async move {
                    let mut connection = Connection::new(route.connect().await);
                    while let Some(fewer) = left.get().checked_sub(1) {
                        left.set(fewer);
                        connection.ask(&request).await;
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.expect("a connection works to its end");
        }
    });
    used().saturating_sub(before).as_secs_f64() * 1e6 / REQUESTS as f64
}

/// The median time of a request over one connection, in microseconds.
fn p50(route: &Route, request: &[u8]) -> f64 {
    run(async {
        let mut connection = Connection::new(route.connect().await);
        let mut times = Vec::with_capacity(TIMED);
        for _ in 0..TIMED {
            let start = Instant::now();
            connection.ask(request).await;
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        median(times)
    })
}

/// How long it takes to send an object.
fn send_object(route: &Route) -> Duration {
    let head = format!(
        "PUT /bucket/object HTTP/1.1\r\nhost: {}\r\ncontent-length: {OBJECT}\r\n\
         x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n\r\n",
        HOSTS[1]
    );
    run(async {
        let mut stream = route.connect().await;
        let start = Instant::now();
        stream.write_all(head.as_bytes()).await.expect("it reads");
        let chunk = vec![b'x'; CHUNK];
        for _ in 0..OBJECT / CHUNK as u64 {
            stream.write_all(&chunk).await.expect("it reads");
        }
        stream.flush().await.expect("it reads");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("it answers");
        assert_eq!(&answer, b"HTTP/1.1 200", "{:?}", answer.escape_ascii());
        start.elapsed()
    })
}

/// How long it takes to fetch an object.
fn fetch_object(route: &Route) -> Duration {
    let head = format!("GET /bucket/object HTTP/1.1\r\nhost: {}\r\n\r\n", HOSTS[1]);
    run(async {
        let mut stream = route.connect().await;
        let start = Instant::now();
        stream.write_all(head.as_bytes()).await.expect("it reads");
        stream.flush().await.expect("it reads");
        let mut buffer = vec![0; 4 * CHUNK];
        let mut got = 0;
        // The head comes in addition to that.
        while got < OBJECT {
            let read = stream.read(&mut buffer).await.expect("it answers");
            assert!(read > 0, "the object ends early");
            got += read as u64;
        }
        start.elapsed()
    })
}

fn run<F: Future>(work: F) -> F::Output {
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .expect("the system gives an epoll");
    LocalSet::new().block_on(&runtime, work)
}

/// A small request of `DynamoDB`, with headers as an SDK sends them and some of one's own.
fn post(operation: &str, more: &str) -> Vec<u8> {
    let body = r#"{"TableName":"users","Key":{"id":{"S":"user-123456"}}}"#;
    let item = r#"{"TableName":"users","Item":{"id":{"S":"user-123456"},"n":{"N":"1"}}}"#;
    let body = if operation == "PutItem" { item } else { body };
    format!(
        "POST / HTTP/1.1\r\nhost: {}\r\nuser-agent: aws-sdk-rust/1.3 os/linux lang/rust/1.95\r\n\
         content-type: application/x-amz-json-1.0\r\nx-amz-target: DynamoDB_20120810.{operation}\r\n\
         amz-sdk-invocation-id: 4a9ab9b3-7c0d-4b7c-9fd4-6b2c6f1d4a43\r\namz-sdk-request: attempt=1\r\n\
         {more}content-length: {}\r\n\r\n{body}",
        HOSTS[0],
        body.len()
    )
    .into_bytes()
}
