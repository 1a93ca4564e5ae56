//! `idp proxy …`.

mod apart;
mod ca;
mod check;
mod env;
mod exec;
mod log;
mod public_dir;
mod rules;
mod serve;
mod start;

use std::net::IpAddr;

use clap::Subcommand;

use super::{
    context::Context,
    exit::ExitCode,
    failure::{Failure, Outcome},
};
use crate::{
    client::proxied::{ChildError, UserError},
    proxy::{AWS_DOMAINS, in_aws},
    server::{ProxyError, ProxyState, StateError},
};

/// Sign requests to AWS for processes that hold no credential
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  idp proxy exec --rules rules.toml --role-arn arn:aws:iam::123456789012:role/agent -- aws s3 ls"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Args>),
    Exec(Box<exec::Args>),
    Env(env::Args),
    Ca(ca::Args),
    Check(Box<check::Args>),
    Log(log::Args),
    #[command(name = apart::COMMAND, hide = true)]
    Apart(Box<apart::Args>),
}

pub(super) fn run(args: Args, context: &Context) -> Outcome {
    match args.command {
        Command::Serve(args) => serve::run(*args, context),
        Command::Exec(args) => exec::run(*args, context),
        Command::Env(args) => env::run(&args, context),
        Command::Ca(args) => ca::run(&args, context),
        Command::Check(args) => check::run(&args, context),
        Command::Log(args) => log::run(&args, context),
        Command::Apart(args) => apart::run(*args, context),
    }
}

/// The hosts of `NO_PROXY` that stay in it: all but those that would lead past the proxy to AWS.
fn direct(context: &Context) -> Outcome<String> {
    let given = match context.env.text("NO_PROXY")? {
        Some(given) => given,
        None => context.env.text("no_proxy")?.unwrap_or_default(),
    };
    let kept = given.split([',', ' ']).filter(|entry| !covers_aws(entry));
    Ok(kept.collect::<Vec<_>>().join(","))
}

/// Whether an entry of `NO_PROXY` is for hosts of AWS: one of them, a domain of theirs, or one above it.
fn covers_aws(entry: &str) -> bool {
    if entry.parse::<IpAddr>().is_ok() {
        return false;
    }
    let (host, _) = entry.split_once(':').unwrap_or((entry, ""));
    let host = host.trim_start_matches(['*', '.']).to_ascii_lowercase();
    in_aws(&host) || AWS_DOMAINS.iter().any(|domain| domain.ends_with(&*host))
}

/// `$IDP_HOME/proxy`.
fn state(context: &Context) -> Outcome<ProxyState> {
    let dir = context.env.identity_path()?.with_file_name("proxy");
    Ok(ProxyState::open(&dir)?)
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let code = match error {
            StateError::Access(_) | StateError::Lock(_) => ExitCode::NotWritten,
            _ => ExitCode::Other,
        };
        Self::new(code, error)
    }
}

impl From<ProxyError> for Failure {
    fn from(error: ProxyError) -> Self {
        match error {
            ProxyError::NotLoopback(error) => Self::new(ExitCode::Usage, error),
            ProxyError::State(error) => error.into(),
            ProxyError::Listen(_) => Self::new(ExitCode::Other, error).help(
                "choose another port with --listen, or any free one with --listen 127.0.0.1:0",
            ),
            error => Self::new(ExitCode::Other, error),
        }
    }
}

impl From<UserError> for Failure {
    fn from(error: UserError) -> Self {
        Self::new(ExitCode::Usage, error)
    }
}

impl From<ChildError> for Failure {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::Start(error) => error.into(),
            ChildError::Watch(_) => Self::new(ExitCode::Other, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::covers_aws;

    #[test]
    fn nothing_of_no_proxy_leads_past_the_proxy() {
        for entry in [
            "*",
            "",
            "com",
            ".com",
            "amazonaws.com",
            "*.AMAZONAWS.com",
            ".s3.eu-central-1.amazonaws.com",
            "sts.amazonaws.com:443",
            "api.aws",
            "aws",
        ] {
            assert!(covers_aws(entry), "{entry}");
        }
        for entry in [
            ".corp.example",
            "169.254.169.254",
            "10.0.0.0/8",
            "::1",
            "amazonaws.com.corp.example",
            "minio.internal:9000",
        ] {
            assert!(!covers_aws(entry), "{entry}");
        }
    }
}
