//! Where secrets are not (case 25): in the log at its most talkative, in the database, in audit
//! records, in errors.

use std::{
    fs, io,
    sync::{Arc, Mutex},
};

use idp::{
    domain::SigningAlgorithm,
    jose::{PrivateKey, SealingKey, base64url_decode, base64url_encode},
};
use serde_json::json;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use super::{Answer, Environment, Key, Request, Ticket, World, world::token_parameters};

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Secrets, in every form in which they could turn up.
#[derive(Default)]
struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: impl Into<Vec<u8>>) {
        self.0.push((what, secret.into()));
    }

    /// A JWS as a whole, and its signature: without that the rest proves nothing.
    fn add_jws(&mut self, what: &'static str, text: &str) {
        self.add(what, text);
        let (_, signature) = text.rsplit_once('.').unwrap();
        self.add(what, signature);
        self.add(what, base64url_decode(signature).unwrap());
    }

    /// The scalar of a P-256 key, in bytes and in the ways to write them down.
    fn add_key(&mut self, what: &'static str, key: &PrivateKey) {
        let der = key.to_pkcs8().unwrap();
        // ECPrivateKey (RFC 5915 §3): version 1, then the scalar as 32 octets.
        let head = [2, 1, 1, 4, 32];
        let at = der.windows(5).position(|window| window == head).unwrap() + 5;
        let scalar = &der[at..at + 32];
        self.add(what, scalar);
        self.add(what, base64url_encode(scalar));
        self.add(what, hex::encode(scalar));
    }

    #[track_caller]
    fn assert_absent(&self, place: &str, bytes: &[u8]) {
        for (what, secret) in &self.0 {
            assert!(secret.len() >= 32, "{what} is too short to search for");
            assert!(
                !bytes.windows(secret.len()).any(|window| window == secret),
                "{place} holds {what}"
            );
        }
    }
}

/// Mints a token, and sends every secret of that to where it does not belong.
async fn spill(
    world: &World,
    environment: &Environment,
    secrets: &mut Secrets,
    errors: &mut Vec<Answer>,
) {
    let assertion = environment.assertion(world.now());
    secrets.add_jws("an assertion", &assertion);
    let answer = world.present(&assertion).await;
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    secrets.add_jws("a token", &token);
    errors.push(world.present(&assertion).await);
    errors.push(world.present(&token).await);
    errors.push(world.present(&assertion[..assertion.len() - 10]).await);
    let mut parameters = token_parameters(&assertion);
    parameters[0].1 = &token;
    errors.push(
        world
            .send(Request::form("/oauth2/token", &parameters))
            .await,
    );
    let mut parameters = token_parameters(&assertion);
    parameters[1].1 = &world.admin;
    errors.push(
        world
            .send(Request::form("/oauth2/token", &parameters))
            .await,
    );
    let target = format!("/oauth2/token?client_assertion={assertion}");
    errors.push(world.send(Request::form(&target, &[])).await);
    errors.push(world.get(&format!("/{token}")).await);
    errors.push(
        world
            .send(Request::get("/api/v1/keys").bearer(&token))
            .await,
    );
    let target = format!("/api/v1/keys?token={}", world.admin);
    errors.push(world.get(&target).await);
    let wrong = format!("{}x", world.admin);
    errors.push(
        world
            .send(Request::get("/api/v1/keys").bearer(&wrong))
            .await,
    );
}

/// What the server keeps to itself.
async fn add_own(world: &World, secrets: &mut Secrets) {
    let text = fs::read_to_string(&world.settings.keys.encryption_key_file).unwrap();
    secrets.add("the key-encryption key", text.trim());
    let encoded = text.trim().strip_prefix("idp_kek_v2_").unwrap();
    secrets.add("the key-encryption key", base64url_decode(encoded).unwrap());
    let sealing = SealingKey::from_text(&text).unwrap();
    let stored = world.observer().issuer_keys(&world.settings.issuer).await;
    for key in stored.unwrap() {
        let sealed = key.sealed.as_deref().unwrap();
        let opened = sealing.open(&key.kid, &key.id.to_string(), sealed).unwrap();
        let private = PrivateKey::from_pkcs8(SigningAlgorithm::Es256, &opened).unwrap();
        secrets.add_key("the issuer's key", &private);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_25_secrets_are_nowhere() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("trace"))
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let mut world = World::start().await;
    let mut secrets = Secrets::default();
    secrets.add("the administrator token", world.admin.as_str());
    let mut errors = Vec::new();

    // An environment's whole life, with everything that can go wrong.
    let unused = world.ticket().await;
    secrets.add("an unused join token", unused.secret.as_str());
    let ticket = world.ticket().await;
    secrets.add("a join token", ticket.secret.as_str());
    let environment = Environment::new(&ticket.environment);
    let Key::Local(key) = &environment.key else {
        unreachable!("it was made so");
    };
    secrets.add_key("an environment's key", key);
    let nonce = world.nonce().await;
    let body = environment.enrolment(&ticket.secret, &nonce);
    secrets.add_jws("a proof", body["proof"].as_str().unwrap());
    let enrol = Request::json("POST", "/enroll", &body);
    assert_eq!(world.send(enrol.clone()).await.status, 200);
    errors.push(world.send(enrol).await);
    for (name, value) in [
        ("jwk", json!(ticket.secret)),
        ("proof", json!({ "a": ticket.secret })),
        ("join_token", json!([ticket.secret])),
    ] {
        let mut body = body.clone();
        body[name] = value;
        errors.push(world.send(Request::json("POST", "/enroll", &body)).await);
    }
    let truncated = body.to_string();
    let request = Request::json("POST", "/enroll", &json!({})).body(&truncated[..300]);
    errors.push(world.send(request).await);
    let mangled = Ticket {
        secret: format!("x{}", ticket.secret),
        ..ticket.clone()
    };
    errors.push(world.try_enrol(&mangled, &environment).await);

    for _ in 0..3 {
        spill(&world, &environment, &mut secrets, &mut errors).await;
    }
    world.restart().await;
    world.stop(&environment.id).await;
    errors.push(world.token(&environment).await);
    world.service.keep_house().await.unwrap();

    add_own(&world, &mut secrets).await;
    for answer in &errors {
        assert!(answer.status >= 400, "{answer:?}");
        secrets.assert_absent("an error", answer.shown().as_bytes());
    }
    let log = log.0.lock().unwrap().clone();
    assert!(!log.is_empty(), "nothing was logged");
    secrets.assert_absent("the log", &log);
    let mut databases = 0;
    for entry in fs::read_dir(world.dir.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("idp.db") {
            databases += 1;
            let bytes = fs::read(entry.path()).unwrap();
            secrets.assert_absent(&entry.file_name().to_string_lossy(), &bytes);
        }
    }
    assert!(databases >= 2, "the database and its log");
    for organization in [None, Some(world.organization)] {
        let records = format!("{:?}", world.audit(organization).await);
        secrets.assert_absent("the audit log", records.as_bytes());
    }
    // The search finds what is there.
    let kid = environment.kid.as_bytes();
    let bytes = fs::read(world.database()).unwrap();
    let log = fs::read(world.dir.path().join("idp.db-wal")).unwrap_or_default();
    assert!(
        [bytes, log]
            .concat()
            .windows(kid.len())
            .any(|window| window == kid)
    );
}
