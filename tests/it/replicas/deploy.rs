//! A deploy: a newer version has migrated the database, and replicas of this one still serve.

use http::Method;
use serde_json::json;

use super::world::Replicas;
use crate::e2e::{
    client::assertion,
    crowd::{administer, enrolled},
};

/// What a newer version may do that older ones can live with: columns, tables and triggers of its own.
const NEWER: &str = "
    ALTER TABLE environments ADD COLUMN later TEXT;
    ALTER TABLE organizations ADD COLUMN later BIGINT NOT NULL DEFAULT 7;
    ALTER TABLE issuer_keys ADD COLUMN later TEXT;
    ALTER TABLE audit ADD COLUMN later TEXT;
    CREATE TABLE of_later (id TEXT NOT NULL PRIMARY KEY);
    INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (1000, 'later', TRUE, '', 0);";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_serve_beside_a_newer_version_until_it_rules_them_out() {
    let Some(mut replicas) = Replicas::start(2).await else {
        return;
    };
    let (organization, clients) = enrolled(&replicas.url(0), &replicas.admin_token, 1).await;
    let client = &clients[0];
    let mut count = 0;
    let mut mints = async |replicas: &Replicas| {
        for url in replicas.urls() {
            for _ in 0..5 {
                count += 1;
                let jti = format!("assertion-{count}");
                let assertion = assertion(&client.identity, &client.key, &jti);
                let (status, body) = client.ask(&url, &assertion).await.unwrap();
                assert_eq!(status, 200, "{url}: {body}");
            }
        }
    };
    mints(&replicas).await;
    replicas.postgres.execute(NEWER).await;
    mints(&replicas).await;
    // All that an administrator does goes on too, and so does a start.
    replicas.restart(1);
    mints(&replicas).await;
    let (url, token) = (replicas.url(1), replicas.admin_token.clone());
    let path = format!("/organizations/{organization}/projects");
    let made = administer(&url, &token, Method::POST, &path, json!({ "name": "web" })).await;
    assert!(made["id"].is_string(), "{made}");
    let rotate = json!({ "emergency": true, "force": true });
    let rotated = administer(&url, &token, Method::POST, "/keys/rotate", rotate).await;
    assert_eq!(rotated["rotated"], true);
    mints(&replicas).await;

    // What runs goes on; what starts is refused.
    replicas
        .postgres
        .execute("UPDATE schema_info SET min_compatible = 1000")
        .await;
    mints(&replicas).await;
    replicas.kill(0);
    let refusal = replicas.refusal();
    assert!(refusal.contains("needs a newer idp"), "{refusal}");
    assert!(refusal.contains("from version 1000 on"), "{refusal}");
    replicas
        .postgres
        .execute("UPDATE schema_info SET min_compatible = 1")
        .await;
    replicas.launch(0);
}
