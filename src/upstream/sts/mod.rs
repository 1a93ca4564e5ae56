//! AWS STS through the AWS SDK: one unsigned `AssumeRoleWithWebIdentity`, without retries.

use async_trait::async_trait;
use aws_config::{
    BehaviorVersion, Region, meta::region::ProvideRegion as _,
    profile::region::ProfileFileRegionProvider,
};
use aws_sdk_sts::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata as _, SdkError},
    operation::{
        RequestId as _,
        assume_role_with_web_identity::{
            AssumeRoleWithWebIdentityError, AssumeRoleWithWebIdentityOutput,
        },
    },
    types::PolicyDescriptorType,
};
use aws_smithy_runtime_api::client::{
    orchestrator::HttpResponse, stalled_stream_protection::StalledStreamProtectionConfig,
};

use super::{
    guard::Allow,
    http::{HttpClient, HttpSettings},
    transport::Transport,
};
use crate::{
    domain::{ExposeSecret as _, Partition, SecretString, Timestamp},
    ports::{Sts, StsCredentials, StsError, StsRefusal, StsRequest},
};

/// Where STS is looked for. What is `None` is read as every AWS SDK reads it, from the environment
/// and the profile.
#[derive(Clone, Debug)]
pub struct StsSettings {
    /// The region, where a flag or `AWS_REGION` or `AWS_DEFAULT_REGION` names one.
    pub region: Option<String>,
    /// The endpoint, where a flag names one; before `AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL` and
    /// the profile's.
    pub endpoint_url: Option<String>,
    /// The profile that region and endpoint are read from; `AWS_PROFILE`'s or `default` if `None`.
    pub profile: Option<String>,
    /// Whose default region stands in where nothing names one.
    pub partition: Partition,
    /// How connections are made.
    pub http: HttpSettings,
}

/// AWS STS.
#[derive(Clone, Debug)]
pub struct AwsSts {
    client: Client,
    transport: Transport,
    region: Option<String>,
}

impl AwsSts {
    /// Reads the AWS configuration; asks no instance metadata service and needs no credentials.
    pub async fn load(settings: StsSettings) -> Self {
        let mut region = settings.region;
        if region.is_none() {
            let mut profile = ProfileFileRegionProvider::builder();
            if let Some(name) = &settings.profile {
                profile = profile.profile_name(name);
            }
            region = profile.build().region().await.map(|r| r.to_string());
        }
        let effective = region
            .clone()
            .unwrap_or_else(|| settings.partition.default_region().to_owned());
        let transport = Transport::new(HttpClient::new(settings.http, Allow::AnyAddress));
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .no_credentials()
            .region(Region::new(effective))
            .http_client(transport.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(name) = settings.profile {
            loader = loader.profile_name(name);
        }
        if let Some(url) = settings.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        Self {
            client: Client::new(&loader.load().await),
            transport,
            region,
        }
    }

    /// The region that the user named by flag, environment or profile; `None` where the partition's
    /// default stands in.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    fn endpoint(&self) -> String {
        self.transport
            .endpoint()
            .unwrap_or_else(|| "its configured endpoint".to_owned())
    }

    fn not_sts(&self, status: u16, problem: impl Into<String>) -> StsError {
        StsError::NotSts {
            endpoint: self.endpoint(),
            status,
            problem: problem.into(),
        }
    }

    fn explain(&self, error: &SdkError<AssumeRoleWithWebIdentityError, HttpResponse>) -> StsError {
        match error {
            SdkError::ServiceError(context) => {
                let status = context.raw().status().as_u16();
                match context.err().code() {
                    Some(code) => StsError::Refused(StsRefusal {
                        code: code.to_owned(),
                        message: context.err().message().unwrap_or_default().to_owned(),
                        status,
                        request_id: context.err().request_id().map(str::to_owned),
                    }),
                    None => self.not_sts(status, "its answer has no error code"),
                }
            }
            SdkError::ResponseError(context) => {
                self.not_sts(context.raw().status().as_u16(), "its answer cannot be read")
            }
            other => StsError::Unreachable {
                endpoint: self.endpoint(),
                reason: innermost(other),
            },
        }
    }

