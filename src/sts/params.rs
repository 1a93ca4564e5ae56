//! Parameters of the query protocol, validated as the service model has them, in AWS's words.

use std::ops::RangeInclusive;

use url::form_urlencoded;

use super::Refusal;

/// The API's version; there is one.
const VERSION: &str = "2011-06-15";

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
            if pairs.len() >= 64 {
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
        let unknown = || {
            let message = format!("Could not find operation {action} for version {version}");
            Refusal::new(
                "InvalidAction",
                400,
                message.clone(),
                format!(
                    "{message}; this STS has AssumeRoleWithWebIdentity and GetCallerIdentity of \
                     version {VERSION}"
                ),
            )
        };
        if version != VERSION {
            return Err(unknown());
        }
        match action {
            "AssumeRoleWithWebIdentity" => Ok(Operation::AssumeRoleWithWebIdentity),
            "GetCallerIdentity" => Ok(Operation::GetCallerIdentity),
            _ => Err(unknown()),
        }
    }
}

/// The operations of this STS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    AssumeRoleWithWebIdentity,
    GetCallerIdentity,
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
const POLICY_MAX: usize = 2048;

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
        let policy = found.optional("policy", params.get("Policy"), 1..=POLICY_MAX, ANYTHING);
        let duration = found.duration(params.get("DurationSeconds"))?;
        let policy_arns: Vec<_> = params
            .0
            .iter()
            .filter(|(name, _)| {
                name.strip_prefix("PolicyArns.member.")
                    .is_some_and(|rest| rest.strip_suffix(".arn").is_some())
            })
            .map(|(_, arn)| arn.as_str())
            .collect();
        for (index, arn) in policy_arns.iter().enumerate() {
            let name = format!("policyArns.{}.member.arn", index + 1);
            found.optional(&name, Some(arn), 20..=2048, ARN);
        }
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

fn check_policies(policy: Option<&str>, arns: &[&str]) -> Result<(), Refusal> {
    if policy
        .is_some_and(|text| !matches!(serde_json::from_str(text), Ok(serde_json::Value::Object(_))))
    {
        return Err(Refusal::new(
            "MalformedPolicyDocument",
            400,
            "This policy contains invalid Json",
            "the session policy is not a JSON object",
        ));
    }
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

/// A regular expression as AWS prints it, and the same as a test of one character.
type Pattern = (&'static str, fn(char) -> bool);

/// What a parameter's value may be, apart from its length. One without an echo is a secret.
#[derive(Clone, Copy)]
struct Constraint {
    pattern: Option<Pattern>,
    echo: bool,
}

const ANYTHING: Constraint = Constraint {
    pattern: None,
    echo: true,
};
const SECRET: Constraint = Constraint {
    pattern: None,
    echo: false,
};
const SESSION_NAME: Constraint = Constraint {
    pattern: Some(("[\\w+=,.@-]*", is_session_name_char)),
    echo: true,
};
const ARN: Constraint = Constraint {
    pattern: Some((
        "[\\u0009\\u000A\\u000D\\u0020-\\u007E\\u0085\\u00A0-\\uD7FF\\uE000-\\uFFFD\\u10000-\\u10FFFF]+",
        is_arn_char,
    )),
    echo: true,
};

const fn is_session_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '=' | ',' | '.' | '@' | '-')
}

const fn is_arn_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{A0}'..='\u{D7FF}'
        | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// What is wrong with the parameters, in AWS's words.
#[derive(Default)]
struct Violations(Vec<String>);

impl Violations {
    fn required<'a>(
        &mut self,
        name: &str,
        value: Option<&'a str>,
        length: RangeInclusive<usize>,
        constraint: Constraint,
    ) -> Option<&'a str> {
        if value.is_none() {
            self.0.push(format!(
                "Value null at '{name}' failed to satisfy constraint: Member must not be null"
            ));
        }
        self.optional(name, value, length, constraint)
    }

    fn optional<'a>(
        &mut self,
        name: &str,
        value: Option<&'a str>,
        length: RangeInclusive<usize>,
        constraint: Constraint,
    ) -> Option<&'a str> {
        let value = value?;
        let count = value.chars().count();
        let mut wrong = |what: String| {
            let shown = if constraint.echo {
                format!("Value '{value}'")
            } else {
                "Value".to_owned()
            };
            self.0.push(format!(
                "{shown} at '{name}' failed to satisfy constraint: Member must {what}"
            ));
        };
        if let Some((pattern, fits)) = constraint.pattern
            && !value.chars().all(fits)
        {
            wrong(format!("satisfy regular expression pattern: {pattern}"));
        }
        if count < *length.start() {
            wrong(format!(
                "have length greater than or equal to {}",
                length.start()
            ));
        }
        if count > *length.end() {
            wrong(format!(
                "have length less than or equal to {}",
                length.end()
            ));
        }
        Some(value)
    }

    fn duration(&mut self, value: Option<&str>) -> Result<Option<u32>, Refusal> {
        let Some(value) = value else {
            return Ok(None);
        };
        let Ok(seconds) = value.parse::<i32>() else {
            let message = "DurationSeconds is not a whole number";
            return Err(Refusal::new("MalformedInput", 400, message, message));
        };
        let mut wrong = |what: &str| {
            self.0.push(format!(
                "Value '{seconds}' at 'durationSeconds' failed to satisfy constraint: Member must \
                 have value {what}"
            ));
        };
        if seconds < 900 {
            wrong("greater than or equal to 900");
        }
        if seconds > 43_200 {
            wrong("less than or equal to 43200");
        }
        Ok(u32::try_from(seconds).ok())
    }

    fn none(self) -> Result<(), Refusal> {
        match self.0.len() {
            0 => Ok(()),
            count => Err(Refusal::validation(format!(
                "{count} validation error{} detected: {}",
                if count == 1 { "" } else { "s" },
                self.0.join("; ")
            ))),
        }
    }
}

#[cfg(test)]
#[path = "params_test.rs"]
mod tests;
