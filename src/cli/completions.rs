//! `idp completions`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, context::Context, failure::Outcome};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  idp completions bash > ~/.local/share/bash-completion/completions/idp"
)]
pub struct Args {
    /// Shell to complete in
    shell: Shell,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "idp", &mut script);
    context.printer.data(&String::from_utf8_lossy(&script))
}
