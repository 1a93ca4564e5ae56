//! The server's own TLS, and the client's trust in it.

use std::{
    fs,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::{
    installation::{Installation, send},
    ran::Ran,
    relying_parties::{assert_accepted, judgement},
};
use crate::support::python;

/// Makes a certificate authority, and with it a certificate for the loopback address: `NAME.pem`,
/// `NAME-server.pem` and `NAME-server.key`.
fn make_certificates(dir: &Path, name: &str) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // A certificate whose issuer has its own name would count as self-signed.
    params.distinguished_name.push(DnType::CommonName, name);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let server = CertificateParams::new(names).unwrap();
    let server = server.signed_by(&key, &authority).unwrap();
    fs::write(dir.join(format!("{name}.pem")), authority.pem()).unwrap();
    fs::write(dir.join(format!("{name}-server.pem")), server.pem()).unwrap();
    fs::write(dir.join(format!("{name}-server.key")), key.serialize_pem()).unwrap();
}

/// A running installation with TLS of its own. `ours.pem` is its CA, `others.pem` another.
fn installation() -> Installation {
    let mut installation = Installation::new(|port| {
        format!(
            "issuer = \"https://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             [tls]\ncert_file = \"ours-server.pem\"\nkey_file = \"ours-server.key\"\n"
        )
    });
    make_certificates(installation.path(), "ours");
    make_certificates(installation.path(), "others");
    installation.start_with_tls();
    installation
}

fn trusting(installation: &Installation, ca: &str, arguments: &str) -> Command {
    let mut idp = installation.idp(arguments);
    idp.env("IDP_URL", installation.https_url())
        .env("SSL_CERT_FILE", installation.path().join(ca));
    idp
}

#[test]
fn an_environment_enrols_and_gets_tokens_over_https() {
    let mut installation = installation();
    let url = installation.https_url();
    installation.environment_of(&mut |arguments| trusting(&installation, "ours.pem", arguments));
    let enroll = format!("enroll --url {url} --token-file join-token");
    for ca in ["others.pem", "ours-server.key", "missing.pem"] {
        let refused = Ran::of(&mut trusting(&installation, ca, &enroll));
        let code = if ca == "others.pem" { 3 } else { 1 };
        refused.exits(code).says(&["certificate", "SSL_CERT_FILE"]);
    }
    // The join token is still good: nothing was sent to a server that could not prove itself.
    Ran::of(&mut trusting(&installation, "ours.pem", &enroll)).ok();
    let token = Ran::of(&mut trusting(&installation, "ours.pem", "token --verify")).ok();
    assert_eq!(token.text().split('.').count(), 3);
    Ran::of(&mut trusting(&installation, "others.pem", "token"))
        .exits(3)
        .says(&[&url, "certificate"]);
    Ran::of(&mut installation.idp("token"))
        .exits(3)
        .says(&["certificate"]);
    // A company's proxy is often named here.
    let mut bundle = installation.idp("token");
    Ran::of(bundle.env("AWS_CA_BUNDLE", installation.path().join("ours.pem"))).ok();

    if let Some(python) = python() {
        let file = installation.path().join("token");
        fs::write(&file, &token.stdout).unwrap();
        let ca = installation.path().join("ours.pem");
        let environment = [("SSL_CERT_FILE", ca.to_str().unwrap())];
        let judgement = judgement(&python, &url, &file, &environment);
        assert_accepted(&judgement, &url);
    }
    assert!(installation.stop().success());
}

#[test]
fn a_server_without_its_certificate_does_not_start() {
    let installation = Installation::new(|port| {
        format!(
            "issuer = \"https://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             [tls]\ncert_file = \"ours-server.pem\"\nkey_file = \"others-server.key\"\n"
        )
    });
    installation
        .local("serve")
        .exits(2)
        .says(&["ours-server.pem", "No such file"]);
    make_certificates(installation.path(), "ours");
    make_certificates(installation.path(), "others");
    installation.local("serve").exits(2).says(&[
        "others-server.key",
        "not the key of",
        "ours-server.pem",
    ]);
    fs::write(installation.path().join("others-server.key"), "x").unwrap();
    installation
        .local("serve")
        .exits(2)
        .says(&["others-server.key", "no PEM private key"]);
}

#[test]
fn a_new_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
    let mut installation = installation();
    let place = installation.path().to_owned();
    let works_with = |installation: &Installation, ca: &str| {
        Ran::of(&mut trusting(installation, ca, "admin org list")).code == Some(0)
    };
    assert!(works_with(&installation, "ours.pem"));
    let changed = |installation: &mut Installation, said: &str| {
        send(installation.server(), "HUP");
        let begun = Instant::now();
        while !installation.log().contains(said) {
            assert!(begun.elapsed() < Duration::from_secs(10), "{said}");
            sleep(Duration::from_millis(10));
        }
    };
    fs::write(place.join("ours-server.pem"), "broken").unwrap();
    changed(&mut installation, "stays in use");
    assert!(works_with(&installation, "ours.pem"));
    fs::copy(
        place.join("others-server.pem"),
        place.join("ours-server.pem"),
    )
    .unwrap();
    fs::copy(
        place.join("others-server.key"),
        place.join("ours-server.key"),
    )
    .unwrap();
    changed(&mut installation, "was read now");
    assert!(works_with(&installation, "others.pem"));
    assert!(!works_with(&installation, "ours.pem"));
}
