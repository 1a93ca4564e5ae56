//! What to change when STS refuses: a plain sentence for every code.

use super::login::TokenFacts;
use crate::{
    domain::RoleArn,
    ports::{StsRefusal, StsRequest},
};

/// What to do about a refusal, one sentence or two a line, most likely first.
#[must_use]
pub fn advice(refusal: &StsRefusal, facts: &TokenFacts, request: &StsRequest) -> Vec<String> {
    let provider = facts
        .issuer
        .split_once("://")
        .map_or(facts.issuer.as_str(), |(_, rest)| rest);
    let account = request.role.account();
    match refusal.code.as_str() {
        "AccessDenied" | "AccessDeniedException" => access_denied(facts, provider, &request.role),
        "InvalidIdentityToken" => invalid_token(&refusal.message, facts, provider, account),
        "ExpiredTokenException" | "ExpiredToken" => vec![
            "the token was fresh, so the issuer's clock is behind: compare the clock of the machine \
             that runs `idp serve` with a time server (AWS tolerates 300 s)"
                .to_owned(),
        ],
        "IDPCommunicationError" => vec![format!(
            "AWS could not reach the issuer {}: its discovery and JWKS must be public over https and \
             answer within 5 s",
            facts.issuer
        )],
        "IDPRejectedClaim" => vec![
            "the issuer's provider in IAM does not accept a claim of the token: compare its settings \
             with `idp token --decode`"
                .to_owned(),
        ],
        "MalformedPolicyDocument" => vec![
            "the session policy is JSON but not a policy that IAM takes: check Version, Effect, Action \
             and Resource in --session-policy, and that each --policy-arn exists"
                .to_owned(),
        ],
        "PackedPolicyTooLarge" => vec![
            "session policy, policy ARNs and session tags together are too large once packed: shorten \
             --session-policy or attach fewer --policy-arn"
                .to_owned(),
        ],
        "RegionDisabledException" => vec![format!(
            "STS is not enabled in that region for account {account}: enable it under IAM, Account \
             settings, or name another region with --region"
        )],
        "ValidationError" | "InvalidParameterValue" if mentions_duration(&refusal.message) => {
            vec![format!(
                "{} s is longer than the role's maximum session duration: lower --duration-seconds, or \
                 raise the maximum of {}",
                request.duration_secs, request.role
            )]
        }
        "ValidationError" | "InvalidParameterValue" | "MissingParameter" => vec![
            "STS names the parameter in its message: compare it with --role-arn, --role-session-name, \
             --session-policy and --policy-arn"
                .to_owned(),
        ],
        "InvalidClientTokenId" | "UnrecognizedClientException" => vec![format!(
            "that endpoint belongs to another partition than the role: name a region of the partition \
             {} with --region",
            request.role.partition().as_str()
        )],
        "InvalidAction" | "UnknownOperationException" | "NoSuchVersion" => vec![
            "what answered does not know AssumeRoleWithWebIdentity: check --endpoint-url, \
             AWS_ENDPOINT_URL_STS and AWS_ENDPOINT_URL"
                .to_owned(),
        ],
        "ServiceUnavailable" | "InternalFailure" | "InternalError" => {
            vec!["the fault is on the side of STS: try again in a minute, or name another --region".to_owned()]
        }
        "RequestLimitExceeded" => throttled(),
        code if code.starts_with("Throttling") => throttled(),
        code => vec![format!(
            "idp knows nothing of the code {code}; look it up among the errors of \
             AssumeRoleWithWebIdentity and the common errors of the STS API reference"
        )],
    }
}

fn throttled() -> Vec<String> {
    vec![
        "too many calls to STS from this account and region: log in less often (`idp aws \
         credential-process` keeps credentials), or name another --region"
            .to_owned(),
    ]
}

fn mentions_duration(message: &str) -> bool {
    message.contains("DurationSeconds") || message.contains("durationSeconds")
}

fn access_denied(facts: &TokenFacts, provider: &str, role: &RoleArn) -> Vec<String> {
    let mut lines = vec![
        format!("either {role} does not exist, or its trust policy does not let this token in"),
        format!(
            "compare the trust policy with the token: {provider}:sub must match {:?} and \
             {provider}:aud must match {:?}",
            facts.subject, facts.audience
        ),
        format!(
            "its Principal must be {{\"Federated\": \"arn:{}:iam::{}:oidc-provider/{provider}\"}} and \
             its Action sts:AssumeRoleWithWebIdentity",
            role.partition().as_str(),
            role.account()
        ),
    ];
    if facts.has_session_tags {
        lines.push(
            "the token carries session tags: the trust policy must allow sts:TagSession as well"
                .to_owned(),
        );
    }
    if facts.has_source_identity {
        lines.push(
            "the token carries a source identity: the trust policy must allow sts:SetSourceIdentity \
             as well"
                .to_owned(),
        );
    }
    lines.push("a role or policy made a few seconds ago may need some ten more".to_owned());
    lines
}

