//! What an operator does to a running server: signals, new certificates, a disk that fills up.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use idp::{
    domain::SystemClock,
    ports::{AuditRecord, AuditStore as _},
    store::{SqliteStore, first_broken},
};

use tempfile::TempDir;

use super::{
    attackers::block_on,
    dev::IDP,
    installation::{Installation, send},
    ran::Ran,
};
use crate::support::{Running, clean_command, free_port, wait_until};

/// Status and text of an answer; `None` where nobody listens.
fn get(port: u16, target: &str, header: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request =
        format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer))
}

/// Status and text of the answer to a form.
fn post(port: u16, target: &str, form: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request = format!(
        "POST {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer))
}

#[test]
fn readiness_goes_before_the_listeners_do() {
    let ops = free_port();
    let mut installation = Installation::new(|port| {
        format!(
            "issuer = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             keys.algorithm = \"ES256\"\nops.listen = \"127.0.0.1:{ops}\"\nshutdown.delay = 2\n"
        )
    });
    installation.start();
    let ready = || get(ops, "/readyz", "").map(|(status, _)| status);
    assert_eq!(ready(), Some(200));
    let begun = Instant::now();
    send(installation.server(), "TERM");
    while ready() == Some(200) {
        assert!(begun.elapsed() < Duration::from_secs(1), "still ready");
        sleep(Duration::from_millis(5));
    }
    assert_eq!(ready(), Some(503));
    let (status, _) = get(installation.port(), "/.well-known/jwks.json", "").unwrap();
    assert_eq!(status, 200, "what comes in meanwhile is served");
    assert!(installation.wait().success());
    assert!(begun.elapsed() >= Duration::from_secs(2));
}

#[test]
fn log_lines_are_json_with_the_request_and_the_callers_trace() {
    let mut installation = Installation::new(|port| {
        format!(
            "issuer = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             keys.algorithm = \"ES256\"\nlog.level = \"debug\"\nlog.format = \"json\"\n"
        )
    });
    installation.start();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let header = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n");
    let (_, answer) = get(installation.port(), "/enroll/nonce", &header).unwrap();
    let id = answer
        .lines()
        .find_map(|line| line.strip_prefix("x-request-id: "))
        .unwrap()
        .to_owned();
    get(
        installation.port(),
        "/enroll/nonce",
        "traceparent: 00-forged\\n-x-01\r\n",
    );
    assert!(installation.stop().success());
    let lines: Vec<serde_json::Value> = installation
        .log()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let answered: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == "answered" && line["span"]["route"] == "enroll_nonce")
        .collect();
    assert_eq!(answered[0]["span"]["request_id"], id.as_str());
    assert_eq!(answered[0]["span"]["trace_id"], trace);
    assert_eq!(answered[0]["status"], 200);
    assert_eq!(answered[1]["span"]["trace_id"], serde_json::Value::Null);
    assert!(lines.iter().all(|line| line["level"].is_string()));
}

#[test]
fn plain_log_lines_end_with_the_request() {
    let mut installation = Installation::new(|port| {
        format!(
            "issuer = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             keys.algorithm = \"ES256\"\nlog.level = \"debug\"\nlog.format = \"text\"\n"
        )
    });
    installation.start();
    let (_, answer) = get(installation.port(), "/enroll/nonce", "").unwrap();
    let id = answer
        .lines()
        .find_map(|line| line.strip_prefix("x-request-id: "))
        .unwrap();
    assert!(installation.stop().success());
    let log = installation.log();
    let end = format!(" request_id={id} method=GET route=enroll_nonce client=127.0.0.1");
    let answered = log.lines().find(|line| line.ends_with(&end));
    let answered = answered.unwrap_or_else(|| panic!("{log}"));
    assert!(
        answered.contains("DEBUG") && answered.contains("status=200"),
        "{answered}"
    );
    let other = log.lines().find(|line| line.contains("stopping")).unwrap();
    assert!(!other.contains("request_id"), "{other}");
}

/// A server whose database is on a file system of 6 MiB, which only its own processes see.
struct Small {
    server: Running,
    place: TempDir,
    port: u16,
}

