//! `idp proxy serve`, `exec`, `env` and `ca`, as users run them.

use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use idp::{
    client::identity::Identity,
    domain::{Clock as _, SigningAlgorithm, SystemClock},
    jose::PrivateKey,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::clean_command;

const ROLE: &str = "arn:aws:iam::123456789012:role/agent";
const RULES: &str = "default_region = \"eu-central-1\"\n\n[[use]]\npreset = \"read-only:s3\"\n";

/// An enrolled environment with a rules file. Nothing here asks its provider for a token.
pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        let issuer = "http://127.0.0.1:1";
        Identity::new(
            issuer.parse().unwrap(),
            issuer.parse().unwrap(),
            "0191e223-1c3c-7607-badf-303c98b52d2f".parse().unwrap(),
            &key,
            SystemClock.now(),
        )
        .unwrap()
        .save(&dir.path().join("idp/identity.json"))
        .unwrap();
        fs::write(dir.path().join("rules.toml"), RULES).unwrap();
        Self(dir)
    }

    pub(super) fn home(&self) -> PathBuf {
        self.0.path().join("idp")
    }

    pub(super) fn state(&self, name: &str) -> PathBuf {
        self.home().join("proxy").join(name)
    }

    pub(super) fn idp(&self, arguments: &[&str]) -> Command {
        let mut command = clean_command(env!("CARGO_BIN_EXE_idp"));
        command
            .env("IDP_HOME", self.home())
            .env("IDP_PROXY_RULES", self.0.path().join("rules.toml"))
            .env("IDP_AWS_ROLE_ARN", ROLE)
            .env("IDP_ROTATE", "off")
            .stdin(Stdio::null())
            .args(arguments);
        command
    }

    pub(super) fn exec(&self, options: &[&str], command: &[&str]) -> Output {
        let mut arguments = vec!["proxy", "exec"];
        arguments.extend(options);
        arguments.push("--");
        arguments.extend(command);
        self.idp(&arguments).output().unwrap()
    }

    /// A proxy that serves, and what it printed first.
    fn serve(&self, options: &[&str]) -> (Served, Value) {
        let mut arguments = vec!["--json", "proxy", "serve"];
        arguments.extend(options);
        let mut child = self
            .idp(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let served = Served(Some(child));
        let Ok(told) = serde_json::from_str(&line) else {
            panic!("{}", served.stop());
        };
        (served, told)
    }
}

/// A proxy, until it is stopped or dropped.
struct Served(Option<Child>);

impl Served {
    /// Asks it to stop, and returns what it wrote to standard error.
    fn stop(mut self) -> String {
        let mut child = self.0.take().unwrap();
        let pid = child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        let mut said = String::new();
        let mut stderr = child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success(), "{said}");
        said
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    text(&output.stdout).trim() == "0"
}

#[test]
fn exec_sets_what_leads_to_the_proxy_and_takes_the_rest_away() {
    let place = Place::new();
    let output = place
        .idp(&["proxy", "exec", "--", "env"])
        .envs([
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SESSION_TOKEN", "real-session"),
            ("AWS_PROFILE", "admin"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"),
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "http://169.254.170.2/x",
            ),
            ("AWS_BEARER_TOKEN_BEDROCK", "real-bearer"),
            ("AWS_ENDPOINT_URL_S3", "http://elsewhere.example"),
            ("AWS_MAX_ATTEMPTS", "2"),
            ("NO_PROXY", ".corp.example,.amazonaws.com"),
        ])
        .output()
        .unwrap();
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("a convenience, not a boundary"), "{said}");
    let value = |name: &str| {
        out.lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")))
    };
    let key = value("AWS_ACCESS_KEY_ID").unwrap();
    assert!(key.starts_with("idp_proxy_"), "{out}");
    let endpoint = value("AWS_ENDPOINT_URL").unwrap();
    let address = endpoint.strip_prefix("http://").unwrap();
    let proxy = format!("http://idp:{key}@{address}");
    for name in ["HTTPS_PROXY", "https_proxy"] {
        assert_eq!(value(name), Some(&*proxy));
    }
    assert_eq!(value("AWS_REGION"), Some("eu-central-1"));
    assert_eq!(value("AWS_DEFAULT_REGION"), Some("eu-central-1"));
    assert_eq!(value("AWS_EC2_METADATA_DISABLED"), Some("true"));
    assert_eq!(value("AWS_MAX_ATTEMPTS"), Some("2"));
    let direct = "127.0.0.1,localhost,::1,.corp.example";
    assert_eq!(value("NO_PROXY"), Some(direct));
    assert_eq!(value("no_proxy"), Some(direct));
    for name in [
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_ENDPOINT_URL_S3",
        "IDP_HOME",
        "IDP_PROXY_RULES",
    ] {
        assert_eq!(value(name), None, "{name}");
    }
    assert!(!out.contains("AKIA") && !out.contains("real-"), "{out}");
    // What was made for the program has gone with it.
    assert!(!Path::new(value("AWS_CA_BUNDLE").unwrap()).exists());
    // The key was the program's own: it is not the one that `serve` would use.
    assert!(!place.state("key").exists());
}

