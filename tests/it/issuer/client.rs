//! Environments as clients: their keys, and everything that they could sign with them.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use idp::{
    domain::SigningAlgorithm,
    jose::{PrivateKey, base64url_encode, sha256, thumbprint},
};
use serde_json::{Value, json};

use super::world::ISSUER;

/// A join token and whom it lets in.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) environment: String,
    pub(crate) secret: String,
}

impl Ticket {
    /// From the answer that made it.
    pub(crate) fn of(answer: &Value) -> Self {
        Self {
            environment: answer["environment_id"].as_str().unwrap().to_owned(),
            secret: answer["join_token"].as_str().unwrap().to_owned(),
        }
    }
}

/// A key that signs assertions and proofs.
pub(crate) enum Key {
    Local(PrivateKey),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    pub(crate) fn es256() -> Self {
        Self::Local(PrivateKey::generate(SigningAlgorithm::Es256).unwrap())
    }

    pub(crate) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Local(key) => key.algorithm().as_str(),
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// The public half as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        match self {
            Self::Local(key) => serde_json::to_value(key.public()).unwrap(),
            Self::Ed25519(pair) => json!({
                "kty": "OKP",
                "crv": "Ed25519",
                "x": base64url_encode(pair.public_key()),
            }),
        }
    }

    pub(crate) fn sign(&self, input: &[u8]) -> Vec<u8> {
        match self {
            Self::Local(key) => key.sign(input).unwrap(),
            Self::Ed25519(pair) => pair.sign(input).as_ref().to_vec(),
        }
    }
}

/// An environment, or somebody who claims to be it.
pub(crate) struct Environment {
    pub(crate) id: String,
    pub(crate) key: Key,
    pub(crate) kid: String,
}

impl Environment {
    /// With a fresh key, which nobody knows yet.
    pub(crate) fn new(id: &str) -> Self {
        Self::with_key(id, Key::es256())
    }

    pub(crate) fn with_key(id: &str, key: Key) -> Self {
        Self {
            id: id.to_owned(),
            kid: thumbprint(&serde_json::from_value(key.jwk()).unwrap()),
            key,
        }
    }

    /// The header of a good assertion.
    pub(crate) fn header(&self) -> Value {
        json!({
            "alg": self.key.algorithm(),
            "typ": "client-authentication+jwt",
            "kid": self.kid,
        })
    }

    /// The claims of a good assertion that is made at `now`, with a `jti` of its own.
    pub(crate) fn claims(&self, now: i64) -> Value {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        json!({
            "iss": self.id,
            "sub": self.id,
            "aud": ISSUER,
            "iat": now,
            "exp": now + 60,
            "jti": format!("assertion-{}", COUNT.fetch_add(1, Ordering::Relaxed)),
        })
    }

    /// A good assertion.
    pub(crate) fn assertion(&self, now: i64) -> String {
        self.sign(&self.header(), &self.claims(now))
    }

    /// A good assertion but for one claim.
    pub(crate) fn claiming(&self, now: i64, name: &str, value: impl Into<Value>) -> String {
        let mut claims = self.claims(now);
        claims[name] = value.into();
        self.sign(&self.header(), &claims)
    }

    /// A good assertion but for one header parameter.
    pub(crate) fn heading(&self, now: i64, name: &str, value: impl Into<Value>) -> String {
        let mut header = self.header();
        header[name] = value.into();
        self.sign(&header, &self.claims(now))
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// Signs header and payload as they are written.
    pub(crate) fn sign_text(&self, header: &str, payload: &str) -> String {
        compact(header, payload, |input| self.key.sign(input))
    }

    /// A proof of possession for a join token.
    pub(crate) fn proof(&self, join_token: &str, nonce: &str) -> String {
        self.sign(&self.proof_header(), &proof_claims(join_token, nonce))
    }

    pub(crate) fn proof_header(&self) -> Value {
        json!({ "alg": self.key.algorithm(), "typ": "enrolment+jwt" })
    }

    /// The body of `POST /enroll`.
    pub(crate) fn enrolment(&self, join_token: &str, nonce: &str) -> Value {
        json!({
            "join_token": join_token,
            "jwk": self.key.jwk(),
            "proof": self.proof(join_token, nonce),
        })
    }
}

pub(crate) fn proof_claims(join_token: &str, nonce: &str) -> Value {
    json!({
        "nonce": nonce,
        "aud": ISSUER,
        "token_sha256": base64url_encode(sha256(join_token.as_bytes())),
    })
}

/// A compact JWS with whatever signature.
pub(crate) fn compact(header: &str, payload: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let input = format!("{}.{}", base64url_encode(header), base64url_encode(payload));
    let signature = sign(input.as_bytes());
    format!("{input}.{}", base64url_encode(signature))
}
