//! AWS credentials in the forms that programs read.

use serde::{Deserialize, Serialize};

use super::secret_text;
use crate::{
    domain::{ExposeSecret as _, SecretString, Timestamp},
    ports::StsCredentials,
};

/// What the SDKs' `credential_process` contract reads from standard output.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessOutput<'a> {
    version: u8,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    session_token: &'a str,
    expiration: String,
}

/// The `credential_process` JSON, on one line, without a newline at its end.
#[must_use]
pub fn process_json(credentials: &StsCredentials) -> SecretString {
    to_json(&ProcessOutput {
        version: 1,
        access_key_id: &credentials.access_key_id,
        secret_access_key: credentials.secret_access_key.expose_secret(),
        session_token: credentials.session_token.expose_secret(),
        expiration: credentials.expires_at.to_string(),
    })
}

/// Credentials as our own JSON has them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PlainCredentials {
    access_key_id: String,
    #[serde(with = "secret_text")]
    secret_access_key: SecretString,
    #[serde(with = "secret_text")]
    session_token: SecretString,
    expires_at: String,
    assumed_role_arn: String,
}

impl From<&StsCredentials> for PlainCredentials {
    fn from(from: &StsCredentials) -> Self {
        Self {
            access_key_id: from.access_key_id.clone(),
            secret_access_key: from.secret_access_key.clone(),
            session_token: from.session_token.clone(),
            expires_at: from.expires_at.to_string(),
            assumed_role_arn: from.assumed_role_arn.clone(),
        }
    }
}

impl PlainCredentials {
    /// The credentials, where their expiry can be read.
    pub(super) fn into_credentials(self) -> Option<StsCredentials> {
        let expires_at: jiff::Timestamp = self.expires_at.parse().ok()?;
        Some(StsCredentials {
            access_key_id: self.access_key_id,
            secret_access_key: self.secret_access_key,
            session_token: self.session_token,
            expires_at: Timestamp::from_ms(expires_at.as_millisecond()),
            assumed_role_arn: self.assumed_role_arn,
        })
    }
}

/// The credentials as one JSON object in `snake_case`, without a newline at its end.
#[must_use]
pub fn plain_json(credentials: &StsCredentials) -> SecretString {
    to_json(&PlainCredentials::from(credentials))
}

/// Names and values of the environment variables that carry `credentials`; both spellings of the
/// region, because botocore reads only the older one.
#[must_use]
pub fn variables(
    credentials: &StsCredentials,
    region: Option<&str>,
) -> Vec<(&'static str, SecretString)> {
    let mut variables = vec![
        (
            "AWS_ACCESS_KEY_ID",
            credentials.access_key_id.as_str().into(),
        ),
        (
            "AWS_SECRET_ACCESS_KEY",
            credentials.secret_access_key.clone(),
        ),
        ("AWS_SESSION_TOKEN", credentials.session_token.clone()),
        (
            "AWS_CREDENTIAL_EXPIRATION",
            credentials.expires_at.to_string().into(),
        ),
    ];
    if let Some(region) = region {
        variables.push(("AWS_REGION", region.into()));
        variables.push(("AWS_DEFAULT_REGION", region.into()));
    }
    variables
}

/// `export NAME='value'` lines for `eval` in a POSIX shell.
#[must_use]
pub fn export_lines(credentials: &StsCredentials, region: Option<&str>) -> SecretString {
    let mut lines = String::with_capacity(2048);
    for (name, value) in variables(credentials, region) {
        lines.push_str("export ");
        lines.push_str(name);
        lines.push_str("='");
        lines.push_str(&value.expose_secret().replace('\'', "'\\''"));
        lines.push_str("'\n");
    }
    lines.into()
}

fn to_json(value: &impl Serialize) -> SecretString {
    // Structs of strings and numbers always serialise.
    serde_json::to_string(value).unwrap_or_default().into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn example(expires_at: Timestamp) -> StsCredentials {
        StsCredentials {
            access_key_id: "ASIAEXAMPLE".to_owned(),
            secret_access_key: "se'cret".into(),
            session_token: "session/token==".into(),
            expires_at,
            assumed_role_arn: "arn:aws:sts::123456789012:assumed-role/demo/me".to_owned(),
        }
    }

    const EXPIRY: Timestamp = Timestamp::from_secs(1_740_514_245);

    #[test]
    fn the_process_form_is_what_sdks_read() {
        assert_eq!(
            process_json(&example(EXPIRY)).expose_secret(),
            "{\"Version\":1,\"AccessKeyId\":\"ASIAEXAMPLE\",\"SecretAccessKey\":\"se'cret\",\
             \"SessionToken\":\"session/token==\",\"Expiration\":\"2025-02-25T20:10:45Z\"}"
        );
    }

    #[test]
    fn the_plain_form_survives_reading() {
        let json = plain_json(&example(EXPIRY));
        let read: PlainCredentials = serde_json::from_str(json.expose_secret()).unwrap();
        assert!(!format!("{read:?}").contains("se'cret"));
        let read = read.into_credentials().unwrap();
        assert_eq!(read.expires_at, EXPIRY);
        assert_eq!(read.secret_access_key.expose_secret(), "se'cret");
    }

    #[test]
    fn shell_lines_are_quoted() {
        let lines = export_lines(&example(EXPIRY), Some("eu-west-1"));
        let lines = lines.expose_secret();
        assert!(lines.contains("export AWS_SECRET_ACCESS_KEY='se'\\''cret'\n"));
        assert!(lines.contains("export AWS_DEFAULT_REGION='eu-west-1'\n"));
        assert_eq!(lines.lines().count(), 6);
    }
}
