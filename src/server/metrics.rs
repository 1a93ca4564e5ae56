//! The process's metrics, as Prometheus reads them.

use std::{fs, sync::OnceLock, time::Duration};

use metrics::{Gauge, Unit, describe_gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::{http::Front, service::Service};

/// Upper bounds of the buckets of every duration, in seconds.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// How often histograms are condensed. In between, every sample takes a few bytes.
pub(super) const UPKEEP: Duration = Duration::from_secs(2);

/// `USER_HZ`, the unit of times in `/proc`: 100 on every architecture that Linux runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What is counted from now on is found here. Handles that were made before count nowhere.
pub(super) fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&BUCKETS)
            // Only an empty list of buckets is an error.
            .unwrap_or_else(|_| PrometheusBuilder::new())
            .build_recorder();
        let handle = recorder.handle();
        // Fails where a program that embeds this library has a recorder of its own.
        drop(metrics::set_global_recorder(recorder));
        handle
    })
}

/// What is not counted as it happens but looked up when somebody asks.
pub(super) struct Sampled {
    working: [Gauge; 2],
    requests: [Gauge; 2],
    signing_queue: Gauge,
    store_connections: [Gauge; 2],
    store_queue: Gauge,
    process: ProcessGauges,
}

/// What the process itself takes.
pub(super) struct ProcessGauges {
    resident: Gauge,
    cpu: Gauge,
    files: Gauge,
}

impl ProcessGauges {
    pub(super) fn new() -> Self {
        describe_process();
        let version = env!("CARGO_PKG_VERSION");
        let otel = if cfg!(feature = "otel") { "yes" } else { "no" };
        metrics::gauge!("idp_build_info", "version" => version, "otel" => otel).set(1.0);
        // A unit with `ProcSubset=pid` does not see when the machine was started.
        if let Some(at) = start_time() {
            metrics::gauge!("process_start_time_seconds").set(at);
        }
        Self {
            resident: metrics::gauge!("process_resident_memory_bytes"),
            cpu: metrics::gauge!("process_cpu_seconds_total"),
            files: metrics::gauge!("process_open_fds"),
        }
    }

    /// Looks.
    pub(super) fn sample(&self) {
        if let Some(process) = Process::read() {
            self.resident.set(process.resident_bytes);
            self.cpu.set(process.cpu_seconds);
            self.files.set(as_f64(process.open_files));
        }
    }
}

impl Sampled {
    pub(super) fn new() -> Self {
        describe();
        let store =
            |state: &'static str| metrics::gauge!("idp_store_connections", "state" => state);
        Self {
            working: [
                metrics::gauge!("idp_mints_in_flight"),
                metrics::gauge!("idp_mints_in_flight_limit"),
            ],
            requests: [
                metrics::gauge!("idp_requests_in_flight"),
                metrics::gauge!("idp_requests_in_flight_limit"),
            ],
            signing_queue: metrics::gauge!("idp_signing_queue_length"),
            store_connections: [store("used"), store("idle")],
            store_queue: metrics::gauge!("idp_store_queue_length"),
            process: ProcessGauges::new(),
        }
    }

    /// Everything, as text.
    pub(super) fn render(&self, service: &Service, front: &Front) -> String {
        let set = |gauge: &Gauge, value: usize| gauge.set(as_f64(value));
        let usage = service.usage();
        set(&self.working[0], usage.working);
        set(&self.working[1], usage.working_most);
        let (requests, most) = front.requests();
        set(&self.requests[0], requests);
        set(&self.requests[1], most);
        set(&self.signing_queue, usage.signing_queue);
        let used = usage.store.connections.saturating_sub(usage.store.idle);
        set(&self.store_connections[0], used);
        set(&self.store_connections[1], usage.store.idle);
        set(&self.store_queue, usage.store.waiting);
        self.process.sample();
        recorder().render()
    }
}

/// What the kernel says of this process; `None` where there is no `/proc`.
struct Process {
    resident_bytes: f64,
    cpu_seconds: f64,
    open_files: usize,
}

impl Process {
    fn read() -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let resident: f64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB"))
            .and_then(|number| number.parse().ok())?;
        // utime and stime are the 14th and 15th field (proc_pid_stat(5)).
        let ticks: f64 = stat_fields()?
            .get(11..13)?
            .iter()
            .filter_map(|field| field.parse::<f64>().ok())
            .sum();
        Some(Self {
            resident_bytes: resident * 1024.0,
            cpu_seconds: ticks / TICKS_PER_SECOND,
            open_files: fs::read_dir("/proc/self/fd").ok()?.count(),
        })
    }
}

/// The fields of `/proc/self/stat` after the second, which is the program's name in parentheses and
/// may hold anything.
fn stat_fields() -> Option<Vec<String>> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// When the process was started, in seconds since 1970.
fn start_time() -> Option<f64> {
    let ticks: f64 = stat_fields()?.get(19)?.parse().ok()?;
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = stat
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .parse()
        .ok()?;
    Some(boot + ticks / TICKS_PER_SECOND)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
const fn as_f64(count: usize) -> f64 {
    count as f64
}

fn describe() {
    describe_gauge!(
        "idp_mints_in_flight",
        "Token requests and enrolments that are worked on"
    );
    describe_gauge!(
        "idp_mints_in_flight_limit",
        "How many of them can be; more are refused with 503"
    );
    describe_gauge!("idp_requests_in_flight", "Requests that are being answered");
    describe_gauge!(
        "idp_requests_in_flight_limit",
        "How many of them can be; more are refused with 503"
    );
    describe_gauge!(
        "idp_signing_queue_length",
        "Verifications and signatures that wait for a thread"
    );
    describe_gauge!(
        "idp_store_connections",
        "Connections to the database by state"
    );
    describe_gauge!(
        "idp_store_queue_length",
        "Mints and audit records that wait for a commit"
    );
}

fn describe_process() {
    describe_gauge!("idp_build_info", "Always 1; the labels say what runs");
    describe_gauge!(
        "process_start_time_seconds",
        Unit::Seconds,
        "When the process was started, since 1970"
    );
    describe_gauge!(
        "process_resident_memory_bytes",
        Unit::Bytes,
        "Resident memory"
    );
    describe_gauge!(
        "process_cpu_seconds_total",
        Unit::Seconds,
        "CPU time, in the kernel too"
    );
    describe_gauge!("process_open_fds", "Open file descriptors");
}
