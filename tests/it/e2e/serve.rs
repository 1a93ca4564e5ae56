//! The README's second section, followed on this machine.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    thread::sleep,
    time::Duration,
};

use idp::{domain::SystemRandom, jose::SealingKey};

use super::{
    installation::{Installation, send},
    ran::Ran,
};

#[test]
fn the_way_from_a_configuration_to_a_token() {
    let mut installation = Installation::new(|port| {
        format!("issuer = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n")
    });
    let checked = installation.local("config check").ok();
    assert!(checked.stdout.contains("algorithm: RS256"), "{checked:?}");
    installation
        .local("admin bootstrap")
        .exits(4)
        .says(&["administrator token already"]);

    // Nobody listens yet.
    installation
        .run("admin org list")
        .exits(3)
        .says(&[&installation.url(), "help:"]);
    installation.start();
    let world = installation.environment();
    let url = installation.url();
    let enroll = format!("enroll --url {url} --token-file join-token");
    installation
        .run(&enroll)
        .ok()
        .says(&[&world.environment, &url]);
    let identity = installation.path().join("home/identity.json");
    let mode = fs::metadata(&identity).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert!(world.join_token.is_file());
    installation.run(&enroll).exits(6).says(&["--force"]);
    installation
        .run(&format!("{enroll} --force"))
        .exits(4)
        .says(&["join token", "works once"]);

    let claims = installation.run("token --decode").ok().json()["Claims"].clone();
    assert_eq!(claims["iss"], url.as_str());
    assert_eq!(claims["org"], world.organization.as_str());
    assert_eq!(
        claims["sub"],
        format!(
            "org:{}/prj:{}/env:{}",
            world.organization, world.project, world.environment
        )
    );
    installation.run("token --verify").ok();

    // Others may not read the identity.
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o640)).unwrap();
    installation.run("token").exits(1).says(&["chmod 600"]);
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o600)).unwrap();

    // Whoever lost the file enrols again, and the old key ends.
    fs::rename(&identity, installation.path().join("lost.json")).unwrap();
    let ticket = installation.run(&format!("admin join-token create {}", world.environment));
    fs::write(&world.join_token, ticket.ok().stdout).unwrap();
    installation.run(&enroll).ok();
    installation.run("token").ok();
    fs::rename(installation.path().join("lost.json"), &identity).unwrap();
    installation
        .run("token")
        .exits(4)
        .says(&["invalid_client", "idp enroll"]);
}

