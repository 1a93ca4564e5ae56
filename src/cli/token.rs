//! `idp token`.

use std::path::{Path, PathBuf};

use serde_json::json;
use zeroize::Zeroizing;

use super::{
    context::Context,
    exit::ExitCode,
    failure::{Failure, Outcome},
    input,
};
use crate::{
    client::{
        decode::DecodedToken,
        token::{AccessToken, TokenSource as _},
        verify::{allowance, issuer_of, verify},
    },
    domain::{Audience, ExposeSecret as _, RoleArn, TokenLifetime},
    upstream::keys::HttpKeyFetch,
};

/// Print a fresh token, or show what a token says
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  idp token --audience https://vault.example.com\n  idp token --decode\n  \
                  idp token --decode token.jwt --verify"
)]
pub struct Args {
    /// Whom the token is for [default: sts.amazonaws.com]
    #[arg(long, value_name = "A")]
    audience: Option<Audience>,
    /// Life in seconds, 60 to 3600 [default: the server's, 900]
    #[arg(long, value_name = "S", value_parser = lifetime)]
    ttl: Option<TokenLifetime>,
    /// Role that the token is meant for; no other takes it where the organisation pins tokens to roles
    #[arg(long, value_name = "ARN")]
    role_arn: Option<RoleArn>,
    /// Print claims and header instead: of a fresh token, or of the one in FILE or on standard input
    #[arg(long, value_name = "FILE|-", num_args = 0..=1)]
    #[expect(
        clippy::option_option,
        reason = "absent, without a file, with a file: the form that clap gives such an option"
    )]
    decode: Option<Option<PathBuf>>,
    /// Check the token against the keys that its issuer publishes
    #[arg(long)]
    verify: bool,
}

/// Reads a life in seconds.
fn lifetime(text: &str) -> Result<TokenLifetime, String> {
    text.parse()
        .ok()
        .and_then(TokenLifetime::from_secs)
        .ok_or_else(|| {
            format!(
                "a token lives from {} to {} seconds",
                TokenLifetime::MIN,
                TokenLifetime::MAX
            )
        })
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    match &args.decode {
        Some(Some(file)) => show_file(file, args, context),
        Some(None) => {
            let token = fresh(args, context)?;
            show(token.token.expose_secret(), args, context)
        }
        None => print(args, context),
    }
}

fn fresh(args: &Args, context: &Context) -> Outcome<AccessToken> {
    let tokens = context.tokens(context.identity()?)?;
    let audience = args.audience.clone().unwrap_or_else(Audience::sts);
    Ok(context.block_on(async {
        context.renew_key(&tokens).await;
        tokens
            .token(&audience, args.ttl, args.role_arn.as_ref())
            .await
    })??)
}

fn print(args: &Args, context: &Context) -> Outcome {
    let answer = fresh(args, context)?;
    let token = answer.token.expose_secret();
    if args.verify {
        verify_and_tell(token, context)?;
    }
    if context.printer.json {
        let json = json!({"access_token": token, "expires_in": answer.expires_in});
        context.printer.line(&Zeroizing::new(json.to_string()))
    } else {
        context.printer.line(token)
    }
}

fn show_file(file: &Path, args: &Args, context: &Context) -> Outcome {
    if args.audience.is_some() || args.ttl.is_some() || args.role_arn.is_some() {
        return Err(Failure::usage(
            "--audience, --ttl and --role-arn are for fresh tokens; the one in a file has them already",
        ));
    }
    show(&input::read(file, "token")?, args, context)
}

fn show(token: &str, args: &Args, context: &Context) -> Outcome {
    let decoded = DecodedToken::parse(token).map_err(|error| {
        Failure::new(
            ExitCode::Other,
            anyhow::anyhow!("that is not a token that can be shown: {error}"),
        )
    })?;
    context.printer.line(&decoded.to_json())?;
    if args.verify {
        verify_and_tell(token, context)
    } else {
        context
            .printer
            .note("signature not verified (use --verify)");
        Ok(())
    }
}

fn verify_and_tell(token: &str, context: &Context) -> Outcome {
    let issuer = issuer_of(token)?;
    // A token can be verified where no environment is enrolled.
    let own = context.identity().ok().map(|identity| identity.issuer);
    let keys = HttpKeyFetch::new(
        &context.env.http_settings(),
        allowance(&issuer, own.as_ref()),
    );
    context.block_on(verify(token, &issuer, &keys, &*context.clock))??;
    context
        .printer
        .note(&format!("signature verified against {issuer}"));
    Ok(())
}
