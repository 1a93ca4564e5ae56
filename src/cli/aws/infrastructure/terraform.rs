//! `idp aws terraform`.

use serde_json::json;

use super::{RoleArgs, TrustArgs};
use crate::{
    cli::{
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
    },
    domain::Arn,
    iam::generate::{TerraformRole, terraform},
};

/// Print Terraform text for the identity provider and a role for environments of this issuer
///
/// The text holds the resources themselves and loads nothing from elsewhere, unless --modules names the
/// modules that come with this program. An account has one provider for an issuer: for a second role
/// name it with --provider-arn.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  idp aws terraform --issuer https://idp.example.com \
                  --org 0191e223-1c3c-7607-badf-303c98b52d2f --role-name ci > idp.tf"
)]
pub(in crate::cli::aws) struct Args {
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    role: RoleArgs,
    /// The account's provider for this issuer, where there is one already
    #[arg(long, value_name = "ARN")]
    provider_arn: Option<Arn>,
    /// Use modules; the address of the directory that holds them, such as your copy of terraform/modules
    #[arg(long, value_name = "ADDRESS")]
    modules: Option<String>,
}

pub(in crate::cli::aws) fn run(args: Args, context: &Context) -> Outcome {
    let settings = args.role.settings()?;
    let trust = args.trust.policy(context)?;
    let wanted = format!("oidc-provider/{}", trust.issuer.provider());
    if let Some(arn) = &args.provider_arn
        && (arn.service != "iam" || arn.resource != wanted)
    {
        return Err(Failure::usage(format!(
            "--provider-arn: {arn} is not the provider of {}",
            trust.issuer
        ))
        .help(format!("it looks like arn:aws:iam::123456789012:{wanted}")));
    }
    if let Some(modules) = &args.modules
        && !modules.starts_with(['.', '/'])
        && !modules.contains("ref=")
    {
        context.printer.warn(
            "the modules' address names no version: whoever writes there decides whom your roles trust; \
             add ?ref=COMMIT",
        );
    }
    let provider_arn = args.provider_arn.as_ref().map(ToString::to_string);
    let text = terraform(&TerraformRole {
        trust: &trust,
        settings: &settings,
        provider_arn: provider_arn.as_deref(),
        modules: args
            .modules
            .as_deref()
            .map(|address| address.trim_end_matches('/')),
    })
    .map_err(|error| Failure::new(ExitCode::Usage, error))?;
    if context.printer.json {
        return context
            .printer
            .line(&json!({ "terraform": text }).to_string());
    }
    context.printer.data(&text)
}
