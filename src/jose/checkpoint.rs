//! Checkpoints of the audit log as signed statements.
//!
//! They are signed with a key of their own that is derived from the key-encryption key, not with an
//! issuer's key. Whoever writes to the database can put a public key of theirs into the issuer's
//! published set, so that nothing the set vouches for is safe from them, and a key that signs tokens
//! should sign nothing else. The key-encryption key is outside the database, and every replica
//! derives the same.
//!
//! Each statement holds the hash of the one before it. So the signature of the newest vouches for the
//! whole series, and the series stays verifiable after the key was changed.

use serde::{Deserialize, Serialize};

use super::{Jws, SeedKey, VerifyingKey, base64url_decode, base64url_encode, thumbprint};
use crate::domain::{ChainHead, Checkpoint, Issuer, OrganizationId, PublicJwk, Timestamp};

/// The `typ` of a checkpoint.
const TYPE: &str = "audit-checkpoint+jwt";

/// Why a text is not a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a checkpoint: {0}")]
pub struct CheckpointError(String);

/// The payload. No `aud` and no `exp`: nobody can take it for a token.
#[derive(Serialize, Deserialize)]
struct Payload {
    iss: Issuer,
    iat: i64,
    number: i64,
    previous: Option<String>,
    jwk: PublicJwk,
    chains: Vec<Chain>,
}

#[derive(Serialize, Deserialize)]
struct Chain {
    organization_id: Option<OrganizationId>,
    seq: i64,
    hash: String,
}

/// A checkpoint that its own key has signed.
#[derive(Clone, Debug)]
pub struct SignedCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The thumbprint of the key that signed it, which is to be compared with one that is trusted.
    pub kid: String,
}

/// Signs a checkpoint: a compact JWS.
#[must_use]
pub fn sign_checkpoint(key: &SeedKey, checkpoint: &Checkpoint) -> String {
    let payload = Payload {
        iss: checkpoint.issuer.clone(),
        iat: checkpoint.at.secs(),
        number: checkpoint.number,
        previous: checkpoint.previous.map(base64url_encode),
        jwk: key.public().clone(),
        chains: checkpoint
            .chains
            .iter()
            .map(|head| Chain {
                organization_id: head.organization_id,
                seq: head.seq,
                hash: hex::encode(head.hash),
            })
            .collect(),
    };
    // Texts and numbers only, so that serialising into memory cannot fail.
    key.sign_compact(TYPE, &serde_json::to_vec(&payload).unwrap_or_default())
}

/// Reads a checkpoint and checks that the key it names has signed it. Whose key that is, the caller
/// has to know.
///
/// # Errors
/// Not such a JWS, a signature that does not hold, members that are missing or malformed.
pub fn read_checkpoint(text: &str) -> Result<SignedCheckpoint, CheckpointError> {
    let error = |why: &str| CheckpointError(why.to_owned());
    let jws = Jws::parse(text.trim_end()).map_err(|e| CheckpointError(e.to_string()))?;
    if jws.header().typ.as_deref() != Some(TYPE) {
        return Err(error("its header's typ is another"));
    }
    let claims = serde_json::Value::Object(jws.unverified_claims().clone());
    let payload: Payload =
        serde_json::from_value(claims).map_err(|e| CheckpointError(e.to_string()))?;
    let key = VerifyingKey::from_jwk(&payload.jwk).map_err(|e| CheckpointError(e.to_string()))?;
    if !jws.is_signed_by(&key) {
        return Err(error("the key that it names has not signed it"));
    }
    let bytes = |bytes: Option<Vec<u8>>| {
        bytes
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or_else(|| error("a hash has not 32 bytes"))
    };
    Ok(SignedCheckpoint {
        kid: thumbprint(&payload.jwk),
        checkpoint: Checkpoint {
            issuer: payload.iss,
            number: payload.number,
            at: Timestamp::from_secs(payload.iat),
            previous: payload
                .previous
                .map(|text| bytes(base64url_decode(text)))
                .transpose()?,
            chains: payload
                .chains
                .into_iter()
                .map(|chain| {
                    Ok(ChainHead {
                        organization_id: chain.organization_id,
                        seq: chain.seq,
                        hash: bytes(hex::decode(chain.hash).ok())?,
                    })
                })
                .collect::<Result<_, CheckpointError>>()?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            issuer: "https://idp.example.com".parse().unwrap(),
            number: 2,
            at: Timestamp::from_secs(1_740_514_245),
            previous: Some([3; 32]),
            chains: vec![
                ChainHead {
                    organization_id: None,
                    seq: 7,
                    hash: [1; 32],
                },
                ChainHead {
                    organization_id: "0191e223-1c3c-7607-badf-303c98b52d2f".parse().ok(),
                    seq: 1,
                    hash: [2; 32],
                },
            ],
        }
    }

    #[test]
    fn says_what_was_signed_and_by_whom() {
        let key = SeedKey::new(&[7; 32]).unwrap();
        let text = sign_checkpoint(&key, &checkpoint());
        let read = read_checkpoint(&format!("{text}\n")).unwrap();
        assert_eq!(read.checkpoint, checkpoint());
        assert_eq!(read.kid, thumbprint(key.public()));
        assert_eq!(
            text,
            sign_checkpoint(&SeedKey::new(&[7; 32]).unwrap(), &checkpoint())
        );
        let other = sign_checkpoint(&SeedKey::new(&[8; 32]).unwrap(), &checkpoint());
        assert_ne!(read_checkpoint(&other).unwrap().kid, read.kid);
    }

    #[test]
    fn an_altered_one_is_refused() {
        let key = SeedKey::new(&[7; 32]).unwrap();
        let text = sign_checkpoint(&key, &checkpoint());
        let parts: Vec<&str> = text.split('.').collect();
        let payload = String::from_utf8(base64url_decode(parts[1]).unwrap()).unwrap();
        let altered = base64url_encode(payload.replace("\"seq\":7", "\"seq\":6"));
        for bad in [
            format!("{}.{altered}.{}", parts[0], parts[2]),
            key.sign_compact("JWT", payload.as_bytes()),
            key.sign_compact(TYPE, b"{}"),
            key.sign_compact(TYPE, payload.replace("01010101", "01").as_bytes()),
            String::new(),
        ] {
            assert!(read_checkpoint(&bad).is_err(), "{bad}");
        }
    }
}
