//! The editor of the AWS files against the readers of the field, under contention, killed and
//! refused.

mod agreement;
mod child;
mod crash;
mod generate;
mod oracle;
mod refusals;

use idp::{
    domain::{ExposeSecret, SecretString, Timestamp},
    ports::StsCredentials,
};

/// Credentials whose four values all tell who wrote them and at which turn.
fn credentials(writer: u32, turn: u32) -> StsCredentials {
    let tag = format!("{writer:03}x{turn:06}");
    StsCredentials {
        access_key_id: format!("ASIA{tag}"),
        secret_access_key: SecretString::from(format!("{tag}/+secret")),
        // As long as STS's own.
        session_token: SecretString::from(format!("{tag}/{}==", "IQoJb3JpZ2luX2VjE".repeat(50))),
        expires_at: Timestamp::from_secs(i64::from(writer) * 1_000_000 + i64::from(turn)),
        assumed_role_arn: "arn:aws:sts::000000000000:assumed-role/demo/s".to_owned(),
    }
}

/// The four settings as the file should have them.
fn entries(credentials: &StsCredentials) -> Vec<(&'static str, String)> {
    let secret = |secret: &SecretString| secret.expose_secret().to_owned();
    vec![
        ("aws_access_key_id", credentials.access_key_id.clone()),
        (
            "aws_secret_access_key",
            secret(&credentials.secret_access_key),
        ),
        ("aws_session_token", secret(&credentials.session_token)),
        (
            "x_security_token_expires",
            credentials.expires_at.to_string(),
        ),
    ]
}

/// Asserts that `text` is a whole file: every profile holds the four values of one write.
fn assert_unmixed(text: &str) {
    let sections =
        oracle::sdk(text, generate::Kind::Credentials).expect("the SDK's loader takes the file");
    for profile in sections.profiles() {
        let profile = sections.get_profile(profile).unwrap();
        let key = profile
            .get("aws_access_key_id")
            .expect("the profile has a key");
        let (writer, turn) = key
            .strip_prefix("ASIA")
            .and_then(|tag| tag.split_once('x'))
            .unwrap();
        for (key, value) in entries(&credentials(writer.parse().unwrap(), turn.parse().unwrap())) {
            assert_eq!(
                profile.get(key),
                Some(value.as_str()),
                "{} in {text}",
                profile.name()
            );
        }
    }
}
