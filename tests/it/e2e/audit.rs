//! `idp admin audit` as an auditor uses it, on a log that somebody with the database has bent.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use idp::domain::{AuditLine, AuditRecord, audit_hash};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};

use super::{attackers::block_on, installation::Installation};

/// An installation with some records, whose checkpoints are in `checkpoints`.
fn installation() -> Installation {
    let mut installation = Installation::new(|port| {
        format!(
            "issuer = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             keys.algorithm = \"ES256\"\naudit.checkpoints = \"checkpoints\"\n"
        )
    });
    installation.start();
    installation.enrolled();
    for _ in 0..3 {
        installation.run("token").ok();
    }
    installation
}

/// Does what somebody with access to the database can do.
fn tamper(installation: &Installation, sql: &'static str) {
    let url = format!("sqlite:{}", installation.path().join("idp.db").display());
    block_on(async {
        let mut database = SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
    });
}

/// Makes the whole system chain anew with another target in its first record, hashes and head included.
fn rewrite(installation: &Installation) {
    let export = installation.run("admin audit export --system").ok();
    let url = format!("sqlite:{}", installation.path().join("idp.db").display());
    block_on(async {
        let mut database = SqliteConnection::connect(&url).await.unwrap();
        let mut previous = [0; 32];
        for line in export.text().lines() {
            let line: AuditLine = serde_json::from_str(line).unwrap();
            let mut record = AuditRecord::try_from(line).unwrap();
            if record.seq == 1 {
                "somebody else".clone_into(&mut record.target);
            }
            record.previous = previous;
            previous = audit_hash(&record);
            sqlx::query(
                "UPDATE audit SET target = $1, hash = $2 WHERE chain = 'system' AND seq = $3",
            )
            .bind(&record.target)
            .bind(previous.as_slice())
            .bind(record.seq)
            .execute(&mut database)
            .await
            .unwrap();
        }
        sqlx::query("UPDATE audit_heads SET hash = $1 WHERE chain = 'system'")
            .bind(previous.as_slice())
            .execute(&mut database)
            .await
            .unwrap();
        database.close().await.unwrap();
    });
}

/// The findings as kind and place.
fn findings(json: &Value) -> Vec<(String, i64)> {
    json["chains"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|chain| chain["findings"].as_array().unwrap())
        .map(|found| {
            let kind = found["kind"].as_str().unwrap().to_owned();
            (kind, found["seq"].as_i64().unwrap())
        })
        .collect()
}

const WITH_CHECKPOINTS: &str = "--json admin audit verify --checkpoints checkpoints";

#[test]
fn a_sound_log_verifies_in_every_way() {
    let mut installation = installation();
    let statement = installation.run("admin audit checkpoint").ok();
    assert_eq!(statement.text().split('.').count(), 3);
    let checked = installation.run(WITH_CHECKPOINTS).ok().json();
    assert_eq!(checked["findings"], 0);
    assert_eq!(checked["chains"].as_array().unwrap().len(), 2);
    assert!(
        checked["checkpoints"]["count"].as_u64().unwrap() >= 2,
        "one at the start"
    );

    let export = installation.run("admin audit export").ok();
    let lines = export.text().lines().count();
    fs::write(installation.path().join("audit.jsonl"), &export.stdout).unwrap();
    assert!(installation.stop().success());
    let local = installation
        .run("--json admin audit verify --config idp.toml --checkpoints checkpoints")
        .ok()
        .json();
    assert_eq!(local["findings"], 0);
    let offline = installation
        .run("--json admin audit verify --file audit.jsonl")
        .ok()
        .json();
    let records = offline["chains"].as_array().unwrap().iter();
    let records: u64 = records
        .map(|chain| chain["records"].as_u64().unwrap())
        .sum();
    assert_eq!(records, lines as u64);
    installation
        .run("admin audit verify")
        .exits(3)
        .says(&["could not be reached"]);
}

