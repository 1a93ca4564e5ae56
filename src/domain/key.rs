//! Keys as facts: algorithms, public halves, and the states of an issuer's keys.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Issuer, KeyId, Timestamp};

/// How issued tokens are signed. AWS takes neither `EdDSA` nor PS256, so there is no third.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 and a 2048-bit key: what every relying party takes.
    #[default]
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
}

impl SigningAlgorithm {
    /// The name in a JWS header (RFC 7518 §3.1).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    /// The algorithm of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }
}

/// A public key as a JWK with its required members only (RFC 7517, RFC 7518 §6, RFC 8037). Members
/// are unpadded base64url. Any other member is refused on reading: a private half that somebody sends
/// by mistake is not passed over in silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kty", deny_unknown_fields)]
pub enum PublicJwk {
    /// An elliptic-curve key; here always on `P-256`.
    #[serde(rename = "EC")]
    Ec {
        /// The curve's name.
        crv: String,
        /// The x coordinate.
        x: String,
        /// The y coordinate.
        y: String,
    },
    /// An octet key pair; here always `Ed25519`.
    #[serde(rename = "OKP")]
    Okp {
        /// The curve's name.
        crv: String,
        /// The public key.
        x: String,
    },
    /// An RSA key.
    #[serde(rename = "RSA")]
    Rsa {
        /// The modulus.
        n: String,
        /// The exponent.
        e: String,
    },
}

/// Where an issuer's key stands. The transitions are stored facts, each with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Published, does not sign yet.
    Pending,
    /// Published, signs.
    Active,
    /// Published, signs no more; its private half is destroyed.
    Retiring,
    /// Not published; its kid is never used again.
    Retired,
}

impl KeyState {
    /// The name in the API and in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }
}

/// What is noted of a key for its rotation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyFacts {
    /// The longest life, in whole seconds, that a token could have while the key signed.
    pub longest_life: Duration,
    /// When an administrator asked for it to sign as soon as it has been published long enough.
    pub wanted_at: Option<Timestamp>,
    /// When it was first seen at the public address of an issuer that is published elsewhere.
    pub seen_at: Option<Timestamp>,
    /// How long the JWKS that it was seen in could be cached, in whole seconds.
    pub seen_max_age: Duration,
}

/// A stored key of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerKey {
    /// The record's id; the sealed private half is bound to it.
    pub id: KeyId,
    /// Whose key it is.
    pub issuer: Issuer,
    /// The RFC 7638 thumbprint of the public half.
    pub kid: String,
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// The public half.
    pub public: PublicJwk,
    /// A self-signed certificate over the public half, DER in standard base64 (RFC 7517 §4.7).
    pub certificate: String,
    /// The private half (PKCS #8) as a compact JWE; `None` once destroyed, and where the private half
    /// is in an external keystore.
    pub sealed: Option<String>,
    /// What an external keystore knows the private half by; `None` once it is destroyed there, and
    /// where the private half is sealed.
    pub reference: Option<String>,
    /// What proves that somebody with the key-encryption key wrote this record; `None` where a program
    /// did that knows of no such proof.
    pub mac: Option<String>,
    /// When it was first published.
    pub created_at: Timestamp,
    /// When it began to sign.
    pub activated_at: Option<Timestamp>,
    /// When it ceased to sign.
    pub retiring_at: Option<Timestamp>,
    /// When it left the JWKS.
    pub retired_at: Option<Timestamp>,
    /// What else its rotation depends on.
    pub facts: KeyFacts,
}

impl IssuerKey {
    /// The state that the stored times say.
    #[must_use]
    pub const fn state(&self) -> KeyState {
        if self.retired_at.is_some() {
            KeyState::Retired
        } else if self.retiring_at.is_some() {
            KeyState::Retiring
        } else if self.activated_at.is_some() {
            KeyState::Active
        } else {
            KeyState::Pending
        }
    }

    /// Sorts the keys of an issuer for readers: the active one first, then pending, then the others,
    /// each by age, so that the order changes only when a key's state does.
    #[must_use]
    pub const fn rank(&self) -> (u8, Timestamp, KeyId) {
        let state = match self.state() {
            KeyState::Active => 0,
            KeyState::Pending => 1,
            KeyState::Retiring | KeyState::Retired => 2,
        };
        (state, self.created_at, self.id)
    }
}
