//! The identity file: who this environment is, where its server is, and its private key.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    atomic_file::{AccessError, atomic_write, create_private_dir},
    private_file::{self, PrivateFileError},
    secret_text,
    server::ServerUrl,
};
use crate::{
    domain::{EnvironmentId, ExposeSecret as _, Issuer, SecretString, SigningAlgorithm, Timestamp},
    jose::{KeyError, PrivateKey, thumbprint},
};

/// An enrolled environment.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Where the server is reached.
    pub server_url: ServerUrl,
    /// The issuer; assertions name it as their audience.
    pub issuer: Issuer,
    /// The environment, which is the client id too.
    pub environment_id: EnvironmentId,
    /// The thumbprint of its key.
    pub kid: String,
    /// When that key came into use here.
    pub key_created_at: Timestamp,
    /// PKCS #8 in standard base64.
    private_key: SecretString,
    /// The key that is to take its place, until the server has confirmed it.
    next_key: Option<NextKey>,
}

/// A key that the server may know already or not yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct NextKey {
    #[serde(with = "secret_text")]
    private_key: SecretString,
    /// When the server was asked last to take it.
    asked_at: Timestamp,
}

/// The form of `identity.json`. Members that this version does not know are left out of account.
#[derive(Serialize, Deserialize)]
struct IdentityFile {
    server_url: ServerUrl,
    issuer: Issuer,
    environment_id: EnvironmentId,
    kid: String,
    /// Epoch milliseconds.
    #[serde(default = "long_ago")]
    key_created_at: Timestamp,
    #[serde(with = "secret_text")]
    private_key: SecretString,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_key: Option<NextKey>,
}

/// A key whose age is not known is an old one.
const fn long_ago() -> Timestamp {
    Timestamp::from_ms(0)
}

/// Why there is no usable identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file is missing, exposed or unreadable.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file holds something else.
    #[error("{path} is not an identity file: {reason}")]
    Corrupt {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl IdentityError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::File(PrivateFileError::Missing(_)) => {
                "enrol this environment with `idp enroll --url SERVER` and a join token, or set \
                 IDP_HOME to the directory that holds its identity.json"
                    .to_owned()
            }
            Self::File(PrivateFileError::Exposed { path, .. }) => {
                format!(
                    "run `chmod 600 {}`; if others may have read it, enrol again",
                    path.display()
                )
            }
            Self::File(PrivateFileError::Foreign { .. }) => {
                "run this as the file's owner, or set IDP_HOME to a directory of your own"
                    .to_owned()
            }
            Self::File(PrivateFileError::Io { .. }) => {
                "set IDP_HOME to the directory that holds identity.json".to_owned()
            }
            Self::Corrupt { .. } => {
                "enrol again with `idp enroll --url SERVER` and a new join token".to_owned()
            }
        }
    }
}

impl Identity {
    /// The identity of a key that was enrolled just now.
    pub fn new(
        server_url: ServerUrl,
        issuer: Issuer,
        environment_id: EnvironmentId,
        key: &PrivateKey,
        key_created_at: Timestamp,
    ) -> Result<Self, KeyError> {
        Ok(Self {
            server_url,
            issuer,
            environment_id,
            kid: thumbprint(key.public()),
            key_created_at,
            private_key: encode(key)?,
            next_key: None,
        })
    }

