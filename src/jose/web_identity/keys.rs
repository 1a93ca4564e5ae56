//! An issuer's key set, read once a fetch, with AWS's rules on which keys count.

use std::{collections::HashMap, sync::OnceLock};

use aws_lc_rs::signature::{
    self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Map, Value};

use super::certificate::{self, CertifiedKey};

/// More keys of one type than this, and none of that type counts.
const MOST_OF_ONE_TYPE: usize = 100;

/// The signature algorithms that AWS takes (RFC 7518 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSASSA-PKCS1-v1_5; which of [`RSA_HASHES`].
    Rsa(usize),
    /// ECDSA on its curve, with the hash that goes with it.
    Ec(Curve),
}

impl Algorithm {
    /// By the header's `alg`: exactly these six spellings.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rsa(0),
            "RS384" => Self::Rsa(1),
            "RS512" => Self::Rsa(2),
            "ES256" => Self::Ec(Curve::P256),
            "ES384" => Self::Ec(Curve::P384),
            "ES512" => Self::Ec(Curve::P521),
            _ => return None,
        })
    }

    /// The `kty` of the keys that it goes with.
    pub(super) const fn key_type(self) -> &'static str {
        match self {
            Self::Rsa(_) => "RSA",
            Self::Ec(_) => "EC",
        }
    }
}

static RSA_HASHES: [&RsaParameters; 3] = [
    &signature::RSA_PKCS1_2048_8192_SHA256,
    &signature::RSA_PKCS1_2048_8192_SHA384,
    &signature::RSA_PKCS1_2048_8192_SHA512,
];

/// The curves of the three ES algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "P-256" => Some(Self::P256),
            "P-384" => Some(Self::P384),
            "P-521" => Some(Self::P521),
            _ => None,
        }
    }

    const fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    const fn algorithm(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::P384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::P521 => &signature::ECDSA_P521_SHA512_FIXED,
        }
    }
}

/// A published key. One that AWS finds but cannot use is a key too: its tokens get another message
/// than those of a key that is not there.
#[derive(Debug)]
pub(super) enum Key {
    Rsa(RsaKey),
    Ec {
        curve: Curve,
        /// `None`: not a point on the curve.
        key: Option<ParsedPublicKey>,
    },
    /// There, and refused at use: why.
    Refused(&'static str),
}

/// An RSA key, parsed for a hash when a token first needs it.
#[derive(Debug)]
pub(super) struct RsaKey {
    n: Vec<u8>,
    e: Vec<u8>,
    parsed: [OnceLock<Option<ParsedPublicKey>>; RSA_HASHES.len()],
}

impl Key {
    /// Whether `signature` over `message` is this key's. The JWK's own `alg` is not compared, as
    /// AWS does not. Errors: why not, in plain words.
    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), &'static str> {
        let key = match (self, algorithm) {
            (Self::Refused(why), _) => return Err(why),
            (Self::Rsa(rsa), Algorithm::Rsa(hash)) => rsa.parsed[hash]
                .get_or_init(|| {
                    RsaPublicKeyComponents {
                        n: &rsa.n,
                        e: &rsa.e,
                    }
                    .to_parsed_public_key(RSA_HASHES[hash])
                    .ok()
                })
                .as_ref(),
            (Self::Ec { curve, key }, Algorithm::Ec(wanted)) if *curve == wanted => key.as_ref(),
            _ => return Err("the key is of another type than the token's alg"),
        };
        key.ok_or("the published key is not a valid public key")?
            .verify_sig(message, signature)
            .map_err(|_| "the signature is not the key's over this header and payload")
    }
}

/// The keys of an issuer that count for AWS, by `kid`.
#[derive(Debug)]
pub struct WebIdentityKeys {
    keys: HashMap<String, Key>,
    /// Why others do not, for reasons.
    dropped: Vec<String>,
}

