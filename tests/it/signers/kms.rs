//! AWS KMS.

use std::{sync::Arc, time::Duration};

use idp::{
    config::{KeyBackend, KmsSettings, SignerSettings},
    domain::{Clock, Random, SigningAlgorithm, SystemClock, SystemRandom},
    jose::{Jws, VerifyingKey, base64url_encode},
    ports::ExternalKeys as _,
    upstream::signers::Keystores,
};
use serde_json::{Value, json};

use super::{
    Gate, assert_tokens_verify, assert_unavailable, comes_back, configured, python, python_json,
    references, rotate,
};
use crate::support::{Moto, moto_server};

const REGION: &str = "eu-central-1";

/// Moto takes any credentials, but some.
fn credentials() -> [(&'static str, String); 2] {
    [
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
    ]
}

/// The keys that KMS has, as boto3 describes them.
fn keys(moto: &Moto) -> Vec<Value> {
    let listed = python_json(&python().unwrap(), "kms_keys.py", &[&moto.url, REGION], &[]);
    listed.as_array().unwrap().clone()
}

fn settings(url: &str) -> String {
    format!(
        "keys.backend = \"aws-kms\"\naws_kms.region = \"{REGION}\"\naws_kms.endpoint_url = \"{url}\""
    )
}

#[test]
fn tokens_that_kms_signed_verify_from_discovery() {
    let Some(moto) = moto_server() else { return };
    for (algorithm, spec, count) in [("RS256", "RSA_2048", 2), ("ES256", "ECC_NIST_P256", 4)] {
        let mut installation =
            configured(algorithm, &settings(&moto.url)).with_environment(credentials());
        installation.start();
        installation.enrolled();
        assert_tokens_verify(&installation);
        assert_eq!(references(&installation), 2);

        let keys = keys(&moto);
        assert_eq!(keys.len(), count, "an active and a pending one");
        let of_spec = keys.iter().filter(|key| key["KeySpec"] == spec);
        for key in of_spec.clone() {
            assert_eq!(key["KeyUsage"], "SIGN_VERIFY");
            assert_eq!(key["KeyState"], "Enabled");
            let label = format!("idp {}", installation.url());
            assert_eq!(key["Tags"], json!([{ "TagKey": "idp", "TagValue": label }]));
            let description = key["Description"].as_str().unwrap();
            assert!(description.starts_with(&label), "{description}");
        }
        assert_eq!(of_spec.count(), 2);

        // The same keys after a restart, and none is made.
        let before = installation.get(".well-known/jwks.json");
        assert!(installation.stop().success());
        installation.start();
        assert_eq!(installation.get(".well-known/jwks.json"), before);
        assert_tokens_verify(&installation);
        assert_eq!(self::keys(&moto).len(), count);
    }
}

#[test]
fn rotation_makes_a_key_in_kms_and_has_the_old_one_deleted() {
    let Some(moto) = moto_server() else { return };
    let mut installation =
        configured("ES256", &settings(&moto.url)).with_environment(credentials());
    installation.start();
    installation.enrolled();
    let active: String = installation
        .sql("SELECT reference FROM issuer_keys WHERE activated_at IS NOT NULL")
        .unwrap();
    let state = |state: &str| {
        keys(&moto)
            .into_iter()
            .filter(|key| key["KeyState"] == state)
            .collect::<Vec<_>>()
    };
    rotate(&installation, || {
        state("PendingDeletion").len() == 1 && state("Enabled").len() == 2
    });
    assert!(active.ends_with(state("PendingDeletion")[0]["KeyId"].as_str().unwrap()));
    assert_tokens_verify(&installation);
}

#[test]
fn kms_out_of_reach_is_503_and_passes() {
    let Some(moto) = moto_server() else { return };
    let gate = Gate::to(&moto.url);
    let mut installation =
        configured("ES256", &settings(&gate.url())).with_environment(credentials());
    installation.start();
    installation.enrolled();
    installation.run("token").ok();
    gate.close();
    assert_unavailable(&installation);
    gate.open();
    comes_back(&installation);
    assert_tokens_verify(&installation);
    let log = installation.log();
    assert!(log.contains("the signer is back"), "{log}");
    assert!(
        !log.contains("AWS_SECRET") && !log.contains("Authorization"),
        "{log}"
    );
    // A server can start meanwhile.
    assert!(installation.stop().success());
    gate.close();
    installation.start();
    installation.run("token").exits(3);
    gate.open();
    comes_back(&installation);
}

#[test]
fn a_first_start_without_kms_fails_and_says_why() {
    let Some(moto) = moto_server() else { return };
    let gate = Gate::to(&moto.url);
    gate.close();
    let installation = configured("ES256", &settings(&gate.url())).with_environment(credentials());
    installation
        .local("serve")
        .exits(1)
        .says(&["AWS KMS, CreateKey"]);
    let nobody = configured("ES256", &settings(&moto.url))
        .with_environment([("AWS_EC2_METADATA_DISABLED", "true".to_owned())]);
    nobody
        .local("serve")
        .exits(1)
        .says(&["AWS KMS, CreateKey", "credential"]);
}

#[test]
fn keys_are_made_used_and_destroyed() {
    let Some(moto) = moto_server() else { return };
    // The SDK reads its credentials from the environment of the process, so from a child's.
    let output = crate::support::clean_command(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "signers::kms::child::makes_and_destroys",
            "--ignored",
            "--nocapture",
        ])
        .envs(credentials())
        .env("IDP_TEST_KMS", &moto.url)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let states: Vec<_> = keys(&moto)
        .into_iter()
        .map(|key| key["KeyState"].clone())
        .collect();
    assert_eq!(states, ["PendingDeletion", "PendingDeletion"]);
}