#[test]
fn a_lost_or_wrong_key_encryption_key_stops_the_start_and_is_named() {
    let mut installation = Installation::running("ES256");
    assert!(installation.stop().success());
    let file = installation.path().join("key-encryption-key");
    let key = fs::read_to_string(&file).unwrap();
    let named = file.file_name().unwrap().to_str().unwrap();

    fs::remove_file(&file).unwrap();
    installation
        .local("serve")
        .exits(1)
        .says(&[named, "backup"]);
    assert!(!file.exists());

    let other = SealingKey::generate(&SystemRandom);
    fs::write(&file, &*other.to_text()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    installation
        .local("serve")
        .exits(1)
        .says(&[named, "backup"]);

    fs::write(&file, key).unwrap();
    installation.start();
}

#[test]
fn a_request_in_flight_is_answered_after_sigterm() {
    let mut installation = Installation::running("ES256");
    let address = ("127.0.0.1", installation.port());
    // One connection is idle, another in the midst of a request.
    let mut idle = TcpStream::connect(address).unwrap();
    idle.write_all(b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut first_line = String::new();
    BufReader::new(&idle).read_line(&mut first_line).unwrap();
    assert!(first_line.contains(" 200 "), "{first_line}");
    let mut busy = TcpStream::connect(address).unwrap();
    busy.write_all(
        b"POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 29\r\n\
          Content-Type: application/x-www-form-urlencoded\r\n\r\ngrant_type=",
    )
    .unwrap();
    // The server has to have read the head: an answer to another connection comes after it.
    sleep(Duration::from_millis(200));

    send(installation.server(), "TERM");
    while TcpStream::connect(address).is_ok() {
        sleep(Duration::from_millis(5));
    }
    assert!(installation.server().ended().is_none());
    busy.write_all(b"client_credentials").unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("invalid_request"), "{answer}");
    let status = installation.wait();
    assert!(status.success(), "{status}\n{}", installation.log());
}

#[test]
fn who_asks_twice_does_not_wait_for_a_request_in_flight() {
    for (signals, code) in [(["TERM", "TERM"], 143), (["TERM", "INT"], 130)] {
        let mut installation = Installation::running("ES256");
        let address = ("127.0.0.1", installation.port());
        let mut busy = TcpStream::connect(address).unwrap();
        busy.write_all(
            b"POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 29\r\n\
              Content-Type: application/x-www-form-urlencoded\r\n\r\ngrant_type=",
        )
        .unwrap();
        sleep(Duration::from_millis(200));
        send(installation.server(), signals[0]);
        while TcpStream::connect(address).is_ok() {
            sleep(Duration::from_millis(5));
        }
        assert!(installation.server().ended().is_none());
        send(installation.server(), signals[1]);
        assert_eq!(installation.wait().code(), Some(code));
        let log = installation.log();
        assert!(log.contains("asked to stop again"), "{log}");
        // Nothing is the worse for it.
        installation.start();
        assert!(installation.stop().success());
    }
}

#[test]
fn what_a_configuration_names_is_opened_and_everything_wrong_is_told() {
    let installation = Installation::new(|port| {
        format!(
            "issuer = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             [tls]\ncert_file = \"absent.pem\"\nkey_file = \"/nonexistent/key.pem\"\n\
             [keys]\nencryption_key_file = \"/nonexistent/kek\"\n\
             [audit]\ncheckpoints = \"idp.toml/checkpoints\"\n"
        )
    });
    let files = || fs::read_dir(installation.path()).unwrap().count();
    let before = files();
    for command in ["config check", "serve"] {
        let ran = installation.local(command).exits(2);
        assert_eq!(ran.stdout, "");
        ran.says(&[
            ": tls.cert_file cannot be used: ",
            "absent.pem: No such file or directory",
            ": tls.key_file cannot be used: /nonexistent/key.pem",
            ": keys.encryption_key_file is /nonexistent/kek, which is not there and cannot be made",
            ": audit.checkpoints names ",
            "; name a directory that the server's user can write",
        ]);
    }
    assert_eq!(files(), before, "nothing is made");
}

#[test]
fn a_variable_that_nothing_reads_is_warned_of() {
    let mut installation = Installation::new(|port| {
        format!("issuer = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n")
    })
    .with_environment([
        ("IDP_KEYS_ALGORITM", "ES256".to_owned()),
        ("IDP_TEST_ANYTHING", "1".to_owned()),
        ("IDP_PORT_8080_TCP", "tcp://10.0.0.1:8080".to_owned()),
    ]);
    let says = "IDP_KEYS_ALGORITM is not a setting; did you mean IDP_KEYS_ALGORITHM?";
    let checked = installation.local("config check").ok();
    assert!(checked.stdout.contains("algorithm: RS256"), "{checked:?}");
    assert_eq!(
        checked.stderr.matches("is not a setting").count(),
        1,
        "{}",
        checked.stderr
    );
    checked.says(&["warning:", says]);
    installation.start();
    assert!(installation.stop().success());
    let log = installation.log();
    assert!(
        log.contains(says) && log.matches("is not a setting").count() == 1,
        "{log}"
    );
    let kids = log
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|line| line["message"] == "made the issuer's first keys")
        .unwrap()["kids"]
        .clone();
    assert_eq!(kids.as_array().unwrap().len(), 2, "{kids}");
}

#[test]
fn a_configuration_is_wrong_in_all_places_at_once() {
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("idp.toml");
    fs::write(
        &config,
        "issuer = \"ftp://x\"\nlisten = \"here\"\nlog = 1\n",
    )
    .unwrap();
    for command in ["config check", "serve", "publish out", "admin bootstrap"] {
        let mut idp = crate::support::clean_command(super::dev::IDP);
        idp.args(command.split(' ')).arg("--config").arg(&config);
        let ran = Ran::of(idp.current_dir(place.path())).exits(2);
        ran.says(&[
            "idp.toml:1: issuer",
            "idp.toml:2: listen",
            "write it like \"0.0.0.0:8443\"",
            "idp.toml:3: log is not a setting",
            "database.url",
        ]);
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}
