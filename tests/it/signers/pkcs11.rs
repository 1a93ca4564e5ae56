//! PKCS #11 through `SoftHSM`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use tempfile::TempDir;

use super::{
    assert_tokens_verify, assert_unavailable, comes_back, configured, python, references, rotate,
};
use crate::{e2e::installation::Installation, support::clean_command};

const PIN: &str = "1234-by-heart";

/// Where Debian has `SoftHSM`'s module.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// A `SoftHSM` of its own with one token.
struct SoftHsm(TempDir);

impl SoftHsm {
    /// `None` where `SoftHSM` or Python is not installed.
    #[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
    fn new() -> Option<Self> {
        python()?;
        if !Path::new(MODULE).is_file() {
            let ci = std::env::var("CI").unwrap_or_default();
            assert!(
                matches!(ci.as_str(), "" | "0" | "false"),
                "CI is set, but SoftHSM is not installed: run scripts/test"
            );
            eprintln!("skipped: no SoftHSM; scripts/test installs it");
            return None;
        }
        let hsm = Self(tempfile::tempdir().unwrap());
        fs::create_dir(hsm.tokens()).unwrap();
        let configuration = format!("directories.tokendir = {}\n", hsm.tokens().display());
        fs::write(hsm.configuration(), configuration).unwrap();
        hsm.set_pin(PIN);
        let made = clean_command("softhsm2-util")
            .args(["--init-token", "--free", "--label", "idp keys"])
            .args(["--so-pin", "so-pin", "--pin", PIN])
            .env("SOFTHSM2_CONF", hsm.configuration())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        Some(hsm)
    }

    fn tokens(&self) -> PathBuf {
        self.0.path().join("tokens")
    }

    fn configuration(&self) -> PathBuf {
        self.0.path().join("softhsm2.conf")
    }

    fn pin_file(&self) -> PathBuf {
        self.0.path().join("pin")
    }

    fn set_pin(&self, pin: &str) {
        fs::write(self.pin_file(), format!("{pin}\n")).unwrap();
        fs::set_permissions(self.pin_file(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The token is pulled out, or put in again.
    fn move_token(&self, from: &str, to: &str) {
        fs::rename(self.0.path().join(from), self.0.path().join(to)).unwrap();
        fs::create_dir_all(self.tokens()).unwrap();
    }

    fn installation(&self, algorithm: &str, more: &str) -> Installation {
        let settings = format!(
            "keys.backend = \"pkcs11\"\npkcs11.module = \"{MODULE}\"\npkcs11.token = \"idp keys\"\n\
             pkcs11.pin_file = \"{}\"\n{more}",
            self.pin_file().display()
        );
        configured(algorithm, &settings)
            .with_environment([("SOFTHSM2_CONF", self.configuration().display().to_string())])
    }

    /// How many objects are in the token.
    fn objects(&self) -> usize {
        let token = fs::read_dir(self.tokens()).unwrap().next().unwrap();
        let files = fs::read_dir(token.unwrap().path()).unwrap();
        files
            .filter(|file| {
                let name = file.as_ref().unwrap().file_name();
                let name = name.to_str().unwrap();
                name.ends_with(".object") && name != "token.object"
            })
            .count()
    }
}

#[test]
fn tokens_that_a_token_signed_verify_from_discovery() {
    let Some(hsm) = SoftHsm::new() else { return };
    for (algorithm, objects) in [("RS256", 4), ("ES256", 8)] {
        let mut installation = hsm.installation(algorithm, "");
        installation.start();
        installation.enrolled();
        assert_tokens_verify(&installation);
        assert_eq!(references(&installation), 2);
        assert_eq!(hsm.objects(), objects, "two key pairs more");
        let before = installation.get(".well-known/jwks.json");
        assert!(installation.stop().success());
        installation.start();
        assert_eq!(installation.get(".well-known/jwks.json"), before);
        assert_tokens_verify(&installation);
        assert_eq!(hsm.objects(), objects);
        let log = installation.log();
        assert!(!log.contains(PIN), "{log}");
    }
}

#[test]
fn rotation_makes_a_key_in_the_token_and_destroys_the_old_one() {
    let Some(hsm) = SoftHsm::new() else { return };
    let mut installation = hsm.installation("ES256", "");
    installation.start();
    installation.enrolled();
    assert_eq!(hsm.objects(), 4);
    rotate(&installation, || {
        let gone: i64 = installation
            .sql("SELECT count(*) FROM issuer_keys WHERE retiring_at IS NOT NULL AND reference IS NULL")
            .unwrap();
        gone == 1 && references(&installation) == 2
    });
    assert_eq!(hsm.objects(), 4, "two gone and two new");
    assert_tokens_verify(&installation);
}

#[test]
fn many_at_once_share_sessions() {
    let Some(hsm) = SoftHsm::new() else { return };
    let mut installation = hsm.installation("ES256", "keys.signer_concurrency = 3");
    installation.start();
    installation.enrolled();
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| installation.run("token").ok());
        }
    });
}

