//! `AssumeRoleWithWebIdentity` as `CloudTrail` records it.

use serde_json::Value;

use crate::domain::Timestamp;

/// One event ([logging IAM and STS calls]).
///
/// [logging IAM and STS calls]: https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEvent {
    /// The event's id.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// The identity provider: its ARN, or the issuer without its scheme.
    pub provider: String,
    /// The token's subject.
    pub subject: String,
    /// The token's audience, where STS took the token.
    pub audience: Option<String>,
    /// The role.
    pub role_arn: String,
    /// The session's name.
    pub session_name: String,
    /// The source identity.
    pub source_identity: Option<String>,
    /// STS's refusal, where it refused.
    pub error_code: Option<String>,
    /// Where the request came from.
    pub source: String,
}

impl SessionEvent {
    /// Reads an event; `None` where it is one of another kind.
    pub(super) fn read(event: &Value) -> Option<Self> {
        if event["eventSource"] != "sts.amazonaws.com"
            || event["eventName"] != "AssumeRoleWithWebIdentity"
        {
            return None;
        }
        let text = |path: &str| event.pointer(path).and_then(Value::as_str);
        let first = |paths: &[&str]| paths.iter().find_map(|path| text(path));
        let owned = |found: Option<&str>| found.unwrap_or_default().to_owned();
        let at: jiff::Timestamp = text("/eventTime")?.parse().ok()?;
        Some(Self {
            id: owned(text("/eventID")),
            at: Timestamp::from_ms(at.as_millisecond()),
            provider: owned(first(&[
                "/userIdentity/identityProvider",
                "/responseElements/provider",
            ])),
            subject: owned(first(&[
                "/userIdentity/userName",
                "/responseElements/subjectFromWebIdentityToken",
            ])),
            audience: text("/responseElements/audience").map(str::to_owned),
            role_arn: owned(text("/requestParameters/roleArn")),
            session_name: owned(text("/requestParameters/roleSessionName")),
            source_identity: first(&[
                "/responseElements/sourceIdentity",
                "/requestParameters/sourceIdentity",
            ])
            .map(str::to_owned),
            error_code: text("/errorCode").map(str::to_owned),
            source: owned(text("/sourceIPAddress")),
        })
    }

    /// Whether the token was, or claimed to be, of an issuer known to IAM as `provider`, or of one of
    /// its organisations' own.
    #[must_use]
    pub fn is_of(&self, provider: &str) -> bool {
        let name = self
            .provider
            .split_once(":oidc-provider/")
            .map_or(self.provider.as_str(), |(_, name)| name);
        name.strip_prefix(provider)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("/o/"))
    }

    /// The organisation in the subject.
    #[must_use]
    pub fn organization(&self) -> Option<&str> {
        self.subject.strip_prefix("org:")?.split('/').next()
    }

    /// The environment in the subject.
    pub(super) fn environment(&self) -> Option<&str> {
        let (_, id) = self.subject.rsplit_once("/env:")?;
        Some(id)
    }
}
