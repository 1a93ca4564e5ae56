//! Replacing this environment's key by a newer one, with the word of both keys.
//!
//! A crash at any point locks nobody out. The new key is in the identity file before the server hears
//! of it, and the old one until the server has confirmed the new one; and the server accepts the old
//! one until the new one is used, which is after it has become the file's key.

use std::{path::Path, time::Duration};

use serde::Deserialize;
use serde_json::json;

use super::{
    atomic_file::{AccessError, resolve},
    identity::{Identity, IdentityError},
    lock_file::{LockError, LockFile},
    server::{Server, ServerError},
};
use crate::{
    domain::{Clock, EnvironmentId, Issuer, Timestamp},
    jose::{PrivateKey, sign_compact, thumbprint},
    upstream::http::HttpClient,
};

/// How old a key may become before commands replace it by themselves.
pub const KEY_LIFE: Duration = Duration::from_hours(24);

/// How long commands wait after a try, whatever came of it, before the next one.
const RETRY_AFTER: Duration = Duration::from_mins(10);

/// Why the key was not replaced. The identity works as before.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The identity file.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The identity file cannot be changed.
    #[error(transparent)]
    Write(#[from] AccessError),
    /// Another process is changing it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The server.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// What there was to do.
#[derive(Debug)]
pub enum Rotation {
    /// The key was replaced, and this is what the file holds now.
    Done(Identity),
    /// Somebody else was quicker, and the key is young.
    NotDue,
}

/// Which keys are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Whatever its age.
    Any,
    /// One that [`is_due`].
    Due,
}

/// Whether commands should replace the key: it is older than [`KEY_LIFE`], and it was not tried just
/// now. With a clock that was set back nothing is due.
#[must_use]
pub fn is_due(identity: &Identity, now: Timestamp) -> bool {
    now.since(identity.key_created_at) >= KEY_LIFE
        && identity
            .next_key_asked_at()
            .is_none_or(|at| now.since(at) >= RETRY_AFTER || at > now)
}

#[derive(Deserialize)]
struct NonceAnswer {
    nonce: String,
    issuer: Issuer,
}

#[derive(Deserialize)]
struct RotateAnswer {
    environment_id: EnvironmentId,
    kid: String,
}

/// Replaces the key of the identity at `path`. One process at a time does; whoever finds another one
/// at it waits for at most `patience`.
///
/// # Errors
/// See [`RotateError`].
pub async fn rotate(
    path: &Path,
    which: Which,
    patience: Duration,
    http: &HttpClient,
    clock: &dyn Clock,
) -> Result<Rotation, RotateError> {
    // Without an identity there is nothing to lock.
    Identity::load(path)?;
    let _lock = LockFile::acquire(&resolve(path)?, patience)?;
    let mut identity = Identity::load(path)?;
    if which == Which::Due && !is_due(&identity, clock.now()) {
        return Ok(Rotation::NotDue);
    }
    let old = identity.key(path)?;
    let new = identity.next_key(path, clock.now())?;
    identity.save(path)?;
    let server = Server {
        http,
        url: &identity.server_url,
        clock,
    };
    if let Err(error) = ask(&server, &identity, &old, &new).await {
        // The server knows this key from before. A fresh one has a chance.
        if matches!(&error, ServerError::Refused(refusal) if refusal.error == "invalid_request") {
            identity.drop_next_key();
            identity.save(path)?;
        }
        return Err(error.into());
    }
    identity.adopt_next_key(path, clock.now())?;
    identity.save(path)?;
    Ok(Rotation::Done(identity))
}

async fn ask(
    server: &Server<'_>,
    identity: &Identity,
    old: &PrivateKey,
    new: &PrivateKey,
) -> Result<(), ServerError> {
    let unexpected = |path: &str, reason: &str| ServerError::Unexpected {
        url: format!("{}{path}", server.url),
        reason: reason.to_owned(),
    };
    let NonceAnswer { nonce, issuer } = serde_json::from_value(server.get("/enroll/nonce").await?)
        .map_err(|_| unexpected("/enroll/nonce", "its answer lacks nonce or issuer"))?;
    if issuer != identity.issuer {
        return Err(unexpected("/enroll/nonce", "it is another issuer's"));
    }
    let new_kid = thumbprint(new.public());
    let claims = json!({
        "nonce": nonce,
        "aud": issuer,
        "sub": identity.environment_id,
        "old_kid": identity.kid,
        "new_kid": new_kid,
        "iat": server.clock.now().secs(),
    })
    .to_string();
    let sign = |key, kid| sign_compact(key, "key-rotation+jwt", kid, claims.as_bytes());
    let body = json!({
        "environment_id": identity.environment_id,
        "jwk": new.public(),
        "proof_by_old_key": sign(old, &identity.kid)?,
        "proof_by_new_key": sign(new, &new_kid)?,
    });
    let answer = server
        .post("/enroll/rotate", "application/json", body.to_string())
        .await?;
    let answer: RotateAnswer = serde_json::from_value(answer)
        .map_err(|_| unexpected("/enroll/rotate", "its answer lacks environment_id or kid"))?;
    if answer.kid == new_kid && answer.environment_id == identity.environment_id {
        Ok(())
    } else {
        Err(unexpected("/enroll/rotate", "it registered another key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SigningAlgorithm;

    #[test]
    fn a_key_is_due_after_a_day_and_not_again_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.json");
        let made = Timestamp::from_secs(1_740_514_245);
        let mut identity = Identity::new(
            "http://127.0.0.1:8080".parse().unwrap(),
            "https://idp.example.com".parse().unwrap(),
            "019527e4-75d5-704d-a5a4-a2b52cf56196".parse().unwrap(),
            &PrivateKey::generate(SigningAlgorithm::Es256).unwrap(),
            made,
        )
        .unwrap();
        let day = made.plus(KEY_LIFE);
        assert!(!is_due(&identity, day.minus(Duration::from_millis(1))));
        assert!(is_due(&identity, day));
        assert!(!is_due(&identity, made.minus(KEY_LIFE)));

        let first = identity.next_key(&path, day).unwrap();
        assert!(!is_due(&identity, day));
        assert!(is_due(&identity, day.plus(RETRY_AFTER)));
        // The same key is tried again, also after the file was read again.
        identity.save(&path).unwrap();
        let mut read = Identity::load(&path).unwrap();
        let again = read.next_key(&path, day.plus(RETRY_AFTER)).unwrap();
        assert_eq!(again.public(), first.public());
        assert!(!is_due(&read, day.plus(RETRY_AFTER)));

        read.adopt_next_key(&path, day).unwrap();
        assert_eq!(read.key(&path).unwrap().public(), first.public());
        assert_eq!(read.key_created_at, day);
        read.save(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("next_key"), "{text}");
    }
}