mod child {
    use super::*;

    #[tokio::test]
    #[ignore = "run by another test, with credentials in its environment"]
    async fn makes_and_destroys() {
        let Ok(url) = std::env::var("IDP_TEST_KMS") else {
            return;
        };
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let settings = SignerSettings {
            backend: KeyBackend::AwsKms,
            kms: Some(KmsSettings {
                region: Some(REGION.to_owned()),
                endpoint_url: Some(url.parse().unwrap()),
                ca_file: None,
                deletion_days: 7,
            }),
            timeout: Duration::from_secs(10),
            ..SignerSettings::default()
        };
        let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) =
            (Arc::new(SystemClock), Arc::new(SystemRandom));
        let keys = Keystores::load(&settings, 10, &clock, &random)
            .await
            .unwrap();
        assert!(keys.makes_keys());
        for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256] {
            let key = keys.create(algorithm, "idp test").await.unwrap();
            assert!(key.reference.starts_with("aws-kms:arn:aws:kms:"), "{key:?}");
            let header = json!({ "alg": algorithm.as_str(), "typ": "JWT", "kid": "k" });
            let verifying = VerifyingKey::from_jwk(&key.public).unwrap();
            for _ in 0..3 {
                let input = format!("{}.e30", base64url_encode(header.to_string()));
                let signature = keys.sign(&key.reference, algorithm, input.as_bytes()).await;
                let jws = format!("{input}.{}", base64url_encode(signature.unwrap()));
                assert!(Jws::parse(&jws).unwrap().is_signed_by(&verifying));
            }
            // Again and again, until it is said to have succeeded.
            keys.destroy(&key.reference).await.unwrap();
            keys.destroy(&key.reference).await.unwrap();
        }
        let report = &keys.reports()[0];
        assert_eq!((report.name, report.signed), ("aws-kms", 6));
        let error = keys.destroy("pkcs11:id=%01").await.unwrap_err().to_string();
        assert!(error.contains("add the section [pkcs11]"), "{error}");
    }
}
