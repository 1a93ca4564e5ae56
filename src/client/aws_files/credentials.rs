//! The shared credentials file.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    FileError, Note, ProfileName,
    document::{Document, Section},
    edit::{self, Kind},
    file::{self, Edited, Refusal},
    location::Location,
    value,
};
use crate::{domain::ExposeSecret, ports::StsCredentials};

const LOCATION: Location = Location {
    file: "AWS credentials file",
    variable: "AWS_SHARED_CREDENTIALS_FILE",
    default: ".aws/credentials",
};

const ACCESS_KEY_ID: &str = "aws_access_key_id";
const SECRET_ACCESS_KEY: &str = "aws_secret_access_key";
const SESSION_TOKEN: &str = "aws_session_token";
/// RFC 3339. Other tools that write short-lived credentials record their expiry under this name;
/// here it also tells that `login` wrote the section.
const EXPIRES: &str = "x_security_token_expires";
/// An older name of [`SESSION_TOKEN`], which botocore prefers where both are set.
const SECURITY_TOKEN: &str = "aws_security_token";

/// What [`CredentialsFile::write_credentials`] writes and [`CredentialsFile::remove_credentials`]
/// removes.
const WRITTEN: [&str; 4] = [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, EXPIRES];

/// The AWS shared credentials file, where every AWS tool looks for keys.
///
/// Its methods block the thread, for up to ten seconds where another process holds the lock
/// (`<file>.lock`). Readers need no lock: the file is replaced whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialsFile {
    path: PathBuf,
}

/// What [`CredentialsFile::remove_credentials`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// The credentials are gone.
    Credentials(Vec<Note>),
    /// There were none: no file, no such profile, or no key in it.
    Nothing,
}

impl CredentialsFile {
    /// The file at `path`.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// `AWS_SHARED_CREDENTIALS_FILE`, or `~/.aws/credentials`. `env` looks up environment
    /// variables, as `std::env::var_os` does.
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

    /// Refuses a file that [`Self::write_credentials`] would refuse, before credentials are asked
    /// for that could not be kept.
    ///
    /// # Errors
    /// [`FileError::Malformed`] and [`FileError::Access`].
    pub fn check(&self, profile: &ProfileName) -> Result<(), FileError> {
        file::inspect(&self.path, |document| {
            edit::find(document, Kind::Credentials, profile)?;
            Ok(())
        })
    }

    /// Sets the profile's keys, session token and expiry, and removes a stale
    /// `aws_security_token`. Every other byte of the file stays. The file's mode is 0600
    /// afterwards; a missing one is made, and its directory with mode 0700.
    ///
    /// # Errors
    /// The file is as it was after each: [`FileError::Malformed`] where the AWS tools refuse it or
    /// disagree on the profile, [`FileError::Value`] where the credentials are not what STS
    /// issues, [`FileError::Lock`] and [`FileError::Access`].
    pub fn write_credentials(
        &self,
        profile: &ProfileName,
        credentials: &StsCredentials,
    ) -> Result<Vec<Note>, FileError> {
        let expires = credentials.expires_at.to_string();
        let entries = [
            (ACCESS_KEY_ID, credentials.access_key_id.as_str()),
            (
                SECRET_ACCESS_KEY,
                credentials.secret_access_key.expose_secret(),
            ),
            (SESSION_TOKEN, credentials.session_token.expose_secret()),
            (EXPIRES, expires.as_str()),
        ];
        for (key, value) in entries {
            value::check_credential(key, value)?;
        }
        let (was_long_lived, mut notes) = file::change(&self.path, |document| {
            let section = edit::find(document, Kind::Credentials, profile)?;
            let text = edit::set(
                document,
                Kind::Credentials,
                profile,
                &entries,
                &[SECURITY_TOKEN],
            )?;
            Ok((Some(text), section.is_some_and(holds_long_lived_key)))
        })?;
        if was_long_lived {
            notes.push(Note::ReplacedLongLivedKey {
                path: self.path.clone(),
                profile: profile.clone(),
            });
        }
        Ok(notes)
    }

    /// Removes what [`Self::write_credentials`] wrote, and the profile's section with it where
    /// nothing else is in it.
    ///
    /// # Errors
    /// [`FileError::NotOurs`] where the profile holds keys without the expiry that `login` records;
    /// otherwise as [`Self::write_credentials`]. The file is then as it was.
    pub fn remove_credentials(&self, profile: &ProfileName) -> Result<Removed, FileError> {
        // A file that is not there should not leave a directory and a lock file behind. A broken
        // link is not there either.
        if matches!(self.path.try_exists(), Ok(false)) {
            return Ok(Removed::Nothing);
        }
        let (removed, notes) =
            file::change(&self.path, |document| self.removal(document, profile))?;
        Ok(if removed {
            Removed::Credentials(notes)
        } else {
            Removed::Nothing
        })
    }

    fn removal(
        &self,
        document: &Document<'_>,
        profile: &ProfileName,
    ) -> Result<Edited<bool>, Refusal> {
        let Some(section) = edit::find(document, Kind::Credentials, profile)? else {
            return Ok((None, false));
        };
        let present = edit::settings(section, &WRITTEN)?;
        if present.is_empty() {
            return Ok((None, false));
        }
        if !has(section, EXPIRES) {
            return Err(Refusal::Other(FileError::NotOurs {
                path: self.path.clone(),
                profile: profile.clone(),
            }));
        }
        let text = edit::unset(document, Kind::Credentials, profile, section, &WRITTEN)?;
        Ok((Some(text), true))
    }
}

fn has(section: &Section<'_>, key: &str) -> bool {
    section
        .settings
        .iter()
        .any(|setting| setting.botocore == key)
}

