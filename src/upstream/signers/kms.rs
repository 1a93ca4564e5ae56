//! Keys in AWS KMS. Credentials and region come from where every AWS SDK takes them.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_kms::{
    Client,
    config::{Builder, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec, Tag},
};
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;

use crate::{
    config::KmsSettings,
    domain::SigningAlgorithm,
    jose::{ecdsa_signature_of_der, jwk_of_public_key_info, sha256},
    ports::{ExternalKey, ExternalKeys, SignError, UnkeptKey},
    upstream::{
        guard::Allow,
        http::{HttpClient, HttpSettings},
        transport::Transport,
    },
};

/// What a stored reference of this keystore begins with; the key's ARN follows.
pub(super) const PREFIX: &str = "aws-kms:";

/// The longest message that KMS hashes itself
/// (<https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html>).
const LONGEST_RAW: usize = 4096;

/// How often a key that was just made is looked for: KMS is eventually consistent.
const TRIES: u32 = 5;

/// Between two of these tries.
const PAUSE: Duration = Duration::from_millis(200);

/// AWS KMS.
#[derive(Clone, Debug)]
pub struct KmsKeys {
    /// Never tries twice: a second `CreateKey` is a second key.
    client: Client,
    /// For signatures, of which a second one costs nothing.
    patient: Client,
    deletion_days: i32,
}

impl KmsKeys {
    /// Reads the AWS configuration. Asks KMS nothing yet. `timeout` is for each request.
    pub async fn load(settings: &KmsSettings, timeout: Duration) -> Self {
        let http = HttpSettings {
            roots: settings.ca_file.clone(),
            connect_timeout: timeout.min(HttpSettings::default().connect_timeout),
            total_timeout: timeout.max(HttpSettings::default().connect_timeout),
            ..HttpSettings::default()
        };
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(Transport::new(HttpClient::new(http, Allow::AnyAddress)))
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let shared = loader.load().await;
        let mut config = Builder::from(&shared);
        if let Some(url) = &settings.endpoint_url {
            config = config.endpoint_url(url.as_str());
        }
        let patient = config
            .clone()
            .retry_config(RetryConfig::standard().with_max_attempts(2));
        Self {
            client: Client::from_conf(config.build()),
            patient: Client::from_conf(patient.build()),
            deletion_days: i32::from(settings.deletion_days),
        }
    }

    /// The public half of a key that was made a moment ago.
    async fn public_key(&self, id: &str) -> Result<Vec<u8>, SignError> {
        let mut tried = 1;
        loop {
            match self.client.get_public_key().key_id(id).send().await {
                Ok(found) => {
                    let der = found.public_key.map(Blob::into_inner);
                    return der.ok_or_else(|| failed("GetPublicKey", "its answer has no key"));
                }
                Err(error) if tried < TRIES && is_missing(&error) => {
                    tried += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(explain("GetPublicKey", &error)),
            }
        }
    }
}

#[async_trait]
impl ExternalKeys for KmsKeys {
    async fn create(
        &self,
        algorithm: SigningAlgorithm,
        label: &str,
    ) -> Result<ExternalKey, SignError> {
        let spec = match algorithm {
            SigningAlgorithm::Rs256 => KeySpec::Rsa2048,
            SigningAlgorithm::Es256 => KeySpec::EccNistP256,
        };
        let tag = Tag::builder()
            .tag_key("idp")
            .tag_value(tag_value(label))
            .build()
            .map_err(|error| failed("CreateKey", &error.to_string()))?;
        let made = self
            .client
            .create_key()
            .key_spec(spec)
            .key_usage(KeyUsageType::SignVerify)
            .description(format!(
                "{label}: signs tokens. Made by idp, which schedules its deletion when it is retired."
            ))
            .tags(tag)
            .send()
            .await
            .map_err(|error| explain("CreateKey", &error))?;
        let metadata = made
            .key_metadata
            .ok_or_else(|| failed("CreateKey", "its answer does not say which key it made"))?;
        let id = metadata.arn.unwrap_or(metadata.key_id);
        let reference = format!("{PREFIX}{id}");
        // Where its public half cannot be had, nobody would ever know of it again.
        let unkept = UnkeptKey::new(Arc::new(self.clone()), reference.clone());
        let public = self.public_key(&id).await.and_then(|der| {
            jwk_of_public_key_info(algorithm, &der)
                .map_err(|error| failed("GetPublicKey", &error.to_string()))
        });
        match public {
            Ok(public) => {
                unkept.keep();
                Ok(ExternalKey { public, reference })
            }
            Err(error) => {
                unkept.destroy().await;
                Err(error)
            }
        }
    }

