//! What a server refuses to start with: each message names the file and the cure.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    sync::Arc,
};

use idp::{
    domain::{SimulatedClock, SystemRandom},
    jose::SealingKey,
    server::{Server, StartError},
};

use super::world::{START, settings};

async fn build(dir: &tempfile::TempDir) -> Result<Server, StartError> {
    let clock = Arc::new(SimulatedClock::new(START));
    Server::build(settings(dir), clock, Arc::new(SystemRandom)).await
}

/// A server was started here once; its key-encryption key.
async fn started() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    build(&dir).await.unwrap().close().await;
    let key = fs::read_to_string(dir.path().join("key-encryption-key")).unwrap();
    (dir, key)
}

async fn refusal(dir: &tempfile::TempDir) -> String {
    let error = build(dir).await.err().expect("it starts");
    let text = error.to_string();
    let file = dir.path().join("key-encryption-key");
    assert!(text.contains(&*file.to_string_lossy()), "{text}");
    text
}

#[tokio::test]
async fn the_first_start_makes_what_it_needs_for_its_owner_only() {
    let (dir, key) = started().await;
    for file in ["key-encryption-key", "idp.db"] {
        let mode = fs::metadata(dir.path().join(file)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let mut files: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    files.sort();
    assert_eq!(
        files,
        ["idp.db", "key-encryption-key"],
        "nothing else stays"
    );
    build(&dir).await.unwrap().close().await;
    let again = fs::read_to_string(dir.path().join("key-encryption-key")).unwrap();
    assert_eq!(key, again);
}

#[tokio::test]
async fn a_missing_key_encryption_key() {
    let (dir, _) = started().await;
    fs::remove_file(dir.path().join("key-encryption-key")).unwrap();
    let text = refusal(&dir).await;
    assert!(text.contains("is missing"), "{text}");
    assert!(text.contains("restore that file from its backup"), "{text}");
    assert!(
        !dir.path().join("key-encryption-key").exists(),
        "no new one"
    );
}

#[tokio::test]
async fn another_key_encryption_key() {
    let (dir, key) = started().await;
    let other = SealingKey::generate(&SystemRandom).to_text();
    fs::write(dir.path().join("key-encryption-key"), other.as_bytes()).unwrap();
    let text = refusal(&dir).await;
    assert!(text.contains("is not the one that sealed"), "{text}");
    assert!(
        !text.contains(&*other) && !text.contains(key.trim()),
        "{text}"
    );
    fs::write(dir.path().join("key-encryption-key"), key).unwrap();
    build(&dir).await.unwrap().close().await;
}

#[tokio::test]
async fn a_key_encryption_key_that_others_can_read() {
    let (dir, _) = started().await;
    let file = dir.path().join("key-encryption-key");
    for mode in [0o640, 0o604, 0o620, 0o601, 0o644, 0o660] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let text = refusal(&dir).await;
        assert!(text.contains(&format!("mode {mode:04o}")), "{text}");
        assert!(text.contains("run: chmod 600 "), "{text}");
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        build(&dir).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn a_file_that_holds_no_key() {
    let (dir, key) = started().await;
    let file = dir.path().join("key-encryption-key");
    let key = key.trim();
    for content in [
        String::new(),
        "hunter2".to_owned(),
        key[..key.len() - 1].to_owned(),
        format!("{key}A"),
        key.replace("idp_kek_", ""),
        key.to_uppercase(),
        format!("{key}\n{key}"),
        "A".repeat(5_000),
        "\u{feff}".to_owned() + key,
    ] {
        fs::write(&file, &content).unwrap();
        let text = refusal(&dir).await;
        assert!(
            text.contains("does not hold a key-encryption key"),
            "{text}"
        );
        assert!(content.is_empty() || !text.contains(&content), "{text}");
    }
    fs::write(&file, b"\xff\xfe\0").unwrap();
    refusal(&dir).await;
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
    refusal(&dir).await;
}

/// A sealed key whose row somebody swapped or edited does not open under the right key either.
#[tokio::test]
async fn sealed_keys_that_were_swapped() {
    let (dir, _) = started().await;
    let url = settings(&dir).database_url;
    let pool = sqlx::SqlitePool::connect(url.expose()).await.unwrap();
    let rows: Vec<(String, String)> = sqlx::query_as("SELECT id, sealed FROM issuer_keys")
        .fetch_all(&pool)
        .await
        .unwrap();
    for (at, (id, _)) in rows.iter().enumerate() {
        sqlx::query("UPDATE issuer_keys SET sealed = $1 WHERE id = $2")
            .bind(&rows[1 - at].1)
            .bind(id)
            .execute(&pool)
            .await
            .unwrap();
    }
    pool.close().await;
    let text = refusal(&dir).await;
    assert!(text.contains("belongs to another record"), "{text}");
}
