//! Role sessions and their credentials.
//!
//! Nothing is stored: the session token *is* the session, sealed with a key that lives as long as
//! the process, and the secret access key is derived from it. Memory stays flat however many roles
//! are assumed, and a restart ends every session, which for an STS that stands in for AWS on one
//! machine is what one expects. The token is authenticated, not encrypted: it holds nothing that
//! its bearer does not know.

use aws_lc_rs::{digest, hmac};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    domain::{Random, RoleArn, SecretString, Timestamp},
    sigv4::LookupError,
};

/// By it secret scanners find a leaked one.
const PREFIX: &str = "idp_session_";
/// A random key id's alphabet, AWS's own.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const TAG_LEN: usize = 32;

/// A session, as its token holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    /// The access key id that belongs to it.
    #[serde(rename = "k")]
    pub(super) access_key_id: String,
    /// The account.
    #[serde(rename = "a")]
    pub(super) account: String,
    /// The role's name.
    #[serde(rename = "r")]
    pub(super) role: String,
    /// `AROA…`: the role's id.
    #[serde(rename = "i")]
    pub(super) role_id: String,
    /// The session's name.
    #[serde(rename = "n")]
    pub(super) name: String,
    /// When it ends, epoch seconds.
    #[serde(rename = "x")]
    pub(super) expires: i64,
    /// Its tags.
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tags: Vec<(String, String)>,
    /// The keys of tags that go along a chain of roles.
    #[serde(rename = "v", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) transitive: Vec<String>,
    /// Its source identity.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub(super) source_identity: Option<String>,
}

impl Session {
    /// A new session with a key id of its own.
    pub(super) fn new(role: &RoleArn, name: &str, expires: i64, random: &dyn Random) -> Self {
        let mut bytes = [0_u8; 16];
        random.fill(&mut bytes);
        Self {
            access_key_id: format!("ASIA{}", base32(&bytes)),
            account: role.account().to_owned(),
            role: role.name().to_owned(),
            role_id: role_id(role),
            name: name.to_owned(),
            expires,
            tags: Vec::new(),
            transitive: Vec::new(),
            source_identity: None,
        }
    }

    /// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub(super) fn arn(&self) -> String {
        format!(
            "arn:aws:sts::{}:assumed-role/{}/{}",
            self.account, self.role, self.name
        )
    }

    /// `AROA…:SESSION`.
    pub(super) fn user_id(&self) -> String {
        format!("{}:{}", self.role_id, self.name)
    }
}

/// One letter a byte; the bytes' upper bits are dropped, so the letters are equally likely.
fn base32(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| char::from(BASE32[usize::from(byte & 31)]))
        .collect()
}

/// A role keeps its id, 21 characters, over restarts: it is made from the ARN.
pub(super) fn role_id(role: &RoleArn) -> String {
    let hash = digest::digest(&digest::SHA256, role.to_string().as_bytes());
    format!("AROA{}", base32(&hash.as_ref()[..17]))
}

/// Seals sessions into tokens and opens them again.
#[derive(Clone)]
pub(super) struct SessionSeal {
    tokens: hmac::Key,
    secrets: hmac::Key,
}

impl SessionSeal {
    /// With keys of its own.
    pub(super) fn new(random: &dyn Random) -> Self {
        let key = || {
            let mut bytes = Zeroizing::new([0_u8; 32]);
            random.fill(bytes.as_mut());
            hmac::Key::new(hmac::HMAC_SHA256, bytes.as_ref())
        };
        Self {
            tokens: key(),
            secrets: key(),
        }
    }

    /// The session's token and its secret access key (40 characters, as AWS's).
    pub(super) fn issue(&self, session: &Session) -> (SecretString, SecretString) {
        let payload = serde_json::to_vec(session).unwrap_or_default();
        let mut sealed = hmac::sign(&self.tokens, &payload).as_ref().to_vec();
        sealed.extend_from_slice(&payload);
        let mut token = PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string(sealed, &mut token);
        (SecretString::from(token), self.secret(&payload))
    }

    /// The session of an access key and its token, and the secret access key.
    pub(super) fn open(
        &self,
        access_key_id: &str,
        token: Option<&str>,
        now: Timestamp,
    ) -> Result<(SecretString, Session), LookupError> {
        let sealed = token
            .and_then(|token| token.strip_prefix(PREFIX))
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            .ok_or(LookupError::Unknown)?;
        let (tag, payload) = sealed
            .split_at_checked(TAG_LEN)
            .ok_or(LookupError::Unknown)?;
        hmac::verify(&self.tokens, payload, tag).map_err(|_| LookupError::Unknown)?;
        let session: Session = serde_json::from_slice(payload).map_err(|_| LookupError::Unknown)?;
        if session.access_key_id != access_key_id {
            return Err(LookupError::Unknown);
        }
        if now.secs() >= session.expires {
            return Err(LookupError::Expired);
        }
        Ok((self.secret(payload), session))
    }

    fn secret(&self, payload: &[u8]) -> SecretString {
        let tag = hmac::sign(&self.secrets, payload);
        SecretString::from(STANDARD.encode(&tag.as_ref()[..30]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ExposeSecret as _, SystemRandom};

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn session() -> Session {
        let role = "arn:aws:iam::000000000000:role/path/demo".parse().unwrap();
        Session::new(&role, "env", 2_000, &SystemRandom)
    }

    #[test]
    fn has_the_lengths_and_shapes_of_aws() {
        let session = session();
        assert_eq!(session.access_key_id.len(), 20);
        assert_eq!(
            session.arn(),
            "arn:aws:sts::000000000000:assumed-role/demo/env"
        );
        assert_eq!(session.role_id.len(), 21);
        assert_eq!(session.user_id(), format!("{}:env", session.role_id));
        let (_, secret) = SessionSeal::new(&SystemRandom).issue(&session);
        assert_eq!(secret.expose_secret().len(), 40);
    }

    #[test]
    fn opens_what_it_sealed_until_it_ends() {
        let seal = SessionSeal::new(&SystemRandom);
        let session = session();
        let (token, secret) = seal.issue(&session);
        let open = |now| seal.open(&session.access_key_id, Some(token.expose_secret()), now);
        let (again, found) = open(NOW).unwrap();
        assert_eq!(found, session);
        assert_eq!(again.expose_secret(), secret.expose_secret());
        assert!(open(Timestamp::from_ms(1_999_999)).is_ok());
        assert_eq!(
            open(Timestamp::from_secs(2_000)).unwrap_err(),
            LookupError::Expired
        );
    }

    #[test]
    fn opens_nothing_else() {
        let seal = SessionSeal::new(&SystemRandom);
        let session = session();
        let key = session.access_key_id.as_str();
        let (token, _) = seal.issue(&session);
        let token = token.expose_secret();
        let other = SessionSeal::new(&SystemRandom).issue(&session).0;
        let mut changed = URL_SAFE_NO_PAD
            .decode(token.strip_prefix(PREFIX).unwrap())
            .unwrap();
        *changed.last_mut().unwrap() ^= 1;
        let changed = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(changed));
        for (key, token) in [
            (key, None),
            (key, Some("")),
            (key, Some(PREFIX)),
            (key, Some("x")),
            (key, Some(&token[..token.len() - 4])),
            (key, Some(changed.as_str())),
            (key, Some(other.expose_secret())),
            ("ASIAOTHER", Some(token)),
        ] {
            assert_eq!(
                seal.open(key, token, NOW).unwrap_err(),
                LookupError::Unknown,
                "{token:?}"
            );
        }
    }
}