#[test]
fn every_kind_of_tampering_is_found_and_named() {
    let installation = installation();
    installation.run("admin audit checkpoint").ok();
    let all = installation.run("admin audit export --system").ok();
    let id = |seq: usize| -> Value {
        let line = all.text().lines().nth(seq - 1).unwrap().to_owned();
        serde_json::from_str::<Value>(&line).unwrap()["id"].clone()
    };
    let second = id(2).as_str().unwrap().to_owned();
    for (bend, mend, kinds) in [
        (
            "UPDATE audit SET actor = actor || 'x' WHERE chain = 'system' AND seq = 2",
            "UPDATE audit SET actor = substr(actor, 1, length(actor) - 1) WHERE chain = 'system' AND seq = 2",
            vec![("edited", 2)],
        ),
        (
            "CREATE TABLE kept AS SELECT * FROM audit WHERE chain = 'system' AND seq = 1;
             DELETE FROM audit WHERE chain = 'system' AND seq = 1",
            "INSERT INTO audit SELECT * FROM kept; DROP TABLE kept",
            vec![("removed", 2)],
        ),
        (
            "UPDATE audit SET seq = -seq WHERE chain = 'system' AND seq <= 2;
             UPDATE audit SET seq = 3 + seq WHERE chain = 'system' AND seq < 0",
            "UPDATE audit SET seq = -seq WHERE chain = 'system' AND seq <= 2;
             UPDATE audit SET seq = 3 + seq WHERE chain = 'system' AND seq < 0",
            vec![("reordered", 1), ("reordered", 2)],
        ),
    ] {
        tamper(&installation, bend);
        let json = installation
            .run("--json admin audit verify")
            .exits(7)
            .json();
        let expected: Vec<_> = kinds
            .iter()
            .map(|(kind, seq)| ((*kind).to_owned(), *seq))
            .collect();
        assert_eq!(findings(&json), expected, "{bend}");
        let shown = installation.run("admin audit verify");
        let shown = shown.exits(7);
        assert!(shown.text().contains("system: "), "{}", shown.text());
        if kinds[0].0 != "reordered" {
            assert!(
                shown.text().contains(&format!("record 2 ({second})")),
                "{}",
                shown.text()
            );
        }
        tamper(&installation, mend);
        installation.run("admin audit verify").ok();
    }
}

#[test]
fn a_truncated_or_rewritten_chain_shows_beside_the_checkpoints_only() {
    let mut installation = installation();
    installation.run("admin audit checkpoint").ok();
    assert!(installation.stop().success());
    let local = "--json admin audit verify --config idp.toml";
    let beside = format!("{local} --checkpoints checkpoints");
    installation.run(&beside).ok();

    tamper(
        &installation,
        "DELETE FROM audit WHERE chain <> 'system' AND seq > 2;
         UPDATE audit_heads SET seq = 2,
             hash = (SELECT hash FROM audit a WHERE a.chain = audit_heads.chain AND a.seq = 2)
         WHERE chain <> 'system'",
    );
    installation.run(local).ok();
    let json = installation.run(&beside).exits(7).json();
    assert_eq!(findings(&json), [("truncated".to_owned(), 2)]);

    installation.start();
    rewrite(&installation);
    let system = "--json admin audit verify --system";
    installation.run(system).ok();
    // A checkpoint that the server makes of the forgery does not help it.
    installation.run("admin audit checkpoint").ok();
    let json = installation
        .run(&format!("{system} --checkpoints checkpoints"))
        .exits(7)
        .json();
    let found = findings(&json);
    assert!(
        found.iter().all(|(kind, _)| kind == "rewritten"),
        "{found:?}"
    );
    assert!(!found.is_empty());
}

#[test]
fn checkpoints_of_another_key_are_not_trusted() {
    let installation = installation();
    installation.run("admin audit checkpoint").ok();
    installation
        .run(&format!(
            "{WITH_CHECKPOINTS} --checkpoint-key {}",
            "A".repeat(43)
        ))
        .exits(7)
        .says(&["the audit log has a finding"]);
    // A checkpoint that was taken out is missed by the next.
    installation.run("admin audit checkpoint").ok();
    fs::remove_file(installation.path().join("checkpoints/000000000002.jws")).unwrap();
    let json = installation.run(WITH_CHECKPOINTS).exits(7).json();
    let problem = json["checkpoints"]["findings"][0]["problem"]
        .as_str()
        .unwrap();
    assert_eq!(problem, "checkpoint 2 before it is missing");
}

