//! Signers outside the process: AWS KMS as moto has it, which really signs, and PKCS #11 through
//! `SoftHSM`. The server runs as its users run it, and others verify its tokens.

mod gate;
mod kms;
mod pkcs11;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread::sleep,
    time::{Duration, Instant},
};

use self::gate::Gate;
use crate::{
    e2e::{
        installation::Installation,
        relying_parties::{assert_accepted, judgement},
    },
    support::{python, python_json},
};

/// A server's configuration on a free port, signing with `algorithm`; `keys` are further settings.
fn configured(algorithm: &str, keys: &str) -> Installation {
    Installation::new(|port| {
        format!(
            "issuer = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             keys.algorithm = \"{algorithm}\"\nkeys.signer_timeout = 2\n{keys}\n"
        )
    })
}

/// That the tokens which a running server gives out are what they should be, as others see them.
fn assert_tokens_verify(installation: &Installation) {
    let python = python().unwrap();
    let token = installation.token_file();
    let judgement = judgement(&python, &installation.url(), &token, &[]);
    assert_accepted(&judgement, &installation.url());
}

/// That no private half is in the database, and how many keys are referred to.
fn references(installation: &Installation) -> i64 {
    let sealed: i64 = installation
        .sql("SELECT count(*) FROM issuer_keys WHERE sealed IS NOT NULL")
        .unwrap();
    assert_eq!(sealed, 0);
    installation
        .sql("SELECT count(*) FROM issuer_keys WHERE reference IS NOT NULL")
        .unwrap()
}

/// Rotates in an emergency, and waits until `done` says that the keystore has followed: the key that
/// signed is destroyed there, and there is a new pending one.
fn rotate(installation: &Installation, done: impl Fn() -> bool) {
    let address = installation.url().replace("http://", "");
    let body = r#"{"emergency":true,"force":true}"#;
    let mut stream = TcpStream::connect(&address).unwrap();
    write!(
        stream,
        "POST /api/v1/keys/rotate HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Authorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        installation.admin_token(),
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let begun = Instant::now();
    while !done() {
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "{}",
            installation.log()
        );
        sleep(Duration::from_millis(500));
    }
}

/// Waits until `idp token` succeeds again, which has to be within 20 s and without a restart.
fn comes_back(installation: &Installation) {
    let begun = Instant::now();
    while installation.run("token").code != Some(0) {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{}",
            installation.log()
        );
        sleep(Duration::from_millis(200));
    }
}

/// That a server whose signer is gone says so, at once after a few tries, and records nothing then;
/// and that everything else of it works.
fn assert_unavailable(installation: &Installation) {
    for _ in 0..3 {
        installation.run("token").exits(3).says(&[
            "not available at present",
            "temporarily_unavailable",
            "could not be signed",
        ]);
    }
    let mints = || -> i64 {
        installation
            .sql("SELECT count(*) FROM audit WHERE action = 'token.mint'")
            .unwrap()
    };
    let begun = Instant::now();
    installation
        .run("token")
        .exits(3)
        .says(&["not available at present"]);
    // The client's own pauses, and none of the server's.
    assert!(begun.elapsed() < Duration::from_secs(12));
    let before = mints();
    for _ in 0..6 {
        let retry = retry_after(installation);
        assert_eq!(retry.as_deref(), Some("1"), "{}", installation.log());
    }
    // One of them may have been let through to try the signer.
    let recorded = mints() - before;
    assert!(
        recorded <= 1,
        "what cannot be signed is not recorded: {recorded}"
    );
    assert!(!installation.get(".well-known/jwks.json").is_empty());
    let log = installation.log();
    assert!(log.contains("the signer fails"), "{log}");
}

/// The `Retry-After` of a refused token request, sent by hand.
fn retry_after(installation: &Installation) -> Option<String> {
    use idp::{
        client::identity::Identity,
        domain::{Clock as _, SystemClock},
        jose::sign_compact,
    };
    let file = installation.path().join("home/identity.json");
    let identity = Identity::load(&file).unwrap();
    let now = SystemClock.now();
    let claims = serde_json::json!({
        "iss": identity.environment_id, "sub": identity.environment_id, "aud": identity.issuer,
        "iat": now.secs(), "exp": now.secs() + 60, "jti": format!("by-hand-{}", now.ms()),
    });
    let assertion = sign_compact(
        &identity.key(&file).unwrap(),
        "client-authentication+jwt",
        &identity.kid,
        claims.to_string().as_bytes(),
    )
    .unwrap();
    let body = format!(
        "grant_type=client_credentials&audience=sts.amazonaws.com&client_assertion={assertion}&\
         client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
    );
    let address = installation.url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).unwrap();
    write!(
        stream,
        "POST /oauth2/token HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    answer
        .lines()
        .find_map(|line| line.strip_prefix("retry-after: ").map(str::to_owned))
}
