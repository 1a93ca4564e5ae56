//! Running a command with AWS credentials in its environment.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt as _,
    process::Command,
};

use super::credentials::variables;
use crate::{domain::ExposeSecret as _, ports::StsCredentials};

/// Variables that would win over, or mix with, the credentials that the command is given; and this
/// program's own secrets, which are nobody's business.
const REMOVED: [&str; 17] = [
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "IDP_ADMIN_TOKEN",
    "IDP_AWS_ROLE_ARN",
    "IDP_DATABASE_URL",
    "IDP_JOIN_TOKEN",
    "IDP_KEY_PASSPHRASE",
];

/// A command that did not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot run {}: {cause}", .program.display())]
pub struct ExecError {
    /// What was to be run.
    pub program: OsString,
    /// The system's answer.
    pub cause: io::Error,
}

impl ExecError {
    /// The exit code that shells use: 127 where there is no such command, 126 where it cannot be
    /// executed (POSIX, Shell Command Language §2.8.2).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.cause.kind() {
            io::ErrorKind::NotFound => 127,
            _ => 126,
        }
    }
}

/// Replaces this process with `program`, so that its signals and exit code are the command's own.
/// Returns only where that fails.
#[must_use]
pub fn exec(
    program: &OsStr,
    arguments: &[OsString],
    credentials: &StsCredentials,
    region: Option<&str>,
) -> ExecError {
    ExecError {
        program: program.to_owned(),
        cause: command(program, arguments, credentials, region).exec(),
    }
}

fn command(
    program: &OsStr,
    arguments: &[OsString],
    credentials: &StsCredentials,
    region: Option<&str>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    for name in REMOVED {
        command.env_remove(name);
    }
    for (name, value) in variables(credentials, region) {
        command.env(name, value.expose_secret());
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::credentials::tests::example, domain::Timestamp};

    #[test]
    fn sets_and_removes_variables() {
        let credentials = example(Timestamp::from_secs(0));
        let command = command("true".as_ref(), &[], &credentials, Some("eu-west-1"));
        let variable = |name: &str| {
            command
                .get_envs()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.map(|v| v.to_str().unwrap().to_owned()))
        };
        assert_eq!(
            variable("AWS_ACCESS_KEY_ID"),
            Some(Some("ASIAEXAMPLE".to_owned()))
        );
        assert_eq!(variable("AWS_REGION"), Some(Some("eu-west-1".to_owned())));
        assert_eq!(
            variable("AWS_SESSION_TOKEN"),
            Some(Some("session/token==".to_owned()))
        );
        for name in [
            "AWS_PROFILE",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "IDP_ADMIN_TOKEN",
            "IDP_DATABASE_URL",
            "IDP_JOIN_TOKEN",
            "IDP_KEY_PASSPHRASE",
        ] {
            assert_eq!(variable(name), Some(None), "{name}");
        }
        assert_eq!(variable("PATH"), None);
    }

    #[test]
    fn a_missing_command_is_127_and_another_failure_126() {
        let credentials = example(Timestamp::from_secs(0));
        let missing = exec("/nonexistent/command".as_ref(), &[], &credentials, None);
        assert_eq!(missing.exit_code(), 127);
        assert!(missing.to_string().contains("/nonexistent/command"));
        let directory = exec("/".as_ref(), &[], &credentials, None);
        assert_eq!(directory.exit_code(), 126);
    }
}
