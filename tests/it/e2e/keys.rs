//! The issuer's keys in an operator's hands: `idp admin key`, with the server running.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::Value;

use super::installation::Installation;

const PASSPHRASE: &str = "correct horse battery staple";

fn keys(installation: &Installation) -> Vec<Value> {
    let keys = installation.run("admin key list --json").ok().json();
    keys.as_array().unwrap().clone()
}

fn kid(key: &Value) -> &str {
    key["kid"].as_str().unwrap()
}

fn passphrase(installation: &Installation) {
    fs::write(
        installation.path().join("passphrase"),
        format!("{PASSPHRASE}\n"),
    )
    .unwrap();
}

#[test]
fn keys_are_listed_rotated_and_withdrawn() {
    let installation = Installation::running("ES256");
    installation.enrolled();
    let listed = installation.run("admin key list").ok();
    for says in [
        "KID", "STATE", "AGE", "NEXT", "WHEN", "active", "pending", "retiring", "0m",
    ] {
        assert!(listed.stdout.contains(says), "{}", listed.stdout);
    }
    let before = keys(&installation);
    let planned = installation.run("admin key rotate").ok();
    assert!(
        planned
            .stdout
            .contains(&format!("then {}", kid(&before[1]))),
        "{planned:?}"
    );
    installation
        .run("admin key rotate --force")
        .exits(2)
        .says(&["--emergency"]);
    installation
        .run("admin key rotate --emergency")
        .exits(4)
        .says(&["may keep a JWKS for 5m", "--force"]);
    let forced = installation
        .run("admin key rotate --emergency --force --json")
        .ok();
    assert_eq!(forced.json()["active_kid"], before[1]["kid"]);
    installation.run("token").ok();
    installation.run("token").ok();
    let active = kid(&keys(&installation)[0]).to_owned();
    let withdrawn = installation
        .run(&format!("admin key compromise {active}"))
        .ok();
    for says in ["is withdrawn", "2 tokens that it signed", "ORGANIZATION_ID"] {
        assert!(withdrawn.stdout.contains(says), "{}", withdrawn.stdout);
    }
    installation
        .run(&format!("admin key compromise {active}"))
        .exits(4)
        .says(&["no such key"]);
    installation.run("admin key compromise -x/../%2e").exits(4);
    installation.run("token --decode --verify").ok();
}

#[test]
fn an_exported_key_signs_elsewhere() {
    let installation = Installation::running("ES256");
    passphrase(&installation);
    let active = kid(&keys(&installation)[0]).to_owned();
    let export = format!("admin key export {active} --out key.jwe");
    installation
        .local(&export)
        .exits(2)
        .says(&["IDP_KEY_PASSPHRASE"]);
    fs::write(installation.path().join("short"), "hunter2").unwrap();
    installation
        .local(&format!("{export} --passphrase-file short"))
        .exits(2)
        .says(&["12 characters"]);
    installation
        .local(&format!("{export} --passphrase-file passphrase"))
        .ok();
    let file = installation.path().join("key.jwe");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    installation
        .local(&format!("{export} --passphrase-file passphrase"))
        .exits(6)
        .says(&["exists already"]);
    installation
        .local("admin key export absent --out other --passphrase-file passphrase")
        .exits(4)
        .says(&["has no key absent"]);
    assert!(!installation.path().join("other").exists());
    let records = installation.run("admin audit list --action key.export --json");
    let records = records.ok().json();
    let outcomes: Vec<&Value> = records
        .as_array()
        .unwrap()
        .iter()
        .map(|record| &record["outcome"])
        .collect();
    assert_eq!(outcomes, ["refused", "refused", "success", "refused"]);
    let own = fs::metadata(&file).unwrap().uid();
    assert_eq!(records[2]["details"]["uid"], own, "{records}");
    assert!(records[2]["details"]["user"].is_string(), "{records}");

    // An installation without a key yet takes it as its active one.
    let issuer = installation.url();
    let second = Installation::new(move |port| {
        format!(
            "issuer = \"{issuer}\"\nserver_url = \"http://127.0.0.1:{port}\"\n\
             listen = \"127.0.0.1:{port}\"\nkeys.algorithm = \"ES256\"\n"
        )
    });
    passphrase(&second);
    fs::copy(&file, second.path().join("key.jwe")).unwrap();
    fs::write(second.path().join("wrong"), "another passphrase").unwrap();
    second
        .local("admin key import key.jwe --passphrase-file wrong")
        .exits(2)
        .says(&[
            "key.jwe was not imported",
            "the passphrase does not open it",
        ]);
    let imported = second.local("admin key import key.jwe --passphrase-file passphrase");
    assert_eq!(imported.ok().text(), active);
    second
        .local("admin key import key.jwe --passphrase-file passphrase")
        .exits(4)
        .says(&["already (active)"]);
}