impl WebIdentityKeys {
    /// Reads a JWKS. `None` where it is not one (RFC 7517 §5).
    #[must_use]
    pub fn parse(jwks: &Value) -> Option<Self> {
        let listed = jwks.get("keys")?.as_array()?;
        let of_type = |kty: &str| {
            listed
                .iter()
                .filter(|jwk| jwk.get("kty").and_then(Value::as_str) == Some(kty))
                .count()
        };
        let too_many = ["RSA", "EC"].map(|kty| (kty, of_type(kty) > MOST_OF_ONE_TYPE));
        let mut set = Self {
            keys: HashMap::with_capacity(listed.len()),
            dropped: Vec::new(),
        };
        for jwk in listed {
            let kid = jwk.get("kid").and_then(Value::as_str);
            match jwk
                .as_object()
                .ok_or("it is not an object")
                .and_then(|jwk| read(jwk, &too_many))
            {
                // A later key of the same kid takes the place of an earlier one.
                Ok((kid, key)) => drop(set.keys.insert(kid, key)),
                Err(why) if set.dropped.len() < 8 => set
                    .dropped
                    .push(format!("key {:?}: {why}", kid.unwrap_or("without kid"))),
                Err(_) => {}
            }
        }
        Some(set)
    }

    /// The key for a token: that of its `kid`, or the only one where it names none.
    pub(super) fn select(&self, kid: Option<&str>) -> Option<&Key> {
        match kid {
            Some(kid) => self.keys.get(kid),
            None if self.keys.len() == 1 => self.keys.values().next(),
            None => None,
        }
    }

    /// Whether there is a key for a token with that `kid`, or, where it names none, only one key.
    #[must_use]
    pub fn has_key(&self, kid: Option<&str>) -> bool {
        self.select(kid).is_some()
    }

    /// Why [`Self::has_key`] says no.
    #[must_use]
    pub fn why_none(&self, kid: Option<&str>) -> String {
        let count = self.keys.len();
        let mut why = kid.map_or_else(
            || {
                format!(
                    "the token's header has no kid, which only works where the JWKS has exactly \
                     one usable key; it has {count}"
                )
            },
            |kid| format!("none of the JWKS's {count} usable keys has the token's kid {kid:?}"),
        );
        for dropped in &self.dropped {
            why.push_str("; not usable: ");
            why.push_str(dropped);
        }
        why
    }
}

fn read(
    jwk: &Map<String, Value>,
    too_many: &[(&str, bool)],
) -> Result<(String, Key), &'static str> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let kid = text("kid").ok_or("it has no kid")?.to_owned();
    let kty = text("kty").ok_or("it has no kty")?;
    if too_many.contains(&(kty, true)) {
        return Err("the JWKS holds more than 100 keys of its type");
    }
    // Whether AWS takes a key without use is not in the record; RFC 7517 §4.2 makes it optional.
    if jwk.get("use").is_some_and(|usage| usage != "sig") {
        return Err("its use is not \"sig\"");
    }
    let number = |name: &str| text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let key = match kty {
        "RSA" => {
            let n = number("n").ok_or("its n is missing or not base64url")?;
            let e = number("e").ok_or("its e is missing or not base64url")?;
            let (n, e) = (certificate::trim(&n), certificate::trim(&e));
            agrees_with_x5c(jwk, &CertifiedKey::Rsa { n, e })?;
            Key::Rsa(RsaKey {
                n: n.to_vec(),
                e: e.to_vec(),
                parsed: Default::default(),
            })
        }
        "EC" => {
            let curve = text("crv")
                .and_then(Curve::from_name)
                .ok_or("its crv is not P-256, P-384 or P-521")?;
            let coordinate = |name| {
                number(name)
                    .filter(|bytes| bytes.len() == curve.coordinate_len())
                    .ok_or("its x or y is missing or not of the curve's length")
            };
            let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
            agrees_with_x5c(jwk, &CertifiedKey::Ec(&point))?;
            Key::Ec {
                curve,
                key: ParsedPublicKey::new(curve.algorithm(), &point).ok(),
            }
        }
        _ => return Err("its kty is neither RSA nor EC"),
    };
    // Seen with use "sig" beside it; alone it is refused too, to be on the safe side.
    if jwk.contains_key("key_ops") {
        return Ok((
            kid,
            Key::Refused(
                "the JWK has key_ops, with which AWS refuses it; publish use \"sig\" only",
            ),
        ));
    }
    Ok((kid, key))
}

fn agrees_with_x5c(jwk: &Map<String, Value>, key: &CertifiedKey<'_>) -> Result<(), &'static str> {
    let Some(x5c) = jwk.get("x5c") else {
        return Ok(());
    };
    let der = x5c
        .get(0)
        .and_then(Value::as_str)
        .and_then(|text| STANDARD.decode(text).ok())
        .ok_or("its x5c holds no base64 certificate")?;
    if certificate::public_key(&der).as_ref() == Some(key) {
        Ok(())
    } else {
        Err("its x5c certifies another key")
    }
}
