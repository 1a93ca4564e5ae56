//! The operations that a role session of this STS has no use for, refused as AWS refuses them.

use super::{
    Refusal,
    constraint::{ACCESS_KEY_ID, ANYTHING, ARN, SECRET, Violations},
    params::{Operation, Params},
    session::Session,
};

/// Checks the parameters of `GetAccessKeyInfo`. AWS reads the account from the key id itself, and
/// every key of this STS is of its one account.
pub(super) fn access_key_info(params: &Params) -> Result<(), Refusal> {
    let mut found = Violations::default();
    found.required(
        "accessKeyId",
        params.get("AccessKeyId"),
        16..=128,
        ACCESS_KEY_ID,
    );
    found.none()
}

/// There is no SAML provider here, so whatever the assertion says it is nobody's.
pub(super) fn assume_role_with_saml(params: &Params) -> Refusal {
    let mut found = Violations::default();
    found.required("roleArn", params.get("RoleArn"), 20..=2048, ARN);
    found.required("principalArn", params.get("PrincipalArn"), 20..=2048, ARN);
    found.required(
        "sAMLAssertion",
        params.get("SAMLAssertion"),
        4..=100_000,
        SECRET,
    );
    found.none().err().unwrap_or_else(|| {
        Refusal::token(
            "Specified provider doesn't exist",
            "this STS knows no SAML provider; use AssumeRoleWithWebIdentity",
        )
    })
}

/// Why a session gets no answer to `operation`.
pub(super) fn refuse(operation: Operation, params: &Params, caller: &Session) -> Refusal {
    let name = operation.name();
    match operation {
        Operation::DecodeAuthorizationMessage => decode(params),
        Operation::GetSessionToken | Operation::GetFederationToken => Refusal::new(
            "AccessDenied",
            403,
            format!("Cannot call {name} with session credentials"),
            "AWS gives this to long-lived credentials of a user only, and this STS knows none",
        ),
        Operation::GetWebIdentityToken => Refusal::new(
            "OutboundWebIdentityFederationDisabledException",
            403,
            "Outbound web identity federation is disabled for this account.",
            "this STS is no identity provider; `idp token` gets tokens",
        ),
        _ => Refusal::new(
            "AccessDenied",
            403,
            format!(
                "User: {} is not authorized to perform: sts:{name}",
                caller.arn()
            ),
            format!("this STS grants {name} to nobody"),
        ),
    }
}

/// No message was ever encoded here, so none can be decoded.
fn decode(params: &Params) -> Refusal {
    let mut found = Violations::default();
    found.required(
        "encodedMessage",
        params.get("EncodedMessage"),
        1..=10_240,
        ANYTHING,
    );
    found.none().err().unwrap_or_else(|| {
        Refusal::new(
            "InvalidAuthorizationMessageException",
            400,
            "Message is not valid",
            "this STS encodes no authorisation messages",
        )
    })
}
