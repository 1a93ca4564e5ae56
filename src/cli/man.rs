//! `idp man`.

use std::path::PathBuf;

use clap::CommandFactory as _;

use super::{
    Cli,
    context::Context,
    exit::ExitCode,
    failure::{Failure, Outcome},
};

/// Write a manual page for every command
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  idp man ~/.local/share/man/man1")]
pub struct Args {
    /// Directory to write to; made where it is missing
    dir: PathBuf,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    std::fs::create_dir_all(&args.dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.dir))
        .map_err(|error| {
            Failure::new(
                ExitCode::NotWritten,
                anyhow::Error::new(error).context(format!(
                    "the manual pages cannot be written to {}",
                    args.dir.display()
                )),
            )
        })?;
    context
        .printer
        .note(&format!("wrote the manual pages to {}", args.dir.display()));
    Ok(())
}
