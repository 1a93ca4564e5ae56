//! `idp aws trust-policy`, `cloudformation` and `terraform`: what they have in common.

pub(super) mod cloudformation;
pub(super) mod terraform;
pub(super) mod trust_policy;

use std::path::PathBuf;

use ipnet::IpNet;
use serde_json::Value;

use crate::{
    cli::{
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
        input,
    },
    client::server::{Server, ServerUrl},
    domain::{
        Audience, AwsClaims, EnvironmentId, Issuer, OrganizationId, Partition, ProjectId, RoleArn,
    },
    iam::generate::{Actions, Hardening, ManagedPolicyArn, RoleSettings, Scope, TrustPolicy},
};

/// Whom the role trusts.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
struct TrustArgs {
    /// Organisation whose environments are trusted
    #[arg(long, value_name = "ID")]
    org: OrganizationId,
    /// Trust the environments of this project only
    #[arg(long, value_name = "ID")]
    project: Option<ProjectId>,
    /// Trust this environment only; name its project too, where it belongs to one
    #[arg(long, value_name = "ID")]
    environment: Option<EnvironmentId>,
    /// The issuer's URL [default: what the server at IDP_URL says]
    #[arg(long, value_name = "URL")]
    issuer: Option<Issuer>,
    /// Audience of the tokens
    #[arg(long, value_name = "A", default_value_t = Audience::sts())]
    audience: Audience,
    /// The organisation's tokens carry session tags: allow sts:TagSession [default: as the server
    /// says, where IDP_ADMIN_TOKEN is set]
    #[arg(long)]
    session_tags: bool,
    /// The organisation's tokens carry a source identity: allow sts:SetSourceIdentity [default: as
    /// the server says, where IDP_ADMIN_TOKEN is set]
    #[arg(long)]
    source_identity: bool,
    /// Ask for tokens that are pinned to the role
    #[arg(long)]
    require_role_pin: bool,
    #[command(flatten)]
    network: NetworkArgs,
}

/// Where STS must be asked from.
#[derive(Debug, clap::Args)]
struct NetworkArgs {
    /// Network that STS must be asked from; several are allowed
    #[arg(long, value_name = "CIDR")]
    source_ip: Vec<IpNet>,
    /// VPC endpoint that STS must be asked through; several are allowed
    #[arg(long, value_name = "ID", conflicts_with = "source_ip")]
    source_vpce: Vec<String>,
}

/// What the role is.
#[derive(Debug, clap::Args)]
struct RoleArgs {
    /// Name of the role
    #[arg(long, value_name = "NAME", value_parser = role_name)]
    role_name: Option<String>,
    /// The longest session in seconds, 3600 to 43200
    #[arg(long, value_name = "S", default_value_t = 3600,
          value_parser = clap::value_parser!(u32).range(3600..=43_200))]
    max_session_duration: u32,
    /// Policy that bounds what the role may do, whatever it is granted
    #[arg(long, value_name = "ARN")]
    permission_boundary: Option<ManagedPolicyArn>,
    /// Managed policy of the role; several are allowed
    #[arg(long, value_name = "ARN")]
    managed_policy: Vec<ManagedPolicyArn>,
    /// File with what the role may do: an action a line, then its resources
    #[arg(long, value_name = "FILE")]
    actions: Option<PathBuf>,
}

/// Reads a role's name.
fn role_name(text: &str) -> Result<String, String> {
    format!("arn:aws:iam::000000000000:role/{text}")
        .parse::<RoleArn>()
        .ok()
        .filter(|role| role.name() == text)
        .map(|_| text.to_owned())
        .ok_or_else(|| "a role's name has 1 to 64 letters, digits and +=,.@_-".to_owned())
}

impl RoleArgs {
    fn settings(self) -> Outcome<RoleSettings> {
        Ok(RoleSettings {
            role_name: self.role_name,
            max_session_duration: self.max_session_duration,
            permission_boundary: self.permission_boundary,
            managed_policies: self.managed_policy,
            actions: self.actions.map(|file| read_actions(&file)).transpose()?,
        })
    }
}

fn read_actions(file: &std::path::Path) -> Outcome<Actions> {
    let text = input::read(file, "list of actions")?;
    Actions::parse(&text).map_err(|error| {
        Failure::new(
            ExitCode::Usage,
            anyhow::Error::new(error)
                .context(format!("{} is not a list of actions", file.display())),
        )
    })
}

