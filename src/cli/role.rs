//! The arguments of every command that assumes a role, and the exchange itself.

use std::path::PathBuf;

use url::Url;

use super::{
    context::Context,
    exit::ExitCode,
    failure::{Failure, Outcome},
    input,
};
use crate::{
    client::{
        advice::advice,
        assume::{MAX_DURATION, MIN_DURATION, assume_request},
        identity::Identity,
        last_refusal::LastRefusal,
        login::{Login, LoginError, Retries, TokenFacts, Waiting},
    },
    domain::{Audience, RoleArn},
    ports::{StsCredentials, StsError, StsRefusal, StsRequest},
    upstream::sts::{AwsSts, StsSettings},
};

#[derive(Debug, clap::Args)]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
pub(super) struct RoleArgs {
    /// Role to assume [env: IDP_AWS_ROLE_ARN]
    #[arg(long, value_name = "ARN")]
    role_arn: Option<RoleArn>,
    /// Length of the session in seconds, 900 to 43200
    #[arg(long, value_name = "S", default_value_t = 3600, value_parser = duration)]
    duration_seconds: u32,
    /// Audience of the token
    #[arg(long, value_name = "A", default_value_t = Audience::sts())]
    audience: Audience,
    /// Name of the session, in CloudTrail and in the assumed role's ARN [default: the environment's id]
    #[arg(long, value_name = "NAME")]
    role_session_name: Option<String>,
    /// Region whose STS is asked [env: AWS_REGION, AWS_DEFAULT_REGION]
    #[arg(long, value_parser = region)]
    region: Option<String>,
    /// File with a policy that narrows the session
    #[arg(long, value_name = "FILE")]
    session_policy: Option<PathBuf>,
    /// Managed policies that narrow the session, up to ten
    #[arg(long, value_name = "ARN", num_args = 1..)]
    policy_arn: Vec<String>,
    /// Address of STS [env: AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL]
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    endpoint_url: Option<String>,
}

/// Reads a session's length.
fn duration(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(secs) if (MIN_DURATION..=MAX_DURATION).contains(&secs) => Ok(secs),
        _ => Err(format!(
            "a session lasts from {MIN_DURATION} to {MAX_DURATION} seconds"
        )),
    }
}

/// Reads a region's name, which becomes part of a host's name.
fn region(text: &str) -> Result<String, String> {
    let fits = (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err("a region looks like eu-central-1".to_owned())
    }
}

/// Reads an endpoint's URL.
fn endpoint(text: &str) -> Result<String, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            if url.username().is_empty() && url.password().is_none() {
                Ok(text.to_owned())
            } else {
                Err("it must not hold a user name or password".to_owned())
            }
        }
        _ => Err("an endpoint is a URL like https://sts.eu-central-1.amazonaws.com".to_owned()),
    }
}

/// A checked plan: everything is known, nothing has been asked.
pub(super) struct Plan {
    pub(super) identity: Identity,
    pub(super) audience: Audience,
    pub(super) request: StsRequest,
    pub(super) sts: StsSettings,
}

impl RoleArgs {
    /// Checks the arguments and the variables behind them. `profile` names the profile of the AWS
    /// config file that region and endpoint are read from.
    pub(super) fn plan(self, profile: Option<String>, context: &Context) -> Outcome<Plan> {
        let role = match (self.role_arn, context.env.text("IDP_AWS_ROLE_ARN")?) {
            (Some(role), _) => role,
            (None, Some(text)) => text
                .parse()
                .map_err(|error| Failure::usage(format!("IDP_AWS_ROLE_ARN: {error}")))?,
            (None, None) => {
                return Err(Failure::usage("no role is named").help(
                    "pass --role-arn arn:aws:iam::ACCOUNT:role/NAME or set IDP_AWS_ROLE_ARN",
                ));
            }
        };
        let mut named = self.region;
        for variable in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            if let (None, Some(text)) = (&named, context.env.text(variable)?) {
                named =
                    Some(region(text).map_err(|error| {
                        Failure::usage(format!("{variable}={text:?}: {error}"))
                    })?);
            }
        }
        let policy = self
            .session_policy
            .map(|file| input::read(&file, "session policy"))
            .transpose()?
            .map(|policy| policy.to_string());
        let identity = context.identity()?;
        let partition = role.partition();
        let request = assume_request(
            role,
            self.role_session_name
                .unwrap_or_else(|| identity.environment_id.to_string()),
            self.duration_seconds,
            policy,
            self.policy_arn,
        )
        .map_err(|error| Failure::new(ExitCode::Usage, error))?;
        Ok(Plan {
            identity,
            audience: self.audience,
            request,
            sts: StsSettings {
                region: named,
                endpoint_url: self.endpoint_url,
                profile,
                partition,
                http: context.env.aws_http_settings(),
            },
        })
    }
}

