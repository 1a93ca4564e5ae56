//! Key pairs of a made-up issuer, its JWKs, and tokens signed with them.

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

/// Made once a process.
pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(Keys::generate);

pub(crate) struct Keys {
    rsa: RsaKeyPair,
    other_rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    p521: EcdsaKeyPair,
}

#[expect(
    clippy::disallowed_methods,
    reason = "aws-lc's signing functions want a generator of their own kind"
)]
fn random() -> SystemRandom {
    SystemRandom::new()
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Keys {
    fn generate() -> Self {
        let rsa = || RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        Self {
            rsa: rsa(),
            other_rsa: rsa(),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
            p521: EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap(),
        }
    }

    /// A compact JWS over header and payload as they are written, by the key that `alg` names.
    pub(crate) fn sign(&self, alg: &str, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", b64(header), b64(payload));
        let rsa = |padding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa
                .sign(padding, &random(), input.as_bytes(), &mut signature)
                .unwrap();
            signature
        };
        let ec = |key: &EcdsaKeyPair| {
            let signature = key.sign(&random(), input.as_bytes()).unwrap();
            signature.as_ref().to_vec()
        };
        let signature = match alg {
            "RS384" => rsa(&signature::RSA_PKCS1_SHA384),
            "RS512" => rsa(&signature::RSA_PKCS1_SHA512),
            "PS256" => rsa(&signature::RSA_PSS_SHA256),
            "ES256" => ec(&self.p256),
            "ES384" => ec(&self.p384),
            "ES512" => ec(&self.p521),
            _ => rsa(&signature::RSA_PKCS1_SHA256),
        };
        format!("{input}.{}", b64(signature))
    }

    /// The modulus of the RSA key.
    pub(crate) fn modulus(&self) -> Vec<u8> {
        let public = self.rsa.public_key();
        public.modulus().big_endian_without_leading_zero().to_vec()
    }

    /// The RSA key's `SubjectPublicKeyInfo`.
    pub(crate) fn public_der(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = self.rsa.public_key().as_der().unwrap();
        (*der).as_ref().to_vec()
    }

    /// The RSA key's JWK.
    pub(crate) fn rsa_jwk(&self, kid: &str, alg: &str) -> Value {
        let e = self.rsa.public_key().exponent();
        json!({ "kty": "RSA", "kid": kid, "alg": alg, "use": "sig", "n": b64(self.modulus()),
            "e": b64(e.big_endian_without_leading_zero()) })
    }

    /// An EC key's JWK; its kid is its algorithm's name.
    pub(crate) fn ec_jwk(&self, alg: &str) -> Value {
        let (key, crv) = match alg {
            "ES256" => (&self.p256, "P-256"),
            "ES384" => (&self.p384, "P-384"),
            _ => (&self.p521, "P-521"),
        };
        let point = &key.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        json!({ "kty": "EC", "kid": alg, "alg": alg, "use": "sig", "crv": crv, "x": b64(x),
            "y": b64(y) })
    }

    /// A self-signed certificate of the RSA key, or of another one.
    pub(crate) fn x5c(&self, other: bool) -> String {
        let pair = if other { &self.other_rsa } else { &self.rsa };
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(
            &(*der).as_ref().into(),
            &rcgen::PKCS_RSA_SHA256,
        )
        .unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["idp.example.com".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        STANDARD.encode(certificate.der())
    }

    /// The record's "six" key set.
    pub(crate) fn six(&self) -> Value {
        json!({ "keys": [
            self.rsa_jwk("k1", "RS256"), self.rsa_jwk("RS384", "RS384"),
            self.rsa_jwk("RS512", "RS512"), self.ec_jwk("ES256"), self.ec_jwk("ES384"),
            self.ec_jwk("ES512") ] })
    }

    /// A key set of one RSA key, changed by `change`.
    pub(crate) fn one(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut jwk = self.rsa_jwk("k1", "RS256");
        change(&mut jwk);
        json!({ "keys": [jwk] })
    }
}
