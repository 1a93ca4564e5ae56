//! What a token costs the server: CPU, and flushes of the disk.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts and times are far below 2^52"
)]

#[expect(dead_code, reason = "each benchmark uses its part of what they share")]
mod support;

use std::{
    fs,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use idp::domain::{Clock as _, SigningAlgorithm, SystemClock};

use support::{
    crypto::{Bare, Crypto},
    environments::{Environments, Size},
    load::Load,
    median,
    process::clean,
    report::{Bound, dependency, figure, finish, note},
    site::{IDP, Site},
};

/// Rounds of the comparison, each of which measures both sides; the median is told.
const ROUNDS: usize = 5;

/// Mints of a round: a few seconds of CPU, which the kernel counts in steps of 10 ms.
const MINTS: usize = 6_000;

/// Four tenants with as many environments together as a busy afternoon has.
const SIZE: Size = Size {
    organizations: 4,
    environments: 256,
    minting: 256,
    records: 0,
};

fn main() {
    if !support::wanted() {
        return;
    }
    let crypto = Crypto::new();
    compare(&crypto, SigningAlgorithm::Rs256, 1.25, |bare| {
        bare.sign_rs256 + bare.verify_es256
    });
    compare(&crypto, SigningAlgorithm::Es256, 2.0, |bare| {
        bare.sign_es256 + bare.verify_es256
    });
    count_flushes();
    finish(&[dependency("aws-lc-rs")]);
}

/// CPU of a mint, over that of the cryptography in it.
fn compare(crypto: &Crypto, algorithm: SigningAlgorithm, most: f64, needed: fn(&Bare) -> f64) {
    let site = Site::new(algorithm);
    let environments = site.fill(SIZE);
    let server = site.serve();
    let mint = |connections, count| {
        let load = Load::once(site.address, connections, environments.requests(count));
        let before = server.cpu();
        let sent = load.send();
        let cpu = server.cpu().saturating_sub(before).as_secs_f64() * 1e6 / count as f64;
        (cpu, count as f64 / sent.wall.as_secs_f64())
    };
    mint(64, MINTS / 2);
    let (mut ratios, mut bares, mut costs, mut rates) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let before = needed(&crypto.measure());
        let (cpu, rate) = mint(64, MINTS);
        let bare = f64::midpoint(before, needed(&crypto.measure()));
        ratios.push(cpu / bare);
        bares.push(bare);
        costs.push(cpu);
        rates.push(rate);
    }
    let (alone, alone_rate) = mint(1, MINTS / 6);
    let name = algorithm.as_str().to_ascii_lowercase();
    let tell = |what: &str, value, bound| figure(&format!("mint_{name}_{what}"), value, bound);
    tell("cpu_ratio", median(ratios), Bound::AtMost(most));
    tell("cpu_us", median(costs), Bound::None);
    tell("bare_crypto_us", median(bares), Bound::None);
    tell("per_s", median(rates), Bound::None);
    tell("1_connection_cpu_us", alone, Bound::None);
    tell("1_connection_per_s", alone_rate, Bound::None);
}

/// `fdatasync` and `fsync` calls for 1,000 mints.
fn count_flushes() {
    if Command::new("strace").arg("-V").output().is_err() {
        note("fdatasyncs_per_1000_mints: strace is not installed");
        return;
    }
    let site = Site::new(SigningAlgorithm::Rs256);
    let environments = site.fill(SIZE);
    for connections in [1, 64] {
        match flushes(&site, &environments, connections) {
            Ok(count) => {
                let name = format!("fdatasyncs_per_1000_mints_{connections}_connections");
                figure(&name, count as f64, Bound::None);
            }
            Err(reason) => note(&format!("fdatasyncs_per_1000_mints: {reason}")),
        }
    }
}

fn flushes(
    site: &Site,
    environments: &Environments,
    connections: usize,
) -> Result<usize, &'static str> {
    let trace = site.path().join("flushes");
    // With -D the server stays this program's child; with a filter only the counted calls are slower.
    let mut command = clean("strace", site.path());
    command.args([
        "-D",
        "-f",
        "--seccomp-bpf",
        "-ttt",
        "-e",
        "trace=fsync,fdatasync",
        "-o",
    ]);
    command.arg(&trace).arg("--").arg(IDP);
    let server = site.serve_under(command);
    let load = Load::once(site.address, connections, environments.requests(1_000));
    let start = SystemClock.now().ms();
    load.send();
    let end = SystemClock.now().ms();
    let pid = server.id();
    server.stop();
    let trace = finished(&trace, pid).ok_or("strace may not trace here")?;
    let calls = trace.lines().filter(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let at = fields.next().and_then(|time| time.parse::<f64>().ok());
        let at = at.map_or(0, |seconds| (seconds * 1000.0) as i64);
        let call = fields.next().unwrap_or_default();
        (start..=end).contains(&at)
            && (call.starts_with("fsync(") || call.starts_with("fdatasync("))
    });
    Ok(calls.count())
}

/// What strace wrote, once it has seen the end of its tracee.
fn finished(trace: &Path, pid: u32) -> Option<String> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        let text = fs::read_to_string(trace).unwrap_or_default();
        let ended = |line: &str| line.starts_with(&pid.to_string()) && line.contains("+++ exited");
        if text.lines().any(ended) {
            return Some(text);
        }
        sleep(Duration::from_millis(20));
    }
    None
}
