//! Certificates outside of AWS's domains fail in what agents use, even where the authority signed them.

use std::{path::Path, process::Stdio};

use idp::{
    domain::{Clock as _, SystemClock, SystemRandom},
    proxy::Authority,
};
use rcgen::KeyPair;

use crate::support::{clean_command, python, python_json};

/// The authority, and a leaf for `host` with its key; as files.
fn mint(dir: &Path, host: &str) {
    let now = SystemClock.now();
    let authority = Authority::generate(now, &SystemRandom).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = authority.leaf(host, &key, now, &SystemRandom).unwrap();
    std::fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(dir.join("leaf.pem"), leaf.pem()).unwrap();
    std::fs::write(dir.join("leaf.key"), key.serialize_pem()).unwrap();
}

fn openssl(dir: &Path, arguments: &[&str]) -> (bool, String) {
    let output = clean_command("openssl")
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn openssl_takes_the_names_of_aws_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let verify = |host: &str| {
        mint(dir.path(), host);
        openssl(
            dir.path(),
            &[
                "verify",
                "-x509_strict",
                "-purpose",
                "sslserver",
                "-verify_hostname",
                host,
                "-CAfile",
                "ca.pem",
                "leaf.pem",
            ],
        )
    };
    for host in [
        "s3.amazonaws.com",
        "b.s3.cn-north-1.amazonaws.com.cn",
        "x.lambda-url.eu-west-1.on.aws",
    ] {
        let (ok, said) = verify(host);
        assert!(ok, "{host}: {said}");
    }
    for host in [
        "www.example.com",
        "amazonaws.com.evil.com",
        "evilamazonaws.com",
        "aws.amazon.com",
    ] {
        let (ok, said) = verify(host);
        assert!(
            !ok && said.contains("permitted subtree violation"),
            "{host}: {said}"
        );
    }
    let (_, text) = openssl(dir.path(), &["x509", "-in", "ca.pem", "-noout", "-text"]);
    for says in [
        "Name Constraints: critical",
        "CA:TRUE, pathlen:0",
        "IP:0.0.0.0/0.0.0.0",
        "Certificate Sign",
        "TLS Web Server Authentication",
    ] {
        assert!(text.contains(says), "{says} in {text}");
    }
}

#[test]
fn python_and_curl_refuse_other_names_too() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    for (host, good) in [("s3.amazonaws.com", true), ("www.example.com", false)] {
        mint(dir.path(), host);
        let said = python_json(
            &python,
            "name_constraints.py",
            &[&dir.path().display().to_string(), host],
            &[],
        );
        for client in ["ssl", "curl"] {
            let answer = said[client].as_str().unwrap();
            assert_eq!(answer == "ok", good, "{client} {host}: {answer}");
            assert!(
                good || answer.contains("permitted subtree"),
                "{client} {host}: {answer}"
            );
        }
    }
}
