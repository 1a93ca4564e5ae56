//! Child processes.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::LazyLock,
};

/// A command that sees none of the machine's AWS, proxy, CA and `idp` settings, and a home directory that
/// is not there yet. Whatever a test wants of these it sets itself.
pub(crate) fn clean_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_setting) {
            command.env_remove(name);
        }
    }
    command.env("HOME", &*HOME);
    command
}

/// Under nextest every test is a process of its own, so every test has its own home.
static HOME: LazyLock<PathBuf> = LazyLock::new(|| {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("home-{}", std::process::id()));
    if home.exists() {
        fs::remove_dir_all(&home).unwrap();
    }
    home
});

/// Whether an environment variable would change what a test sees.
fn is_setting(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    upper.starts_with("AWS_")
        || upper.starts_with("IDP_")
        || upper.starts_with("XDG_")
        || upper.ends_with("_PROXY")
        || matches!(
            upper.as_str(),
            "BOTO_CONFIG"
                | "CURL_CA_BUNDLE"
                | "NIX_SSL_CERT_FILE"
                | "NODE_EXTRA_CA_CERTS"
                | "NO_COLOR"
                | "PYTHONPATH"
                | "REQUESTS_CA_BUNDLE"
                | "RUST_LOG"
                | "SSL_CERT_DIR"
                | "SSL_CERT_FILE"
        )
}

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: Child,
}

impl Running {
    /// Starts it, without standard input.
    pub(crate) fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name, child }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Its process id, for signals other than `SIGKILL`.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it (`SIGKILL`) and waits for its end.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        // Fails only where it has ended already, and then `wait` tells how.
        self.child.kill().ok();
        self.child.wait().unwrap()
    }

    /// The program, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

mod tests {
    use super::*;

    #[test]
    fn settings_are_told_from_the_rest() {
        for name in [
            "AWS_PROFILE",
            "AWS_CA_BUNDLE",
            "HTTPS_PROXY",
            "https_proxy",
            "no_proxy",
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "IDP_HOME",
            "XDG_CONFIG_HOME",
        ] {
            assert!(is_setting(name), "{name}");
        }
        for name in [
            "PATH",
            "LANG",
            "CARGO_MANIFEST_DIR",
            "TMPDIR",
            "PROXY_OF_ALL",
        ] {
            assert!(!is_setting(name), "{name}");
        }
    }

    #[test]
    fn a_clean_command_sees_only_what_the_test_sets() {
        let output = clean_command("env")
            .env("AWS_REGION", "eu-west-1")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let settings: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, _)| name)
            .filter(|name| is_setting(name))
            .collect();
        assert_eq!(settings, ["AWS_REGION"]);
        assert!(text.contains(&format!("HOME={}", HOME.display())));
    }

    #[test]
    fn a_process_does_not_outlive_its_guard() {
        let mut sleeping = Running::start(clean_command("sleep").arg("60"));
        let id = sleeping.id();
        assert_eq!(sleeping.name(), "sleep");
        assert_eq!(sleeping.ended(), None);
        let alive = || {
            clean_command("kill")
                .args(["-0", &id.to_string()])
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        };
        assert!(alive());
        drop(sleeping);
        assert!(!alive());
    }

    #[test]
    fn killing_tells_how_it_ended() {
        let mut sleeping = Running::start(clean_command("sleep").arg("60"));
        assert!(!sleeping.kill().success());
        let mut done = Running::start(&mut clean_command("true"));
        while done.ended().is_none() {
            std::thread::yield_now();
        }
        assert!(done.kill().success());
    }
}
