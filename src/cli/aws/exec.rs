//! `idp aws exec`.

use std::ffi::OsString;

use crate::{
    cli::{context::Context, failure::Outcome, role::RoleArgs},
    client::exec::exec,
};

/// Run a command with temporary credentials in its environment
///
/// The command takes this process's place: its signals and its exit code are its own. Variables that
/// would shadow the credentials, such as AWS_PROFILE, are removed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  idp aws exec --role-arn arn:aws:iam::123456789012:role/demo -- aws s3 ls"
)]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
pub(super) struct Args {
    #[command(flatten)]
    role: RoleArgs,
    /// Command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(super) fn run(args: Args, context: &Context) -> Outcome {
    let session = args.role.plan(None, context)?.carry_out(context)?;
    let Some((program, arguments)) = args.command.split_first() else {
        return Ok(());
    };
    let region = session.region.as_deref();
    Err(exec(program, arguments, &session.credentials, region).into())
}