impl Small {
    /// `None` where the system gives no mounts to a user, and no CI asks for proof.
    fn start() -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("disk")).unwrap();
        let port = free_port();
        let settings = format!(
            "issuer = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             keys.algorithm = \"ES256\"\ndatabase.url = \"sqlite:disk/idp.db\"\n\
             keys.encryption_key_file = \"kek\"\n"
        );
        fs::write(place.path().join("idp.toml"), settings).unwrap();
        let script = "mount -t tmpfs -o size=6m none disk && \"$0\" admin bootstrap > admin-token \
                      && exec \"$0\" serve 2> log";
        let namespace = ["--user", "--map-root-user", "--mount", "sh", "-c", script];
        let mut server = Running::start(
            clean_command("unshare")
                .args(namespace)
                .arg(IDP)
                .env("IDP_CONFIG", place.path().join("idp.toml"))
                .current_dir(place.path())
                .stdout(Stdio::null()),
        );
        let jwks = format!("http://127.0.0.1:{port}/.well-known/jwks.json");
        if let Err(error) = wait_until(&jwks, &mut server) {
            let ci = std::env::var("CI").unwrap_or_default();
            assert!(matches!(ci.as_str(), "" | "0" | "false"), "{error}");
            return None;
        }
        Some(Self {
            server,
            place,
            port,
        })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The small file system.
    fn disk(&self) -> PathBuf {
        Path::new("/proc")
            .join(self.server.id().to_string())
            .join("root")
            .join(self.at("disk").strip_prefix("/").unwrap())
    }

    /// Takes all the space there is.
    fn fill(&self) -> PathBuf {
        let filler = self.disk().join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        for size in [64 * 1024, 4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        filler
    }

    fn idp(&self, arguments: &str) -> Ran {
        let token = fs::read_to_string(self.at("admin-token")).unwrap();
        Ran::of(
            clean_command(IDP)
                .args(arguments.split(' '))
                .env("IDP_URL", format!("http://127.0.0.1:{}", self.port))
                .env("IDP_ADMIN_TOKEN", token.trim())
                .env("IDP_HOME", self.at("home"))
                .current_dir(self.place.path()),
        )
    }

    /// The audit records of an organisation or of the system, from a copy that is made while the server stands still.
    fn records(&self, organization: Option<&str>) -> Vec<AuditRecord> {
        send(&self.server, "STOP");
        let copy = self.at("copy.db");
        fs::copy(self.disk().join("idp.db"), &copy).unwrap();
        if let Ok(log) = fs::read(self.disk().join("idp.db-wal")) {
            fs::write(self.at("copy.db-wal"), log).unwrap();
        }
        send(&self.server, "CONT");
        block_on(async {
            let url = format!("sqlite:{}", copy.display());
            let store = SqliteStore::open(&url, Arc::new(SystemClock))
                .await
                .unwrap();
            let organization = organization.map(|id| id.parse().unwrap());
            let records = store.audit_records(organization, 0, 1000).await;
            records.unwrap()
        })
    }
}

#[test]
fn a_disk_that_fills_up_refuses_mints_and_loses_nothing() {
    let Some(small) = Small::start() else { return };
    let organization = small.idp("admin org create acme").ok().text().to_owned();
    let made = small.idp(&format!("admin environment create ci --org {organization}"));
    fs::write(small.at("join-token"), made.ok().stdout).unwrap();
    let url = format!("http://127.0.0.1:{}", small.port);
    small
        .idp(&format!("enroll --url {url} --token-file join-token"))
        .ok();
    small.idp("token").ok();

    let filler = small.fill();
    // The log may have some room left that it took before.
    let mut issued = 0;
    let refused = loop {
        let ran = small.idp("token");
        if ran.code != Some(0) {
            break ran;
        }
        issued += 1;
        assert!(issued < 40, "the disk is full, and tokens are issued");
    };
    refused.exits(3).says(&["not available at present"]);
    let (status, _) = get(small.port, "/.well-known/jwks.json", "").unwrap();
    assert_eq!(status, 200);

    fs::remove_file(filler).unwrap();
    small.idp("token").ok();
    let records = small.records(Some(&organization));
    assert_eq!(first_broken(&records), None);
    let minted = records
        .iter()
        .filter(|record| record.action == "token.mint" && record.outcome == "success");
    assert_eq!(minted.count(), issued + 2, "a record for each token");
}

/// Refusals of strangers, in whose records nobody waits for the disk, and changes of keys: both belong to
/// the system's chain.
#[test]
fn a_disk_that_fills_up_loses_nothing_of_the_systems_chain() {
    const STRANGERS: i64 = 7;

    let Some(small) = Small::start() else { return };
    let before = small.records(None);
    let filler = small.fill();
    // The log may have some room left that it took before.
    let full = || small.idp("admin org create acme").code != Some(0);
    let tries = (0..200).take_while(|_| !full()).count();
    assert!(tries < 200, "the disk is full, and changes are made");
    let rotated = small.idp("admin key rotate --emergency --force");
    assert_ne!(rotated.code, Some(0), "{rotated:?}");
    let stranger = "grant_type=client_credentials&audience=sts.amazonaws.com&client_assertion=x.y.z\
                    &client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    for _ in 0..STRANGERS {
        let (status, answer) = post(small.port, "/oauth2/token", stranger).unwrap();
        assert_eq!(status, 401, "{answer}");
    }

    fs::remove_file(filler).unwrap();
    let counted = |records: &[AuditRecord]| -> i64 {
        let tallies = records
            .iter()
            .filter(|record| record.action == "refusals.anonymous");
        let count = |record: &AuditRecord| {
            let details: serde_json::Value = serde_json::from_str(&record.details).unwrap();
            details["count"].as_i64().unwrap()
        };
        tallies.map(count).sum()
    };
    let start = Instant::now();
    let after = loop {
        let records = small.records(None);
        if counted(&records) >= STRANGERS {
            break records;
        }
        assert!(start.elapsed() < Duration::from_secs(40), "{records:?}");
        sleep(Duration::from_millis(500));
    };
    assert_eq!(counted(&after), STRANGERS, "each is counted once");
    assert_eq!(after[..before.len()], before, "what was there is there");
    assert_eq!(first_broken(&after), None);
    small.idp("admin key rotate --emergency --force").ok();
}
