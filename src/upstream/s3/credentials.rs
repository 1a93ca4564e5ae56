//! AWS credentials, region and endpoint, as every AWS SDK finds them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::{Credentials, provider::ProvideCredentials as _};
use aws_types::service_config::ServiceConfigKey;
use tokio::sync::Mutex;

use crate::{
    domain::Timestamp,
    upstream::{
        guard::Allow,
        http::{HttpClient, HttpSettings},
        transport::Transport,
    },
};

/// Credentials are fetched anew this long before they expire.
const MARGIN: Duration = Duration::from_mins(5);

/// S3's region where nothing names one; S3 then says which it is.
const DEFAULT_REGION: &str = "us-east-1";

/// The AWS configuration, and credentials while they last.
pub(super) struct Aws {
    config: SdkConfig,
    endpoint: Option<String>,
    credentials: Mutex<Option<Credentials>>,
}

impl Aws {
    pub(super) async fn load(http: HttpSettings) -> Self {
        let transport = Transport::new(HttpClient::new(http, Allow::AnyAddress));
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(transport)
            .load()
            .await;
        let key = ServiceConfigKey::builder()
            .service_id("S3")
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok();
        let for_s3 = config
            .service_config()
            .zip(key)
            .and_then(|(service, key)| service.load_config(key));
        Self {
            endpoint: for_s3.or_else(|| config.endpoint_url().map(str::to_owned)),
            config,
            credentials: Mutex::new(None),
        }
    }

    pub(super) fn region(&self) -> &str {
        self.config
            .region()
            .map_or(DEFAULT_REGION, |region| region.as_ref())
    }

    pub(super) fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// Credentials that last for a while; an error says where was looked.
    pub(super) async fn credentials(&self, now: Timestamp) -> Result<Credentials, String> {
        let mut kept = self.credentials.lock().await;
        if let Some(credentials) = kept.as_ref().filter(|kept| lasts(kept.expiry(), now)) {
            return Ok(credentials.clone());
        }
        let provider = self
            .config
            .credentials_provider()
            .ok_or("the AWS configuration names none")?;
        let fresh = provider
            .provide_credentials()
            .await
            .map_err(|error| innermost(&error))?;
        Ok(kept.insert(fresh).clone())
    }
}

fn lasts(expiry: Option<SystemTime>, now: Timestamp) -> bool {
    let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.ms()).unwrap_or(0));
    expiry.is_none_or(|expiry| now + MARGIN < expiry)
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
