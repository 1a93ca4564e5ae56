//! Parameters of the query protocol, validated as the service model has them, in AWS's words.

use url::form_urlencoded;

use super::{
    Refusal,
    constraint::{ANYTHING, ARN, POLICY, SECRET, SESSION_NAME, Violations},
    session_policy,
};

/// The API's version; there is one.
const VERSION: &str = "2011-06-15";

/// Room for fifty tags with keys, values and transitive keys, and for everything else.
const MOST_PARAMETERS: usize = 192;

/// A request's parameters.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads parameters from the query and from a form body. A name that is there twice is
    /// refused, since nobody could say which one counts.
    pub(super) fn parse(query: &str, body: &[u8]) -> Result<Self, Refusal> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in
            form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(body))
        {
            if pairs.len() >= MOST_PARAMETERS {
                return Err(Refusal::malformed("The request has too many parameters"));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(Refusal::malformed(format!(
                    "The parameter {name} is there more than once"
                )));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(pairs))
    }

    /// A parameter's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// The members of a list, `NAME.member.N` and what follows, in the order of N.
    pub(super) fn members(&self, name: &str, suffix: &str) -> Vec<&str> {
        let mut found: Vec<(u32, &str)> = self
            .0
            .iter()
            .filter_map(|(parameter, value)| {
                let index = parameter
                    .strip_prefix(name)?
                    .strip_prefix(".member.")?
                    .strip_suffix(suffix)?;
                Some((index.parse().ok()?, value.as_str()))
            })
            .collect();
        found.sort_by_key(|(index, _)| *index);
        found.into_iter().map(|(_, value)| value).collect()
    }

    /// What is asked for.
    pub(super) fn operation(&self) -> Result<Operation, Refusal> {
        let action = self.get("Action").ok_or_else(|| {
            Refusal::new(
                "MissingAction",
                400,
                "The request is missing an Action parameter",
                "no Action in the query or in a form body (application/x-www-form-urlencoded)",
            )
        })?;
        let version = self.get("Version").unwrap_or("NO_VERSION_SPECIFIED");
        let operation = Operation::ALL
            .into_iter()
            .find(|operation| version == VERSION && operation.name() == action);
        operation.ok_or_else(|| {
            let message = format!("Could not find operation {action} for version {version}");
            Refusal::new(
                "InvalidAction",
                400,
                message.clone(),
                format!(
                    "{message}; this STS has {} of version {VERSION}",
                    Operation::names()
                ),
            )
        })
    }
}

/// The operations of STS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    AssumeRole,
    AssumeRoleWithSaml,
    AssumeRoleWithWebIdentity,
    AssumeRoot,
    DecodeAuthorizationMessage,
    GetAccessKeyInfo,
    GetCallerIdentity,
    GetDelegatedAccessToken,
    GetFederationToken,
    GetSessionToken,
    GetWebIdentityToken,
}

impl Operation {
    const ALL: [Self; 11] = [
        Self::AssumeRoleWithWebIdentity,
        Self::AssumeRole,
        Self::GetCallerIdentity,
        Self::AssumeRoleWithSaml,
        Self::AssumeRoot,
        Self::DecodeAuthorizationMessage,
        Self::GetAccessKeyInfo,
        Self::GetDelegatedAccessToken,
        Self::GetFederationToken,
        Self::GetSessionToken,
        Self::GetWebIdentityToken,
    ];

    /// Its name on the wire.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AssumeRole => "AssumeRole",
            Self::AssumeRoleWithSaml => "AssumeRoleWithSAML",
            Self::AssumeRoleWithWebIdentity => "AssumeRoleWithWebIdentity",
            Self::AssumeRoot => "AssumeRoot",
            Self::DecodeAuthorizationMessage => "DecodeAuthorizationMessage",
            Self::GetAccessKeyInfo => "GetAccessKeyInfo",
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::GetDelegatedAccessToken => "GetDelegatedAccessToken",
            Self::GetFederationToken => "GetFederationToken",
            Self::GetSessionToken => "GetSessionToken",
            Self::GetWebIdentityToken => "GetWebIdentityToken",
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

/// The parameters of `AssumeRoleWithWebIdentity`, each by itself valid.
#[derive(Debug)]
pub(super) struct AssumeRole<'a> {
    pub(super) role_arn: &'a str,
    pub(super) session_name: &'a str,
    pub(super) token: &'a str,
    /// Seconds, where it was asked for.
    pub(super) duration: Option<u32>,
    pub(super) provider_id: Option<&'a str>,
    pub(super) policy: Option<&'a str>,
    pub(super) policy_arns: Vec<&'a str>,
}

/// The most plaintext that session policies may have together.
pub(super) const POLICY_MAX: usize = 2048;

impl<'a> AssumeRole<'a> {
    /// Validates all parameters and reports every violation together.
    pub(super) fn read(params: &'a Params) -> Result<Self, Refusal> {
        let mut found = Violations::default();
        let role_arn = found.required("roleArn", params.get("RoleArn"), 20..=2048, ARN);
        let session_name = found.required(
            "roleSessionName",
            params.get("RoleSessionName"),
            2..=64,
            SESSION_NAME,
        );
        let token = found.required(
            "webIdentityToken",
            params.get("WebIdentityToken"),
            4..=20_000,
            SECRET,
        );
        let provider_id =
            found.optional("providerId", params.get("ProviderId"), 4..=2048, ANYTHING);
        let policy = found.optional("policy", params.get("Policy"), 1..=POLICY_MAX, POLICY);
        let duration = found.number(DURATION, params.get("DurationSeconds"), 900..=43_200)?;
        let policy_arns = policy_arns(params, &mut found);
        found.none()?;
        check_policies(policy, &policy_arns)?;
        Ok(Self {
            role_arn: role_arn.unwrap_or_default(),
            session_name: session_name.unwrap_or_default(),
            token: token.unwrap_or_default(),
            duration,
            provider_id,
            policy,
            policy_arns,
        })
    }
}

/// The parameter of a session's length, and its name in messages.
pub(super) const DURATION: (&str, &str) = ("DurationSeconds", "durationSeconds");

/// `PolicyArns.member.N.arn`, in the order of N.
pub(super) fn policy_arns<'a>(params: &'a Params, found: &mut Violations) -> Vec<&'a str> {
    let arns = params.members("PolicyArns", ".arn");
    for (index, arn) in arns.iter().enumerate() {
        let name = format!("policyArns.{}.member.arn", index + 1);
        found.optional(&name, Some(arn), 20..=2048, ARN);
    }
    arns
}

/// Checks session policies, inline and managed.
pub(super) fn check_policies(policy: Option<&str>, arns: &[&str]) -> Result<(), Refusal> {
    policy.map(session_policy::check).transpose()?;
    if arns.len() > 10 {
        return Err(Refusal::validation(
            "The number of session policy ARNs must not exceed 10",
        ));
    }
    let total = policy.map_or(0, str::len) + arns.iter().map(|arn| arn.len()).sum::<usize>();
    if total > POLICY_MAX {
        return Err(Refusal::new(
            "PackedPolicyTooLarge",
            400,
            format!(
                "Packed policy consumes {}% of allotted space, please use smaller policy.",
                total * 100 / POLICY_MAX
            ),
            format!("the session policies have {total} characters together, over {POLICY_MAX}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "params_test.rs"]
mod tests;
