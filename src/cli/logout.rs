//! `idp logout aws`.

use clap::Subcommand;
use serde_json::json;

use super::{context::Context, failure::Outcome, login::default_profile};
use crate::client::aws_files::{CredentialsFile, ProfileName, Removed};

/// Remove what login wrote
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  idp logout aws --profile demo")]
pub struct Args {
    #[command(subcommand)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Target {
    Aws(AwsArgs),
}

/// Remove a profile's temporary credentials from the AWS credentials file, nothing else
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  idp logout aws --profile demo")]
struct AwsArgs {
    /// Profile to clear [default: default]
    #[arg(short, long, value_name = "NAME")]
    profile: Option<ProfileName>,
}

pub(super) fn run(args: Args, context: &Context) -> Outcome {
    let Target::Aws(args) = args.target;
    let profile = args.profile.map_or_else(default_profile, Ok)?;
    let file = CredentialsFile::locate(|name| context.env.lookup(name))?;
    let removed = file.remove_credentials(&profile)?;
    let path = file.path().display();
    if let Removed::Credentials(notes) = &removed {
        for note in notes {
            context.printer.warn(&note.to_string());
        }
        context.printer.note(&format!(
            "removed the credentials of profile {profile} from {path}"
        ));
    } else {
        context
            .printer
            .note(&format!("profile {profile} in {path} holds no credentials"));
    }
    if context.printer.json {
        let summary = json!({
            "profile": profile.as_str(),
            "file": file.path(),
            "removed": removed != Removed::Nothing,
        });
        context.printer.line(&summary.to_string())?;
    }
    Ok(())
}
