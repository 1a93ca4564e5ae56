//! The claims for AWS of one token.

use super::TokenRefusal;
use crate::domain::{Audience, AwsProfile, AwsTokenClaims, RoleArn, SessionTags, Subject};

/// What the token for `audience` says to AWS; `role` is the `role_arn` parameter.
///
/// Only tokens for AWS STS carry such claims. Where the organisation pins tokens to roles, a token
/// is good for the role that was asked for; without one for the roles of the environment's list.
/// Where it does not, the parameter has no effect, so that clients can always send it.
pub(super) fn claims(
    subject: &Subject,
    aws: &AwsProfile,
    audience: &Audience,
    role: Option<&str>,
) -> Result<AwsTokenClaims, TokenRefusal> {
    if *audience != Audience::sts() {
        return match role {
            None => Ok(AwsTokenClaims::default()),
            Some(_) => Err(TokenRefusal::InvalidRequest(format!(
                "role_arn goes with the audience {} only",
                Audience::sts()
            ))),
        };
    }
    let role = role
        .map(str::parse)
        .transpose()
        .map_err(|error| TokenRefusal::InvalidRequest(format!("role_arn: {error}")))?;
    let tags = aws
        .names
        .as_ref()
        .map(|names| SessionTags::new(subject, names))
        .transpose()
        .map_err(|error| {
            TokenRefusal::InvalidRequest(format!(
                "{error}; an administrator can change the name, or turn session tags off"
            ))
        })?;
    Ok(AwsTokenClaims {
        tags,
        source_identity: aws.claims.source_identity.then_some(subject.environment),
        roles: pinned(aws, role, subject)?,
    })
}

fn pinned(
    aws: &AwsProfile,
    role: Option<RoleArn>,
    subject: &Subject,
) -> Result<Vec<RoleArn>, TokenRefusal> {
    if !aws.claims.role_pin {
        return Ok(Vec::new());
    }
    match (role, &aws.role_arns) {
        (None, None) => Ok(Vec::new()),
        (None, Some(list)) => Ok(list.clone()),
        (Some(role), Some(list)) if !list.contains(&role) => {
            let list: Vec<_> = list.iter().map(ToString::to_string).collect();
            Err(TokenRefusal::InvalidTarget(format!(
                "role_arn: {role} is not a role of environment {} ({}); an administrator can add it",
                subject.environment,
                list.join(", ")
            )))
        }
        (Some(role), _) => Ok(vec![role]),
    }
}