impl TrustArgs {
    /// The trust policy that is asked for. Asks the server for what the arguments leave open.
    fn policy(self, context: &Context) -> Outcome<TrustPolicy> {
        let hardening = Hardening::new(
            self.network.source_ip,
            self.network.source_vpce,
            None,
            self.require_role_pin,
        )
        .map_err(|error| Failure::new(ExitCode::Usage, error))?;
        let mut claims = AwsClaims {
            session_tags: self.session_tags,
            source_identity: self.source_identity,
            role_pin: self.require_role_pin,
        };
        let issuer = match self.issuer {
            Some(issuer) => issuer,
            None => ask_issuer(context)?,
        };
        let mut scope = Scope {
            organization: self.org,
            project: self.project,
            environment: self.environment,
        };
        if context.env.get("IDP_ADMIN_TOKEN").is_some() && context.env.get("IDP_URL").is_some() {
            let known = Known::ask(&scope, context)?;
            claims.session_tags |= known.claims.session_tags;
            claims.source_identity |= known.claims.source_identity;
            scope.project = known.project(&scope)?;
        } else if scope.environment.is_some() && scope.project.is_none() {
            context.printer.note(
                "taken to belong to no project: name it with --project, or set IDP_URL and \
                 IDP_ADMIN_TOKEN to have it looked up",
            );
        }
        if issuer.is_loopback() {
            context.printer.warn(&format!(
                "{issuer} is on this machine: a local STS can reach it, AWS cannot"
            ));
        } else if issuer.has_port() {
            context.printer.warn(
                "the issuer's URL names a port, which IAM's documentation says it should not",
            );
        }
        Ok(TrustPolicy {
            issuer,
            audience: self.audience,
            scope,
            claims,
            hardening,
        })
    }
}

fn ask_issuer(context: &Context) -> Outcome<Issuer> {
    let url: ServerUrl = context
        .env
        .text("IDP_URL")?
        .ok_or_else(|| {
            Failure::usage("the issuer is not known").help(
                "pass --issuer https://idp.example.com, or set IDP_URL to the server's address",
            )
        })?
        .parse()
        .map_err(|error| Failure::usage(format!("IDP_URL: {error}")))?;
    let http = context.http();
    let server = Server {
        http: &http,
        url: &url,
        clock: &*context.clock,
    };
    let document = context.block_on(server.get("/.well-known/openid-configuration"))??;
    document
        .get("issuer")
        .and_then(Value::as_str)
        .and_then(|issuer| issuer.parse().ok())
        .ok_or_else(|| {
            Failure::new(
                ExitCode::Unreachable,
                anyhow::anyhow!("{url} does not say which issuer it is"),
            )
            .help("pass the issuer's URL with --issuer")
        })
}

/// What the server says of an organisation and its environment.
struct Known {
    claims: AwsClaims,
    /// The environment's, where one was named.
    environment: Option<Value>,
}

impl Known {
    fn ask(scope: &Scope, context: &Context) -> Outcome<Self> {
        let mut known = None;
        crate::cli::admin::api(context, async |api| {
            let get = async |path: String| api.call(http::Method::GET, &path, None).await;
            let organization = get(format!("/organizations/{}", scope.organization)).await?;
            let on = |name: &str| organization["aws_claims"][name] == true;
            let claims = AwsClaims {
                session_tags: on("session_tags"),
                source_identity: on("source_identity"),
                role_pin: on("role_pin"),
            };
            let environment = match scope.environment {
                Some(id) => Some(get(format!("/environments/{id}")).await?),
                None => None,
            };
            known = Some(Self {
                claims,
                environment,
            });
            Ok(())
        })?;
        known.ok_or_else(|| Failure::usage("the server said nothing of the organisation"))
    }

    /// The project that the trust policy names.
    fn project(&self, scope: &Scope) -> Outcome<Option<ProjectId>> {
        let Some(environment) = &self.environment else {
            return Ok(scope.project);
        };
        let text = |name: &str| environment[name].as_str();
        let project: Option<ProjectId> = text("project_id").and_then(|id| id.parse().ok());
        let elsewhere = text("organization_id") != Some(&scope.organization.to_string());
        if elsewhere || (scope.project.is_some() && scope.project != project) {
            return Err(Failure::new(
                ExitCode::Refused,
                anyhow::anyhow!(
                    "the environment's subject is {}, which is not in the named organisation and \
                     project",
                    text("subject").unwrap_or("unknown")
                ),
            ));
        }
        Ok(project)
    }
}

/// Reads an account's id.
fn account(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("an AWS account's id has twelve digits".to_owned())
    }
}

/// Reads a partition's name.
fn partition(text: &str) -> Result<Partition, String> {
    format!("arn:{text}:iam::000000000000:role/x")
        .parse::<RoleArn>()
        .map(|role| role.partition())
        .map_err(|_| {
            "a partition is aws, aws-cn, aws-us-gov, aws-eusc or one of aws-iso…".to_owned()
        })
}

/// JSON as people read it.
fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

/// JSON on one line for `--json`, else as people read it.
fn print(value: &Value, context: &Context) -> Outcome {
    if context.printer.json {
        context.printer.line(&value.to_string())
    } else {
        context.printer.line(&pretty(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_accounts_and_partitions_are_checked() {
        assert!(role_name("ci+deploy").is_ok());
        for bad in ["", "a b", "a/b", "*", "${x}"] {
            assert!(role_name(bad).is_err(), "{bad}");
        }
        assert!(account("123456789012").is_ok());
        assert!(account("12345678901").is_err());
        assert_eq!(partition("aws-cn"), Ok(Partition::AwsCn));
        assert!(partition("aws-mars").is_err());
    }
}