    async fn sign(
        &self,
        reference: &str,
        algorithm: SigningAlgorithm,
        input: &[u8],
    ) -> Result<Vec<u8>, SignError> {
        let (kind, message) = if input.len() <= LONGEST_RAW {
            (MessageType::Raw, input.to_vec())
        } else {
            (MessageType::Digest, sha256(input).to_vec())
        };
        let spec = match algorithm {
            SigningAlgorithm::Rs256 => SigningAlgorithmSpec::RsassaPkcs1V15Sha256,
            SigningAlgorithm::Es256 => SigningAlgorithmSpec::EcdsaSha256,
        };
        let signed = self
            .patient
            .sign()
            .key_id(id_of(reference)?)
            .message(Blob::new(message))
            .message_type(kind)
            .signing_algorithm(spec)
            .send()
            .await
            .map_err(|error| explain("Sign", &error))?;
        let signature = signed.signature.map(Blob::into_inner).unwrap_or_default();
        let signature = match algorithm {
            SigningAlgorithm::Rs256 => Some(signature).filter(|bytes| bytes.len() == 256),
            SigningAlgorithm::Es256 => ecdsa_signature_of_der(&signature),
        };
        signature.ok_or_else(|| failed("Sign", "its answer is no signature of the algorithm"))
    }

    async fn destroy(&self, reference: &str) -> Result<(), SignError> {
        let deleted = self
            .client
            .schedule_key_deletion()
            .key_id(bare_id(id_of(reference)?))
            .pending_window_in_days(self.deletion_days)
            .send()
            .await;
        match deleted {
            Ok(_) => Ok(()),
            // Gone, or to be deleted already.
            Err(error)
                if is_missing(&error) || error.code() == Some("KMSInvalidStateException") =>
            {
                Ok(())
            }
            Err(error) => Err(explain("ScheduleKeyDeletion", &error)),
        }
    }
}

fn id_of(reference: &str) -> Result<&str, SignError> {
    reference
        .strip_prefix(PREFIX)
        .ok_or_else(|| SignError::Failed(format!("{reference:?} is not a key of AWS KMS")))
}

/// The id at the end of a key's ARN. Deletion never crosses accounts, so it needs no more.
fn bare_id(arn: &str) -> &str {
    arn.rsplit_once('/').map_or(arn, |(_, id)| id)
}

fn is_missing<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.code() == Some("NotFoundException")
}

fn failed(operation: &str, reason: &str) -> SignError {
    SignError::Failed(format!("AWS KMS, {operation}: {reason}"))
}

fn explain<E, R>(operation: &str, error: &SdkError<E, R>) -> SignError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    match (error.code(), error.message()) {
        (Some(code), message) => failed(
            operation,
            &format!("{code}: {}", message.unwrap_or("no message")),
        ),
        (None, _) => failed(operation, &innermost(error)),
    }
}

/// What happened, without the layers that an SDK wraps it in.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// A tag's value has at most 256 characters of a small set
/// (<https://docs.aws.amazon.com/kms/latest/APIReference/API_Tag.html>); others become `_`.
fn tag_value(label: &str) -> String {
    label
        .chars()
        .take(256)
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || " _.:/=+-@".contains(c) => c,
            _ => '_',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_allowed_characters_only() {
        assert_eq!(
            tag_value("idp https://idp.example.com/o/1"),
            "idp https://idp.example.com/o/1"
        );
        assert_eq!(tag_value("a~b\nü%"), "a_b___");
        assert_eq!(tag_value(&"x".repeat(300)).len(), 256);
    }

    #[test]
    fn references_of_others_are_refused() {
        assert_eq!(id_of("aws-kms:arn:x").unwrap(), "arn:x");
        assert_eq!(bare_id("arn:aws:kms:eu-west-1:1:key/a-b"), "a-b");
        assert_eq!(bare_id("a-b"), "a-b");
        assert!(id_of("pkcs11:id=%01").is_err());
    }
}
