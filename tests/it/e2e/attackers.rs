//! Forged tokens, and a server that hands them out.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use axum::{Router, routing::post};
use idp::{
    client::identity::Identity,
    domain::{Issuer, KeyState, PublicJwk, SigningAlgorithm, SystemClock, Timestamp},
    jose::{PrivateKey, SealingKey, base64url_decode, base64url_encode, sign_compact},
    ports::{IssuerKeyStore as _, Store as _},
    store::SqliteStore,
};
use rsa::{BigUint, RsaPublicKey, pkcs8::EncodePublicKey as _};
use serde_json::{Value, json};

/// The active key of an issuer, taken out of its database with the key-encryption key beside it. Its
/// `kid` is the thumbprint.
pub(super) fn active_key(dir: &Path, issuer: &str) -> PrivateKey {
    let issuer: Issuer = issuer.parse().unwrap();
    let record = block_on(async {
        let url = format!("sqlite:{}", dir.join("idp.db").display());
        let store = SqliteStore::open(&url, Arc::new(SystemClock))
            .await
            .unwrap();
        let keys = store.issuer_keys(&issuer).await.unwrap();
        store.close().await;
        keys.into_iter().find(|key| key.state() == KeyState::Active)
    })
    .unwrap();
    let sealing = fs::read_to_string(dir.join("key-encryption-key")).unwrap();
    let der = SealingKey::from_text(&sealing)
        .unwrap()
        .open(&record.kid, &record.id.to_string(), &record.sealed.unwrap())
        .unwrap();
    PrivateKey::from_pkcs8(record.algorithm, &der).unwrap()
}

/// Runs a future on a runtime of its own.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// The claims of a token, verified by nobody.
pub(crate) fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64url_decode(payload).unwrap()).unwrap()
}

/// A JWS with this header and payload, and nothing or an HMAC as its signature.
fn jws(header: &Value, claims: &Value, secret: Option<&[u8]>) -> String {
    let part = |value: &Value| base64url_encode(value.to_string());
    let input = format!("{}.{}", part(header), part(claims));
    let signature = secret.map_or_else(String::new, |secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        base64url_encode(hmac::sign(&key, input.as_bytes()))
    });
    format!("{input}.{signature}")
}

fn public_pem(key: &PrivateKey) -> String {
    let PublicJwk::Rsa { n, e } = key.public() else {
        panic!("an RSA key")
    };
    let number = |text: &str| BigUint::from_bytes_be(&base64url_decode(text).unwrap());
    RsaPublicKey::new(number(n), number(e))
        .unwrap()
        .to_public_key_pem(rsa::pkcs8::LineEnding::LF)
        .unwrap()
}

/// A token that has to be refused.
pub(super) struct Forged {
    pub(super) name: &'static str,
    pub(super) token: String,
    /// The error's code.
    pub(super) code: &'static str,
    /// What the error's message says.
    pub(super) message: String,
    /// What the command line advises.
    pub(super) advice: &'static str,
}

/// A good token of the issuer that `key` belongs to, forged in each of the ways that matter.
pub(super) fn forgeries(good: &str, key: &PrivateKey) -> Vec<Forged> {
    const INVALID: &str = "InvalidIdentityToken";
    const NO_KEY: &str = "Couldn't retrieve verification key";
    const GENERAL: &str = "could not be validated";
    const CHECK: &str = "idp token --decode --verify";
    let claims = claims_of(good);
    let kid = idp::jose::thumbprint(key.public());
    let with = |changes: Value| {
        let mut claims = claims.clone();
        let changes = changes.as_object().unwrap().clone();
        claims.as_object_mut().unwrap().extend(changes);
        claims
    };
    let signed = |kid: &str, claims: &Value| {
        sign_compact(key, "JWT", kid, claims.to_string().as_bytes()).unwrap()
    };
    let another = PrivateKey::generate(SigningAlgorithm::Rs256).unwrap();
    let now = now();
    let times = json!({"iat": now - 1000, "nbf": now - 1060, "exp": now - 301});
    let issuer = json!({"iss": "https://unknown.example.com"});
    let forged = |name, code, token, message: &str, advice| Forged {
        name,
        token,
        code,
        message: message.to_owned(),
        advice,
    };
    let header = |alg: &str| json!({"alg": alg, "typ": "JWT", "kid": kid});
    let pem = public_pem(key);
    vec![
        forged(
            "wrong signature",
            INVALID,
            sign_compact(&another, "JWT", &kid, claims.to_string().as_bytes()).unwrap(),
            GENERAL,
            CHECK,
        ),
        forged(
            "expired",
            "ExpiredTokenException",
            signed(&kid, &with(times)),
            "Token expired",
            "clock",
        ),
        forged(
            "wrong audience",
            INVALID,
            signed(&kid, &with(json!({"aud": "vault.example.com"}))),
            GENERAL,
            "must include \"vault.example.com\"",
        ),
        forged(
            "unknown issuer",
            INVALID,
            signed(&kid, &with(issuer)),
            "https://unknown.example.com",
            "https://unknown.example.com",
        ),
        forged(
            "alg none",
            INVALID,
            jws(&header("none"), &claims, None),
            GENERAL,
            CHECK,
        ),
        forged(
            "HS256 with the public key",
            INVALID,
            jws(&header("HS256"), &claims, Some(pem.as_bytes())),
            GENERAL,
            CHECK,
        ),
        forged(
            "unknown kid",
            INVALID,
            signed("unknown", &claims),
            NO_KEY,
            ".well-known/openid-configuration",
        ),
    ]
}

/// A token endpoint that answers every request with the same token.
#[derive(Clone)]
pub(super) struct Impostor {
    token: Arc<Mutex<String>>,
    url: String,
}

impl Impostor {
    /// Serves on loopback, from a thread of its own, until the test process ends.
    pub(super) fn start() -> Self {
        let token = Arc::new(Mutex::new(String::new()));
        let held = Arc::clone(&token);
        let answer = async move || {
            let token = held.lock().unwrap().clone();
            json!({"access_token": token, "token_type": "Bearer", "expires_in": 300}).to_string()
        };
        let app = Router::new().route("/oauth2/token", post(answer));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, app).await.unwrap();
            });
        });
        Self { token, url }
    }

    /// From now on this is the token.
    pub(super) fn hand_out(&self, token: &str) {
        token.clone_into(&mut self.token.lock().unwrap());
    }

    /// An identity whose server this is, in `home`.
    pub(super) fn enrol(&self, home: &Path, issuer: &str, environment: &str) {
        let key = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        Identity::new(
            self.url.parse().unwrap(),
            issuer.parse().unwrap(),
            environment.parse().unwrap(),
            &key,
            Timestamp::from_secs(now().try_into().unwrap()),
        )
        .unwrap()
        .save(&home.join("identity.json"))
        .unwrap();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program under test reads the machine's clock, so its adversary has to"
)]
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}
