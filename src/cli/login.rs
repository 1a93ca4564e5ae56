//! `idp login aws`.

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::{
    context::Context,
    exit::ExitCode,
    failure::{Failure, Outcome},
    role::{RoleArgs, Session},
};
use crate::{
    client::{
        aws_files::{ConfigFile, CredentialsFile, ProfileName},
        credentials::{export_lines, plain_json},
    },
    domain::{ExposeSecret as _, RoleArn},
};

/// Get temporary credentials
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  idp login aws --role-arn arn:aws:iam::123456789012:role/demo")]
pub struct Args {
    #[command(subcommand)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Target {
    Aws(Box<AwsArgs>),
}

/// Exchange a fresh token for AWS credentials
///
/// The credentials go to a profile of the AWS credentials file, where every AWS tool finds them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  idp login aws --role-arn arn:aws:iam::123456789012:role/demo\n  \
                  idp login aws --role-arn arn:aws:iam::123456789012:role/demo --profile demo\n  \
                  eval \"$(idp login aws --role-arn arn:aws:iam::123456789012:role/demo --output env)\""
)]
struct AwsArgs {
    #[command(flatten)]
    role: RoleArgs,
    /// Profile of the credentials file to write [default: default]
    #[arg(short, long, value_name = "NAME")]
    profile: Option<ProfileName>,
    /// Where the credentials go: the credentials file, or standard output in one of two forms
    #[arg(long, value_name = "FORM", default_value = "file")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// The AWS credentials file
    File,
    /// Lines for a shell to evaluate
    Env,
    /// A JSON object
    Json,
}

/// Where `login` and `logout` work where no profile is named.
pub(super) fn default_profile() -> Outcome<ProfileName> {
    "default"
        .parse()
        .map_err(|error| Failure::usage(format!("default: {error}")))
}

pub(super) fn run(args: Args, context: &Context) -> Outcome {
    let Target::Aws(args) = args.target;
    if args.output == Output::Env && context.printer.json {
        return Err(Failure::usage("--json contradicts --output env"));
    }
    let profile = args.profile.as_ref().map(|name| name.as_str().to_owned());
    let plan = args.role.plan(profile, context)?;
    if args.output != Output::File {
        let session = plan.carry_out(context)?;
        return print(args.output, &session, context);
    }
    let file = CredentialsFile::locate(|name| context.env.lookup(name))?;
    let profile = args.profile.map_or_else(default_profile, Ok)?;
    file.check(&profile)?;
    refuse_shadowing(&profile, context)?;
    let role = plan.request.role.clone();
    let session = plan.carry_out(context)?;
    for note in file.write_credentials(&profile, &session.credentials)? {
        context.printer.warn(&note.to_string());
    }
    report(&role, &session, &file, &profile, context)
}

/// Keys in the credentials file would win over the profile's `credential_process` for good, expired
/// ones too.
fn refuse_shadowing(profile: &ProfileName, context: &Context) -> Outcome {
    let config = ConfigFile::locate(|name| context.env.lookup(name))?;
    let Some(line) = config.credential_process(profile)? else {
        return Ok(());
    };
    Err(Failure::new(
        ExitCode::NotWritten,
        anyhow::anyhow!(
            "profile {profile} gets its credentials from a command already (credential_process, line {line} \
             of {}), and keys in the credentials file would hide it",
            config.path().display()
        ),
    )
    .help("write to another profile with --profile NAME, or remove that line"))
}

fn print(output: Output, session: &Session, context: &Context) -> Outcome {
    if output == Output::Env {
        let lines = export_lines(&session.credentials, session.region.as_deref());
        context.printer.data(lines.expose_secret())
    } else {
        let json = plain_json(&session.credentials);
        context.printer.line(json.expose_secret())
    }
}

fn report(
    role: &RoleArn,
    session: &Session,
    file: &CredentialsFile,
    profile: &ProfileName,
    context: &Context,
) -> Outcome {
    let credentials = &session.credentials;
    context.printer.note(&format!(
        "wrote credentials of {role} to profile {profile} in {}; they expire at {}",
        file.path().display(),
        credentials.expires_at
    ));
    if context.env.get("AWS_ACCESS_KEY_ID").is_some() {
        context.printer.warn(
            "AWS_ACCESS_KEY_ID is set: AWS tools take it before the credentials file; unset it",
        );
    }
    if context.printer.json {
        let summary = json!({
            "profile": profile.as_str(),
            "file": file.path(),
            "role_arn": role.to_string(),
            "assumed_role_arn": credentials.assumed_role_arn,
            "expires_at": credentials.expires_at.to_string(),
        });
        context.printer.line(&summary.to_string())?;
    }
    Ok(())
}