fn holds_long_lived_key(section: &Section<'_>) -> bool {
    has(section, ACCESS_KEY_ID)
        && ![SESSION_TOKEN, SECURITY_TOKEN, EXPIRES]
            .iter()
            .any(|key| has(section, key))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::*;
    use crate::domain::{SecretString, Timestamp};

    const KEYS: &str = "aws_access_key_id = ASIA1\naws_secret_access_key = secret/1+\naws_session_token = token==\nx_security_token_expires = 2025-02-25T20:10:45Z\n";

    fn sts(secret: &str) -> StsCredentials {
        StsCredentials {
            access_key_id: "ASIA1".into(),
            secret_access_key: SecretString::from(secret),
            session_token: SecretString::from("token=="),
            expires_at: Timestamp::from_secs(1_740_514_245),
            assumed_role_arn: "arn:aws:sts::000000000000:assumed-role/demo/s".into(),
        }
    }

    struct Fixture {
        dir: tempfile::TempDir,
        file: CredentialsFile,
    }

    fn fixture(text: &str) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        Fixture {
            dir,
            file: CredentialsFile::at(path),
        }
    }

    impl Fixture {
        fn text(&self) -> String {
            fs::read_to_string(self.file.path()).unwrap()
        }

        fn login(&self) -> Result<Vec<Note>, FileError> {
            self.file
                .write_credentials(&ProfileName::default(), &sts("secret/1+"))
        }

        fn logout(&self) -> Result<Removed, FileError> {
            self.file.remove_credentials(&ProfileName::default())
        }
    }

    #[test]
    fn writes_the_four_settings_and_drops_the_stale_token() {
        let f = fixture("[default]\nregion = x\naws_security_token = stale\n");
        assert_eq!(f.login().unwrap(), []);
        assert_eq!(f.text(), format!("[default]\nregion = x\n{KEYS}"));
    }

    #[test]
    fn makes_the_file_and_its_directory_private() {
        let dir = tempfile::tempdir().unwrap();
        let file = CredentialsFile::at(dir.path().join(".aws/credentials"));
        assert_eq!(
            file.write_credentials(&ProfileName::default(), &sts("secret/1+"))
                .unwrap(),
            []
        );
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(file.path()), 0o600);
        assert_eq!(mode(&dir.path().join(".aws")), 0o700);
        assert_eq!(
            fs::read_to_string(file.path()).unwrap(),
            format!("[default]\n{KEYS}")
        );
    }

    #[test]
    fn an_open_file_is_closed_with_a_note() {
        let f = fixture("");
        fs::set_permissions(f.file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let notes = f.login().unwrap();
        assert!(matches!(notes[..], [Note::WasOpen { mode: 0o644, .. }]));
        assert!(notes[0].to_string().contains("0644"), "{}", notes[0]);
        assert_eq!(f.login().unwrap(), []);
    }

    #[test]
    fn a_long_lived_key_is_replaced_with_a_note_and_never_removed() {
        let before = "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = s\n";
        let f = fixture(before);
        let error = f.logout().unwrap_err();
        assert!(error.to_string().contains("did not write"), "{error}");
        assert_eq!(f.text(), before);
        assert!(matches!(
            f.login().unwrap()[..],
            [Note::ReplacedLongLivedKey { .. }]
        ));
    }

    #[test]
    fn logout_undoes_login() {
        for before in ["", "[other]\nk = v\n", "[default]\nregion = x\n"] {
            let f = fixture(before);
            f.login().unwrap();
            assert_eq!(f.logout().unwrap(), Removed::Credentials(vec![]));
            assert_eq!(f.text(), before);
            assert_eq!(f.logout().unwrap(), Removed::Nothing);
        }
    }

    #[test]
    fn logout_of_nothing_makes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = CredentialsFile::at(dir.path().join("no/credentials"));
        assert_eq!(
            file.remove_credentials(&ProfileName::default()).unwrap(),
            Removed::Nothing
        );
        assert!(!dir.path().join("no").exists());
    }

    #[test]
    fn a_malformed_file_is_named_with_its_line_and_left() {
        let f = fixture("[default]\nSECRET\n");
        for error in [f.login().unwrap_err(), f.logout().unwrap_err()] {
            assert!(matches!(error, FileError::Malformed { line: 2, .. }));
            let text = error.to_string();
            assert!(
                text.contains("credentials line 2") && !text.contains("SECRET"),
                "{text}"
            );
        }
        assert_eq!(f.text(), "[default]\nSECRET\n");
    }

    #[test]
    fn values_that_would_break_the_file_are_refused_unquoted() {
        let f = fixture("");
        let profile = ProfileName::default();
        let error = f
            .file
            .write_credentials(&profile, &sts("a\n[x]"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("aws_secret_access_key") && !error.contains("[x]"),
            "{error}"
        );
        assert_eq!(f.text(), "");
    }

    #[test]
    fn leftovers_of_killed_writers_are_removed() {
        let f = fixture("");
        let leftover = f.dir.path().join(".credentials.idp-aB3dE6.tmp");
        fs::write(&leftover, "secret").unwrap();
        f.login().unwrap();
        assert!(!leftover.exists());
    }

    #[test]
    fn a_link_stays_and_its_target_is_locked() {
        let f = fixture("");
        let real = f.dir.path().join("real/credentials");
        let link = f.dir.path().join("link");
        symlink(&real, &link).unwrap();
        let file = CredentialsFile::at(link.clone());
        file.write_credentials(&ProfileName::default(), &sts("secret/1+"))
            .unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), real);
        assert_eq!(
            fs::read_to_string(&real).unwrap(),
            format!("[default]\n{KEYS}")
        );
        assert!(f.dir.path().join("real/credentials.lock").exists());
    }
}