    /// Reads an identity file; its key is parsed by [`Identity::key`], when it is needed.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let bytes = private_file::read(path)?;
        let file: IdentityFile =
            serde_json::from_slice(&bytes).map_err(|error| IdentityError::Corrupt {
                path: path.display().to_string(),
                // serde_json quotes values of the wrong type; only the place is safe to show.
                reason: match error.classify() {
                    serde_json::error::Category::Data => format!(
                        "a member is missing or malformed near line {}",
                        error.line()
                    ),
                    _ => format!("it is not JSON from line {} on", error.line()),
                },
            })?;
        Ok(Self {
            server_url: file.server_url,
            issuer: file.issuer,
            environment_id: file.environment_id,
            kid: file.kid,
            key_created_at: file.key_created_at,
            private_key: file.private_key,
            next_key: file.next_key,
        })
    }

    /// Writes the identity file, mode 0600, in a directory that is made 0700 where it is missing.
    pub fn save(&self, path: &Path) -> Result<(), AccessError> {
        if let Some(parent) = path.parent() {
            create_private_dir(parent)?;
        }
        let file = IdentityFile {
            server_url: self.server_url.clone(),
            issuer: self.issuer.clone(),
            environment_id: self.environment_id,
            kid: self.kid.clone(),
            key_created_at: self.key_created_at,
            private_key: self.private_key.clone(),
            next_key: self.next_key.clone(),
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
        serde_json::to_writer_pretty(&mut *bytes, &file)
            .map_err(|error| AccessError::on(path, "write")(error.into()))?;
        bytes.push(b'\n');
        atomic_write(path, &bytes, 0o600)
    }

    /// The private key; `path` is where the identity came from, for the error.
    pub fn key(&self, path: &Path) -> Result<PrivateKey, IdentityError> {
        let key = decode(&self.private_key, path, "private_key")?;
        if thumbprint(key.public()) == self.kid {
            Ok(key)
        } else {
            Err(corrupt(
                path,
                "its kid is not the thumbprint of its private_key",
            ))
        }
    }

    /// When the server was last asked to take a new key that it has not confirmed.
    #[must_use]
    pub fn next_key_asked_at(&self) -> Option<Timestamp> {
        self.next_key.as_ref().map(|next| next.asked_at)
    }

    /// The key that is to take the present one's place, for asking the server `now`: made where
    /// there is none, else the one of the last try, which the server may have taken. The identity
    /// has to be saved before the server hears of it. `path` is for errors.
    pub fn next_key(&mut self, path: &Path, now: Timestamp) -> Result<PrivateKey, IdentityError> {
        if let Some(next) = &mut self.next_key {
            next.asked_at = now;
            return decode(&next.private_key, path, "next_key.private_key");
        }
        let failed = |error: KeyError| corrupt(path, &error.to_string());
        let key = PrivateKey::generate(SigningAlgorithm::Es256).map_err(failed)?;
        self.next_key = Some(NextKey {
            private_key: encode(&key).map_err(failed)?,
            asked_at: now,
        });
        Ok(key)
    }

    /// Puts the new key, which the server has confirmed, in the place of the present one.
    ///
    /// # Errors
    /// The new key cannot be read. `path` is for the error.
    pub fn adopt_next_key(&mut self, path: &Path, now: Timestamp) -> Result<(), IdentityError> {
        if let Some(next) = self.next_key.take() {
            let key = decode(&next.private_key, path, "next_key.private_key")?;
            self.kid = thumbprint(key.public());
            self.private_key = next.private_key;
            self.key_created_at = now;
        }
        Ok(())
    }

    /// Gives up the key that was to take the present one's place.
    pub fn drop_next_key(&mut self) {
        self.next_key = None;
    }
}

fn corrupt(path: &Path, reason: &str) -> IdentityError {
    IdentityError::Corrupt {
        path: path.display().to_string(),
        reason: reason.to_owned(),
    }
}

fn encode(key: &PrivateKey) -> Result<SecretString, KeyError> {
    Ok(STANDARD.encode(&*key.to_pkcs8()?).into())
}

/// Reads the key in the member `name`.
fn decode(text: &SecretString, path: &Path, name: &str) -> Result<PrivateKey, IdentityError> {
    let der = STANDARD
        .decode(text.expose_secret())
        .map(Zeroizing::new)
        .map_err(|_| corrupt(path, &format!("its {name} is not base64")))?;
    PrivateKey::from_pkcs8(SigningAlgorithm::Es256, &der)
        .map_err(|_| corrupt(path, &format!("its {name} is not an ES256 key in PKCS #8")))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    };

    use super::*;

    fn identity() -> Identity {
        let key = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        Identity::new(
            "http://127.0.0.1:8080".parse().unwrap(),
            "https://idp.example.com".parse().unwrap(),
            "019527e4-75d5-704d-a5a4-a2b52cf56196".parse().unwrap(),
            &key,
            Timestamp::from_secs(1_740_514_245),
        )
        .unwrap()
    }

    #[test]
    fn survives_the_file_and_hides_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/identity.json");
        let identity = identity();
        identity.save(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let parent = fs::metadata(path.parent().unwrap()).unwrap();
        assert_eq!(parent.mode() & 0o777, 0o700);

        let read = Identity::load(&path).unwrap();
        assert_eq!(read.kid, identity.kid);
        assert_eq!(thumbprint(read.key(&path).unwrap().public()), identity.kid);
        let secret = identity.private_key.expose_secret();
        assert!(!format!("{read:?}").contains(secret));
    }

    #[test]
    fn refuses_exposed_files_with_the_cure() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.json");
        identity().save(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Identity::load(&path).unwrap_err();
        assert!(error.to_string().contains("0644"), "{error}");
        assert!(
            error
                .help()
                .contains(&format!("chmod 600 {}", path.display()))
        );
    }

    #[test]
    fn refuses_what_is_not_an_identity_without_quoting_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.json");
        identity().save(&path).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        for bad in [
            "",
            "{",
            "[]",
            "{}",
            r#""sesame""#,
            r#"{"kid": 1, "private_key": "sesame"}"#,
        ] {
            fs::write(&path, bad).unwrap();
            let error = Identity::load(&path).unwrap_err();
            assert!(
                error.to_string().contains("not an identity file"),
                "{error}"
            );
            assert!(!error.to_string().contains("sesame"), "{error}");
        }
        for (from, to, says) in [
            ("private_key\": \"", "private_key\": \"!", "not base64"),
            (
                "private_key\": \"",
                "private_key\": \"AAAA",
                "not an ES256 key",
            ),
            ("kid\": \"", "kid\": \"x", "not the thumbprint"),
        ] {
            fs::write(&path, good.replacen(from, to, 1)).unwrap();
            let error = Identity::load(&path).unwrap().key(&path).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
