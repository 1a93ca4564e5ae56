//! What `AssumeRoleWithWebIdentity` may be asked for, checked before anything is sent (limits: the
//! STS API reference).

use serde_json::Value;

use crate::{
    domain::{Arn, RoleArn},
    ports::StsRequest,
};

/// The shortest session, in seconds.
pub const MIN_DURATION: u32 = 900;
/// The longest session, in seconds; a role's own maximum may be lower.
pub const MAX_DURATION: u32 = 43_200;
/// Characters in a session policy, and in inline and managed ones together.
const MAX_POLICY: usize = 2048;
/// Managed session policies.
const MAX_POLICY_ARNS: usize = 10;

/// Why a request is refused here already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssumeError {
    /// The session's length is out of bounds.
    #[error(
        "a session lasts from {MIN_DURATION} to {MAX_DURATION} seconds, not {0}; the role's own \
         maximum may be lower"
    )]
    Duration(u32),
    /// The session's name is malformed.
    #[error(
        "a role session name has 2 to 64 characters of a-z, A-Z, 0-9 and _+=,.@- ; {0:?} does not fit"
    )]
    SessionName(String),
    /// The session policy is too long.
    #[error("a session policy may have at most {MAX_POLICY} characters, this one has {0}")]
    PolicyLength(usize),
    /// The session policy is not a JSON object.
    #[error("the session policy is not a JSON object: {0}")]
    PolicyJson(String),
    /// Too many managed session policies.
    #[error("at most {MAX_POLICY_ARNS} policy ARNs can be given, not {0}")]
    PolicyCount(usize),
    /// Not the ARN of a managed policy.
    #[error(
        "{0:?} is not the ARN of a managed policy, which looks like \
         arn:aws:iam::123456789012:policy/NAME or arn:aws:iam::aws:policy/NAME"
    )]
    PolicyArn(String),
}

/// Checks every part and puts the request together.
pub fn assume_request(
    role: RoleArn,
    session_name: String,
    duration_secs: u32,
    policy: Option<String>,
    policy_arns: Vec<String>,
) -> Result<StsRequest, AssumeError> {
    if !(MIN_DURATION..=MAX_DURATION).contains(&duration_secs) {
        return Err(AssumeError::Duration(duration_secs));
    }
    let name_fits = (2..=64).contains(&session_name.len())
        && session_name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
    if !name_fits {
        return Err(AssumeError::SessionName(
            session_name.chars().take(80).collect(),
        ));
    }
    if let Some(policy) = &policy {
        check_policy(policy)?;
    }
    if policy_arns.len() > MAX_POLICY_ARNS {
        return Err(AssumeError::PolicyCount(policy_arns.len()));
    }
    if let Some(bad) = policy_arns.iter().find(|arn| !is_policy_arn(arn)) {
        return Err(AssumeError::PolicyArn(bad.chars().take(200).collect()));
    }
    Ok(StsRequest {
        role,
        session_name,
        duration_secs,
        policy,
        policy_arns,
    })
}

fn check_policy(policy: &str) -> Result<(), AssumeError> {
    let characters = policy.chars().count();
    if characters > MAX_POLICY {
        return Err(AssumeError::PolicyLength(characters));
    }
    match serde_json::from_str::<Value>(policy) {
        Ok(Value::Object(_)) => Ok(()),
        Ok(_) => Err(AssumeError::PolicyJson(
            "it is another JSON value".to_owned(),
        )),
        Err(error) => Err(AssumeError::PolicyJson(error.to_string())),
    }
}

fn is_policy_arn(text: &str) -> bool {
    // AWS's own policies have "aws" where the account's twelve digits stand.
    let with_account = text.replacen(":iam::aws:", ":iam::000000000000:", 1);
    (20..=2048).contains(&text.len())
        && with_account.parse::<Arn>().is_ok_and(|arn| {
            arn.service == "iam" && arn.region.is_empty() && arn.resource.starts_with("policy/")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(
        name: &str,
        duration: u32,
        policy: Option<&str>,
        arns: &[&str],
    ) -> Result<StsRequest, AssumeError> {
        assume_request(
            "arn:aws:iam::123456789012:role/demo".parse().unwrap(),
            name.to_owned(),
            duration,
            policy.map(str::to_owned),
            arns.iter().map(|arn| (*arn).to_owned()).collect(),
        )
    }

    #[test]
    fn takes_what_sts_takes() {
        for name in ["me", "019527e4-75d5-704d-a5a4-a2b52cf56196", "a_+=,.@-"] {
            request(name, 900, None, &[]).unwrap();
        }
        request(
            "me",
            43_200,
            Some(r#"{"Version":"2012-10-17","Statement":[]}"#),
            &[
                "arn:aws:iam::aws:policy/ReadOnlyAccess",
                "arn:aws-cn:iam::123456789012:policy/path/mine",
            ],
        )
        .unwrap();
    }

    #[test]
    fn refuses_what_sts_would_refuse() {
        for name in ["", "a", "a b", "é-name", "a/b", &"x".repeat(65)] {
            assert!(matches!(
                request(name, 900, None, &[]),
                Err(AssumeError::SessionName(_))
            ));
        }
        for duration in [0, 899, 43_201] {
            assert_eq!(
                request("me", duration, None, &[]).unwrap_err(),
                AssumeError::Duration(duration)
            );
        }
        for (policy, says) in [
            ("", "not a JSON object"),
            ("[]", "another JSON value"),
            ("{", "not a JSON object"),
            (&format!("{{\"a\":\"{}\"}}", "x".repeat(2048)), "2056"),
        ] {
            let error = request("me", 900, Some(policy), &[]).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
        for arn in [
            "x",
            "arn:aws:iam::123456789012:role/x",
            "arn:aws:s3:::bucket-of-mine",
        ] {
            assert!(matches!(
                request("me", 900, None, &[arn]),
                Err(AssumeError::PolicyArn(_))
            ));
        }
        let many = ["arn:aws:iam::aws:policy/ReadOnlyAccess"; 11];
        assert_eq!(
            request("me", 900, None, &many).unwrap_err(),
            AssumeError::PolicyCount(11)
        );
    }
}
