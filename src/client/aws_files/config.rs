//! The shared config file.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    FileError, Note, ProfileName,
    edit::{self, Kind},
    file,
    location::Location,
    value,
};

const LOCATION: Location = Location {
    file: "AWS config file",
    variable: "AWS_CONFIG_FILE",
    default: ".aws/config",
};

/// The AWS config file: `[default]` and `[profile name]` with settings such as `region` and
/// `credential_process`. Reads, locks and writes as [`super::CredentialsFile`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    path: PathBuf,
}

impl ConfigFile {
    /// The file at `path`.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// `AWS_CONFIG_FILE`, or `~/.aws/config`. `env` looks up environment variables, as
    /// `std::env::var_os` does.
    ///
    /// # Errors
    /// [`FileError::Location`] without `HOME`, or with a path that the AWS tools would not agree
    /// on.
    pub fn locate(env: impl Fn(&str) -> Option<OsString>) -> Result<Self, FileError> {
        Ok(Self::at(LOCATION.find(env)?))
    }

    /// Where the file is. It need not exist.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line, from 1, at which the profile has a `credential_process`. Keys in the credentials file
    /// win over it for good, so one profile should not have both ([precedence of settings]).
    ///
    /// [precedence of settings]: https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-quickstart.html#cli-configure-quickstart-precedence
    ///
    /// # Errors
    /// [`FileError::Malformed`] and [`FileError::Access`].
    pub fn credential_process(&self, profile: &ProfileName) -> Result<Option<usize>, FileError> {
        file::inspect(&self.path, |document| {
            Ok(edit::credential_process(document, Kind::Config, profile)?)
        })
    }

    /// Sets the profile's settings, names (of `a-z`, `0-9`, `_`) and values (one line each). Every
    /// other byte of the file stays.
    ///
    /// # Errors
    /// As [`super::CredentialsFile::write_credentials`].
    pub fn write_profile(
        &self,
        profile: &ProfileName,
        entries: &[(&str, &str)],
    ) -> Result<Vec<Note>, FileError> {
        for (key, value) in entries {
            value::check_key(key)?;
            value::check_setting(key, value)?;
        }
        let ((), notes) = file::change(&self.path, |document| {
            let text = edit::set(document, Kind::Config, profile, entries, &[])?;
            Ok((Some(text), ()))
        })?;
        Ok(notes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn writes_a_profile_of_the_config_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        fs::write(&path, "[default]\nregion = eu-west-1\n").unwrap();
        let file = ConfigFile::at(path.clone());
        let entries = [(
            "credential_process",
            "idp aws credential-process --role-arn x",
        )];
        file.write_profile(&"p".parse().unwrap(), &entries).unwrap();
        assert_eq!(
            fs::read_to_string(path).unwrap(),
            "[default]\nregion = eu-west-1\n\n[profile p]\ncredential_process = idp aws credential-process --role-arn x\n"
        );
    }

    #[test]
    fn finds_the_command_that_gets_a_profile_s_credentials() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let file = ConfigFile::at(path.clone());
        let line = |profile: &str| file.credential_process(&profile.parse().unwrap());
        assert_eq!(line("default").unwrap(), None, "no file");
        let text = "[default]\nregion = a\n[profile p]\nregion = a\ncredential_process = x\n";
        fs::write(&path, text).unwrap();
        assert_eq!(line("default").unwrap(), None);
        assert_eq!(line("p").unwrap(), Some(5));
        assert_eq!(line("other").unwrap(), None);
    }

    #[test]
    fn refuses_settings_that_would_break_the_file() {
        let file = ConfigFile::at("/nowhere/config".into());
        let profile = ProfileName::default();
        assert!(file.write_profile(&profile, &[("a b", "c")]).is_err());
        assert!(file.write_profile(&profile, &[("a", "b\n[c]")]).is_err());
    }
}
