//! `idp aws terraform`.

use serde_json::json;

use super::{RoleArgs, TrustArgs};
use crate::{
    cli::{
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
    },
    iam::generate::{TerraformRole, terraform},
};

/// Where the modules lie that come with this program.
const MODULES: &str = "git::https://github.com/idp/idp.git//terraform/modules";

/// Print Terraform text for the identity provider and a role for environments of this issuer
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
    /// Address of the directory that holds the modules
    #[arg(long, value_name = "ADDRESS", default_value = MODULES)]
    modules: String,
}

pub(in crate::cli::aws) fn run(args: Args, context: &Context) -> Outcome {
    let settings = args.role.settings()?;
    let trust = args.trust.policy(context)?;
    let text = terraform(&TerraformRole {
        trust: &trust,
        settings: &settings,
        modules: args.modules.trim_end_matches('/'),
    })
    .map_err(|error| Failure::new(ExitCode::Usage, error))?;
    if context.printer.json {
        return context
            .printer
            .line(&json!({ "terraform": text }).to_string());
    }
    context.printer.data(&text)
}