#[test]
fn exec_ends_as_the_program_does() {
    let place = Place::new();
    let ended = place.exec(&[], &["sh", "-c", "exit 7"]);
    assert_eq!(ended.status.code(), Some(7));
    assert!(!text(&ended.stderr).contains("error:"), "{ended:?}");
    let killed = place.exec(&[], &["sh", "-c", "kill -TERM $$"]);
    assert_eq!(killed.status.code(), Some(143));
    let missing = place.exec(&[], &["/nonexistent"]);
    assert_eq!(missing.status.code(), Some(127));
    assert!(text(&missing.stderr).contains("/nonexistent"));
}

#[test]
fn a_program_is_told_why_and_by_which_way() {
    let place = Place::new();
    let script = "curl -sS -X DELETE https://reports.s3.eu-central-1.amazonaws.com/k; echo; \
                  curl -sS -X DELETE -u idp:$AWS_ACCESS_KEY_ID -H 'Host: reports.s3.eu-central-1.amazonaws.com' $AWS_ENDPOINT_URL/k; echo; \
                  curl -sS https://example.com/; echo; \
                  curl -sS -k https://169.254.169.254/";
    let output = place.exec(&[], &["sh", "-c", script]);
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    let lines: Vec<&str> = out.lines().collect();
    assert!(out.matches("AccessDenied").count() == 2, "{out}\n{said}");
    assert!(out.matches("s3:DeleteObject").count() >= 2, "{lines:?}");
    assert!(said.matches("response 403").count() == 2, "{said}");
    let log = fs::read_to_string(place.state("requests.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 4, "{log}");
    for says in [
        "\"intercepted\"",
        "\"plain\"",
        "example.com",
        "169.254.169.254",
    ] {
        assert!(log.contains(says), "{says} in {log}");
    }
    assert!(!log.contains("idp_proxy_"), "{log}");
}

#[test]
fn two_programs_at_once_have_a_log_each() {
    let place = Place::new();
    let script = "curl -sS -X DELETE https://a.s3.eu-central-1.amazonaws.com/k >&2";
    let inner = format!(
        "env IDP_HOME={} IDP_PROXY_RULES={} {} proxy exec --role-arn {ROLE} -- sh -c '{script}'",
        place.home().display(),
        place.0.path().join("rules.toml").display(),
        env!("CARGO_BIN_EXE_idp")
    );
    let output = place.exec(&[], &["sh", "-c", &format!("{inner}; {script}")]);
    let said = text(&output.stderr);
    for name in ["requests.jsonl", "requests-2.jsonl"] {
        let log =
            fs::read_to_string(place.state(name)).unwrap_or_else(|_| panic!("{name}: {said}"));
        assert_eq!(log.lines().count(), 1, "{name}: {log}");
    }
}

/// The boundary: another user, who has the proxy and nothing that is behind it.
#[test]
fn as_another_user_only_the_way_to_the_proxy_is_left() {
    if !is_root() {
        let output = Place::new().exec(&["--user", "nobody"], &["true"]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        return;
    }
    let place = Place::new();
    // So that what is refused is refused by the files' own modes.
    fs::set_permissions(place.0.path(), Permissions::from_mode(0o755)).unwrap();
    let (served, _) = place.serve(&[]);
    let secret = [
        place.home().join("identity.json"),
        place.state("key"),
        place.state("ca.key"),
        place.state("ca.sealing-key"),
        place.state("running.json"),
        place.state("requests.jsonl"),
        place.state("requests-2.jsonl"),
    ];
    for path in &secret {
        assert!(
            path.exists() || path.ends_with("requests-2.jsonl"),
            "{}",
            path.display()
        );
    }
    let script = "id -u; id -G; for file in \"$@\"; do cat \"$file\" >/dev/null 2>&1 && echo \"read $file\"; done; \
                  cat /proc/$PPID/environ >/dev/null 2>&1 && echo read environ; \
                  cat \"$AWS_CA_BUNDLE\" \"$NODE_EXTRA_CA_CERTS\" \"$AWS_CONFIG_FILE\" >/dev/null && echo bundle; \
                  curl -sS -X DELETE https://reports.s3.eu-central-1.amazonaws.com/k";
    let mut command = vec!["sh", "-c", script, "sh"];
    let paths: Vec<String> = secret
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    command.extend(paths.iter().map(String::as_str));
    let output = place.exec(&["--user", "nobody"], &command);
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    let nobody = Command::new("id").args(["-u", "nobody"]).output().unwrap();
    let mut lines = out.lines();
    assert_eq!(
        lines.next(),
        Some(text(&nobody.stdout).trim()),
        "{out}{said}"
    );
    let groups = lines.next().unwrap();
    assert!(!groups.split(' ').any(|group| group == "0"), "{groups}");
    assert!(!out.contains("read "), "{out}");
    assert!(
        out.contains("bundle\n") && out.contains("s3:DeleteObject"),
        "{out}{said}"
    );
    assert!(!said.contains("boundary"), "{said}");
    // Without a key, and with that of a program that has ended, there is nothing.
    let bare = place.idp(&["proxy", "env", "--json"]).output().unwrap();
    let told: Value = serde_json::from_slice(&bare.stdout).unwrap();
    let proxy = told["variables"]["HTTPS_PROXY"].as_str().unwrap();
    let address = proxy.rsplit('@').next().unwrap();
    let stranger = clean_command("curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}"])
        .args([
            "-H",
            "Host: s3.amazonaws.com",
            &format!("http://{address}/"),
        ])
        .output()
        .unwrap();
    assert_eq!(text(&stranger.stdout), "401");
    served.stop();
}

/// `sudo idp proxy exec --user nobody` of a user who has enrolled: the proxy is that user's.
#[test]
fn root_acts_for_the_identitys_owner() {
    if !is_root() {
        let said = Place::new().exec(&["--user", "nobody"], &["true"]);
        assert!(text(&said.stderr).contains("only root"), "{said:?}");
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.0.path(), Permissions::from_mode(0o755)).unwrap();
    let daemon = text(
        &Command::new("id")
            .args(["-u", "daemon"])
            .output()
            .unwrap()
            .stdout,
    );
    let daemon: u32 = daemon.trim().parse().unwrap();
    let given = Command::new("chown")
        .args(["-R", "daemon"])
        .arg(place.0.path())
        .status();
    assert!(given.unwrap().success());
    let exec = |sudo: &str, user: &str, command: &[&str]| {
        place
            .idp(&["proxy", "exec", "--user", user, "--"])
            .args(command)
            .env("SUDO_UID", sudo)
            .env("SUDO_GID", "1")
            .output()
            .unwrap()
    };
    // Whose process listens: the owner of the socket at the proxy's port, in hexadecimal.
    let script = "id -u; cat \"$0\" >/dev/null 2>&1 && echo read identity; \
                  awk -v port=\"$(printf ':%04X' \"${AWS_ENDPOINT_URL##*:}\")\" \
                  '$2 ~ port && $4 == \"0A\" { print \"proxy\", $8 }' /proc/net/tcp; \
                  cat \"$AWS_CA_BUNDLE\" \"$AWS_CONFIG_FILE\" >/dev/null && echo bundle; \
                  curl -sS -X DELETE https://reports.s3.eu-central-1.amazonaws.com/k; exit 7";
    let identity = place.home().join("identity.json").display().to_string();
    let output = exec(
        &daemon.to_string(),
        "nobody",
        &["sh", "-c", script, &identity],
    );
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(7), "{out}{said}");
    let nobody = Command::new("id").args(["-u", "nobody"]).output().unwrap();
    assert!(out.starts_with(&text(&nobody.stdout)), "{out}{said}");
    assert!(!out.contains("read identity"), "{out}");
    for says in [&*format!("proxy {daemon}\n"), "bundle\n", "s3:DeleteObject"] {
        assert!(out.contains(says), "{says} in {out}{said}");
    }
    assert_eq!(said, "");
    let log = place.state("requests.jsonl");
    assert_eq!(fs::metadata(&log).unwrap().uid(), daemon);
    assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), 1);
    for (sudo, user, code, says) in [
        // Somebody else's identity, by way of IDP_HOME.
        ("2", "nobody", 1, "sudo"),
        ("", "nobody", 1, "sudo"),
        (&*daemon.to_string(), "daemon", 2, "no boundary"),
    ] {
        let output = exec(sudo, user, &["true"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(says), "{said}");
    }
    // What the proxy says is the last word.
    fs::write(place.0.path().join("rules.toml"), "nonsense").unwrap();
    let output = exec(&daemon.to_string(), "nobody", &["echo", "ran"]);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert_eq!(text(&output.stderr).matches("error:").count(), 1);
}

