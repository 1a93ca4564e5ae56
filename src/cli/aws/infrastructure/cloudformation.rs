//! `idp aws cloudformation`.

use clap::ArgGroup;
use serde_json::{Value, json};

use super::{NetworkArgs, RoleArgs, TrustArgs, partition, print};
use crate::{
    cli::{
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
    },
    domain::{
        Audience, EnvironmentId, ExposeSecret as _, Issuer, OrganizationId, Partition, ProjectId,
        bearer_secret,
    },
    iam::generate::{
        CrossAccountRole, ExternalId, Hardening, QuickCreate, RoleSettings, TrustedPrincipal,
        cross_account_template, role_template,
    },
};

/// Print a CloudFormation template: the identity provider and a role for environments of this issuer,
/// or a role that another account assumes
///
/// With --org the role is for environments. With --trust-account it is for somebody in another
/// account, who has to name an external id; it reads everything and changes nothing unless
/// --managed-policy or --actions say otherwise.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("whom").required(true).args(["org", "trust_account"]),
    after_help = "Examples:\n  idp aws cloudformation --issuer https://idp.example.com \
                  --org 0191e223-1c3c-7607-badf-303c98b52d2f > role.json\n  aws cloudformation deploy \
                  --template-file role.json --stack-name idp-role --capabilities CAPABILITY_NAMED_IAM\n  \
                  idp aws cloudformation --trust-account 222233334444 > cross-account.json"
)]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
pub(in crate::cli::aws) struct Args {
    /// Organisation whose environments are trusted
    #[arg(long, value_name = "ID")]
    org: Option<OrganizationId>,
    /// Trust the environments of this project only
    #[arg(long, value_name = "ID", requires = "org")]
    project: Option<ProjectId>,
    /// Trust this environment only; name its project too, where it belongs to one
    #[arg(long, value_name = "ID", requires = "org")]
    environment: Option<EnvironmentId>,
    /// The issuer's URL [default: what the server at IDP_URL says]
    #[arg(long, value_name = "URL", requires = "org")]
    issuer: Option<Issuer>,
    /// Audience of the tokens
    #[arg(long, value_name = "A", default_value_t = Audience::sts())]
    audience: Audience,
    /// The organisation's tokens carry session tags: allow sts:TagSession
    #[arg(long, requires = "org")]
    session_tags: bool,
    /// The organisation's tokens carry a source identity: allow sts:SetSourceIdentity
    #[arg(long, requires = "org")]
    source_identity: bool,
    /// Ask for tokens that are pinned to the role
    #[arg(long, requires = "org")]
    require_role_pin: bool,
    /// Account, role or user that may assume a cross-account role
    #[arg(long, value_name = "ID|ARN")]
    trust_account: Option<TrustedPrincipal>,
    /// What the other account has to name [default: a random one]
    #[arg(long, value_name = "TEXT", requires = "trust_account")]
    external_id: Option<ExternalId>,
    /// AWS organisation that the other account has to belong to
    #[arg(long, value_name = "ID", requires = "trust_account")]
    principal_org_id: Option<String>,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    role: RoleArgs,
    /// Print a link that opens the console's form for a new stack instead; the template lies at this
    /// address in S3
    #[arg(long, value_name = "URL", value_parser = https)]
    quick_create: Option<String>,
    /// Name of the stack, in the link
    #[arg(long, value_name = "NAME", default_value = "idp-role")]
    stack_name: String,
    /// Region of the stack, in the link
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    region: String,
    /// Partition of the account, in the link
    #[arg(long, value_name = "NAME", value_parser = partition, default_value = "aws")]
    partition: Partition,
}

/// Reads a template's address.
fn https(text: &str) -> Result<String, String> {
    match url::Url::parse(text) {
        Ok(url) if url.scheme() == "https" => Ok(text.to_owned()),
        _ => Err(
            "a template's address looks like https://my-bucket.s3.eu-central-1.amazonaws.com/role.json"
                .to_owned(),
        ),
    }
}

pub(in crate::cli::aws) fn run(args: Args, context: &Context) -> Outcome {
    let settings = args.role.settings()?;
    let made = match (args.org, args.trust_account) {
        (Some(org), _) => {
            let trust = TrustArgs {
                org,
                project: args.project,
                environment: args.environment,
                issuer: args.issuer,
                audience: args.audience,
                session_tags: args.session_tags,
                source_identity: args.source_identity,
                require_role_pin: args.require_role_pin,
                network: args.network,
            }
            .policy(context)?;
            Template::new(role_template(&trust, &settings), None)
        }
        (None, Some(principal)) => {
            let external_id = match args.external_id {
                Some(id) => id,
                None => random_external_id(context)?,
            };
            let hardening = Hardening::new(
                args.network.source_ip,
                args.network.source_vpce,
                args.principal_org_id,
                false,
            )
            .map_err(|error| Failure::new(ExitCode::Usage, error))?;
            let asked = CrossAccountRole {
                principal,
                external_id,
                hardening,
            };
            Template::new(
                cross_account_template(&asked, &settings),
                Some(asked.external_id),
            )
        }
        (None, None) => Err(Failure::usage("pass --org or --trust-account")),
    }?;
    let Some(template_url) = args.quick_create else {
        return print(&made.template, context);
    };
    let link = QuickCreate {
        template_url,
        stack_name: args.stack_name,
        region: args.region,
        parameters: made.parameters(&settings),
    }
    .link(args.partition);
    if context.printer.json {
        return context.printer.line(&json!({ "link": link }).to_string());
    }
    context.printer.line(&link)
}

/// Nobody can guess it, which is what it is for: a customer's own.
fn random_external_id(context: &Context) -> Outcome<ExternalId> {
    let id = bearer_secret("idp-", &*context.random);
    id.expose_secret().parse().map_err(Failure::usage)
}

struct Template {
    template: Value,
    external_id: Option<ExternalId>,
}

impl Template {
    fn new(
        template: Result<Value, crate::iam::generate::ActionsError>,
        external_id: Option<ExternalId>,
    ) -> Outcome<Self> {
        Ok(Self {
            template: template.map_err(|error| Failure::new(ExitCode::Usage, error))?,
            external_id,
        })
    }

    /// The stack's parameters that the arguments set.
    fn parameters(&self, settings: &RoleSettings) -> Vec<(String, String)> {
        let duration = settings.max_session_duration;
        let boundary = settings.permission_boundary.as_ref();
        [
            (
                "ExternalId",
                self.external_id.as_ref().map(|id| id.as_str().to_owned()),
            ),
            ("RoleName", settings.role_name.clone()),
            (
                "MaxSessionDuration",
                (duration != 3600).then(|| duration.to_string()),
            ),
            (
                "PermissionsBoundary",
                boundary.map(|arn| arn.as_str().to_owned()),
            ),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
    }
}