#[test]
fn a_token_that_is_pulled_out_is_503_and_passes() {
    let Some(hsm) = SoftHsm::new() else { return };
    let mut installation = hsm.installation("ES256", "");
    installation.start();
    installation.enrolled();
    installation.run("token").ok();
    hsm.move_token("tokens", "away");
    assert_unavailable(&installation);
    fs::remove_dir(hsm.tokens()).unwrap();
    hsm.move_token("away", "tokens");
    comes_back(&installation);
    assert_tokens_verify(&installation);
}

#[test]
fn a_wrong_pin_is_told_and_not_tried_until_the_token_locks_itself() {
    let Some(hsm) = SoftHsm::new() else { return };
    let mut installation = hsm.installation("ES256", "");
    installation.start();
    installation.enrolled();
    assert!(installation.stop().success());
    hsm.set_pin("a-wrong-pin");
    installation.start();
    for _ in 0..3 {
        installation.run("token").exits(3);
    }
    let log = installation.log();
    assert!(log.contains("the token refused the PIN in"), "{log}");
    assert!(log.contains("it is not tried again"), "{log}");
    assert!(!log.contains("a-wrong-pin"), "{log}");
    // Without a restart.
    hsm.set_pin(PIN);
    comes_back(&installation);

    let first = hsm.installation("ES256", "");
    fs::set_permissions(hsm.pin_file(), fs::Permissions::from_mode(0o644)).unwrap();
    first
        .local("serve")
        .exits(2)
        .says(&["pkcs11.pin_file", "chmod 600"]);
    hsm.set_pin("another-wrong-pin");
    first.local("serve").exits(1).says(&[
        "the token refused the PIN",
        hsm.pin_file().to_str().unwrap(),
    ]);
}

#[test]
fn a_token_or_module_that_is_not_there_is_named() {
    let Some(hsm) = SoftHsm::new() else { return };
    let settings = |module: &str, token: &str| {
        let text = format!(
            "keys.backend = \"pkcs11\"\npkcs11.module = \"{module}\"\npkcs11.token = \"{token}\"\n\
             pkcs11.pin_file = \"{}\"",
            hsm.pin_file().display()
        );
        configured("ES256", &text)
            .with_environment([("SOFTHSM2_CONF", hsm.configuration().display().to_string())])
    };
    settings(MODULE, "other")
        .local("serve")
        .exits(1)
        .says(&["no token has the label \"other\"", "\"idp keys\""]);
    let nowhere = settings("/nowhere/module.so", "idp keys");
    nowhere
        .local("serve")
        .exits(2)
        .says(&["pkcs11.module names /nowhere/module.so, which cannot be read"]);
    // A file, and no shared library.
    let text = nowhere.path().join("idp.toml");
    settings(text.to_str().unwrap(), "idp keys")
        .local("serve")
        .exits(1)
        .says(&["idp.toml cannot be loaded"]);
}

#[test]
fn an_installation_can_move_to_a_token_and_back() {
    let Some(hsm) = SoftHsm::new() else { return };
    let mut installation = hsm.installation("ES256", "");
    installation.start();
    installation.enrolled();
    let keys = installation.get(".well-known/jwks.json");
    assert!(installation.stop().success());
    // New keys are sealed again; those in the token go on signing.
    let config = installation.path().join("idp.toml");
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace(
        "keys.backend = \"pkcs11\"",
        "keys.backend = \"sealed-file\"",
    );
    fs::write(&config, text).unwrap();
    installation.start();
    assert_eq!(installation.get(".well-known/jwks.json"), keys);
    assert_tokens_verify(&installation);
}
