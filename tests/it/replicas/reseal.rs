//! Another key-encryption key while replicas run that have files of their own.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    time::Duration,
};

use http::Method;
use serde_json::json;

use super::world::{Replicas, get, until};
use crate::e2e::{
    client::assertion,
    crowd::{administer, enrolled},
};

/// A replica follows within seconds, whether it was told or has to look.
const SOON: Duration = Duration::from_secs(8);

fn append(file: &Path, line: &str) {
    let mut file = OpenOptions::new().append(true).open(file).unwrap();
    writeln!(file, "{}", line.trim()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_sealed_anew_while_replicas_run() {
    let Some(mut replicas) = Replicas::start(2).await else {
        return;
    };
    let files = [
        replicas.path("key-encryption-key"),
        replicas.separate_key_file(1),
    ];
    let (_, clients) = enrolled(&replicas.url(0), &replicas.admin_token, 1).await;
    let client = &clients[0];
    let mut count = 0;
    let mut mints = async |replicas: &Replicas| {
        for url in replicas.urls() {
            count += 1;
            let jti = format!("assertion-{count}");
            let assertion = assertion(&client.identity, &client.key, &jti);
            let (status, body) = client.ask(&url, &assertion).await.unwrap();
            assert_eq!(status, 200, "{url}: {body}");
        }
    };
    let new = replicas.path("new-key").display().to_string();
    let command = [
        "admin",
        "key",
        "reseal",
        "--new-key-encryption-key-file",
        &new,
    ];
    let run = |replicas: &Replicas| {
        let output = replicas.idp(&command);
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.success(), said)
    };

    let (done, said) = run(&replicas);
    assert!(
        !done && said.contains("replicas that share a database"),
        "{said}"
    );
    let line = fs::read_to_string(&new).unwrap();
    for file in &files {
        append(file, &line);
    }
    let (done, said) = run(&replicas);
    assert!(
        done && said.contains("2 keys were sealed under the key in"),
        "{said}"
    );
    mints(&replicas).await;

    // The other replica opens what was sealed anew, and seals the next key like it.
    let rotate = json!({ "emergency": true, "force": true });
    let (second, token) = (replicas.url(1), replicas.admin_token.clone());
    let rotated = administer(&second, &token, Method::POST, "/keys/rotate", rotate).await;
    let pending = rotated["pending_kid"].as_str().unwrap().to_owned();
    for url in replicas.urls() {
        let published = async || {
            let (_, body) = get(client, &format!("{url}/.well-known/jwks.json")).await;
            String::from_utf8(body)
                .unwrap()
                .contains(&pending)
                .then_some(())
        };
        until("the next key", SOON, published).await;
    }
    mints(&replicas).await;
    let (done, said) = run(&replicas);
    assert!(done && said.contains("0 keys were sealed"), "{said}");
    assert!(said.contains("3 were before"), "{said}");
    assert!(said.contains("take it out of"), "{said}");

    for file in &files {
        fs::write(file, &line).unwrap();
    }
    for number in 0..2 {
        replicas.restart(number);
    }
    mints(&replicas).await;
}
