//! `idp enroll`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::json;

use super::{
    context::Context,
    exit::ExitCode,
    failure::{Failure, Outcome},
    input,
};
use crate::{
    client::{
        atomic_file::{AccessError, create_private_dir},
        enrol::enrol,
        identity::{Identity, IdentityError},
        patience::Patience,
        private_file::PrivateFileError,
        rotate::{Rotation, Which, rotate},
        server::{Server, ServerError, ServerUrl},
        token::TokenSource as _,
    },
    domain::{Audience, JOIN_TOKEN_PREFIX, SecretString, TokenLifetime},
};

/// Enrol this environment with a join token
///
/// Makes a key pair, proves to the server that the private half is here, and writes
/// $IDP_HOME/identity.json. The join token is read from --token-file, standard input or
/// IDP_JOIN_TOKEN; it works once.
///
/// The key is replaced once a day: by itself when a command needs a token, or with --rotate.
/// IDP_ROTATE=off leaves it alone.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  idp enroll --url https://idp.example.com --token-file join-token\n  \
                  idp enroll --rotate"
)]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
pub struct Args {
    /// Address at which this environment reaches the server
    #[arg(long, value_name = "SERVER", required_unless_present = "rotate")]
    url: Option<ServerUrl>,
    /// File with the join token, - for standard input [env: IDP_JOIN_TOKEN holds the token itself]
    #[arg(long, value_name = "F")]
    token_file: Option<PathBuf>,
    /// Replace an identity that still works
    #[arg(long)]
    force: bool,
    /// Replace the key of this environment now; needs no join token
    #[arg(long, conflicts_with_all = ["url", "token_file", "force"])]
    rotate: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let path = context.env.identity_path()?;
    // Without an address it is --rotate: the one of the two is required.
    let Some(url) = &args.url else {
        return rotate_key(&path, context);
    };
    let join_token = join_token(args, context)?;
    context.block_on(async {
        if !args.force {
            keep_what_works(&path, context).await?;
        }
        make_room(&path)?;
        let identity = enrol(
            Server {
                http: &context.http(),
                url,
                clock: &*context.clock,
            },
            &join_token,
            &context.patience(),
        )
        .await
        .map_err(explain)?;
        identity.save(&path)?;
        report(&identity, &path, context)
    })?
}

/// Somebody who asks for it waits for another process to finish.
const PATIENCE: Duration = Duration::from_secs(10);

fn rotate_key(path: &Path, context: &Context) -> Outcome {
    let http = context.http();
    let clock = &*context.clock;
    let rotation = context.block_on(rotate(path, Which::Any, PATIENCE, &http, clock))??;
    if let Rotation::Done(identity) = rotation {
        context.printer.note(&format!(
            "environment {} has a new key, {}; the old one ends a minute after the new one's first use",
            identity.environment_id, identity.kid
        ));
        if context.printer.json {
            context
                .printer
                .line(&summary(&identity, path).to_string())?;
        }
    }
    Ok(())
}

fn join_token(args: &Args, context: &Context) -> Outcome<SecretString> {
    let text = match (&args.token_file, context.env.text("IDP_JOIN_TOKEN")?) {
        (Some(file), _) => input::read(file, "join token")?,
        (None, Some(text)) => text.to_owned().into(),
        (None, None) => {
            return Err(Failure::usage("a join token is needed").help(
                "name its file with --token-file (- for standard input) or set IDP_JOIN_TOKEN; an \
                 administrator makes one with `idp admin join-token create`",
            ));
        }
    };
    let text = text.trim();
    if !text.starts_with(JOIN_TOKEN_PREFIX) || text.contains(char::is_whitespace) {
        return Err(Failure::usage(format!(
            "that is not a join token: one begins with {JOIN_TOKEN_PREFIX} and stands alone"
        )));
    }
    Ok(text.into())
}

/// An identity is replaced without --force only where its loss costs nothing: it is not one, or its
/// server does not accept it any more.
async fn keep_what_works(path: &Path, context: &Context) -> Outcome {
    let identity = match Identity::load(path) {
        Ok(identity) => identity,
        Err(IdentityError::File(PrivateFileError::Missing(_)) | IdentityError::Corrupt { .. }) => {
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let id = identity.environment_id;
    let Ok(mut tokens) = context.tokens(identity) else {
        return Ok(());
    };
    tokens.patience = Patience::none(Arc::clone(&context.random));
    let shortest = TokenLifetime::from_secs(TokenLifetime::MIN.into());
    let state = match tokens.token(&Audience::sts(), shortest, None).await {
        Err(ServerError::Refused(refusal))
            if matches!(&*refusal.error, "invalid_client" | "unauthorized_client") =>
        {
            return Ok(());
        }
        Err(
            ServerError::Unreachable(_)
            | ServerError::Unavailable { .. }
            | ServerError::Unexpected { .. },
        ) => "its server cannot be asked whether it still works",
        _ => "it works",
    };
    Err(Failure::new(
        ExitCode::NotWritten,
        anyhow::anyhow!(
            "{} holds the identity of environment {id}, and {state}",
            path.display()
        ),
    )
    .help("pass --force to replace it, or set IDP_HOME to another directory"))
}

/// The join token works once: whether the identity can be kept is found out before it is used.
fn make_room(path: &Path) -> Outcome {
    if let Some(dir) = path.parent() {
        create_private_dir(dir)?;
        tempfile::tempfile_in(dir).map_err(AccessError::on(path, "write"))?;
    }
    Ok(())
}

fn explain(error: ServerError) -> Failure {
    match error {
        ServerError::Refused(_) => Failure::new(ExitCode::Refused, error).help(
            "a join token works once, for ten minutes, and where it is bound to a network only from \
             there; an administrator makes a new one with `idp admin join-token create`",
        ),
        other => other.into(),
    }
}

fn report(identity: &Identity, path: &Path, context: &Context) -> Outcome {
    context.printer.note(&format!(
        "environment {} is enrolled with {}; its identity is in {}",
        identity.environment_id,
        identity.issuer,
        path.display()
    ));
    if context.printer.json {
        context.printer.line(&summary(identity, path).to_string())?;
    }
    Ok(())
}

fn summary(identity: &Identity, path: &Path) -> serde_json::Value {
    json!({
        "environment_id": identity.environment_id,
        "issuer": identity.issuer,
        "kid": identity.kid,
        "identity_file": path,
    })
}