/// Temporary credentials and the region that the user named, if any.
pub(super) struct Session {
    pub(super) credentials: StsCredentials,
    pub(super) region: Option<String>,
}

impl Plan {
    /// Gets a token and exchanges it.
    pub(super) fn carry_out(self, context: &Context) -> Outcome<Session> {
        let Self {
            identity,
            audience,
            request,
            sts,
        } = self;
        let tokens = context.tokens(identity)?;
        context.block_on(async {
            context.renew_key(&tokens).await;
            let sts = AwsSts::load(sts).await;
            let credentials = Login {
                tokens: &tokens,
                sts: &sts,
                random: &*context.random,
                retries: Retries::default(),
                on_wait: &|waiting| context.printer.note(&wait_line(waiting)),
            }
            .run(&audience, &request)
            .await
            .map_err(|error| explain(error, &request, context))?;
            Ok(Session {
                credentials,
                region: sts.region().map(str::to_owned),
            })
        })?
    }
}

fn wait_line(waiting: &Waiting<'_>) -> String {
    let what = match waiting.error {
        StsError::Refused(refusal) => format!("AWS STS: {}: {}", refusal.code, refusal.message),
        no_answer => no_answer.to_string(),
    };
    format!(
        "{what}; trying again in {:.1} s (try {} of {})",
        waiting.wait.as_secs_f32(),
        waiting.next_try,
        waiting.tries
    )
}

fn explain(error: LoginError, request: &StsRequest, context: &Context) -> Failure {
    match error {
        LoginError::Token(error) => error.into(),
        LoginError::NoAnswer(_) => Failure::new(ExitCode::Unreachable, error).help(
            "check --endpoint-url, AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL and --region; a proxy is \
             taken from HTTPS_PROXY and NO_PROXY, CA certificates from AWS_CA_BUNDLE",
        ),
        LoginError::Refused {
            ref refusal,
            ref facts,
        } => {
            let mut help = advice(refusal, facts, request);
            help.extend(keep(refusal, facts, request, context));
            if let Some(id) = &refusal.request_id {
                help.push(format!("AWS support asks for the request id: {id}"));
            }
            let mut failure = Failure::new(ExitCode::Sts, error);
            failure.help = help;
            failure
        }
    }
}

/// Keeps what the refused token said, and names the command that explains the refusal with it.
fn keep(
    refusal: &StsRefusal,
    facts: &TokenFacts,
    request: &StsRequest,
    context: &Context,
) -> Option<String> {
    let record = LastRefusal::new(
        context.clock.now(),
        request,
        refusal,
        facts.kid.clone(),
        facts.claims.clone(),
    );
    // Where nothing can be kept, the refusal itself is what the user has to hear of.
    record.save(&context.env.last_refusal_path().ok()?).ok()?;
    Some(format!(
        "for the exact cause: aws iam get-role --role-name {} | idp aws explain --last \
         --trust-policy -",
        request.role.name()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_and_endpoints_are_checked() {
        for good in ["eu-central-1", "us-gov-west-1"] {
            assert!(region(good).is_ok());
        }
        for bad in ["", "EU", "a.b", "a/b", "a b"] {
            assert!(region(bad).is_err(), "{bad}");
        }
        for good in ["http://127.0.0.1:8080/sts", "https://sts.amazonaws.com"] {
            assert!(endpoint(good).is_ok());
        }
        for bad in ["", "localhost:5000", "ftp://x", "https://u:p@x", "https://"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }
}