fn invalid_token(message: &str, facts: &TokenFacts, provider: &str, account: &str) -> Vec<String> {
    let issuer = &facts.issuer;
    let lower = message.to_ascii_lowercase();
    // AWS says the same to a bad signature and to an audience that it does not know.
    if lower.contains("could not be validated") {
        return vec![
            format!(
                "the audiences (client ids) of the OIDC provider {provider} in account {account} must \
                 include {:?}; add it there, or ask for another with --audience",
                facts.audience
            ),
            unverified(issuer),
        ];
    }
    let line = if lower.contains("no openidconnect provider") {
        format!(
            "account {account} has no OIDC provider for this issuer: create one in IAM with exactly \
             the URL {issuer}"
        )
    } else if lower.contains("retrieve verification key") {
        format!(
            "AWS could not get the issuer's keys: {issuer}/.well-known/openid-configuration and the \
             jwks_uri it names must be public over https and answer within 5 s"
        )
    } else if lower.contains("audience") {
        format!(
            "add {:?} to the audiences (client ids) of the OIDC provider {provider} in account \
             {account}, or ask for another with --audience",
            facts.audience
        )
    } else if lower.contains("roles claim") {
        "the token is pinned to other roles than this one: ask the issuer's administrator"
            .to_owned()
    } else if lower.contains("in the future") || lower.contains("not yet valid") {
        "the issuer's clock is ahead: compare the clock of the machine that runs `idp serve` with a \
         time server (AWS tolerates 300 s)"
            .to_owned()
    } else if lower.contains("principal_tags") || lower.contains("source_identity") {
        "the token's AWS claims do not have the form that STS takes: ask the issuer's administrator \
         to correct the session tags"
            .to_owned()
    } else {
        unverified(issuer)
    };
    vec![line]
}

fn unverified(issuer: &str) -> String {
    format!(
        "the token did not verify with the keys that AWS has for {issuer}: check with `idp token \
         --decode --verify`, and that no other server publishes keys at that address"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(code: &str, message: &str) -> String {
        advice(
            &StsRefusal {
                code: code.to_owned(),
                message: message.to_owned(),
                status: 400,
                request_id: None,
            },
            &TokenFacts {
                issuer: "https://idp.example.com/o/1".to_owned(),
                subject: "org:o/env:e".to_owned(),
                audience: "sts.amazonaws.com".to_owned(),
                has_session_tags: true,
                has_source_identity: false,
                kid: None,
                claims: serde_json::Map::new(),
            },
            &StsRequest {
                role: "arn:aws-cn:iam::123456789012:role/demo".parse().unwrap(),
                session_name: "me".to_owned(),
                duration_secs: 7200,
                policy: None,
                policy_arns: vec![],
            },
        )
        .join("\n")
    }

    #[test]
    fn access_denied_names_all_that_has_to_agree() {
        let text = lines("AccessDenied", "Not authorized");
        for part in [
            "arn:aws-cn:iam::123456789012:role/demo",
            "idp.example.com/o/1:sub must match \"org:o/env:e\"",
            "idp.example.com/o/1:aud must match \"sts.amazonaws.com\"",
            "arn:aws-cn:iam::123456789012:oidc-provider/idp.example.com/o/1",
            "sts:TagSession",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("SetSourceIdentity"));
    }

    #[test]
    fn every_code_has_its_sentence() {
        for (code, message, says) in [
            ("ExpiredTokenException", "", "clock"),
            ("IDPCommunicationError", "", "within 5 s"),
            ("IDPRejectedClaim", "", "claim"),
            ("MalformedPolicyDocument", "", "--session-policy"),
            ("PackedPolicyTooLarge", "", "shorten"),
            ("RegionDisabledException", "", "--region"),
            (
                "ValidationError",
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
                "7200 s is longer",
            ),
            (
                "ValidationError",
                "1 validation error detected",
                "--role-arn",
            ),
            ("Throttling", "", "too many"),
            ("ThrottlingException", "", "too many"),
            ("RequestLimitExceeded", "", "too many"),
            ("ServiceUnavailable", "", "try again"),
            ("InternalFailure", "", "try again"),
            ("InvalidClientTokenId", "", "aws-cn"),
            ("InvalidAction", "", "--endpoint-url"),
            ("SomethingNew", "", "SomethingNew"),
        ] {
            let text = lines(code, message);
            assert!(text.contains(says), "{code}: {text}");
        }
    }

    #[test]
    fn invalid_tokens_are_told_apart() {
        for (message, says) in [
            (
                "No OpenIDConnect provider found in your account for https://idp.example.com/o/1",
                "create one",
            ),
            ("Incorrect token audience", "add \"sts.amazonaws.com\""),
            (
                "Couldn't retrieve verification key from your identity provider",
                "jwks_uri",
            ),
            ("Token issued in the future: x", "ahead"),
            (
                "The target role ARN is not present in the roles claim",
                "pinned",
            ),
            (
                "principal_tags passed in claim is not in correct format.",
                "session tags",
            ),
            (
                "The web identity token provided could not be validated.",
                "--verify",
            ),
            (
                "The web identity token provided could not be validated.",
                "must include \"sts.amazonaws.com\"",
            ),
        ] {
            let text = lines("InvalidIdentityToken", message);
            assert!(text.contains(says), "{message}: {text}");
        }
    }
}