#[test]
fn an_edited_export_is_found() {
    let installation = installation();
    let export = installation.run("admin audit export --system").ok();
    let lines: Vec<&str> = export.text().lines().collect();
    let file = installation.path().join("audit.jsonl");
    let verify = |text: String| {
        fs::write(&file, text).unwrap();
        installation.run("--json admin audit verify --file audit.jsonl")
    };
    verify(lines.join("\n")).ok();
    // What is missing at the beginning is missed, unless it is said to be missing.
    let headless = verify(lines[1..].join("\n")).exits(7).json();
    assert_eq!(findings(&headless), [("removed".to_owned(), 2)]);
    let part = installation
        .run("admin audit verify --file audit.jsonl --partial")
        .ok();
    let shown = format!("({} to {}), sound", 2, lines.len());
    assert!(part.text().contains(&shown), "{}", part.text());
    assert!(
        part.text().contains("vouched for by nobody"),
        "{}",
        part.text()
    );
    for nothing in ["--file /dev/null", "--file /dev/null --partial"] {
        installation
            .run(&format!("admin audit verify {nothing}"))
            .exits(7)
            .says(&["no such audit records"]);
    }
    // A chain that checkpoints saw and the export lacks.
    let beside = "--json admin audit verify --file audit.jsonl --checkpoints checkpoints";
    installation.run("admin audit checkpoint").ok();
    verify(lines.join("\n")).ok();
    let json = installation.run(beside).exits(7).json();
    assert!(
        json["chains"]
            .as_array()
            .unwrap()
            .iter()
            .any(|chain| { !chain["organization_id"].is_null() && chain["records"] == 0 }),
        "{json}"
    );
    installation.run(&format!("{beside} --system")).ok();
    for (name, value) in serde_json::from_str::<serde_json::Map<String, Value>>(lines[1]).unwrap() {
        let mut edited: serde_json::Map<String, Value> = serde_json::from_str(lines[1]).unwrap();
        edited[&name] = match (&*name, value) {
            ("seq", Value::Number(n)) => (n.as_i64().unwrap() + 7).into(),
            ("previous" | "hash", _) => "00".repeat(32).into(),
            ("details", _) => serde_json::json!({ "a": 1 }),
            ("id" | "organization_id", _) => "0191e223-1c3c-7607-badf-303c98b52d2f".into(),
            ("at", _) => "2020-01-01T00:00:00.000Z".into(),
            ("source", _) => "203.0.113.1".into(),
            _ => "x".into(),
        };
        let edited = Value::Object(edited).to_string();
        verify([lines[0], &edited, &lines[2..].join("\n")].join("\n")).exits(7);
    }
    verify([lines[0], lines[2]].join("\n")).exits(7);
    verify([lines[1], lines[0], &lines[2..].join("\n")].join("\n")).exits(7);
    verify("{}".to_owned()).exits(7).says(&["line 1 of"]);
}

#[test]
fn new_records_are_followed() {
    let installation = installation();
    let mut following = installation
        .idp("--json admin audit tail --follow -n 1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let last = next();
    installation.run("admin audit checkpoint").ok();
    let new = next();
    assert_eq!(new["action"], "audit.checkpoint");
    assert_eq!(new["seq"].as_i64(), last["seq"].as_i64().map(|seq| seq + 1));
    following.kill().unwrap();
    following.wait().unwrap();
}

#[test]
fn records_are_listed() {
    let installation = installation();
    let listed = installation.run("admin audit list --limit 2").ok();
    assert_eq!(listed.text().lines().count(), 3, "{}", listed.text());
    assert!(listed.text().starts_with("SEQ"));
    installation
        .run("admin audit list --since yesterday")
        .exits(2)
        .says(&["is not a time"]);
    let none = installation
        .run("--json admin audit list --action no.such --since 1h")
        .ok();
    assert_eq!(none.json(), serde_json::json!([]));
}
