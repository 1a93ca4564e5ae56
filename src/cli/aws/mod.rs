//! `idp aws …`.

mod credential_process;
mod exec;
mod explain;
mod infrastructure;
mod lint;

use clap::Subcommand;

use super::{context::Context, failure::Outcome};

/// Work with AWS credentials and trust
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  idp aws exec --role-arn arn:aws:iam::123456789012:role/demo -- aws s3 ls\n  \
                  aws iam get-role --role-name demo | idp aws explain --last --trust-policy -"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    CredentialProcess(Box<credential_process::Args>),
    Exec(Box<exec::Args>),
    Explain(Box<explain::Args>),
    Lint(lint::Args),
    TrustPolicy(Box<infrastructure::trust_policy::Args>),
    #[command(name = "cloudformation")]
    CloudFormation(Box<infrastructure::cloudformation::Args>),
    Terraform(Box<infrastructure::terraform::Args>),
}

pub(super) fn run(args: Args, context: &Context) -> Outcome {
    match args.command {
        Command::CredentialProcess(args) => credential_process::run(*args, context),
        Command::Exec(args) => exec::run(*args, context),
        Command::Explain(args) => explain::run(*args, context),
        Command::Lint(args) => lint::run(&args, context),
        Command::TrustPolicy(args) => infrastructure::trust_policy::run(*args, context),
        Command::CloudFormation(args) => infrastructure::cloudformation::run(*args, context),
        Command::Terraform(args) => infrastructure::terraform::run(*args, context),
    }
}