    fn credentials(
        &self,
        output: &AssumeRoleWithWebIdentityOutput,
    ) -> Result<StsCredentials, StsError> {
        let missing = |what: &str| self.not_sts(200, format!("its answer has no {what}"));
        let credentials = output.credentials().ok_or_else(|| missing("Credentials"))?;
        let expires_at = credentials
            .expiration()
            .to_millis()
            .map_err(|_| missing("Expiration that can be read"))?;
        Ok(StsCredentials {
            access_key_id: credentials.access_key_id().to_owned(),
            secret_access_key: credentials.secret_access_key().into(),
            session_token: credentials.session_token().into(),
            expires_at: Timestamp::from_ms(expires_at),
            assumed_role_arn: output
                .assumed_role_user()
                .map(|user| user.arn().to_owned())
                .ok_or_else(|| missing("AssumedRoleUser"))?,
        })
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[async_trait]
impl Sts for AwsSts {
    async fn assume_role_with_web_identity(
        &self,
        request: &StsRequest,
        token: &SecretString,
    ) -> Result<StsCredentials, StsError> {
        let policies = request
            .policy_arns
            .iter()
            .map(|arn| PolicyDescriptorType::builder().arn(arn).build())
            .collect::<Vec<_>>();
        let output = self
            .client
            .assume_role_with_web_identity()
            .role_arn(request.role.to_string())
            .role_session_name(&request.session_name)
            .web_identity_token(token.expose_secret())
            .duration_seconds(i32::try_from(request.duration_secs).unwrap_or(i32::MAX))
            .set_policy(request.policy.clone())
            .set_policy_arns((!policies.is_empty()).then_some(policies))
            .send()
            .await
            .map_err(|error| self.explain(&error))?;
        self.credentials(&output)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{Router, http::StatusCode, routing::post};

    use super::*;

    type Seen = Arc<Mutex<Vec<Vec<(String, String)>>>>;

    async fn sts(status: u16, body: &'static str) -> (AwsSts, Seen) {
        let seen = Seen::default();
        let log = Arc::clone(&seen);
        let app = Router::new().route(
            "/",
            post(move |form: String| async move {
                let form = url::form_urlencoded::parse(form.as_bytes());
                log.lock().unwrap().push(form.into_owned().collect());
                let status = StatusCode::from_u16(status).unwrap();
                (status, [("x-amzn-requestid", "r-1")], body)
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (load(&url).await, seen)
    }

    async fn load(url: &str) -> AwsSts {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        AwsSts::load(StsSettings {
            region: Some("eu-west-1".to_owned()),
            endpoint_url: Some(url.to_owned()),
            profile: None,
            partition: Partition::Aws,
            http: HttpSettings::default(),
        })
        .await
    }

    fn request() -> StsRequest {
        StsRequest {
            role: "arn:aws:iam::123456789012:role/demo".parse().unwrap(),
            session_name: "me".to_owned(),
            duration_secs: 3600,
            policy: None,
            policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()],
        }
    }

    const GOOD: &str = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
        <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId>\
        <SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken>\
        <Expiration>2026-01-31T12:00:00Z</Expiration></Credentials><AssumedRoleUser>\
        <AssumedRoleId>AROA:me</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/demo/me</Arn>\
        </AssumedRoleUser></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";

    const DENIED: &str = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>\
        <Type>Sender</Type><Code>SomethingNew</Code><Message>no</Message></Error>\
        <RequestId>r-1</RequestId></ErrorResponse>";

    #[tokio::test]
    async fn sends_an_unsigned_form_and_reads_the_answer() {
        let (sts, seen) = sts(200, GOOD).await;
        let credentials = sts
            .assume_role_with_web_identity(&request(), &"a.b.c".into())
            .await
            .unwrap();
        assert_eq!(credentials.access_key_id, "ASIAEXAMPLE");
        assert_eq!(credentials.expires_at.to_string(), "2026-01-31T12:00:00Z");
        assert_eq!(
            credentials.assumed_role_arn,
            "arn:aws:sts::123456789012:assumed-role/demo/me"
        );
        let form = seen.lock().unwrap()[0].clone();
        let pairs: Vec<_> = form.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("Action", "AssumeRoleWithWebIdentity"),
                ("Version", "2011-06-15"),
                ("RoleArn", "arn:aws:iam::123456789012:role/demo"),
                ("RoleSessionName", "me"),
                ("WebIdentityToken", "a.b.c"),
                (
                    "PolicyArns.member.1.arn",
                    "arn:aws:iam::aws:policy/ReadOnlyAccess"
                ),
                ("DurationSeconds", "3600"),
            ]
        );
        assert_eq!(sts.region(), Some("eu-west-1"));
    }

    #[tokio::test]
    async fn keeps_codes_that_the_model_does_not_know() {
        let (sts, seen) = sts(418, DENIED).await;
        let error = sts
            .assume_role_with_web_identity(&request(), &"a.b.c".into())
            .await
            .unwrap_err();
        let StsError::Refused(refusal) = error else {
            panic!("{error}");
        };
        assert_eq!(
            (
                refusal.code.as_str(),
                refusal.message.as_str(),
                refusal.status
            ),
            ("SomethingNew", "no", 418)
        );
        assert_eq!(refusal.request_id.as_deref(), Some("r-1"));
        assert_eq!(seen.lock().unwrap().len(), 1, "retries are the caller's");
    }

    #[tokio::test]
    async fn a_server_error_is_tried_once() {
        let (sts, seen) = sts(503, DENIED).await;
        let error = sts
            .assume_role_with_web_identity(&request(), &"a.b.c".into())
            .await
            .unwrap_err();
        assert!(matches!(error, StsError::Refused(r) if r.status == 503));
        assert_eq!(seen.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_is_not_sts_is_told_apart() {
        for (status, body) in [
            (502, "<html>bad gateway</html>"),
            (403, "no"),
            (200, "<html/>"),
        ] {
            let (sts, _) = sts(status, body).await;
            let error = sts
                .assume_role_with_web_identity(&request(), &"a.b.c".into())
                .await
                .unwrap_err();
            assert!(
                matches!(&error, StsError::NotSts { endpoint, status: told, .. }
                    if endpoint.starts_with("http://127.0.0.1:") && *told == status),
                "{status}: {error}"
            );
        }
    }

    #[tokio::test]
    async fn says_why_it_cannot_be_reached() {
        let error = load("http://127.0.0.1:1")
            .await
            .assume_role_with_web_identity(&request(), &"a.b.c".into())
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "AWS STS at http://127.0.0.1:1 could not be reached: Connection refused (os error 111)"
        );
    }
}
