//! The command line: parse, call, print. Each command is a module with its arguments and a `run`.

pub mod admin;
pub mod aws;
pub mod completions;
pub mod config;
pub mod context;
pub mod dev;
pub mod enroll;
pub mod environment;
pub mod exit;
pub mod failure;
pub mod input;
pub mod login;
pub mod logout;
pub mod man;
pub mod printer;
pub mod proxy;
pub mod publish;
pub mod role;
mod runtime;
pub mod serve;
mod settings;
pub mod sts;
pub mod token;

use std::{ffi::OsString, sync::Arc};

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing_subscriber::EnvFilter;

use self::{
    context::Context, environment::Environment, exit::ExitCode, failure::Outcome, printer::Printer,
};
use crate::domain::{SystemClock, SystemRandom};

/// An OpenID Connect identity provider for environments, agents and CI jobs that need AWS.
#[derive(Debug, Parser)]
#[command(
    name = "idp",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Example:\n  idp enroll --url https://idp.example.com --token-file join-token\n  \
                  idp login aws --role-arn arn:aws:iam::123456789012:role/demo"
)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
struct Globals {
    /// Print data as one JSON value
    #[arg(long, global = true)]
    json: bool,
    /// Leave out notes on what was done
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Tell each step on standard error
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Colour messages; NO_COLOR is honoured
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Color {
    /// Where standard error is a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    // In an environment.
    Enroll(enroll::Args),
    Token(token::Args),
    Login(login::Args),
    Logout(logout::Args),
    Aws(aws::Args),
    Proxy(proxy::Args),
    // On the server.
    Dev(dev::Args),
    Serve(serve::Args),
    Sts(sts::Args),
    Publish(publish::Args),
    Config(config::Args),
    Admin(admin::Args),
    // About the program itself.
    Completions(completions::Args),
    Man(man::Args),
}

/// Keeps what is in memory, keys and tokens among it, out of core dumps: of this process and, unless
/// they raise the limit again, of those that it starts.
pub fn forbid_core_dumps() {
    let limits = Rlimit {
        current: Some(0),
        ..getrlimit(Resource::Core)
    };
    // Lowering a limit of one's own is refused by no system. Where one does, the command is not to
    // fail for it.
    let _ = setrlimit(Resource::Core, limits);
}

/// Parses `arguments` (the program's name first) and runs the command; what went wrong has been
/// told on standard error when this returns.
pub fn run(arguments: impl IntoIterator<Item = OsString>, env: Environment) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output, usage errors to standard error; where nobody
            // reads them any more, nobody can be told either.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::Ok
            };
        }
    };
    let globals = &cli.globals;
    set_color(globals.color);
    if globals.verbose > 0 {
        log_to_stderr(globals.verbose);
    }
    let context = Context {
        env,
        printer: Printer {
            json: globals.json,
            quiet: globals.quiet,
        },
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    };
    match cli.command.run(&context) {
        Ok(()) => ExitCode::Ok,
        Err(failure) => {
            if !failure.told {
                context.printer.failure(&failure);
            }
            failure.code
        }
    }
}

impl Command {
    fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Enroll(args) => enroll::run(&args, context),
            Self::Token(args) => token::run(&args, context),
            Self::Login(args) => login::run(args, context),
            Self::Logout(args) => logout::run(args, context),
            Self::Aws(args) => aws::run(args, context),
            Self::Proxy(args) => proxy::run(args, context),
            Self::Dev(args) => dev::run(&args, context),
            Self::Serve(args) => serve::run(&args, context),
            Self::Sts(args) => sts::run(&args, context),
            Self::Publish(args) => publish::run(&args, context),
            Self::Config(args) => config::run(&args, context),
            Self::Admin(args) => admin::run(args, context),
            Self::Completions(args) => completions::run(&args, context),
            Self::Man(args) => man::run(&args, context),
        }
    }
}

fn set_color(color: Color) {
    match color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

/// Our own steps only: libraries log requests, and those hold tokens.
fn log_to_stderr(verbosity: u8) {
    let filter = if verbosity > 1 {
        "idp=trace"
    } else {
        "idp=debug"
    };
    // A second initialisation, by a command that logs in its own way, is not an error.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(anstream::stderr)
        .without_time()
        .try_init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn leaves(command: &clap::Command, found: &mut Vec<clap::Command>) {
        if command.has_subcommands() {
            command.get_subcommands().for_each(|sub| leaves(sub, found));
        } else {
            found.push(command.clone());
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        let mut found = Vec::new();
        leaves(&Cli::command(), &mut found);
        assert!(found.len() > 5);
        for command in found {
            let help = command.get_after_help().map(ToString::to_string);
            assert!(
                help.is_some_and(|help| help.contains("Example") && help.contains("idp ")),
                "{}",
                command.get_name()
            );
        }
    }
}