#[test]
fn users_that_are_no_boundary_are_refused() {
    let place = Place::new();
    for (user, says) in [("no-such-user-here", "no user"), ("root", "no boundary")] {
        let output = place.exec(&["--user", user], &["true"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn what_env_prints_leads_to_the_proxy_that_serves() {
    let place = Place::new();
    let (served, told) = place.serve(&["--ops-listen", "127.0.0.1:0"]);
    let address = told["address"].as_str().unwrap();
    assert_eq!(told["url"], format!("http://{address}"));
    let lines = place
        .idp(&["proxy", "env"])
        .env("AWS_PROFILE", "admin")
        .output()
        .unwrap();
    let lines = text(&lines.stdout);
    assert!(lines.starts_with("unset AWS_PROFILE\n"), "{lines}");
    let key = fs::read_to_string(place.state("key")).unwrap();
    assert!(lines.contains(&format!("export AWS_ACCESS_KEY_ID='{}'", key.trim())));
    assert!(!lines.contains("AWS_ENDPOINT_URL"), "{lines}");
    let script =
        format!("{lines}curl -sS -X DELETE https://reports.s3.eu-central-1.amazonaws.com/k");
    let output = clean_command("sh").args(["-c", &script]).output().unwrap();
    assert!(
        text(&output.stdout).contains("s3:DeleteObject"),
        "{output:?}"
    );
    let more = place
        .idp(&["proxy", "env", "--json", "--endpoint-url"])
        .output()
        .unwrap();
    let more: Value = serde_json::from_slice(&more.stdout).unwrap();
    assert_eq!(more["variables"]["AWS_ENDPOINT_URL"], told["url"]);
    let ops = told["ops_address"].as_str().unwrap();
    let metrics = clean_command("curl")
        .args(["-sS", &format!("http://{ops}/metrics")])
        .output()
        .unwrap();
    let metrics = text(&metrics.stdout);
    for name in [
        "idp_proxy_connections",
        "process_resident_memory_bytes",
        "idp_build_info",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    assert!(!metrics.contains("idp_proxy_connections{") && !metrics.contains(key.trim()));
    let said = served.stop();
    assert!(
        said.contains("idp proxy env") && !said.contains(key.trim()),
        "{said}"
    );
    let gone = place.idp(&["proxy", "env"]).output().unwrap();
    assert_eq!(gone.status.code(), Some(3));
    assert!(text(&gone.stderr).contains("idp proxy serve"), "{gone:?}");
}

#[test]
fn the_authority_is_shown_and_stays() {
    let place = Place::new();
    let print = || {
        let output = place.idp(&["proxy", "ca", "--print"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    };
    let pem = print();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n"));
    assert_eq!(print(), pem);
    assert_eq!(fs::read_to_string(place.state("ca.pem")).unwrap(), pem);
    let shown = place.idp(&["--json", "proxy", "ca"]).output().unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let openssl = clean_command("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(place.state("ca.pem"))
        .output()
        .unwrap();
    let fingerprint = shown["authorities"][0]["sha256_fingerprint"]
        .as_str()
        .unwrap();
    assert!(
        text(&openssl.stdout).contains(fingerprint),
        "{openssl:?} {fingerprint}"
    );
    assert_eq!(
        fs::metadata(place.state("ca.key")).unwrap().mode() & 0o777,
        0o600
    );
    fs::set_permissions(place.home().join("proxy"), Permissions::from_mode(0o755)).unwrap();
    let output = place.idp(&["proxy", "ca"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("chmod 700"), "{output:?}");
}

#[test]
fn only_loopback_is_listened_on() {
    let place = Place::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:443"] {
        let output = place
            .idp(&["proxy", "serve", "--listen", address])
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("unencrypted") && said.contains("127.0.0.1:0"),
            "{said}"
        );
    }
}
