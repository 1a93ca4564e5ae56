//! What STS's own answer says of the cause, and what the request's parameters do.

use super::{
    claims::{is_session_name, not_registered},
    keys,
};
use crate::{
    client::{
        assume::{MAX_DURATION, MIN_DURATION},
        last_refusal::LastRefusal,
    },
    domain::RoleArn,
    iam::Cause,
};

/// Characters of session policies together.
const MAX_POLICY: usize = 2048;

/// What STS checks of the parameters before it reads the token.
pub(super) fn of_parameters(
    session_name: Option<&str>,
    duration: Option<u32>,
    policy_characters: usize,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(name) = session_name.filter(|name| !is_session_name(name)) {
        causes.push(
            Cause::new(
                "session-name",
                "RoleSessionName",
                "a session's name has 2 to 64 characters of a-z, A-Z, 0-9 and _+=,.@-",
                "leave --role-session-name out (the environment's id is taken), or name another",
            )
            .with_values("[A-Za-z0-9_+=,.@-]{2,64}", name),
        );
    }
    if let Some(duration) = duration.filter(|d| !(MIN_DURATION..=MAX_DURATION).contains(d)) {
        causes.push(
            Cause::new(
                "duration",
                "DurationSeconds",
                "no session is that long",
                "take one of 900 to 43200 seconds with --duration-seconds",
            )
            .with_values("900 to 43200", duration.to_string()),
        );
    }
    if policy_characters > MAX_POLICY {
        causes.push(too_large().with_values(MAX_POLICY.to_string(), policy_characters.to_string()));
    }
    causes
}

fn too_large() -> Cause {
    Cause::new(
        "policy-size",
        "session policy, policy ARNs and session tags",
        "they are too large together once STS has packed them",
        "shorten --session-policy, attach fewer --policy-arn, or send fewer session tags",
    )
}

/// What STS checks last.
pub(super) fn of_duration(duration: Option<u32>, maximum: Option<u32>) -> Option<Cause> {
    let (duration, maximum) = (duration?, maximum?);
    (duration > maximum)
        .then(|| duration_too_long().with_values(maximum.to_string(), duration.to_string()))
}

fn duration_too_long() -> Cause {
    Cause::new(
        "duration-too-long",
        "DurationSeconds",
        "the session is longer than the role allows",
        "lower --duration-seconds, or raise the role's maximum: aws iam update-role --role-name NAME \
         --max-session-duration SECONDS",
    )
}

/// What lies outside of policy and token, by STS's answer.
pub(super) fn of_answer(refusal: &LastRefusal, issuer: &str, audience: &str) -> Vec<Cause> {
    let role = refusal.role();
    let account = role.as_ref().map_or("the role's account", RoleArn::account);
    let lower = refusal.message.to_ascii_lowercase();
    match refusal.code.as_str() {
        "ExpiredTokenException" | "ExpiredToken" => vec![Cause::new(
            "clock",
            "claim exp",
            "login takes a fresh token for every try, so the issuer's clock is behind",
            "set the clock of the machine that runs `idp serve` by a time server",
        )],
        "IDPCommunicationError" => vec![keys::unreachable(issuer)],
        "RegionDisabledException" => vec![Cause::new(
            "region-disabled",
            "the region of STS",
            format!("account {account} has STS switched off there"),
            "switch it on under IAM, Account settings, or name another region with --region",
        )],
        "PackedPolicyTooLarge" => vec![too_large()],
        "MalformedPolicyDocument" => vec![Cause::new(
            "session-policy-malformed",
            "the session policy",
            "IAM does not take it, or one of the policy ARNs does not exist",
            "check Version, Effect, Action and Resource in --session-policy, and each --policy-arn",
        )],
        "ValidationError" if lower.contains("durationseconds") => vec![duration_too_long()],
        "ValidationError" if lower.contains("rolesessionname") => vec![Cause::new(
            "session-name",
            "RoleSessionName",
            "STS does not take the session's name",
            "use 2 to 64 characters of a-z, A-Z, 0-9 and _+=,.@-",
        )],
        "InvalidIdentityToken" => of_token(&lower, issuer, audience, account),
        _ => Vec::new(),
    }
}

fn of_token(message: &str, issuer: &str, audience: &str, account: &str) -> Vec<Cause> {
    if message.contains("no openidconnect provider") {
        let slash = if issuer.ends_with('/') {
            ""
        } else {
            ", without a slash at its end"
        };
        return vec![Cause::new(
            "provider-missing",
            "the OIDC provider in IAM",
            format!("account {account} has no provider for exactly this issuer"),
            format!(
                "aws iam create-open-id-connect-provider --url {issuer} --client-id-list {audience} \
                 (the URL exactly as the token has it{slash})"
            ),
        )];
    }
    if message.contains("retrieve verification key") {
        return vec![keys::unreachable(issuer)];
    }
    if message.contains("incorrect token audience") {
        return vec![not_registered(audience)];
    }
    if message.contains("could not be validated") {
        return vec![not_registered(audience), keys::signature(issuer)];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_too_much_from_their_limit_on() {
        let codes = |name, duration, characters| -> Vec<&str> {
            let causes = of_parameters(name, duration, characters);
            causes.iter().map(|cause| cause.code).collect()
        };
        assert_eq!(codes(Some("ci"), Some(43_200), 2048), Vec::<&str>::new());
        assert_eq!(codes(None, None, 2049), ["policy-size"]);
        assert_eq!(
            codes(Some("c"), Some(43_201), 0),
            ["session-name", "duration"]
        );
        assert_eq!(codes(None, Some(899), 0), ["duration"]);
    }
}
