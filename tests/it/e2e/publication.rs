//! Static publication: the issuer is a file server, and `idp serve` stays out of its readers' reach.

use std::{fs, process::Stdio};

use super::{
    installation::Installation,
    relying_parties::{assert_accepted, judgement},
};
use crate::support::{Running, clean_command, free_port, python, wait_until};

#[test]
fn published_files_are_all_that_a_verifier_needs() {
    let Some(python) = python() else { return };
    let static_port = free_port();
    let issuer = format!("http://127.0.0.1:{static_port}");
    let mut installation = Installation::new(|port| {
        format!(
            "issuer = \"{issuer}\"\nserver_url = \"http://127.0.0.1:{port}\"\n\
             listen = \"127.0.0.1:{port}\"\n"
        )
    });
    let site = installation.path().join("site");
    let published = installation.local("publish site").ok();
    let wrote = ["openid-configuration", "jwks.json", &*issuer];
    published.says(&wrote);
    installation.start();
    installation.enrolled();
    let token = installation.token_file();
    let claims = installation.run("token --decode").ok().json()["Claims"].clone();
    assert_eq!(claims["iss"], issuer.as_str());

    // Nobody serves the issuer yet.
    installation.run("token --verify").exits(3).says(&[&issuer]);
    let mut files = Running::start(
        clean_command(&python)
            .args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"])
            .arg(&site)
            .arg(static_port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    wait_until(&format!("{issuer}/"), &mut files).unwrap();
    installation.run("token --verify").ok();

    // From here on there is nothing but the files.
    assert!(installation.stop().success());
    let judgement = judgement(&python, &issuer, &token, &[]);
    assert_accepted(&judgement, &issuer);
    assert_eq!(
        judgement["metadata"]["token_endpoint"],
        format!("{}/oauth2/token", installation.url())
    );
    for name in ["openid-configuration", "jwks.json"] {
        let text = fs::read_to_string(site.join(".well-known").join(name)).unwrap();
        assert!(!text.contains("\"d\""), "{text}");
    }
}

#[test]
fn what_is_published_is_what_is_served() {
    let mut installation = Installation::new(|port| {
        format!("issuer = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n")
    });
    installation.local("publish site").ok();
    installation.start();
    for name in ["openid-configuration", "jwks.json"] {
        let path = format!(".well-known/{name}");
        let published = fs::read(installation.path().join("site").join(&path)).unwrap();
        assert_eq!(published, installation.get(&path), "{name}");
    }
}
