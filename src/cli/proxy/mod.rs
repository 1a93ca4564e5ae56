//! `idp proxy …`.

mod check;
mod rules;

use clap::Subcommand;

use super::{context::Context, failure::Outcome};

/// Sign requests to AWS for processes that hold no credential
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Box<check::Args>),
}

pub(super) fn run(args: Args, context: &Context) -> Outcome {
    match args.command {
        Command::Check(args) => check::run(&args, context),
    }
}
