//! A directory with everything that one environment keeps.

use std::{
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::Command;
use idp::{
    client::identity::Identity,
    domain::{SigningAlgorithm, Timestamp},
    jose::PrivateKey,
};
use tempfile::TempDir;

use super::{FakeIdp, FakeSts};

pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/demo";

pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A place whose environment is enrolled with `idp`.
    pub(super) fn enrolled(idp: &FakeIdp) -> Self {
        let place = Self::new();
        let key = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        Identity::new(
            idp.url().parse().unwrap(),
            idp.url().parse().unwrap(),
            super::fake_idp::ENVIRONMENT.parse().unwrap(),
            &key,
            Timestamp::from_secs(super::fake_idp::now().try_into().unwrap()),
        )
        .unwrap()
        .save(&place.identity())
        .unwrap();
        place
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn identity(&self) -> PathBuf {
        self.path().join("idp/identity.json")
    }

    pub(super) fn credentials(&self) -> PathBuf {
        self.path().join("credentials")
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// `idp` in an environment that holds nothing of this machine's: no AWS, proxy or CA variable.
    pub(super) fn idp<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_idp"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path())
            .env("IDP_HOME", self.path().join("idp"))
            .env("IDP_CACHE_DIR", self.path().join("cache"))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.credentials())
            .env("AWS_CONFIG_FILE", self.path().join("config"))
            .args(arguments);
        command
    }

    /// `idp`, asking `sts` for [`ROLE`].
    pub(super) fn with_role<'a>(
        &self,
        sts: &FakeSts,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Command {
        let mut command = self.idp(arguments);
        command
            .env("IDP_AWS_ROLE_ARN", ROLE)
            .env("AWS_ENDPOINT_URL_STS", sts.url());
        command
    }
}