#[test]
fn a_pem_key_is_the_next_to_sign() {
    let installation = Installation::running("RS256");
    let before = keys(&installation);
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys");
    for (file, says) in [
        ("broken.pem", "was not imported"),
        ("rsa-1024.pem", "it has 1024 bits"),
        ("ec-p256.pem", "others can read or write"),
        ("public.pem", "neither an export of a key nor a PEM file"),
    ] {
        let refused = installation.local(&format!("admin key import {data}/{file}"));
        assert!(matches!(refused.code, Some(1 | 2 | 4)), "{refused:?}");
        refused.says(&[says]);
    }
    // A key as it is, in a file that others can read.
    let key = installation.path().join("key.pem");
    fs::copy(format!("{data}/ec-p256.pem"), &key).unwrap();
    for mode in [0o644, 0o640, 0o604, 0o660] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let refused = installation.local("admin key import key.pem").exits(1);
        let mode = format!("its mode is {mode:04o}");
        refused.says(&["key.pem was not imported", &mode, "run: chmod 600 key.pem"]);
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let refused = installation.local("admin key import key.pem").exits(4);
        refused.says(&["set keys.algorithm to ES256"]);
    }
    fs::write(installation.path().join("passphrase"), PASSPHRASE).unwrap();
    let import = format!("admin key import {data}/rsa-pkcs8-encrypted.pem");
    installation
        .local(&import)
        .exits(2)
        .says(&["no passphrase"]);
    let imported = installation.local(&format!("{import} --passphrase-file passphrase --json"));
    let imported = imported.ok().json();
    assert_eq!(imported["state"], "pending");
    assert_eq!(imported["replaced_kid"], before[1]["kid"]);
    let after = keys(&installation);
    assert_eq!(after[0]["kid"], before[0]["kid"]);
    assert_eq!(after[1]["kid"], imported["kid"]);
    installation.enrolled();
    installation
        .run("admin key rotate --emergency --force")
        .ok();
    let token = installation.run("token --decode --verify").ok().json();
    assert_eq!(token["Header"][0]["KeyID"], imported["kid"]);
}

#[test]
fn keys_are_sealed_anew_while_tokens_are_minted() {
    let mut installation = Installation::running("ES256");
    installation.enrolled();
    let present = installation.path().join("key-encryption-key");
    let former = fs::read_to_string(&present).unwrap();
    let stop = AtomicBool::new(false);
    let minted = thread::scope(|scope| {
        let minting = scope.spawn(|| {
            let mut minted = 0;
            while !stop.load(Ordering::SeqCst) {
                installation.run("token").ok();
                minted += 1;
            }
            minted
        });
        installation
            .local("admin key reseal --new-key-encryption-key-file key-encryption-key")
            .exits(2)
            .says(&["is the file of the present key-encryption key"]);
        let reseal = "admin key reseal --new-key-encryption-key-file new-key";
        let first = installation.local(&format!("{reseal} --json")).ok().json();
        assert_eq!(first["resealed"], 2);
        assert_eq!(first["former_kept"], true);
        // Both keys are there, for servers that have not noticed; one that starts now takes either.
        let both = fs::read_to_string(&present).unwrap();
        assert!(both.starts_with(&former) && both.lines().count() == 2);
        // The server has not read anything again; its next key is sealed like the others all the same.
        installation
            .run("admin key rotate --emergency --force")
            .ok();
        let second = installation.local(&format!("{reseal} --json")).ok().json();
        assert_eq!(second["resealed"], 0, "{second}");
        assert_eq!(second["former_kept"], false);
        stop.store(true, Ordering::SeqCst);
        minting.join().unwrap()
    });
    assert!(minted > 0);
    let new = fs::read_to_string(installation.path().join("new-key")).unwrap();
    assert_eq!(fs::read_to_string(&present).unwrap(), new);
    installation.run("token --decode --verify").ok();
    installation
        .run("admin key rotate --emergency --force")
        .ok();
    assert!(installation.stop().success());
    installation.start();
    installation.run("token --decode --verify").ok();
    assert!(
        !installation.log().contains("does not open"),
        "{}",
        installation.log()
    );
    // Who has the former key and the database opens nothing.
    assert!(installation.stop().success());
    fs::write(&present, former).unwrap();
    installation
        .local("publish site")
        .exits(1)
        .says(&["is not the one that sealed"]);
}
